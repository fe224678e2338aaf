package router

import (
	"fmt"
	"slices"

	"switchyard/internal/event"
)

// writer adds one route's requests to a plan.
type writer struct {
	*planning
	route *route
	// fields and environment are those of the commit that is written.
	fields      envFields
	environment environmentName
	id          identity
	formers     []event.FormerIdentity // room for all commits
	source      []byte                 // the end of each input
	// why the route matched; unknown the same for a commit of which something
	// is not known, by lack. All are made at most once.
	why     string
	unknown [4]string
	lack    lack
}

// lack is what a route would have needed to know of a commit.
type lack uint8

const (
	lackMessage lack = 1 << iota
	lackPaths
)

// begin makes room for what all requests of the route need.
func (w *writer) begin() {
	n := len(w.commits)
	w.plan.Requests = slices.Grow(w.plan.Requests, n)
	if w.buf == nil {
		w.buf = make([]byte, 0, 2048)
	}
	w.source = w.route.input.appendSource(make([]byte, 0, 512), w.ev)
	w.id.source, w.id.repository, w.id.route, w.id.ending = w.ev.Source, w.ev.Repository.FullName, w.route.Name, w.ending
	if w.merges(w.route) {
		w.id.merge = w.ev.PullRequest.Merge
	}
	ids := n
	if w.tag == "" { // tags started nothing while requests had former names
		ids *= 2
		w.formers = make([]event.FormerIdentity, 0, n)
	}
	w.id.prepare(ids)
	if !w.route.environment.perCommit {
		w.id.enter(w.environment.name)
	}
}

// enter works out the environment of the commit that is written.
func (w *writer) enter() (err error) {
	w.environment, err = w.route.environment.name(&w.fields)
	return err
}

// wants holds a commit against what the route says of commits. It returns the
// reason either way. The end of a branch or pull request passes: what was set
// up must come down.
func (w *writer) wants(c *event.Commit) (why string, ok bool) {
	rt := w.route
	w.lack = 0
	if w.ending != "" {
		return w.why, true
	}
	if w.ev.Kind == event.Push {
		if _, ok := rt.authors.decide(c.Author); !ok {
			if bare(c) {
				w.lacks(c, lackMessage) // whoever finds that out knows the author too
				return "its author is not known, and authors asks for one", false
			}
			return rt.authors.explain(c.Author), false
		}
	}
	if rt.SkipMarkers {
		if marker := skipMarker(c.Message); marker != "" {
			return fmt.Sprintf("its message says %s, and skip_markers is set", quote(marker)), false
		}
		// A push tells every message of what it lists, the empty ones too.
		if !c.KnowsMessage() && (w.ev.Kind != event.Push || bare(c)) {
			w.lack |= lackMessage
		}
	}
	if w.tag != "" {
		return w.reason(), true // a tag changes no path
	}
	filtered := len(rt.paths.rules) > 0
	if !c.PathsKnown && (filtered || len(rt.input.flags) > 0) {
		w.lack |= lackPaths
	}
	if !c.PathsKnown || !filtered {
		return w.reason(), true
	}
	path, ok := firstMatch(&rt.paths, c.Paths)
	switch {
	case ok:
		by, _ := rt.paths.decide(path)
		return w.reason() + "; path " + quote(path) + " matches " + quote(by.text), true
	case len(c.Paths) == 0:
		return "the commit changed no path, and paths asks for one", false
	case len(c.Paths) == 1:
		return rt.paths.explain(c.Paths[0]), false
	}
	return fmt.Sprintf("none of its %d paths passes; the first: %s", len(c.Paths), rt.paths.explain(c.Paths[0])), false
}

// reason is why the route matched, and what it had to decide without.
func (w *writer) reason() string {
	if w.lack == 0 {
		return w.why
	}
	why := &w.unknown[w.lack]
	if *why == "" {
		*why = w.why
		if w.lack&lackMessage != 0 {
			*why += "; its message is not known, so it counts as one without a skip marker"
		}
		switch {
		case w.lack&lackPaths == 0:
		case len(w.route.paths.rules) > 0:
			*why += "; what it changed is not known, so it counts as matching paths and nothing is skipped"
		default:
			*why += "; what it changed is not known, so nothing is skipped"
		}
	}
	return *why
}

func (w *writer) lacks(c *event.Commit, what lack) {
	w.plan.Lacks = append(w.plan.Lacks, event.Lack{
		Route: w.route.Name, Commit: c.SHA, Message: what&lackMessage != 0, Paths: what&lackPaths != 0,
	})
}

// request adds the request for a commit.
func (w *writer) request(c *event.Commit, why string) {
	rt, environment := w.route, w.environment.name
	buf := appendEnvironment(w.buf[:0], environment)
	buf = rt.input.appendCommit(buf, w.branch+w.tag, c, w.id.merge, w.tag == "")
	buf = append(buf, w.source...)
	w.buf = buf
	if len(buf) > event.MaxInput {
		w.ignore(rt.Name, c.SHA, fmt.Sprintf("its input would be %d bytes; Step Functions takes at most %d", len(buf), event.MaxInput))
		return
	}
	if rt.environment.perCommit {
		w.id.enter(environment)
	}
	if w.unlisted != "" && c.SHA == w.head {
		why += w.unlisted
	}
	if w.id.merge != "" {
		why += "; what it would be merged to, " + w.id.merge[:shaInID] + ", is built"
	}
	if w.lack != 0 {
		w.lacks(c, w.lack)
	}
	r := event.Request{
		ID:               w.id.in(c.SHA),
		Route:            rt.Name,
		StateMachine:     rt.StateMachine,
		Environment:      environment,
		Source:           w.ev.Source,
		Repository:       w.ev.Repository.FullName,
		Ref:              w.ev.Ref,
		Kind:             w.ev.Kind,
		Commit:           *c,
		Teardown:         w.ending != "",
		Former:           w.formerOf(c),
		Input:            slices.Clone(buf),
		CancelSuperseded: rt.OnNewCommit == "cancel_superseded",
		Revisit:          rt.Revisit == "run" && w.ev.Kind == event.Push,
		Reason:           why,
	}
	if pr := w.ev.PullRequest; w.ev.Kind == event.PullRequest {
		r.PullRequest = pr.Number
		r.HeadRepository = headRepository(pr)
	}
	w.plan.Requests = append(w.plan.Requests, r)
}

// formerOf returns how a commit's request was known before its environment was
// part of its identity, nil when it never was.
func (w *writer) formerOf(c *event.Commit) *event.FormerIdentity {
	if w.tag != "" || w.id.merge != "" || !w.environment.known {
		return nil // nor did merges
	}
	w.formers = append(w.formers, event.FormerIdentity{ID: w.id.before(c.SHA), Environment: w.environment.former})
	return &w.formers[len(w.formers)-1]
}

// headRepository is where a pull request's head is, when that is elsewhere. No
// host has a repository with spaces in its name, as stands for a fork that is
// gone.
func headRepository(pr *event.PullReq) string {
	switch {
	case !pr.Fork:
		return ""
	case pr.HeadRepo == "":
		return fmt.Sprintf("deleted fork of pull request %d", pr.Number)
	}
	return pr.HeadRepo
}
