package bitbucket

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"switchyard/internal/event"
	"switchyard/internal/history"
	"switchyard/webhook"
	"switchyard/webhook/internal/field"
	"switchyard/webhook/internal/sieve"
)

var (
	webFields        = sieve.Fields{"html": {"href": nil}}
	personFields     = sieve.Fields{"nickname": nil, "display_name": nil, "account_id": nil, "uuid": nil, "type": nil}
	repositoryFields = sieve.Fields{"full_name": nil, "uuid": nil, "links": webFields}
	commitFields     = sieve.Fields{
		"hash": nil, "message": nil, "links": webFields, "parents": {"hash": nil},
		"author": {"raw": nil, "user": personFields},
	}
	refFields  = sieve.Fields{"type": nil, "name": nil, "target": commitFields}
	pushFields = sieve.Fields{
		"push": {"changes": {
			"old": refFields, "new": refFields, "forced": nil, "truncated": nil, "commits": commitFields,
		}},
		"repository": repositoryFields, "actor": personFields,
	}
)

// The payloads have types of their own: the library's name their parts nowhere,
// so that they cannot be extended, and cannot tell an absent ref from an empty
// one, nor have they a commit's raw author.
type (
	links struct {
		HTML struct {
			Href string `json:"href"`
		} `json:"html"`
	}
	person struct {
		Nickname    string `json:"nickname"`
		DisplayName string `json:"display_name"`
		AccountID   string `json:"account_id"`
		UUID        string `json:"uuid"`
		// Type is user, team or app_user.
		Type string `json:"type"`
	}
	repository struct {
		FullName string `json:"full_name"`
		UUID     string `json:"uuid"`
		Links    links  `json:"links"`
	}
	commit struct {
		Hash    string  `json:"hash"`
		Message *string `json:"message"`
		Links   links   `json:"links"`
		Author  struct {
			// Raw is what git says: Name <e-mail>.
			Raw  string `json:"raw"`
			User person `json:"user"`
		} `json:"author"`
		Parents []struct {
			Hash string `json:"hash"`
		} `json:"parents"`
	}
	ref struct {
		Type   string `json:"type"`
		Name   string `json:"name"`
		Target commit `json:"target"`
	}
	change struct {
		Old       *ref     `json:"old"`
		New       *ref     `json:"new"`
		Forced    bool     `json:"forced"`
		Truncated bool     `json:"truncated"`
		Commits   []commit `json:"commits"`
	}
	pushPayload struct {
		Push struct {
			Changes []change `json:"changes"`
		} `json:"push"`
		Repository repository `json:"repository"`
		Actor      person     `json:"actor"`
	}
)

// name is what people call somebody. A nickname is chosen freely, and may be that
// of somebody else.
func (p *person) name() string { return cmp.Or(p.Nickname, p.DisplayName) }

// id is what only they have.
func (p *person) id() string { return cmp.Or(p.AccountID, p.UUID) }

// namesBeside are their other names.
func (p *person) namesBeside(name string) []string {
	return event.OtherNames(name, p.AccountID, p.UUID, p.Nickname, p.DisplayName)
}

func (r *repository) event() (event.Repository, error) {
	made := event.Repository{FullName: r.FullName, HTMLURL: r.Links.HTML.Href}
	if made.HTMLURL != "" {
		made.CloneURL = strings.TrimSuffix(made.HTMLURL, "/") + ".git"
	}
	return made, field.Repository("repository.full_name", r.FullName, 2)
}

func (c *commit) event(sha string) event.Commit {
	name, rest, _ := strings.Cut(c.Author.Raw, "<")
	email, _, _ := strings.Cut(rest, ">")
	made := event.Commit{
		SHA: sha, URL: c.Links.HTML.Href, Distinct: true,
		Author: cmp.Or(c.Author.User.Nickname, strings.TrimSpace(name)), AuthorEmail: strings.TrimSpace(email),
	}
	if c.Message != nil {
		made.Message, made.MessageKnown = *c.Message, true
	}
	return made
}

// events are one for each ref.
func (p *pushPayload) events(id string) ([]event.Event, error) {
	nothing := []event.Event{{DeliveryID: id}}
	at, err := p.Repository.event()
	if err != nil {
		return nil, err
	}
	if len(p.Push.Changes) == 0 {
		return nothing, &webhook.Ignored{Reason: "push.changes: the delivery names no ref"}
	}
	var all []event.Event
	var ignored *webhook.Ignored
	for i := range p.Push.Changes {
		ev := event.Event{DeliveryID: id, Repository: at, Sender: p.Actor.name(), SenderNames: p.Actor.namesBeside(p.Actor.name())}
		if len(p.Push.Changes) > 1 {
			ev.DeliveryID = fmt.Sprintf("%s.%d", id, i+1)
		}
		switch err := p.Push.Changes[i].event(&ev); {
		case errors.As(err, &ignored):
		case err != nil:
			return nil, fmt.Errorf("push.changes[%d].%w", i, err)
		default:
			all = append(all, ev)
		}
	}
	if len(all) == 0 {
		return nothing, ignored
	}
	return all, nil
}

// event fills ev with what became of one ref.
func (c *change) event(ev *event.Event) (err error) {
	which, key := c.New, "new"
	if which == nil {
		which, key = c.Old, "old"
	}
	if which == nil {
		return errors.New("new: neither it nor old is there, which a push or a deletion has")
	}
	var prefix string
	switch which.Type {
	case "branch":
		prefix = "refs/heads/"
	case "tag":
		prefix = "refs/tags/"
	default:
		return &webhook.Ignored{Reason: "the ref is neither a branch nor a tag: only those start executions"}
	}
	ev.Ref = prefix + which.Name
	if which.Name == "" {
		return fmt.Errorf("%s.name: empty, where the name of a %s should be", key, which.Type)
	}
	if err = field.Ref(key+".name", ev.Ref); err != nil {
		return err
	}
	if c.Old != nil {
		if ev.Before, err = field.SHA("old.target.hash", c.Old.Target.Hash); err != nil {
			return err
		}
	}
	if c.New == nil {
		ev.Kind, ev.Commits = event.Delete, []event.Commit{{SHA: ev.Before}}
		return nil
	}
	ev.Kind, ev.Forced = event.Push, c.Forced
	if ev.After, err = field.SHA("new.target.hash", c.New.Target.Hash); err != nil {
		return err
	}
	head := c.New.Target.event(ev.After)
	if which.Type == "tag" {
		ev.Commits = []event.Commit{head}
		return nil
	}
	return c.commits(head, ev)
}

// commits lists what a branch has gained, oldest first and the head last.
func (c *change) commits(head event.Commit, ev *event.Event) error {
	list := c.Commits
	listed := false
	for i := range list {
		sha, err := field.SHA("hash", list[i].Hash)
		if err != nil {
			return fmt.Errorf("commits[%d].%w", i, err)
		}
		list[i].Hash = sha
		listed = listed || sha == ev.After
	}
	slices.Reverse(list)
	history.ParentsFirst(list, func(i int) string { return list[i].Hash }, func(i int) []string {
		parents := make([]string, len(list[i].Parents))
		for n, p := range list[i].Parents {
			parents[n] = strings.ToLower(p.Hash)
		}
		return parents
	})
	for i := range list {
		if sha := list[i].Hash; sha != ev.After {
			ev.Commits = append(ev.Commits, list[i].event(sha))
		}
	}
	// A branch that gains nothing, as one that is made at a known commit, lists
	// none: its head is not new.
	head.Distinct = listed || len(list) > 0 || c.Commits == nil
	ev.Commits = append(ev.Commits, head)
	ev.Truncated = c.Truncated || c.Commits == nil || len(list) > 0 && !listed
	return nil
}
