package bitbucket

import (
	"fmt"
	"strings"

	bb "github.com/go-playground/webhooks/v6/bitbucket"

	"switchyard/internal/event"
	"switchyard/webhook/internal/field"
	"switchyard/webhook/internal/sieve"
)

var (
	endFields         = sieve.Fields{"branch": {"name": nil}, "commit": {"hash": nil}, "repository": repositoryFields}
	pullRequestFields = sieve.Fields{
		"pullrequest": {
			"id": nil, "title": nil, "draft": nil, "author": personFields,
			"source": endFields, "destination": endFields,
		},
		"repository": repositoryFields, "actor": personFields,
	}
)

type (
	end struct {
		Branch struct {
			Name string `json:"name"`
		} `json:"branch"`
		Commit *struct {
			Hash string `json:"hash"`
		} `json:"commit"`
		// Repository is nil once it is deleted.
		Repository *repository `json:"repository"`
	}
	pullRequestPayload struct {
		PullRequest struct {
			ID          int    `json:"id"`
			Title       string `json:"title"`
			Draft       bool   `json:"draft"`
			Author      person `json:"author"`
			Source      end    `json:"source"`
			Destination end    `json:"destination"`
		} `json:"pullrequest"`
		Repository repository `json:"repository"`
		Actor      person     `json:"actor"`
	}
)

var actions = map[bb.Event]string{
	bb.PullRequestCreatedEvent: "opened", bb.PullRequestUpdatedEvent: "synchronize",
	bb.PullRequestMergedEvent: "closed", bb.PullRequestDeclinedEvent: "closed",
}

// event fills ev. That the same commit is told of again, as after a title was
// edited, starts nothing that was started before.
func (p *pullRequestPayload) event(key bb.Event, ev *event.Event) (err error) {
	pr := &p.PullRequest
	if ev.Repository, err = p.Repository.event(); err != nil {
		return err
	}
	if pr.ID <= 0 {
		return fmt.Errorf("pullrequest.id: %d is not a pull request's number", pr.ID)
	}
	if err = field.Branch("pullrequest.source.branch.name", pr.Source.Branch.Name); err != nil {
		return err
	}
	if err = field.Branch("pullrequest.destination.branch.name", pr.Destination.Branch.Name); err != nil {
		return err
	}
	ev.Kind, ev.Action = event.PullRequest, actions[key]
	ev.Ref, ev.Sender = "refs/heads/"+pr.Source.Branch.Name, p.Actor.name()
	ev.SenderNames = p.Actor.namesBeside(ev.Sender)
	ev.PullRequest = &event.PullReq{
		Number: pr.ID, Base: pr.Destination.Branch.Name, Title: pr.Title, Author: pr.Author.name(), Draft: pr.Draft,
		AuthorNames: pr.Author.namesBeside(pr.Author.name()),
		Merged:      key == bb.PullRequestMergedEvent,
		Fork:        pr.Source.Repository == nil || pr.Source.Repository.UUID == "" || pr.Source.Repository.UUID != p.Repository.UUID,
	}
	if pr.Source.Repository != nil {
		ev.PullRequest.HeadRepo = pr.Source.Repository.FullName
	}
	if c := pr.Destination.Commit; c != nil && isFull(c.Hash) {
		ev.PullRequest.BaseSHA = strings.ToLower(c.Hash)
	}
	return p.head(ev)
}

// head notes the head: by its ID, should the host ever tell it, and else by what
// it does tell.
func (p *pullRequestPayload) head(ev *event.Event) error {
	ev.Truncated = true
	c := p.PullRequest.Source.Commit
	switch {
	case c == nil || c.Hash == "":
		return nil // gone with its branch; the host knows what the pull request had
	case isFull(c.Hash):
		ev.After, ev.Truncated = strings.ToLower(c.Hash), ev.Action != "closed"
		ev.Commits = []event.Commit{{SHA: ev.After, Author: ev.PullRequest.Author, Distinct: true}}
		return nil
	}
	head, err := field.ShortSHA("pullrequest.source.commit.hash", c.Hash)
	ev.Head = head
	return err
}

func isFull(hash string) bool {
	_, err := field.SHA("", hash)
	return err == nil
}
