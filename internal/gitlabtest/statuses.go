package gitlabtest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

type pipeline struct {
	id       int64
	sha, ref string
	source   string
	statuses []*status
}

type status struct {
	id                     int64
	name, state            string
	description, targetURL string
	retried                bool
	pipeline               *pipeline
}

// Pipeline makes one of GitLab's own CI, for a branch, or for a merge request
// with its ref, refs/merge-requests/1/head. Its number is returned.
func (p *Project) Pipeline(sha, ref string) int64 {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	source := "push"
	if strings.HasPrefix(ref, "refs/merge-requests/") {
		source = "merge_request_event"
	}
	made := &pipeline{id: p.s.id(), sha: sha, ref: ref, source: source}
	p.list = append(p.list, made)
	return made.id
}

// Shown is a status as the project shows it.
type Shown struct {
	SHA, Ref, Name, State, Description, TargetURL string
	Pipeline                                      int64
}

// Statuses are those of a commit, in the order they were made, without those
// that a newer one of the same name took the place of.
func (p *Project) Statuses(sha string) []Shown {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	var all []Shown
	for _, pl := range p.list {
		for _, s := range pl.statuses {
			if pl.sha == sha && !s.retried {
				all = append(all, Shown{sha, pl.ref, s.name, s.state, s.description, s.targetURL, pl.id})
			}
		}
	}
	return all
}

func (s *status) entity() object {
	return object{
		"id": s.id, "sha": s.pipeline.sha, "ref": s.pipeline.ref, "status": s.state, "name": s.name, "allow_failure": false,
		"description": s.description, "target_url": s.targetURL, "pipeline_id": s.pipeline.id,
	}
}

func (c *call) pipelines() (any, *refusal) {
	q := c.r.URL.Query()
	all := []object{}
	for _, p := range slices.Backward(c.p.list) { // by ID, the newest first
		if (q.Get("sha") == "" || q.Get("sha") == p.sha) && (q.Get("ref") == "" || q.Get("ref") == p.ref) {
			all = append(all, object{"id": p.id, "sha": p.sha, "ref": p.ref, "source": p.source, "project_id": c.p.ID, "status": "running"})
		}
	}
	return page(c, all, 100), nil
}

func (c *call) statuses() (any, *refusal) {
	sha := c.r.PathValue("sha")
	if c.p.one(sha) == nil {
		return nil, refuse(http.StatusNotFound, "404 Commit Not Found")
	}
	q := c.r.URL.Query()
	all := []object{}
	for _, p := range c.p.list {
		for _, s := range p.statuses {
			if p.sha == sha && (q.Get("name") == "" || q.Get("name") == s.name) && (q.Get("all") == "true" || !s.retried) && (q.Get("ref") == "" || q.Get("ref") == p.ref) {
				all = append(all, s.entity())
			}
		}
	}
	return page(c, all, 100), nil
}

// transitions are the events by which a status comes into a state.
var transitions = map[string]string{"pending": "enqueue", "running": "run", "success": "success", "failed": "drop", "canceled": "cancel", "skipped": "skip"}

// setStatus does what Ci::CreateCommitStatusService does.
func (c *call) setStatus() (any, *refusal) {
	sha, f := c.r.PathValue("sha"), c.r.Form
	if c.p.one(sha) == nil || len(sha) < 40 {
		return nil, refuse(http.StatusNotFound, "404 Commit Not Found")
	}
	state := f.Get("state")
	by, valid := transitions[state]
	if !valid {
		return nil, refuse(http.StatusBadRequest, "state does not have a valid value")
	}
	for _, name := range []string{"ref", "name", "target_url", "description"} {
		if len([]rune(f.Get(name))) > 255 {
			return nil, refuse(http.StatusBadRequest, name+" is too long (maximum is 255 characters)")
		}
	}
	if u := f.Get("target_url"); u != "" && !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "https://") {
		return nil, refuse(http.StatusBadRequest, "target_url is blocked: Only allowed schemes are http, https")
	}
	into, refused := c.pipelineOf(sha)
	if refused != nil {
		return nil, refused
	}
	name := f.Get("name")
	if name == "" {
		name = "default"
	}
	var s *status
	for _, old := range into.statuses {
		if old.name == name && (old.state == "pending" || old.state == "running") {
			s = old
		}
	}
	if s != nil && (s.state == state || state == "pending") {
		return nil, refuse(http.StatusBadRequest, fmt.Sprintf("Cannot transition status via :%s from :%s (Reason(s): Status cannot transition via %q)", by, s.state, by))
	}
	if s == nil {
		for _, old := range into.statuses {
			old.retried = old.retried || old.name == name
		}
		s = &status{id: c.id(), name: name, pipeline: into}
		into.statuses = append(into.statuses, s)
	}
	s.state = state
	s.description, s.targetURL = f.Get("description"), f.Get("target_url")
	return s.entity(), nil
}

func (c *call) pipelineOf(sha string) (*pipeline, *refusal) {
	f := c.r.Form
	for _, p := range slices.Backward(c.p.list) {
		if p.sha == sha && (f.Get("ref") == "" || f.Get("ref") == p.ref) && (f.Get("pipeline_id") == "" || f.Get("pipeline_id") == strconv.FormatInt(p.id, 10)) {
			return p, nil
		}
	}
	if f.Get("pipeline_id") != "" {
		return nil, refuse(http.StatusNotFound, "404 Pipeline for pipeline_id, sha and ref Not Found")
	}
	ref := f.Get("ref")
	if ref == "" {
		names := strings.Fields(c.p.Git("branch", "--format=%(refname:short)", "--contains", sha))
		if len(names) == 0 {
			return nil, refuse(http.StatusNotFound, "404 References for commit Not Found")
		}
		ref = names[0]
	}
	made := &pipeline{id: c.id(), sha: sha, ref: ref, source: "external"}
	c.p.list = append(c.p.list, made)
	return made, nil
}
