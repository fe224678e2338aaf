package audit_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"switchyard/audit"
	"switchyard/githost"
	"switchyard/internal/event"
)

// graph is a repository at a host: commits by parent, branches and open pull
// requests.
type graph struct {
	mu        sync.Mutex
	parents   map[string]string
	dates     map[string]time.Time
	branches  map[string]string
	pulls     map[int]event.Event
	calls     []string
	fail      func(call string) error
	redeliver func() int
	// byDefault lists of a new branch what main has not, as GitHub and GitLab do, and
	// lacks is the number of a pull request that lists leave out.
	byDefault bool
	lacks     int
}

func newGraph() *graph {
	return &graph{parents: map[string]string{}, dates: map[string]time.Time{}, branches: map[string]string{}, pulls: map[int]event.Event{}}
}

// commit adds commits one after another behind a parent.
func (g *graph) commit(parent string, shas ...string) {
	for _, sha := range shas {
		g.parents[sha], g.dates[sha] = parent, time.Now()
		parent = sha
	}
}

// push commits to a branch, and returns the delivery that tells of it.
func (g *graph) push(branch string, shas ...string) event.Event {
	g.mu.Lock()
	defer g.mu.Unlock()
	ref := "refs/heads/" + branch
	before := g.branches[ref]
	parent := before
	if before == "" {
		parent = g.branches["refs/heads/main"]
	}
	g.commit(parent, shas...)
	after := shas[len(shas)-1]
	g.branches[ref] = after
	ev := event.Event{Source: "host", DeliveryID: "d-" + branch + "-" + after, Kind: event.Push, Ref: ref, Before: before, After: after, Repository: event.Repository{FullName: "acme/api"}}
	for _, sha := range shas {
		ev.Commits = append(ev.Commits, event.Commit{SHA: sha, Message: "m " + sha, MessageKnown: true, PathsKnown: true, Distinct: true})
	}
	return ev
}

func (g *graph) call(name string) error {
	g.mu.Lock()
	g.calls = append(g.calls, name)
	fail := g.fail
	g.mu.Unlock()
	if fail != nil {
		return fail(name)
	}
	return nil
}

func (g *graph) Refs(context.Context, string) (map[string]string, error) {
	if err := g.call("refs"); err != nil {
		return nil, err
	}
	return maps.Clone(g.branches), nil
}

func (g *graph) Commits(_ context.Context, ev *event.Event) ([]event.Commit, error) {
	if err := g.call("commits " + ev.Ref); err != nil {
		return nil, err
	}
	stop := map[string]bool{ev.Before: true, "": true}
	if ev.Before != "" {
		if _, known := g.parents[ev.Before]; !known {
			return nil, fmt.Errorf("%w %s", errNoCommit, ev.Before)
		}
		for c := ev.Before; c != ""; c = g.parents[c] {
			stop[c] = true
		}
	} else if ev.PullRequest == nil {
		for other, c := range g.branches {
			for ; other != ev.Ref && c != "" && (!g.byDefault || other == "refs/heads/main"); c = g.parents[c] {
				stop[c] = true
			}
		}
	}
	if ev.PullRequest != nil {
		for c := g.branches["refs/heads/"+ev.PullRequest.Base]; c != ""; c = g.parents[c] {
			stop[c] = true
		}
	}
	var all []event.Commit
	for c := ev.After; !stop[c]; c = g.parents[c] {
		all = append(all, event.Commit{SHA: c, Message: "m " + c, MessageKnown: true, Distinct: true})
	}
	slices.Reverse(all)
	return all, nil
}

func (g *graph) Commit(_ context.Context, _, _, sha string) (event.Commit, error) {
	return event.Commit{SHA: sha, Message: "m " + sha, MessageKnown: true, PathsKnown: true, Paths: []string{"p/" + sha}}, g.call("commit " + sha)
}

func (g *graph) CommitsSince(_ context.Context, _, head string, since time.Time) ([]event.Commit, error) {
	var all []event.Commit
	for c := head; c != "" && !g.dates[c].Before(since); c = g.parents[c] {
		all = append(all, event.Commit{SHA: c, Message: "m " + c, MessageKnown: true})
	}
	slices.Reverse(all)
	return all, g.call("since")
}

func (g *graph) PullRequests(_ context.Context, _, mark string) ([]event.Event, string, error) {
	if err := g.call("pulls"); err != nil {
		return nil, "", err
	}
	now := fmt.Sprint(len(g.pulls))
	var all []event.Event
	for _, n := range slices.Sorted(maps.Keys(g.pulls)) {
		if n == g.lacks {
			continue
		}
		now += fmt.Sprint(n, g.pulls[n].After, g.pulls[n].PullRequest.Base, g.pulls[n].PullRequest.Draft)
		all = append(all, g.pulls[n])
	}
	if mark == now {
		return nil, "", githost.ErrUnchanged
	}
	return all, now, nil
}

func (g *graph) Redeliver(context.Context, string, string, string, time.Time) (int, string, error) {
	err := g.call("redeliver")
	if g.redeliver == nil || err != nil {
		return 0, "", err
	}
	return g.redeliver(), "mark", nil
}

// open opens a pull request from a branch.
func (g *graph) open(number int, branch, base string) event.Event {
	ref := "refs/heads/" + branch
	ev := event.Event{Kind: event.PullRequest, Action: "synchronize", Ref: ref, After: g.branches[ref], Commits: []event.Commit{{SHA: g.branches[ref]}},
		PullRequest: &event.PullReq{Number: number, Base: base}}
	g.pulls[number] = ev
	return ev
}

// rules start every commit of branches but ignored/*, and the commits of pull
// requests into main, and tear down what is deleted.
type rules struct{ lacking bool }

func (p rules) Plan(ev event.Event) (plan event.Plan) {
	branch := ev.Branch()
	if strings.HasPrefix(branch, "ignored/") {
		return event.Plan{Ignored: []event.Ignored{{Route: "all", Reason: "another branch"}}}
	}
	route := "all"
	if ev.PullRequest != nil {
		route = "pulls"
		if ev.PullRequest.Draft {
			return event.Plan{Ignored: []event.Ignored{{Route: route, Commit: ev.After, Reason: "a draft"}}}
		}
	}
	for _, c := range ev.Commits {
		id := c.SHA + "-" + route
		if ev.PullRequest != nil {
			id += "-" + ev.PullRequest.Base
		}
		ending := ev.Kind == event.Delete || ev.Action == "closed"
		if ending {
			id += "-end"
		}
		if p.lacking && !c.PathsKnown {
			plan.Lacks = append(plan.Lacks, event.Lack{Route: route, Commit: c.SHA, Paths: true})
		}
		if p.lacking && c.PathsKnown && strings.HasPrefix(c.SHA, "docs") {
			plan.Ignored = append(plan.Ignored, event.Ignored{Route: route, Commit: c.SHA, Reason: "no path"})
			continue
		}
		plan.Requests = append(plan.Requests, event.Request{ID: id, Route: route, Source: ev.Source, Repository: ev.Repository.FullName, Commit: c, Teardown: ending})
	}
	return plan
}

func (rules) HasRoute(name string) bool { return name == "all" || name == "pulls" }

// ledger is a journal in memory.
type ledger struct {
	mu      sync.Mutex
	planner audit.Planner
	state   map[string][]byte
	taken   []event.Event
	started map[string]int
	refuse  error
}

func newLedger(p audit.Planner) *ledger {
	return &ledger{planner: p, state: map[string][]byte{}, started: map[string]int{}}
}

func (l *ledger) Audited(_ context.Context, source, repository string) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state[source+":"+repository], nil
}

func (l *ledger) KeepAudited(_ context.Context, source, repository string, state []byte, _ time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state[source+":"+repository] = state
	return nil
}

func (l *ledger) Tip(_ context.Context, _, _, ref string) (tip string, _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.taken {
		ev := &l.taken[i]
		if ev.Late {
			continue
		}
		if ev.Kind != event.PullRequest && ev.Ref == ref || ev.PullRequest != nil && ref == fmt.Sprintf("pull request %d", ev.PullRequest.Number) {
			tip = ev.After
		}
	}
	return tip, nil
}

func (l *ledger) Heard(_ context.Context, _, _ string, after int64) ([]event.Event, int64, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	const page = 2
	end := min(len(l.taken), int(after)+page)
	return slices.Clone(l.taken[after:end]), int64(end), end < len(l.taken), nil
}

func (l *ledger) Known(_ context.Context, _, _ string, shas []string) (map[string]event.Commit, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := map[string]event.Commit{}
	for i := range l.taken {
		for _, c := range l.taken[i].Commits {
			if slices.Contains(shas, c.SHA) {
				known[c.SHA] = c
			}
		}
	}
	return known, nil
}

func (l *ledger) Exist(_ context.Context, requests []event.Request) ([]bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	exist := make([]bool, len(requests))
	for i := range requests {
		exist[i] = l.started[requests[i].ID] > 0
	}
	return exist, nil
}

func (l *ledger) Accept(_ context.Context, ev event.Event) (event.Receipt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse != nil {
		return event.Receipt{}, l.refuse
	}
	if slices.ContainsFunc(l.taken, func(t event.Event) bool { return t.DeliveryID == ev.DeliveryID }) {
		return event.Receipt{Duplicate: true}, nil
	}
	l.taken = append(l.taken, ev)
	for _, r := range l.planner.Plan(ev).Requests {
		if l.started[r.ID] == 0 {
			l.started[r.ID]++
		}
	}
	return event.Receipt{}, nil
}

// rig is an auditor of one repository.
type rig struct {
	*testing.T
	*graph
	*ledger
	a     *audit.Auditor
	grace time.Duration
}

var errNoCommit = errors.New("no commit")

type throttledError struct{ after time.Duration }

func (throttledError) Error() string { return "too many calls" }

func newRig(t *testing.T, p audit.Planner) *rig {
	r := &rig{T: t, graph: newGraph(), ledger: newLedger(p)}
	r.a = audit.New(r.ledger, func(context.Context) ([]audit.Repository, error) {
		return []audit.Repository{{Source: "host", Name: "acme/api", Host: r.graph, Hook: "https://us/webhooks/host"}}, nil
	}, func() (audit.Planner, audit.Config) {
		return p, audit.Config{Grace: r.grace, Every: time.Hour, Heal: true}
	},
		audit.WithThrottled(func(err error) (time.Duration, bool) {
			var limited throttledError
			ok := errors.As(err, &limited)
			return limited.after, ok
		}), audit.WithRefusals(func(err error) bool { return errors.Is(err, errNoCommit) }))
	return r
}

func (r *rig) take(evs ...event.Event) {
	for _, ev := range evs {
		if _, err := r.Accept(r.Context(), ev); err != nil {
			r.Error(err)
		}
	}
}

// audit returns what was missing, as ref:sha, and the summary.
func (r *rig) audit(q audit.Query) (missing []string, s audit.Summary) {
	r.Helper()
	r.calls = nil
	err := r.a.Audit(r.Context(), q, audit.Report{
		Finding: func(f audit.Finding) { missing = append(missing, f.Execution) },
		Summary: func(got audit.Summary) { s = got },
	})
	if err != nil {
		r.Fatal(err)
	}
	return missing, s
}

// want audits, and compares what is missing.
func (r *rig) want(what string, q audit.Query, want ...string) audit.Summary {
	r.Helper()
	got, s := r.audit(q)
	if !slices.Equal(got, want) {
		r.Errorf("%s: missing %v, expected %v (%+v)", what, got, want, s)
	}
	return s
}

// starts is how often a request was started.
func (l *ledger) starts(id string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.started[id]
}

// made are the calls that the host has taken.
func (g *graph) made() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.calls)
}
