// Package hub reads what deliveries of GitHub and of hosts that imitate it have
// in common: the two content types, and how they write commits, people and
// repositories.
package hub

import (
	"cmp"
	"net/http"
	"strings"

	"switchyard/internal/event"
	"switchyard/webhook/internal/field"
	"switchyard/webhook/internal/sieve"
)

// The prefixes of full ref names.
const (
	BranchPrefix = "refs/heads/"
	TagPrefix    = "refs/tags/"
)

// What is kept of the members that all payloads share.
var (
	CommitFields = sieve.Fields{
		"id": nil, "distinct": nil, "message": nil, "url": nil, "author": {"name": nil, "email": nil, "username": nil},
		"timestamp": nil, "added": nil, "removed": nil, "modified": nil, "parents": nil,
	}
	RepositoryFields = sieve.Fields{"id": nil, "full_name": nil, "clone_url": nil, "html_url": nil, "default_branch": nil}
	WhoFields        = sieve.Fields{"name": nil, "login": nil, "username": nil, "full_name": nil, "email": nil}
)

// First is the value of the first of the headers that is there. The names are
// spelled as [http.Header] does.
func First(h http.Header, names []string) string {
	for _, name := range names {
		if v := h[name]; len(v) > 0 && v[0] != "" {
			return v[0]
		}
	}
	return ""
}

// Parse reads what is kept of the delivery's payload into p.
func Parse(h http.Header, body []byte, kept *sieve.Sieve, p any) error {
	text, err := payload(h, body)
	if err != nil {
		return err
	}
	return kept.Decode(text, p)
}

// Who is a person as hosts variously name one.
type Who struct {
	Name     string `json:"name"`
	Login    string `json:"login"`
	Username string `json:"username"`
	// FullName is Gitea's, and Email GitHub's of who pushed and Gitea's of everybody;
	// it may be one that leads nowhere.
	FullName string `json:"full_name"`
	Email    string `json:"email"`
}

// Repository builds what every payload says of a repository. A relay may leave
// out where it is cloned from: GitHub, Gitea and their kin all serve that
// beside the page.
func Repository(fullName, cloneURL, htmlURL, defaultBranch string) (event.Repository, error) {
	if cloneURL == "" && htmlURL != "" {
		cloneURL = strings.TrimSuffix(htmlURL, "/") + ".git"
	}
	r := event.Repository{FullName: fullName, CloneURL: cloneURL, HTMLURL: htmlURL, DefaultBranch: defaultBranch}
	return r, field.Repository("repository.full_name", fullName, 2)
}

// TaggedCommit makes the commit that a tag points at the tip: of an annotated
// tag, "after" is the tag itself.
func TaggedCommit(head *Commit, ev *event.Event) error {
	made := event.Commit{SHA: ev.After, Distinct: true}
	if head != nil && head.ID != "" {
		sha, err := field.SHA("head_commit.id", head.ID)
		if err != nil {
			return err
		}
		made = head.event(sha)
	}
	ev.After, ev.Commits = made.SHA, []event.Commit{made}
	return nil
}

// PullRequestHead lists the head of a pull request, which is all that a payload
// names of its commits. pages are where the head's repository is seen, the first
// that is there.
func PullRequestHead(ev *event.Event, author string, pages ...string) {
	// Whether the host had seen the commit before is not said; a pull request
	// is the first that its base repository hears of it.
	head := event.Commit{SHA: ev.After, Author: author, Distinct: true}
	if page := cmp.Or(pages...); page != "" {
		head.URL = page + "/commit/" + ev.After
	}
	ev.Commits = []event.Commit{head}
}
