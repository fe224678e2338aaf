package github

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"switchyard/internal/event"
	"switchyard/internal/safetext"
	"switchyard/webhook"
	"switchyard/webhook/internal/field"
	"switchyard/webhook/internal/hub"
	"switchyard/webhook/internal/sieve"
)

var mergeGroupFields = sieve.Fields{
	"action": nil, "reason": nil,
	"merge_group": {
		"head_sha": nil, "head_ref": nil, "base_sha": nil, "base_ref": nil,
		"head_commit": {"id": nil, "message": nil, "author": {"name": nil, "email": nil}},
	},
	"repository": hub.RepositoryFields, "sender": {"login": nil},
}

type mergeGroupPayload struct {
	Action string `json:"action"`
	// Reason is why a group is gone: merged, invalidated or dequeued.
	Reason string `json:"reason"`
	Group  struct {
		HeadSHA string `json:"head_sha"`
		HeadRef string `json:"head_ref"`
		BaseSHA string `json:"base_sha"`
		BaseRef string `json:"base_ref"`
		Commit  *struct {
			ID      string `json:"id"`
			Message string `json:"message"`
			Author  struct {
				Name  string `json:"name"`
				Email string `json:"email"`
			} `json:"author"`
		} `json:"head_commit"`
	} `json:"merge_group"`
	Repository repositoryPayload `json:"repository"`
	Sender     account           `json:"sender"`
}

// decodeMergeGroup reads what became of a group of pull requests that a merge
// queue is about to merge together. Its head is the commit that the base would be
// at, and what the queue waits to hear of.
func (s *Source) decodeMergeGroup(h http.Header, body []byte, ev *event.Event) (err error) {
	var p mergeGroupPayload
	if err := hub.Parse(h, body, s.mergeGroup, &p); err != nil {
		return err
	}
	g := &event.Group{}
	switch p.Action {
	case "checks_requested":
	case "destroyed":
		g.Gone = p.Reason
		switch p.Reason {
		case "merged", "invalidated", "dequeued":
		default:
			g.Gone = "gone"
		}
	case "":
		return errors.New("action: missing from a merge_group payload")
	default:
		return &webhook.Ignored{Reason: fmt.Sprintf("merge_group %s: no checks are asked for", safetext.Cut(safetext.Line(p.Action), 64))}
	}
	if ev.Repository, err = p.Repository.event(); err != nil {
		return err
	}
	if err = field.Ref("merge_group.head_ref", p.Group.HeadRef); err != nil {
		return err
	}
	if !strings.HasPrefix(p.Group.HeadRef, hub.BranchPrefix) {
		return errors.New("merge_group.head_ref: not the ref of a branch")
	}
	if ev.After, err = field.SHA("merge_group.head_sha", p.Group.HeadSHA); err != nil {
		return err
	}
	if g.BaseSHA, err = field.SHA("merge_group.base_sha", p.Group.BaseSHA); err != nil {
		return err
	}
	g.Base = strings.TrimPrefix(p.Group.BaseRef, hub.BranchPrefix)
	if err = field.Branch("merge_group.base_ref", g.Base); err != nil {
		return err
	}
	ev.Kind, ev.Action, ev.Ref, ev.Sender, ev.MergeGroup = event.MergeGroup, p.Action, p.Group.HeadRef, p.Sender.Login, g
	head := event.Commit{SHA: ev.After, Distinct: true}
	if c := p.Group.Commit; c != nil && strings.EqualFold(c.ID, ev.After) {
		head.Message, head.MessageKnown, head.Author, head.AuthorEmail = c.Message, true, c.Author.Name, c.Author.Email
	}
	if ev.Repository.HTMLURL != "" {
		head.URL = ev.Repository.HTMLURL + "/commit/" + ev.After
	}
	ev.Commits = []event.Commit{head}
	return nil
}
