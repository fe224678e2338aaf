package github

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"

	gh "github.com/go-playground/webhooks/v6/github"

	"switchyard/internal/event"
	"switchyard/internal/safetext"
	"switchyard/webhook"
	"switchyard/webhook/internal/field"
	"switchyard/webhook/internal/sieve"
)

var pullRequestFields = sieve.Fields{
	"action": nil, "number": nil,
	"pull_request": {
		"title": nil, "draft": nil, "merged": nil,
		"user":   {"login": nil},
		"labels": {"name": nil},
		"head":   {"ref": nil, "sha": nil, "repo": repositoryFields},
		"base":   {"ref": nil, "sha": nil, "repo": repositoryFields},
	},
	"label":      {"name": nil},
	"repository": repositoryFields,
	"sender":     {"login": nil},
}

func (s *Source) decodePullRequest(h http.Header, body []byte, ev *event.Event) error {
	p, err := s.parse(h, body, s.pullRequest, gh.PullRequestEvent)
	if err != nil {
		return err
	}
	pl, ok := p.(gh.PullRequestPayload)
	if !ok {
		return fmt.Errorf("pull_request: the parser returned a %T", p)
	}
	return pullRequestEvent(&pl, ev)
}

// pullRequestEvent fills ev from the payload of a pull request. The payload
// names the head commit and nothing of its message or paths.
func pullRequestEvent(pl *gh.PullRequestPayload, ev *event.Event) (err error) {
	pr := &pl.PullRequest
	r := &pl.Repository
	if ev.Repository, err = repository(r.FullName, r.CloneURL, r.HTMLURL, r.DefaultBranch); err != nil {
		return err
	}
	switch pl.Action {
	case "opened", "synchronize", "reopened", "ready_for_review", "closed", "labeled":
	case "":
		return errors.New("action: missing from a pull_request payload")
	default:
		return &webhook.Ignored{Reason: fmt.Sprintf("pull request %s: the head commit stays as it is", safetext.Cut(safetext.Line(pl.Action), 64))}
	}
	if pl.Number <= 0 {
		return fmt.Errorf("number: %d is not a pull request's number", pl.Number)
	}
	if err = field.Branch("pull_request.head.ref", pr.Head.Ref); err != nil {
		return err
	}
	if err = field.Branch("pull_request.base.ref", pr.Base.Ref); err != nil {
		return err
	}
	if ev.After, err = field.SHA("pull_request.head.sha", pr.Head.Sha); err != nil {
		return err
	}
	baseSHA, err := field.SHA("pull_request.base.sha", pr.Base.Sha)
	if err != nil {
		return err
	}
	ev.Kind, ev.Action, ev.Ref = event.PullRequest, pl.Action, branchPrefix+pr.Head.Ref
	ev.Sender = cmp.Or(pl.Sender.Login, pr.User.Login)
	ev.PullRequest = &event.PullReq{
		Number: int(pl.Number), Base: pr.Base.Ref, BaseSHA: baseSHA,
		Title: pr.Title, Author: pr.User.Login, Draft: pr.Draft, Merged: pr.Merged,
		// The head repository is null, and its ID 0, once it is deleted.
		Fork:     pr.Head.Repo.ID == 0 || pr.Head.Repo.ID != pr.Base.Repo.ID,
		HeadRepo: pr.Head.Repo.FullName,
	}
	if pl.Action == "labeled" {
		ev.PullRequest.Label = pl.Label.Name
	}
	for i := range pr.Labels {
		ev.PullRequest.Labels = append(ev.PullRequest.Labels, pr.Labels[i].Name)
	}
	// Whether the host had seen the commit before is not said; a pull request
	// is the first that its base repository hears of it.
	head := event.Commit{SHA: ev.After, Author: pr.User.Login, Distinct: true}
	if web := cmp.Or(pr.Head.Repo.HTMLURL, r.HTMLURL); web != "" {
		head.URL = web + "/commit/" + ev.After
	}
	ev.Commits = []event.Commit{head}
	return nil
}
