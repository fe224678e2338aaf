package bitbucketserver

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	bbs "github.com/go-playground/webhooks/v6/bitbucket-server"

	"switchyard/internal/event"
	"switchyard/internal/history"
	"switchyard/webhook"
	"switchyard/webhook/internal/field"
	"switchyard/webhook/internal/sieve"
)

var (
	userFields       = sieve.Fields{"name": nil, "displayName": nil, "emailAddress": nil}
	repositoryFields = sieve.Fields{
		"id": nil, "slug": nil, "project": {"key": nil},
		"links": {"clone": {"href": nil, "name": nil}, "self": {"href": nil}},
	}
	commitFields = sieve.Fields{
		"id": nil, "message": nil, "author": {"name": nil, "emailAddress": nil}, "parents": {"id": nil},
	}
	pushFields = sieve.Fields{
		"actor": userFields, "repository": repositoryFields,
		"changes": {"ref": {"id": nil, "type": nil}, "refId": nil, "fromHash": nil, "toHash": nil, "type": nil},
		"commits": commitFields, "toCommit": commitFields,
	}
)

// pushPayload is the library's payload with what later versions add.
type pushPayload struct {
	bbs.RepositoryReferenceChangedPayload
	Repository repository `json:"repository"`
	Commits    []commit   `json:"commits"`
	ToCommit   *commit    `json:"toCommit"`
}

// repository is the library's with its links, which there are anything.
type repository struct {
	bbs.Repository
	Links struct {
		Clone []struct {
			Href string `json:"href"`
			Name string `json:"name"`
		} `json:"clone"`
		Self []struct {
			Href string `json:"href"`
		} `json:"self"`
	} `json:"links"`
}

type commit struct {
	ID      string  `json:"id"`
	Message *string `json:"message"`
	Author  struct {
		Name         string `json:"name"`
		EmailAddress string `json:"emailAddress"`
	} `json:"author"`
	Parents []struct {
		ID string `json:"id"`
	} `json:"parents"`
}

// namesOf are those of a person beside the user name.
func namesOf(p *bbs.User) []string { return event.OtherNames(p.Name, p.DisplayName, p.EmailAddress) }

func (r *repository) fullName() string { return r.Project.Key + "/" + r.Slug }

// event names the repository by its project's key and its slug: ACME/app, or
// ~ADA/app where it is somebody's own. The paths of the host know them in lower
// case too.
func (r *repository) event(key string) (event.Repository, error) {
	made := event.Repository{FullName: r.fullName()}
	for _, l := range r.Links.Clone {
		if l.Name != "http" { // so it is called where it is https, too
			continue
		}
		made.CloneURL = l.Href
		if base, ok := cutSuffixFold(strings.TrimSuffix(l.Href, ".git"), made.FullName); ok {
			made.CloneURL = base + made.FullName + ".git"
		}
	}
	if len(r.Links.Self) > 0 {
		made.HTMLURL = strings.TrimSuffix(r.Links.Self[0].Href, "/browse")
	}
	return made, field.Repository(key+".project.key and "+key+".slug", made.FullName, 2)
}

func cutSuffixFold(s, suffix string) (before string, ok bool) {
	at := len(s) - len(suffix)
	if at < 0 || !strings.EqualFold(s[at:], suffix) {
		return s, false
	}
	return s[:at], true
}

func (c *commit) event(sha, web string) event.Commit {
	made := event.Commit{SHA: sha, Author: c.Author.Name, AuthorEmail: c.Author.EmailAddress, Distinct: true, URL: commitURL(web, sha)}
	if c.Message != nil {
		made.Message, made.MessageKnown = *c.Message, true
	}
	return made
}

func commitURL(web, sha string) string {
	if web == "" {
		return ""
	}
	return web + "/commits/" + sha
}

// events are one for each ref.
func (p *pushPayload) events(id string) ([]event.Event, error) {
	nothing := []event.Event{{DeliveryID: id}}
	at, err := p.Repository.event("repository")
	if err != nil {
		return nil, err
	}
	if len(p.Changes) == 0 {
		return nothing, &webhook.Ignored{Reason: "changes: the delivery names no ref"}
	}
	var all []event.Event
	var ignored *webhook.Ignored
	for i := range p.Changes {
		ev := event.Event{DeliveryID: id, Repository: at, Sender: cmp.Or(p.Actor.Name, p.Actor.DisplayName), SenderNames: namesOf(&p.Actor)}
		if len(p.Changes) > 1 {
			ev.DeliveryID = fmt.Sprintf("%s.%d", id, i+1)
		}
		switch err := p.change(&p.Changes[i], &ev); {
		case errors.As(err, &ignored):
		case err != nil:
			return nil, fmt.Errorf("changes[%d].%w", i, err)
		default:
			all = append(all, ev)
		}
	}
	if len(all) == 0 {
		return nothing, ignored
	}
	return all, nil
}

// change fills ev with what became of one ref.
func (p *pushPayload) change(c *bbs.RepositoryChange, ev *event.Event) (err error) {
	ev.Ref = cmp.Or(c.Reference.ID, c.ReferenceID)
	if err = field.Ref("ref.id", ev.Ref); err != nil {
		return err
	}
	if ev.Before, err = field.Tip("fromHash", c.FromHash); err != nil {
		return err
	}
	if ev.After, err = field.Tip("toHash", c.ToHash); err != nil {
		return err
	}
	tag := strings.HasPrefix(ev.Ref, "refs/tags/")
	switch {
	case !tag && !strings.HasPrefix(ev.Ref, "refs/heads/"):
		return &webhook.Ignored{Reason: "the ref is neither a branch nor a tag: only those start executions"}
	case ev.After == "" && ev.Before == "":
		return errors.New("toHash: zeros like fromHash, where a push or a deletion has one commit at least")
	case ev.After == "":
		ev.Kind, ev.Commits = event.Delete, []event.Commit{{SHA: ev.Before}}
		return nil
	}
	ev.Kind = event.Push
	if tag {
		return p.tagged(ev)
	}
	return p.commits(ev)
}

// tagged finds the commit that a tag names. toHash is the tag's own ID where it is
// annotated, and nothing says whether it is; toCommit, where it is told, is the
// commit.
func (p *pushPayload) tagged(ev *event.Event) error {
	if p.ToCommit == nil || len(p.Changes) > 1 {
		ev.Head, ev.After, ev.Truncated = ev.After, "", true
		return nil
	}
	sha, err := field.SHA("toCommit.id", p.ToCommit.ID)
	if err != nil {
		return err
	}
	ev.After, ev.Commits = sha, []event.Commit{p.ToCommit.event(sha, ev.Repository.HTMLURL)}
	return nil
}

// commits lists what a branch has gained as far as the delivery tells, oldest first
// and the head last. Which of several refs a list is of is not said.
func (p *pushPayload) commits(ev *event.Event) error {
	list := p.Commits
	if len(p.Changes) > 1 {
		list = nil
	}
	head := event.Commit{SHA: ev.After, Distinct: true, URL: commitURL(ev.Repository.HTMLURL, ev.After)}
	known := map[string]bool{ev.Before: true}
	for i := range list {
		sha, err := field.SHA("id", list[i].ID)
		if err != nil {
			return fmt.Errorf("commits[%d].%w", i, err)
		}
		list[i].ID, known[sha] = sha, true
	}
	parents := func(i int) []string {
		all := make([]string, len(list[i].Parents))
		for n, p := range list[i].Parents {
			all[n] = strings.ToLower(p.ID)
		}
		return all
	}
	// All there are: nothing leads on from them but to where the branch was.
	whole := ev.Before != "" && known[ev.After]
	for i := range list {
		of := parents(i)
		whole = whole && len(of) > 0 && !slices.ContainsFunc(of, func(sha string) bool { return !known[sha] })
	}
	ev.Truncated = !whole
	slices.Reverse(list)
	history.ParentsFirst(list, func(i int) string { return list[i].ID }, parents)
	for i := range list {
		if c := list[i].event(list[i].ID, ev.Repository.HTMLURL); c.SHA == ev.After {
			head = c
		} else {
			ev.Commits = append(ev.Commits, c)
		}
	}
	ev.Commits = append(ev.Commits, head)
	return nil
}
