package github

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

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
		"title": nil, "draft": nil, "merged": nil, "commits": nil,
		"user":   {"login": nil},
		"labels": {"name": nil},
		"head":   {"label": nil, "ref": nil, "sha": nil, "repo": repositoryFields},
		"base":   {"ref": nil, "sha": nil, "repo": repositoryFields},
	},
	"label": {"name": nil},
	"changes": {
		"base": {"ref": {"from": nil}}, "ref": {"from": nil}, "title": {"from": nil},
		"added_labels": {"name": nil},
	},
	"repository": repositoryFields,
	"sender":     {"login": nil},
}

// pullRequestPayload is the library's payload and what changed.
type pullRequestPayload struct {
	gh.PullRequestPayload
	Changes changes `json:"changes"`
}

// changes says what an action edited or label_updated changed; nil is what it
// did not.
type changes struct {
	// Base is GitHub's word for another base branch, and Ref is Gitea's.
	Base *struct {
		Ref former `json:"ref"`
	} `json:"base"`
	Ref         *former `json:"ref"`
	Title       *former `json:"title"`
	AddedLabels []struct {
		Name string `json:"name"`
	} `json:"added_labels"`
}

type former struct {
	From string `json:"from"`
}

func (s *Source) decodePullRequest(h http.Header, body []byte, ev *event.Event) error {
	var p pullRequestPayload
	if err := parse(h, body, s.pullRequest, &p); err != nil {
		return err
	}
	return pullRequestEvent(&p, fromGitea(h), ev)
}

// pullRequestEvent fills ev from the payload of a pull request. The payload
// names the head commit and nothing of its message or paths.
func pullRequestEvent(p *pullRequestPayload, gitea bool, ev *event.Event) (err error) {
	pr := &p.PullRequest
	r := &p.Repository
	if ev.Repository, err = repository(r.FullName, r.CloneURL, r.HTMLURL, r.DefaultBranch); err != nil {
		return err
	}
	if ev.Action, err = action(p, gitea); err != nil {
		return err
	}
	if p.Number <= 0 {
		return fmt.Errorf("number: %d is not a pull request's number", p.Number)
	}
	branch := headBranch(p)
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
	ev.Kind, ev.Ref = event.PullRequest, branchPrefix+branch
	ev.Sender = cmp.Or(p.Sender.Login, pr.User.Login)
	ev.PullRequest = &event.PullReq{
		Number: int(p.Number), Base: pr.Base.Ref, BaseSHA: baseSHA,
		Title: pr.Title, Author: pr.User.Login, Draft: pr.Draft, Merged: pr.Merged,
		// The head repository is null, and its ID 0, once it is deleted.
		Fork:     pr.Head.Repo.ID == 0 || pr.Head.Repo.ID != pr.Base.Repo.ID,
		HeadRepo: pr.Head.Repo.FullName,
	}
	switch ev.Action {
	case "labeled":
		ev.PullRequest.Label = p.Label.Name
	case "edited":
		// Gitea names the new base in the place of the old one.
		if old := p.Changes.oldBase(); old != pr.Base.Ref {
			ev.PullRequest.OldBase = old
		}
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
	// GitHub counts the commits and lists none; Gitea and its kin do neither.
	ev.Total = int(max(0, pr.Commits))
	ev.Truncated = ev.Action != "closed" && ev.Total != 1
	return nil
}

// action is what happened in GitHub's words, or the reason why it starts
// nothing.
func action(p *pullRequestPayload, gitea bool) (string, error) {
	switch p.Action {
	case "opened", "synchronize", "reopened", "ready_for_review", "closed", "labeled":
		return p.Action, nil
	case "synchronized": // Gitea, Forgejo, Gogs
		return "synchronize", nil
	case "label_updated": // the same, for labels given and taken alike
		return givenLabel(p)
	case "edited":
		switch {
		case p.Changes.Base != nil || p.Changes.Ref != nil:
			return "edited", nil
		case gitea && p.Changes.Title != nil && draftTitle(p.Changes.Title.From) && !p.PullRequest.Draft:
			return "ready_for_review", nil // at Gitea the title makes it a draft
		}
		return "", &webhook.Ignored{Reason: "pull request edited: its base and head stay as they are"}
	case "":
		return "", errors.New("action: missing from a pull_request payload")
	}
	return "", &webhook.Ignored{Reason: fmt.Sprintf("pull request %s: the head commit stays as it is", safetext.Cut(safetext.Line(p.Action), 64))}
}

// givenLabel finds the label that an action label_updated has given. A label
// lets a fork's commit run, so one that was there before must not stand for it.
func givenLabel(p *pullRequestPayload) (string, error) {
	switch added := p.Changes.AddedLabels; {
	case p.Label.Name != "":
	case len(added) == 1 && added[0].Name != "":
		p.Label.Name = added[0].Name
	case len(added) > 1:
		return "", &webhook.Ignored{Reason: "pull request label_updated: several labels were given at once, and one delivery stands for one; give the label that matters by itself"}
	default:
		return "", &webhook.Ignored{Reason: "pull request label_updated: the sender does not say which label was given, or one was taken off"}
	}
	return "labeled", nil
}

// draftPrefixes are what makes a pull request a draft at Gitea and Forgejo,
// unless their administrator chose others, in any case.
var draftPrefixes = []string{"wip:", "[wip]"}

func draftTitle(title string) bool {
	title = strings.ToLower(title)
	for _, p := range draftPrefixes {
		if strings.HasPrefix(title, p) {
			return true
		}
	}
	return false
}

func (c *changes) oldBase() string {
	switch {
	case c.Base != nil:
		return c.Base.Ref.From
	case c.Ref != nil:
		return c.Ref.From
	}
	return ""
}

// headBranch is the short name of the head's branch. Once it is deleted, Gitea
// names the pull request's own ref instead and keeps the name as the label,
// which at GitHub begins with the owner and a colon.
func headBranch(p *pullRequestPayload) string {
	head := &p.PullRequest.Head
	if !strings.HasPrefix(head.Ref, "refs/") || head.Label == "" {
		return head.Ref
	}
	_, branch, owned := strings.Cut(head.Label, ":")
	if !owned {
		branch = head.Label
	}
	return branch
}
