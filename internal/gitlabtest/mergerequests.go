package gitlabtest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MergeRequest is one of the project that it leads into.
type MergeRequest struct {
	IID            int
	Title          string
	Source, Target string
	SHA            string
	State          string
	Draft          bool
	Labels         []string

	from, into *Project
	updated    time.Time
	conflicts  bool
}

// Open opens a merge request from a branch of a project, which may be a fork, and
// tells the webhooks.
func (p *Project) Open(from *Project, source, target, title string) *MergeRequest {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	m := &MergeRequest{IID: len(p.mrs) + 1, Title: title, Source: source, Target: target, State: "opened", from: from, into: p}
	p.mrs = append(p.mrs, m)
	m.fetch()
	m.tell("open", nil, nil)
	return m
}

// Change changes the merge request and tells the webhooks: changes are what the
// delivery says of it.
func (m *MergeRequest) Change(change func(m *MergeRequest), changes map[string]any) {
	m.into.s.mu.Lock()
	defer m.into.s.mu.Unlock()
	change(m)
	action := "update"
	switch m.State {
	case "closed":
		action = "close"
	case "merged":
		action = "merge"
	}
	m.tell(action, nil, changes)
}

// Touch changes what no webhook tells of, or what was lost on the way.
func (m *MergeRequest) Touch(change func(m *MergeRequest)) {
	m.into.s.mu.Lock()
	defer m.into.s.mu.Unlock()
	change(m)
	m.touch()
}

// fetch takes over the head, and keeps it under refs/merge-requests.
func (m *MergeRequest) fetch() {
	ref := fmt.Sprintf("refs/merge-requests/%d/head", m.IID)
	m.into.Git("fetch", "--quiet", m.from.Dir, "+refs/heads/"+m.Source+":"+ref)
	m.SHA = strings.TrimSpace(m.into.Git("rev-parse", ref))
}

// touch moves updated_at, which has milliseconds.
func (m *MergeRequest) touch() {
	now := m.into.s.Now().UTC().Truncate(time.Millisecond)
	for _, other := range m.into.mrs {
		if !now.After(other.updated) {
			now = other.updated.Add(time.Millisecond)
		}
	}
	m.updated = now
}

func (m *MergeRequest) tell(action string, oldrev *string, changes map[string]any) {
	m.touch()
	last := m.into.one(m.SHA)
	attributes := object{
		"iid": m.IID, "title": m.Title, "author_id": m.into.s.Bot.ID, "state": m.State, "action": action, "draft": m.Draft, "work_in_progress": m.Draft,
		"source_branch": m.Source, "target_branch": m.Target, "source_project_id": m.from.ID, "target_project_id": m.into.ID,
		"source": m.from.hookAttributes(), "target": m.into.hookAttributes(), "last_commit": hookCommit(last), "url": m.url(),
	}
	if oldrev != nil {
		attributes["oldrev"] = *oldrev
	}
	labels := []object{}
	for _, l := range m.Labels {
		labels = append(labels, object{"id": 200 + len(l), "title": l})
	}
	if changes == nil {
		changes = map[string]any{}
	}
	m.into.tell("merge_requests_events", "merge_request_hooks", "Merge Request Hook", object{
		"object_kind": "merge_request", "event_type": "merge_request",
		"user":    object{"id": m.into.s.Bot.ID, "name": m.into.s.Bot.Username, "username": m.into.s.Bot.Username, "email": "[REDACTED]"},
		"project": m.into.hookAttributes(), "object_attributes": attributes, "labels": labels, "changes": changes,
	})
}

func (m *MergeRequest) url() string {
	return fmt.Sprintf("%s/-/merge_requests/%d", m.into.URL(), m.IID)
}

func (m *MergeRequest) entity() object {
	return object{
		"id": 9000 + m.IID, "iid": m.IID, "project_id": m.into.ID, "title": m.Title, "state": m.State, "sha": m.SHA, "draft": m.Draft, "has_conflicts": m.conflicts,
		"source_branch": m.Source, "target_branch": m.Target, "source_project_id": m.from.ID, "target_project_id": m.into.ID,
		"labels": append([]string{}, m.Labels...), "author": m.into.s.Bot.basic(), "web_url": m.url(), "updated_at": m.updated.Format("2006-01-02T15:04:05.000Z"),
	}
}

func (c *call) mergeRequests() (any, *refusal) {
	q := c.r.URL.Query()
	state, order := cmp.Or(q.Get("state"), "all"), cmp.Or(q.Get("order_by"), "created_at")
	found := slices.Clone(c.p.mrs)
	slices.SortStableFunc(found, func(a, b *MergeRequest) int {
		by := a.IID - b.IID
		if order == "updated_at" {
			by = a.updated.Compare(b.updated)
		}
		if cmp.Or(q.Get("sort"), "desc") == "desc" {
			by = -by
		}
		return by
	})
	all := []object{}
	for _, m := range found {
		if state == "all" || state == m.State {
			all = append(all, m.entity())
		}
	}
	return page(c, all, 100), nil
}

func (c *call) mergeRequest() *MergeRequest {
	n, err := strconv.Atoi(c.r.PathValue("iid"))
	if err != nil || n < 1 || n > len(c.p.mrs) {
		return nil
	}
	return c.p.mrs[n-1]
}

func (c *call) oneMergeRequest() (any, *refusal) {
	m := c.mergeRequest()
	if m == nil {
		return nil, errNotFound
	}
	return m.entity(), nil
}

// mergeRef merges the head into the target on a ref of its own, as
// MergeRequests::MergeabilityCheckService does.
func (c *call) mergeRef() (any, *refusal) {
	m := c.mergeRequest()
	if m == nil {
		return nil, errNotFound
	}
	target, err := c.p.Tip(m.Target)
	if err != nil || m.State != "opened" {
		return nil, refuse(http.StatusBadRequest, "Merge request is not mergeable")
	}
	tree, err := c.p.Try("", "merge-tree", "--write-tree", target, m.SHA)
	if m.conflicts = err != nil; m.conflicts {
		return nil, refuse(http.StatusBadRequest, "Merge request is not mergeable")
	}
	sha := strings.TrimSpace(c.p.Git("commit-tree", "-p", target, "-p", m.SHA, "-m", "Merge "+m.Source, strings.TrimSpace(tree)))
	c.p.Git("update-ref", fmt.Sprintf("refs/merge-requests/%d/merge", m.IID), sha)
	return object{"commit_id": sha}, nil
}

// editMergeRequest takes labels off; a label that is not there is no error.
func (c *call) editMergeRequest() (any, *refusal) {
	m := c.mergeRequest()
	if m == nil {
		return nil, errNotFound
	}
	for _, gone := range strings.Split(c.r.Form.Get("remove_labels"), ",") {
		m.Labels = slices.DeleteFunc(m.Labels, func(l string) bool { return l == gone })
	}
	m.touch()
	return m.entity(), nil
}

// Comment writes a comment below the merge request, and tells the webhooks.
func (m *MergeRequest) Comment(by User, text string) {
	m.into.s.mu.Lock()
	defer m.into.s.mu.Unlock()
	m.into.tell("note_events", "note_hooks", "Note Hook", object{
		"object_kind": "note", "event_type": "note", "project_id": m.into.ID, "project": m.into.hookAttributes(),
		"user": object{"id": by.ID, "name": by.Username, "username": by.Username, "email": "[REDACTED]"},
		"object_attributes": object{
			"id": m.into.s.id(), "note": text, "noteable_type": "MergeRequest", "author_id": by.ID, "system": false, "action": "create",
			"project_id": m.into.ID, "url": m.url() + "#note",
		},
		"merge_request": object{"iid": m.IID, "source_branch": m.Source, "target_branch": m.Target, "state": m.State, "last_commit": hookCommit(m.into.one(m.SHA))},
	})
}

// mergeRequestCommits lists what the head has and the target had when the merge
// request last changed, newest first.
func (c *call) mergeRequestCommits() (any, *refusal) {
	m := c.mergeRequest()
	if m == nil {
		return nil, errNotFound
	}
	base := "refs/heads/" + m.Target
	if m.State == "merged" {
		base = m.SHA + "~1" // as far as the tests need
	}
	all, err := c.p.log(base + ".." + m.SHA)
	if err != nil {
		return nil, errNotFound
	}
	return page(c, all, 100), nil
}

// Comments are the bodies of those that were written to merge requests by the API.
func (p *Project) Comments() []string {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	return slices.Clone(p.comments)
}

func (c *call) comment() (any, *refusal) {
	if c.mergeRequest() == nil {
		return nil, errNotFound
	}
	body := c.r.Form.Get("body")
	if body == "" {
		return nil, refuse(http.StatusBadRequest, "body is missing")
	}
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "/") {
			c.t.Errorf("a line is taken for a quick action: %q", line)
		}
	}
	c.p.comments = append(c.p.comments, body)
	return object{"id": c.id(), "body": body}, nil
}
