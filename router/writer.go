package router

import (
	"fmt"
	"slices"

	"switchyard/internal/event"
)

// writer adds one route's requests to a plan.
type writer struct {
	*planning
	route  *route
	id     identity
	source []byte // the end of each input
	// why the route matched; whyUnknown the same for a commit whose paths the
	// host did not list. Both are made at most once.
	why, whyUnknown string
}

// wants holds a commit against what the route says of commits. It returns the
// reason either way. The end of a branch or pull request passes: what was set
// up must come down.
func (w *writer) wants(c *event.Commit) (why string, ok bool) {
	rt := w.route
	if w.ending != "" {
		return w.why, true
	}
	if w.ev.Kind == event.Push {
		if _, ok := rt.authors.decide(c.Author); !ok {
			return rt.authors.explain(c.Author), false
		}
	}
	if rt.SkipMarkers {
		if marker := skipMarker(c.Message); marker != "" {
			return fmt.Sprintf("its message says %s, and skip_markers is set", quote(marker)), false
		}
	}
	filtered := len(rt.paths.rules) > 0
	if !c.PathsKnown {
		if !filtered && len(rt.input.flags) == 0 {
			return w.why, true
		}
		if w.whyUnknown == "" {
			w.whyUnknown = w.why + "; the host did not list the changed paths, so they count as matching and nothing is skipped for them"
		}
		return w.whyUnknown, true
	}
	if !filtered {
		return w.why, true
	}
	path, ok := firstMatch(&rt.paths, c.Paths)
	switch {
	case ok:
		by, _ := rt.paths.decide(path)
		return w.why + "; path " + quote(path) + " matches " + quote(by.text), true
	case len(c.Paths) == 0:
		return "the commit changed no path, and paths asks for one", false
	case len(c.Paths) == 1:
		return rt.paths.explain(c.Paths[0]), false
	}
	return fmt.Sprintf("none of its %d paths passes; the first: %s", len(c.Paths), rt.paths.explain(c.Paths[0])), false
}

// request adds the request for a commit.
func (w *writer) request(c *event.Commit, environment, why string) {
	buf := appendEnvironment(w.buf[:0], environment)
	buf = w.route.input.appendCommit(buf, w.branch, c)
	buf = append(buf, w.source...)
	w.buf = buf
	if len(buf) > maxInput {
		w.ignore(w.route.Name, c.SHA, fmt.Sprintf("its input would be %d bytes; Step Functions takes at most %d", len(buf), maxInput))
		return
	}
	r := event.Request{
		ID:               w.id.of(c.SHA),
		Route:            w.route.Name,
		StateMachine:     w.route.StateMachine,
		Environment:      environment,
		Source:           w.ev.Source,
		Repository:       w.ev.Repository.FullName,
		Ref:              w.ev.Ref,
		Kind:             w.ev.Kind,
		Commit:           *c,
		Input:            slices.Clone(buf),
		CancelSuperseded: w.route.OnNewCommit == "cancel_superseded",
		Reason:           why,
	}
	if w.ev.Kind == event.PullRequest {
		r.PullRequest = w.ev.PullRequest.Number
	}
	w.plan.Requests = append(w.plan.Requests, r)
}
