package github

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	gh "github.com/go-playground/webhooks/v6/github"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/internal/field"
	"switchyard/webhook/internal/sieve"
)

var (
	whoFields    = sieve.Fields{"name": nil, "email": nil, "username": nil}
	commitFields = sieve.Fields{
		"id": nil, "distinct": nil, "message": nil, "url": nil, "author": whoFields, "timestamp": nil,
		"added": nil, "removed": nil, "modified": nil, "parents": nil,
	}
	repositoryFields = sieve.Fields{"id": nil, "full_name": nil, "clone_url": nil, "html_url": nil, "default_branch": nil}
	senderFields     = sieve.Fields{"name": nil, "login": nil, "username": nil}
	pushFields       = sieve.Fields{
		"ref": nil, "before": nil, "after": nil, "deleted": nil, "forced": nil,
		"commits": commitFields, "head_commit": commitFields, "repository": repositoryFields,
		"total_commits": nil, "size": nil, "pusher": senderFields, "sender": senderFields,
	}
	removalFields = sieve.Fields{"ref": nil, "ref_type": nil, "repository": repositoryFields, "sender": senderFields}
)

// pushPayload is the library's payload, with what other hosts add to it or
// leave out.
type pushPayload struct {
	gh.PushPayload
	Commits    []commit `json:"commits"`
	HeadCommit *commit  `json:"head_commit"`
	// TotalCommits is how many commits the push has, of which Gitea lists few;
	// Size is the name that GitHub has for the same in its API.
	TotalCommits *count `json:"total_commits"`
	Size         count  `json:"size"`
	Pusher       who    `json:"pusher"`
	Sender       who    `json:"sender"`
}

// who is a person as hosts variously name one.
type who struct {
	Name     string `json:"name"`
	Login    string `json:"login"`
	Username string `json:"username"`
}

func (s *Source) decodePush(h http.Header, body []byte, ev *event.Event) error {
	var p pushPayload
	if err := parse(h, body, s.push, &p); err != nil {
		return err
	}
	return pushEvent(&p, fromGitea(h) || p.TotalCommits != nil, ev)
}

// pushEvent fills ev from the payload of a push.
func pushEvent(p *pushPayload, gitea bool, ev *event.Event) (err error) {
	ev.Kind, ev.Ref, ev.Forced = event.Push, p.Ref, p.Forced
	ev.Sender = cmp.Or(p.Sender.Login, p.Pusher.Name, p.Pusher.Login, p.Sender.Username, p.Pusher.Username)
	if err = field.Ref("ref", p.Ref); err != nil {
		return err
	}
	// A ref that was created, or a sender that does not tell.
	if p.Before != "" {
		if ev.Before, err = field.Tip("before", p.Before); err != nil {
			return err
		}
	}
	if ev.After, err = tip(p, gitea); err != nil {
		return err
	}
	r := &p.Repository
	if ev.Repository, err = repository(r.FullName, r.CloneURL, r.HTMLURL, r.DefaultBranch); err != nil {
		return err
	}
	tag := strings.HasPrefix(p.Ref, tagPrefix)
	switch {
	case !tag && !strings.HasPrefix(p.Ref, branchPrefix):
		return &webhook.Ignored{Reason: "the ref is neither a branch nor a tag: only those start executions"}
	case p.Deleted || ev.After == "":
		return deletion(p, ev)
	case gitea && ev.Before == ev.After:
		return &webhook.Ignored{Reason: "before and after are the same commit: a test of the webhook, which pushes nothing"}
	case tag:
		return taggedCommit(p, ev)
	}
	return pushedCommits(p, gitea, ev)
}

// tip is the commit that the ref points at after the push, "" for none. Where
// the sender does not name it, it is the newest that is listed.
func tip(p *pushPayload, gitea bool) (string, error) {
	switch {
	case p.After != "" || p.Deleted:
		if p.After == "" {
			return "", nil
		}
		return field.Tip("after", p.After)
	case p.HeadCommit != nil && p.HeadCommit.ID != "":
		return field.SHA("head_commit.id", p.HeadCommit.ID)
	case len(p.Commits) > 0:
		newest := len(p.Commits) - 1
		if gitea || fallingTimes(p.Commits) {
			newest = 0
		}
		return field.SHA(fmt.Sprintf("commits[%d].id", newest), p.Commits[newest].ID)
	}
	return "", errors.New("after: missing, and there is no commit in its place")
}

// deletion turns a push that deleted a ref into an event of that kind.
func deletion(p *pushPayload, ev *event.Event) error {
	if ev.Before == "" && ev.After == "" && len(p.Commits) > 0 && strings.Trim(p.Commits[0].ID, "0") == "" {
		// Gitea's button for a test sends a commit of zeros.
		return &webhook.Ignored{Reason: "before and after are zeros: a test of the webhook, which pushes nothing"}
	}
	if ev.Before == "" || ev.After != "" {
		return fmt.Errorf("before, after: a deletion leads from a commit to zeros, not from %q to %q", p.Before, p.After)
	}
	ev.Kind, ev.Forced = event.Delete, false
	ev.Commits = []event.Commit{{SHA: ev.Before}}
	return nil
}

// taggedCommit makes the commit that a tag points at the tip: of an annotated
// tag, "after" is the tag itself.
func taggedCommit(p *pushPayload, ev *event.Event) error {
	head := event.Commit{SHA: ev.After, Distinct: true}
	if c := p.HeadCommit; c != nil && c.ID != "" {
		sha, err := field.SHA("head_commit.id", c.ID)
		if err != nil {
			return err
		}
		head = c.commit(sha)
	}
	ev.After, ev.Commits = head.SHA, []event.Commit{head}
	return nil
}

// removal is Gitea's payload of an event delete: the short name of the ref, and
// no commit.
type removal struct {
	Ref        string `json:"ref"`
	RefType    string `json:"ref_type"`
	Repository struct {
		FullName      string `json:"full_name"`
		CloneURL      string `json:"clone_url"`
		HTMLURL       string `json:"html_url"`
		DefaultBranch string `json:"default_branch"`
	} `json:"repository"`
	Sender who `json:"sender"`
}

// decodeRemoval reads the deletion of a branch at Gitea, which sends no push
// for it.
func (s *Source) decodeRemoval(h http.Header, body []byte, ev *event.Event) error {
	var p removal
	err := parse(h, body, s.removal, &p)
	if err != nil {
		return err
	}
	if p.RefType != "branch" {
		return &webhook.Ignored{Reason: "delete: the deletion of anything but a branch is taken from the push event"}
	}
	if err = field.Branch("ref", p.Ref); err != nil {
		return err
	}
	r := &p.Repository
	ev.Repository, err = repository(r.FullName, r.CloneURL, r.HTMLURL, r.DefaultBranch)
	ev.Kind, ev.Ref, ev.Sender = event.Delete, branchPrefix+p.Ref, cmp.Or(p.Sender.Login, p.Sender.Username)
	return err
}
