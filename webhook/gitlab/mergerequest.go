package gitlab

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/internal/field"
	"switchyard/webhook/internal/sieve"
)

var (
	labelFields        = sieve.Fields{"id": nil, "title": nil}
	personFields       = sieve.Fields{"id": nil, "username": nil, "name": nil, "email": nil}
	mergeRequestFields = sieve.Fields{
		"user": personFields, "project": projectFields, "labels": labelFields,
		"object_attributes": {
			"iid": nil, "title": nil, "author_id": nil, "state": nil, "action": nil, "oldrev": nil,
			"draft": nil, "work_in_progress": nil, "source_branch": nil, "target_branch": nil,
			"source_project_id": nil, "target_project_id": nil, "source": {"path_with_namespace": nil},
			"last_commit": {"id": nil, "message": nil, "url": nil, "author": {"name": nil, "email": nil}},
		},
		"changes": {
			"target_branch": {"previous": nil}, "title": {"previous": nil},
			"draft":  {"previous": nil, "current": nil},
			"labels": {"previous": labelFields, "current": labelFields},
		},
	}
)

// mergeRequestPayload is ours: the library's knows neither oldrev, by which
// pushed code is told from any other update, nor what changed.
type mergeRequestPayload struct {
	User       person     `json:"user"`
	Project    project    `json:"project"`
	Labels     []label    `json:"labels"`
	Attributes attributes `json:"object_attributes"`
	Changes    changes    `json:"changes"`
}

type person struct {
	ID       int64  `json:"id"`
	Username string `json:"username"`
	Name     string `json:"name"`
	Email    string `json:"email"`
}

// names are those beside the user name.
func (p *person) names() []string { return event.OtherNames(p.Username, p.Name, email(p.Email)) }

type label struct {
	ID    int64  `json:"id"`
	Title string `json:"title"`
}

type attributes struct {
	IID            int64  `json:"iid"`
	Title          string `json:"title"`
	AuthorID       int64  `json:"author_id"`
	State          string `json:"state"`
	Action         string `json:"action"`
	OldRev         string `json:"oldrev"`
	Draft          bool   `json:"draft"`
	WorkInProgress bool   `json:"work_in_progress"`
	SourceBranch   string `json:"source_branch"`
	TargetBranch   string `json:"target_branch"`
	// SourceProjectID is null, and Source too, once the fork was deleted.
	SourceProjectID int64       `json:"source_project_id"`
	TargetProjectID int64       `json:"target_project_id"`
	Source          project     `json:"source"`
	LastCommit      *lastCommit `json:"last_commit"`
}

type lastCommit struct {
	ID      string `json:"id"`
	Message string `json:"message"`
	URL     string `json:"url"`
	Author  struct {
		Name  string `json:"name"`
		Email string `json:"email"`
	} `json:"author"`
}

// changes say what an update changed; nil is what it did not.
type changes struct {
	TargetBranch *struct {
		Previous string `json:"previous"`
	} `json:"target_branch"`
	Title *struct {
		Previous string `json:"previous"`
	} `json:"title"`
	Draft *struct {
		Previous bool `json:"previous"`
		Current  bool `json:"current"`
	} `json:"draft"`
	Labels *struct {
		Previous []label `json:"previous"`
		Current  []label `json:"current"`
	} `json:"labels"`
}

func (s *Source) decodeMergeRequest(body []byte) ([]event.Event, error) {
	var p mergeRequestPayload
	if err := s.mergeRequest.Decode(body, &p); err != nil {
		return nil, err
	}
	all, err := p.happened()
	if ignored := (*webhook.Ignored)(nil); errors.As(err, &ignored) {
		ev := event.Event{}
		ev.Repository, _ = p.Project.repository()
		return []event.Event{ev}, err
	}
	if err != nil {
		return nil, err
	}
	ev, err := p.event()
	if err != nil {
		return []event.Event{{Repository: ev.Repository}}, err
	}
	evs := make([]event.Event, len(all))
	for i, h := range all {
		pr := *ev.PullRequest
		pr.OldBase, pr.Label = h.oldBase, h.label
		evs[i] = ev
		evs[i].Action, evs[i].PullRequest = h.action, &pr
		// Of what is over, nobody needs the rest.
		evs[i].Truncated = h.action != "closed"
	}
	return evs, nil
}

// happening is one change that a delivery tells of, in the words of events.
type happening struct{ action, oldBase, label string }

// happened lists what the delivery tells of, or says why that starts nothing.
func (p *mergeRequestPayload) happened() ([]happening, error) {
	a := &p.Attributes
	switch a.Action {
	case "open":
		// Whoever gave it labels may set labels of merge requests: GitLab takes
		// none from an author who may not.
		return append([]happening{{action: "opened"}}, given(nil, p.Labels)...), nil
	case "reopen":
		return []happening{{action: "reopened"}}, nil
	case "close", "merge":
		return []happening{{action: "closed"}}, nil
	case "update":
		return p.updated()
	case "":
		return nil, &webhook.Ignored{Reason: "merge request: the delivery names no action, as a test of the webhook does"}
	}
	return nil, &webhook.Ignored{Reason: fmt.Sprintf("merge request %s: its base and head stay as they are", shown(a.Action))}
}

// updated lists what an update changed. Pushed code comes by itself: a label
// that came along was not given to what is the head now.
func (p *mergeRequestPayload) updated() (all []happening, err error) {
	a, c := &p.Attributes, &p.Changes
	if a.State != "" && a.State != "opened" {
		return nil, &webhook.Ignored{Reason: fmt.Sprintf("merge request updated while %s: that starts nothing", shown(a.State))}
	}
	if a.OldRev != "" {
		return []happening{{action: "synchronize"}}, nil
	}
	if c.TargetBranch != nil && c.TargetBranch.Previous != a.TargetBranch {
		all = append(all, happening{action: "edited", oldBase: c.TargetBranch.Previous})
	}
	if p.readied() {
		all = append(all, happening{action: "ready_for_review"})
	}
	if c.Labels != nil {
		all = append(all, given(c.Labels.Previous, c.Labels.Current)...)
		all = append(all, taken(c.Labels.Previous, c.Labels.Current)...)
	}
	if len(all) == 0 {
		return nil, &webhook.Ignored{Reason: "merge request updated: its base, head and labels stay as they are"}
	}
	return all, nil
}

// readied reports whether a draft was made ready. Versions that know no draft
// show it by the title.
func (p *mergeRequestPayload) readied() bool {
	c := &p.Changes
	switch {
	case p.draft():
		return false
	case c.Draft != nil:
		return c.Draft.Previous && !c.Draft.Current
	}
	return c.Title != nil && draftTitle(c.Title.Previous)
}

func (p *mergeRequestPayload) draft() bool { return p.Attributes.Draft || p.Attributes.WorkInProgress }

// draftTitle reports whether a title makes a draft, see "Draft merge requests"
// in GitLab's manual; WIP did before 14.8.
func draftTitle(title string) bool {
	title = strings.ToLower(strings.TrimSpace(title))
	return slices.ContainsFunc([]string{"draft:", "[draft]", "(draft)", "wip:", "[wip]"}, func(prefix string) bool {
		return strings.HasPrefix(title, prefix)
	})
}

// given are the labels that are there now and were not before.
func given(previous, current []label) (all []happening) {
	for _, l := range current {
		if l.Title != "" && !slices.Contains(previous, l) {
			all = append(all, happening{action: "labeled", label: l.Title})
		}
	}
	return all
}

// taken are the labels that were there before and are not now.
func taken(previous, current []label) []happening {
	all := given(current, previous)
	for i := range all {
		all[i].action = "unlabeled"
	}
	return all
}

// event is what all changes of the delivery share. The payload names the head
// commit, and nothing of its paths.
func (p *mergeRequestPayload) event() (ev event.Event, err error) {
	a := &p.Attributes
	if ev.Repository, err = p.Project.repository(); err != nil {
		return ev, err
	}
	const most = 1<<31 - 1
	if a.IID <= 0 || a.IID > most {
		return ev, fmt.Errorf("object_attributes.iid: %d is not a merge request's number", a.IID)
	}
	if err = field.Branch("object_attributes.source_branch", a.SourceBranch); err != nil {
		return ev, err
	}
	if err = field.Branch("object_attributes.target_branch", a.TargetBranch); err != nil {
		return ev, err
	}
	if a.LastCommit == nil {
		// Refused deliveries disable a webhook, and this one is as GitLab means it.
		return ev, &webhook.Ignored{Reason: "merge request: GitLab names no head commit, as where the source branch has none"}
	}
	if ev.After, err = field.SHA("object_attributes.last_commit.id", a.LastCommit.ID); err != nil {
		return ev, err
	}
	ev.Kind, ev.Ref, ev.Sender, ev.SenderNames = event.PullRequest, branchPrefix+a.SourceBranch, p.User.Username, p.User.names()
	ev.PullRequest = &event.PullReq{
		Number: int(a.IID), Base: a.TargetBranch, Title: a.Title, Draft: p.draft(), Merged: a.Action == "merge",
		Fork:     a.SourceProjectID == 0 || a.SourceProjectID != a.TargetProjectID,
		HeadRepo: a.Source.PathWithNamespace,
	}
	if p.User.ID != 0 && p.User.ID == a.AuthorID { // the author's name is not said
		ev.PullRequest.Author = p.User.Username
	}
	for _, l := range p.Labels {
		ev.PullRequest.Labels = append(ev.PullRequest.Labels, l.Title)
	}
	c := a.LastCommit
	ev.Commits = []event.Commit{{
		SHA: ev.After, Message: c.Message, MessageKnown: true, URL: c.URL, Distinct: true,
		Author: c.Author.Name, AuthorEmail: email(c.Author.Email),
	}}
	return ev, nil
}
