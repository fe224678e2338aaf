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
	"switchyard/webhook/internal/hub"
	"switchyard/webhook/internal/sieve"
)

var pullRequestFields = sieve.Fields{
	"action": nil, "number": nil,
	"pull_request": {
		"title": nil, "draft": nil, "merged": nil, "commits": nil,
		"user":   {"login": nil},
		"labels": {"name": nil},
		"head":   {"ref": nil, "sha": nil, "repo": hub.RepositoryFields},
		"base":   {"ref": nil, "sha": nil, "repo": hub.RepositoryFields},
	},
	"label": {"name": nil},
	"changes": {
		"base": {"ref": {"from": nil}},
	},
	"repository": hub.RepositoryFields,
	"sender":     {"login": nil},
}

// pullRequestPayload is the library's payload and what changed.
type pullRequestPayload struct {
	gh.PullRequestPayload
	Changes changes `json:"changes"`
}

// changes says what an action edited changed; nil is what it did not.
type changes struct {
	Base *struct {
		Ref struct {
			From string `json:"from"`
		} `json:"ref"`
	} `json:"base"`
}

func (s *Source) decodePullRequest(h http.Header, body []byte, ev *event.Event) error {
	var p pullRequestPayload
	if err := hub.Parse(h, body, s.pullRequest, &p); err != nil {
		return err
	}
	return pullRequestEvent(&p, ev)
}

// pullRequestEvent fills ev from the payload of a pull request. The payload
// names the head commit and nothing of its message or paths.
func pullRequestEvent(p *pullRequestPayload, ev *event.Event) (err error) {
	pr := &p.PullRequest
	r := &p.Repository
	if ev.Repository, err = hub.Repository(r.FullName, r.CloneURL, r.HTMLURL, r.DefaultBranch); err != nil {
		return err
	}
	if ev.Action, err = action(p); err != nil {
		return err
	}
	if p.Number <= 0 {
		return fmt.Errorf("number: %d is not a pull request's number", p.Number)
	}
	branch := pr.Head.Ref
	if err = field.Branch("pull_request.head.ref", branch); err != nil {
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
	ev.Kind, ev.Ref = event.PullRequest, hub.BranchPrefix+branch
	ev.Sender = cmp.Or(p.Sender.Login, pr.User.Login)
	ev.PullRequest = &event.PullReq{
		Number: int(p.Number), Base: pr.Base.Ref, BaseSHA: baseSHA,
		Title: pr.Title, Author: pr.User.Login, Draft: pr.Draft, Merged: pr.Merged, LabelsVouched: true,
		// The head repository is null, and its ID 0, once it is deleted.
		Fork:     pr.Head.Repo.ID == 0 || pr.Head.Repo.ID != pr.Base.Repo.ID,
		HeadRepo: pr.Head.Repo.FullName,
	}
	switch ev.Action {
	case "labeled", "unlabeled":
		ev.PullRequest.Label = p.Label.Name
	case "edited":
		ev.PullRequest.OldBase = p.Changes.Base.Ref.From
	}
	for i := range pr.Labels {
		ev.PullRequest.Labels = append(ev.PullRequest.Labels, pr.Labels[i].Name)
	}
	hub.PullRequestHead(ev, pr.User.Login, pr.Head.Repo.HTMLURL, r.HTMLURL)
	// GitHub counts the commits and lists none.
	ev.Total = int(max(0, pr.Commits))
	ev.Truncated = ev.Action != "closed" && ev.Total != 1
	return nil
}

// action is what happened, or the reason why it starts nothing.
func action(p *pullRequestPayload) (string, error) {
	switch p.Action {
	case "opened", "synchronize", "reopened", "ready_for_review", "closed", "labeled", "unlabeled":
		return p.Action, nil
	case "edited":
		if p.Changes.Base != nil {
			return p.Action, nil
		}
		return "", &webhook.Ignored{Reason: "pull request edited: its base and head stay as they are"}
	case "":
		return "", errors.New("action: missing from a pull_request payload")
	}
	return "", &webhook.Ignored{Reason: fmt.Sprintf("pull request %s: the head commit stays as it is", safetext.Cut(safetext.Line(p.Action), 64))}
}
