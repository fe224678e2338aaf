package bitbucketserver

import (
	"cmp"
	"fmt"
	"strings"

	bbs "github.com/go-playground/webhooks/v6/bitbucket-server"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/internal/field"
	"switchyard/webhook/internal/sieve"
)

var (
	endFields         = sieve.Fields{"id": nil, "displayId": nil, "latestCommit": nil, "repository": repositoryFields}
	pullRequestFields = sieve.Fields{
		"actor": userFields,
		"pullRequest": {
			"id": nil, "title": nil, "draft": nil, "author": {"user": userFields},
			"fromRef": endFields, "toRef": endFields,
		},
		"previousTarget": {"id": nil, "displayId": nil},
	}
)

type (
	end struct {
		ID           string     `json:"id"`
		LatestCommit string     `json:"latestCommit"`
		Repository   repository `json:"repository"`
	}
	// pullRequestPayload is the library's, with types of ours where it has none.
	pullRequestPayload struct {
		Actor       bbs.User `json:"actor"`
		PullRequest struct {
			bbs.PullRequest
			Draft   bool `json:"draft"`
			FromRef end  `json:"fromRef"`
			ToRef   end  `json:"toRef"`
		} `json:"pullRequest"`
		PreviousTarget *end `json:"previousTarget"`
	}
)

// event fills ev.
func (p *pullRequestPayload) event(key bbs.Event, ev *event.Event) (err error) {
	pr := &p.PullRequest
	if ev.Repository, err = pr.ToRef.Repository.event("pullRequest.toRef.repository"); err != nil {
		return err
	}
	number := int(pr.ID)
	if number <= 0 || uint64(number) != pr.ID {
		return fmt.Errorf("pullRequest.id: %d is not a pull request's number", pr.ID)
	}
	if err = field.Ref("pullRequest.fromRef.id", pr.FromRef.ID); err != nil {
		return err
	}
	base, err := branch("pullRequest.toRef.id", pr.ToRef.ID)
	if err != nil {
		return err
	}
	if ev.After, err = field.SHA("pullRequest.fromRef.latestCommit", pr.FromRef.LatestCommit); err != nil {
		return err
	}
	baseSHA, err := field.SHA("pullRequest.toRef.latestCommit", pr.ToRef.LatestCommit)
	if err != nil {
		return err
	}
	author := cmp.Or(pr.Author.User.Name, pr.Author.User.DisplayName)
	ev.Kind, ev.Ref = event.PullRequest, pr.FromRef.ID
	ev.Sender, ev.SenderNames = cmp.Or(p.Actor.Name, p.Actor.DisplayName, author), namesOf(&p.Actor)
	ev.PullRequest = &event.PullReq{
		Number: number, Base: base, BaseSHA: baseSHA, Title: pr.Title, Author: author, Draft: pr.Draft,
		Merged: key == bbs.PullRequestMergedEvent,
		Fork:   pr.FromRef.Repository.ID == 0 || pr.FromRef.Repository.ID != pr.ToRef.Repository.ID,
	}
	if from := &pr.FromRef.Repository; from.Slug != "" {
		ev.PullRequest.HeadRepo = from.fullName()
	}
	if err = p.action(key, ev); err != nil {
		return err
	}
	// The delivery names the head alone.
	ev.Truncated = ev.Action != "closed"
	ev.Commits = []event.Commit{{SHA: ev.After, Author: author, Distinct: true, URL: commitURL(ev.Repository.HTMLURL, ev.After)}}
	return nil
}

// action says what happened in GitHub's words, or why it starts nothing.
func (p *pullRequestPayload) action(key bbs.Event, ev *event.Event) error {
	switch key {
	case bbs.PullRequestOpenedEvent:
		ev.Action = "opened"
	case bbs.PullRequestFromReferenceUpdatedEvent:
		ev.Action = "synchronize"
	case bbs.PullRequestModifiedEvent:
		return p.modified(ev)
	default:
		ev.Action = "closed"
	}
	return nil
}

// modified tells what was modified. The former base is told of even where it
// stayed.
func (p *pullRequestPayload) modified(ev *event.Event) error {
	switch former := p.PreviousTarget; {
	case former != nil && former.ID != "" && former.ID != p.PullRequest.ToRef.ID:
		old, err := branch("previousTarget.id", former.ID)
		ev.Action, ev.PullRequest.OldBase = "edited", old
		return err
	case p.PullRequest.Draft:
		return &webhook.Ignored{Reason: "pull request modified: its base and head stay as they are, and it is a draft"}
	}
	// Its title or its description, or no draft any more: the commit starts what
	// it has not started yet.
	ev.Action = "ready_for_review"
	return nil
}

// branch is the short name of a branch that is given as a full ref.
func branch(key, ref string) (string, error) {
	short, ok := strings.CutPrefix(ref, "refs/heads/")
	if !ok {
		return "", fmt.Errorf("%s: it is not a branch, refs/heads/…", key)
	}
	return short, field.Branch(key, short)
}
