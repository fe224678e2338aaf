package gitea

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

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
		"title": nil, "draft": nil, "merged": nil,
		"user":   {"login": nil},
		"labels": {"name": nil},
		"head":   {"label": nil, "ref": nil, "sha": nil, "repo": hub.RepositoryFields},
		"base":   {"ref": nil, "sha": nil, "repo": hub.RepositoryFields},
	},
	"label":      {"name": nil},
	"changes":    {"ref": {"from": nil}, "title": {"from": nil}, "added_labels": {"name": nil}, "removed_labels": {"name": nil}},
	"repository": hub.RepositoryFields,
	"sender":     hub.WhoFields,
}

type pullRequestPayload struct {
	Action      string `json:"action"`
	Number      int    `json:"number"`
	PullRequest struct {
		Title  string  `json:"title"`
		Draft  bool    `json:"draft"`
		Merged bool    `json:"merged"`
		User   hub.Who `json:"user"`
		Labels []label `json:"labels"`
		Head   side    `json:"head"`
		Base   side    `json:"base"`
	} `json:"pull_request"`
	Label   label `json:"label"`
	Changes struct {
		// Ref is there when the base changed. Its "from" is the new base.
		Ref   *former `json:"ref"`
		Title *former `json:"title"`
		// RemovedLabels and AddedLabels are left out by most versions.
		AddedLabels   []label `json:"added_labels"`
		RemovedLabels []label `json:"removed_labels"`
	} `json:"changes"`
	Repository repository `json:"repository"`
	Sender     hub.Who    `json:"sender"`
}

// side is the head or the base.
type side struct {
	Label string     `json:"label"`
	Ref   string     `json:"ref"`
	SHA   string     `json:"sha"`
	Repo  repository `json:"repo"`
}

type label struct {
	Name string `json:"name"`
}

type former struct {
	From string `json:"from"`
}

// decodePullRequest fills ev from the payload of a pull request, which names the
// head commit and nothing of its message or paths, nor how many others there are.
func (s *Source) decodePullRequest(h http.Header, body []byte, ev *event.Event) (err error) {
	var p pullRequestPayload
	if err = hub.Parse(h, body, s.pullRequest, &p); err != nil {
		return err
	}
	pr := &p.PullRequest
	if ev.Repository, err = p.Repository.event(); err != nil {
		return err
	}
	if ev.Action, err = p.action(); err != nil {
		return err
	}
	if p.Number <= 0 {
		return fmt.Errorf("number: %d is not a pull request's number", p.Number)
	}
	branch := pr.Head.branch()
	if err = field.Branch("pull_request.head.ref", branch); err != nil {
		return err
	}
	if err = field.Branch("pull_request.base.ref", pr.Base.Ref); err != nil {
		return err
	}
	if ev.After, err = field.SHA("pull_request.head.sha", pr.Head.SHA); err != nil {
		return err
	}
	baseSHA, err := field.SHA("pull_request.base.sha", pr.Base.SHA)
	if err != nil {
		return err
	}
	ev.Kind, ev.Ref = event.PullRequest, hub.BranchPrefix+branch
	ev.Sender = cmp.Or(p.Sender.Login, pr.User.Login)
	ev.SenderNames = event.OtherNames(ev.Sender, p.Sender.FullName, p.Sender.Email)
	ev.PullRequest = &event.PullReq{
		Number: p.Number, Base: pr.Base.Ref, BaseSHA: baseSHA,
		Title: pr.Title, Author: pr.User.Login, Draft: pr.Draft, Merged: pr.Merged,
		// The head repository is null, and its ID 0, once it is deleted. A head
		// without a branch was pushed to refs/for/…, for which it takes no right to
		// write, though the host names its own repository as that of the head.
		Fork:     pr.Head.Repo.ID == 0 || pr.Head.Repo.ID != pr.Base.Repo.ID || pr.Head.Label == "",
		HeadRepo: pr.Head.Repo.FullName,
	}
	switch {
	case ev.Action == "labeled" || ev.Action == "unlabeled":
		ev.PullRequest.Label = p.Label.Name
	case ev.Action == "edited" && p.Changes.Ref.From != pr.Base.Ref:
		ev.PullRequest.OldBase = p.Changes.Ref.From
	}
	for _, l := range pr.Labels {
		ev.PullRequest.Labels = append(ev.PullRequest.Labels, l.Name)
	}
	hub.PullRequestHead(ev, pr.User.Login, pr.Head.Repo.HTMLURL, p.Repository.HTMLURL)
	ev.Truncated = ev.Action != "closed"
	return nil
}

// action is what happened in GitHub's words, or the reason why it starts
// nothing.
func (p *pullRequestPayload) action() (string, error) {
	switch p.Action {
	case "opened", "reopened", "closed":
		return p.Action, nil
	case "synchronized", "synchronize":
		return "synchronize", nil
	case "label_updated", "labeled": // the former for labels given and taken alike
		return p.changedLabel()
	case "edited":
		switch title := p.Changes.Title; {
		case p.Changes.Ref != nil:
			return "edited", nil
		case title != nil && draftTitle(title.From) && !p.PullRequest.Draft:
			return "ready_for_review", nil // the title makes it a draft
		}
		return "", &webhook.Ignored{Reason: "pull request edited: its base and head stay as they are"}
	case "":
		return "", errors.New("action: missing from a pull_request payload")
	}
	return "", &webhook.Ignored{Reason: fmt.Sprintf("pull request %s: the head commit stays as it is", safetext.Cut(safetext.Line(p.Action), 64))}
}

// changedLabel finds the label that was given or taken off. A label lets a fork's
// commit run, so one that was there before must not stand for it.
func (p *pullRequestPayload) changedLabel() (string, error) {
	added, removed := p.Changes.AddedLabels, p.Changes.RemovedLabels
	named := func(l label) bool { return l.Name == p.Label.Name }
	switch {
	case p.Label.Name != "" && slices.ContainsFunc(p.PullRequest.Labels, named) && !slices.ContainsFunc(removed, named):
		return "labeled", nil
	case p.Label.Name != "":
		return "unlabeled", nil
	case len(added)+len(removed) > 1:
		return "", &webhook.Ignored{Reason: "pull request label_updated: several labels were changed at once, and one delivery stands for one; give the label that matters by itself"}
	case len(added) == 1 && added[0].Name != "":
		p.Label.Name = added[0].Name
		return "labeled", nil
	case len(removed) == 1 && removed[0].Name != "":
		p.Label.Name = removed[0].Name
		return "unlabeled", nil
	}
	return "", &webhook.Ignored{Reason: "pull request label_updated: the host does not say which label was given, or one was taken off"}
}

// draftPrefixes are what makes a pull request a draft unless the administrator
// chose others, in any case.
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

// branch is the short name of the head's branch. Once it is deleted, the host
// names the pull request's own ref instead and keeps the name as the label,
// before which some versions put the owner and a colon.
func (s *side) branch() string {
	if !strings.HasPrefix(s.Ref, "refs/") || s.Label == "" {
		return s.Ref
	}
	_, branch, owned := strings.Cut(s.Label, ":")
	if !owned {
		branch = s.Label
	}
	return branch
}
