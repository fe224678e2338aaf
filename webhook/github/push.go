package github

import (
	"cmp"
	"fmt"
	"net/http"

	gh "github.com/go-playground/webhooks/v6/github"

	"switchyard/internal/event"
	"switchyard/webhook/internal/field"
	"switchyard/webhook/internal/sieve"
)

var (
	whoFields    = sieve.Fields{"name": nil, "email": nil, "username": nil}
	commitFields = sieve.Fields{
		"id": nil, "distinct": nil, "message": nil, "url": nil, "author": whoFields,
		"added": nil, "removed": nil, "modified": nil,
	}
	repositoryFields = sieve.Fields{"id": nil, "full_name": nil, "clone_url": nil, "html_url": nil, "default_branch": nil}
	pushFields       = sieve.Fields{
		"ref": nil, "before": nil, "after": nil, "deleted": nil, "forced": nil,
		"commits": commitFields, "head_commit": commitFields, "repository": repositoryFields,
		"pusher": {"name": nil}, "sender": {"login": nil},
	}
)

func (s *Source) decodePush(h http.Header, body []byte, ev *event.Event) error {
	p, err := s.parse(h, body, s.push, gh.PushEvent)
	if err != nil {
		return err
	}
	pl, ok := p.(gh.PushPayload)
	if !ok {
		return fmt.Errorf("push: the parser returned a %T", p)
	}
	return pushEvent(&pl, ev)
}

// pushEvent fills ev from the payload of a push.
func pushEvent(pl *gh.PushPayload, ev *event.Event) (err error) {
	ev.Kind, ev.Ref, ev.Forced = event.Push, pl.Ref, pl.Forced
	ev.Sender = cmp.Or(pl.Sender.Login, pl.Pusher.Name)
	if err = field.Ref("ref", pl.Ref); err != nil {
		return err
	}
	if ev.Before, err = field.Tip("before", pl.Before); err != nil {
		return err
	}
	if ev.After, err = field.Tip("after", pl.After); err != nil {
		return err
	}
	r := &pl.Repository
	if ev.Repository, err = repository(r.FullName, r.CloneURL, r.HTMLURL, r.DefaultBranch); err != nil {
		return err
	}
	if err = branchOnly(pl.Ref); err != nil {
		return err
	}
	if pl.Deleted || ev.After == "" {
		return deletion(pl, ev)
	}
	return pushedCommits(pl, ev)
}

// deletion turns a push that deleted a branch into an event of that kind.
func deletion(pl *gh.PushPayload, ev *event.Event) error {
	if ev.Before == "" || ev.After != "" {
		return fmt.Errorf("before, after: a deletion leads from a commit to zeros, not from %q to %q", pl.Before, pl.After)
	}
	ev.Kind, ev.Forced = event.Delete, false
	ev.Commits = []event.Commit{{SHA: ev.Before}}
	return nil
}

// pushedCommits lists the commits of a push, with the branch's new head among
// them whatever the host left out.
func pushedCommits(pl *gh.PushPayload, ev *event.Event) (err error) {
	ev.Commits = make([]event.Commit, len(pl.Commits), len(pl.Commits)+1)
	headListed := false
	for i := range pl.Commits {
		c := &pl.Commits[i]
		if c.ID, err = field.SHA("id", c.ID); err != nil {
			return fmt.Errorf("commits[%d].%w", i, err)
		}
		headListed = headListed || c.ID == ev.After
		ev.Commits[i] = event.Commit{
			SHA: c.ID, Message: c.Message, URL: c.URL, Distinct: c.Distinct,
			Author: cmp.Or(c.Author.Username, c.Author.Name), AuthorEmail: c.Author.Email,
			Paths: paths(c.Added, c.Removed, c.Modified), PathsKnown: true,
		}
	}
	if headListed {
		return nil
	}
	// A branch created on a commit that is known already lists no commits. A
	// list without its head was cut off: GitHub lists 2,048 commits at most.
	ev.Truncated = len(pl.Commits) > 0
	c := &pl.HeadCommit
	if c.ID != "" {
		if c.ID, err = field.SHA("head_commit.id", c.ID); err != nil {
			return err
		}
	}
	head := event.Commit{SHA: ev.After}
	if c.ID == ev.After {
		head = event.Commit{
			SHA: c.ID, Message: c.Message, URL: c.URL,
			// With no commit listed, none is new to the repository.
			Distinct: c.Distinct && len(pl.Commits) > 0,
			Author:   cmp.Or(c.Author.Username, c.Author.Name), AuthorEmail: c.Author.Email,
			Paths: paths(c.Added, c.Removed, c.Modified), PathsKnown: true,
		}
	}
	ev.Commits = append(ev.Commits, head)
	return nil
}
