package journaltest

import (
	"testing"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// pushing is a delivery that moves a ref.
type pushing struct {
	ref, before, after string
	requests           []dispatch.NewRequest
	pull               int
	forced             bool
}

func revisiting(r *dispatch.NewRequest) { r.Revisit = true }

// move delivers and expands, and returns what it was said to come to before,
// what changed, and the reasons.
func (f *fixture) move(p pushing) (id string, foreseen, changes []string, reasons []dispatch.Ignored) {
	f.t.Helper()
	f.count++
	seq := f.deliver("move-" + string(rune('a'+f.count)))
	m := &dispatch.Move{Source: "github", Repository: "acme/api", Ref: p.ref, Before: p.before, After: p.after, Forced: p.forced, PullRequest: p.pull}
	var ask []*event.Request
	for i := range p.requests {
		r := &p.requests[i]
		r.Ref = p.ref
		ask = append(ask, &r.Request)
	}
	said, err := f.j.Foresee(f.t.Context(), ask, m, nil)
	f.must(err)
	foreseen = []string{}
	for _, s := range said {
		if s.New {
			foreseen = append(foreseen, s.ID+" ready")
		}
	}
	did, err := f.j.Expand(f.t.Context(), []dispatch.Expansion{{Delivery: seq, Requests: p.requests, Move: m, At: f.now}})
	f.must(err)
	id = "github:move-" + string(rune('a'+f.count))
	d, err := f.j.Delivery(f.t.Context(), id)
	f.must(err)
	alone, err := f.j.Reasons(f.t.Context(), id)
	f.must(err)
	f.diff("the reasons alone", d.Reasons, alone)
	return id, foreseen, changed(did), d.Reasons
}

// want moves a ref and compares what it came to, which must be what was
// foreseen.
func (f *fixture) want(what string, p pushing, changes ...string) (id string, reasons []dispatch.Ignored) {
	f.t.Helper()
	if changes == nil {
		changes = []string{}
	}
	id, foreseen, got, reasons := f.move(p)
	f.diff(what, changes, got)
	f.diff(what+": foreseen", changes, foreseen)
	return id, reasons
}

const mainRef = "refs/heads/main"

// commit is a request for a commit of that name.
func (f *fixture) commit(sha string, opts ...option) dispatch.NewRequest {
	r := f.request(sha, opts...)
	r.Commit.SHA = sha
	return r
}

func revisits(t *testing.T, f *fixture) {
	one := func(sha string, opts ...option) []dispatch.NewRequest {
		return []dispatch.NewRequest{f.commit(sha, opts...)}
	}
	first, _ := f.want("first", pushing{ref: mainRef, before: "", after: "a", requests: one("a")}, "a ready")
	f.want("three at once", pushing{ref: mainRef, before: "a", after: "d", requests: append(one("b"), f.commit("c"), f.commit("d"))}, "b ready", "c ready", "d ready")
	// Back to one that was not the head when it was pushed, without being asked
	// to run it.
	_, reasons := f.want("back, ignored", pushing{ref: mainRef, before: "d", after: "c", requests: one("c")})
	f.diff("reason", []dispatch.Ignored{dispatch.MovedBack("branches", "c", "c", "github:move-c")}, reasons)
	again := f.commit("a", revisiting)
	again.Input = []byte(`{"again":true}`)
	id, reasons := f.want("back, run", pushing{ref: mainRef, before: "c", after: "a", requests: []dispatch.NewRequest{again}}, "a-r2 ready")
	f.diff("no reason", 0, len(reasons))
	x := f.execution("a-r2")
	if x.Delivery != id || x.Base != "a" || x.Attempt != 2 || x.Rerun || string(x.Input) != `{"again":true}` || x.State != dispatch.StateReady {
		t.Errorf("%+v", x)
	}
	f.diff("the one before goes on", dispatch.StateReady, f.execution("a").State)
	// Forward again: all but the head are only what they were.
	_, reasons = f.want("forward", pushing{ref: mainRef, before: "a", after: "d", requests: append(one("b", revisiting), f.commit("c", revisiting), f.commit("d", revisiting))}, "d-r2 ready")
	f.diff("reasons", 2, len(reasons))
	f.want("once more", pushing{ref: mainRef, before: "d", after: "a", requests: one("a", revisiting)}, "a-r3 ready")
	d, err := f.j.Delivery(t.Context(), first)
	f.must(err)
	f.diff("what the first asked for", []string{"a"}, idsOf(d.Executions))
	// A former name goes on counting.
	old := f.commit("new-name", revisiting)
	old.Commit.SHA, old.Former = "c", &event.FormerIdentity{ID: "c"}
	f.want("under its former name", pushing{ref: mainRef, before: "a", after: "c", requests: []dispatch.NewRequest{old}}, "c-r2 ready")
}

// ownCommits brings commits to a ref that others have asked for: it has not
// been there before, so it does not come back.
func ownCommits(_ *testing.T, f *fixture) {
	pull := func(r *dispatch.NewRequest) { r.Kind, r.PullRequest = event.PullRequest, 7 }
	one := func(sha string) []dispatch.NewRequest {
		return []dispatch.NewRequest{f.commit(sha, revisiting)}
	}
	plain := func(what string, p pushing, delivery string) {
		f.t.Helper()
		_, reasons := f.want(what, p)
		sha := p.requests[0].Commit.SHA
		f.diff(what+": reasons", []dispatch.Ignored{dispatch.AlreadyRequested("branches", sha, sha, delivery)}, reasons)
	}
	f.want("main", pushing{ref: mainRef, before: "", after: "a", requests: one("a")}, "a ready")
	// The event of the pull request is faster than that of its push.
	f.want("branch", pushing{ref: "refs/heads/x", before: "", after: "b", requests: one("b")}, "b ready")
	pr, _ := f.push(f.commit("c", pull, onRef("refs/heads/x")))
	plain("the push of a pull request's commit", pushing{ref: "refs/heads/x", before: "b", after: "c", requests: one("c")}, pr)
	plain("a merge that moves main forward", pushing{ref: mainRef, before: "a", after: "c", requests: one("c")}, pr)
	f.want("main goes on", pushing{ref: mainRef, before: "c", after: "d", requests: one("d")}, "d ready")
	f.want("and comes back", pushing{ref: mainRef, before: "d", after: "c", requests: one("c")}, "c-r2 ready")
	// So after a rebase.
	rebased, _ := f.push(f.commit("g", pull, onRef("refs/heads/x")))
	_, reasons := f.want("a forced push whose pull request was faster", pushing{ref: "refs/heads/x", before: "c", after: "g", forced: true, requests: one("g")})
	f.diff("reasons", []dispatch.Ignored{dispatch.AlreadyRequested("branches", "g", "g", rebased)}, reasons)
	f.want("forced back", pushing{ref: "refs/heads/x", before: "g", after: "c", forced: true, requests: one("c")}, "c-r3 ready")
	f.want("and forth", pushing{ref: "refs/heads/x", before: "c", after: "g", forced: true, requests: one("g")}, "g-r2 ready")
	// A branch that began on another's commit has those before it too, though
	// no push to it ever named them.
	f.want("a branch of two", pushing{ref: "refs/heads/y", before: "", after: "f", requests: append(one("e"), one("f")...)}, "e ready", "f ready")
	f.want("a branch on its tip", pushing{ref: "refs/heads/z", before: "", after: "f", requests: one("f")})
	f.want("is forced back", pushing{ref: "refs/heads/z", before: "f", after: "e", forced: true, requests: one("e")}, "e-r2 ready")
}

// staleMoves are pushes that are told of again later, by a second webhook or by
// hand: they leave the ref where it is.
func staleMoves(_ *testing.T, f *fixture) {
	one := func(sha string) []dispatch.NewRequest {
		return []dispatch.NewRequest{f.commit(sha, revisiting)}
	}
	f.want("made", pushing{ref: mainRef, before: "", after: "a", requests: one("a")}, "a ready")
	f.want("second", pushing{ref: mainRef, before: "a", after: "b", requests: one("b")}, "b ready")
	f.want("third", pushing{ref: mainRef, before: "b", after: "c", requests: one("c")}, "c ready")
	f.want("made, again", pushing{ref: mainRef, before: "", after: "a", requests: one("a")})
	f.want("second, again", pushing{ref: mainRef, before: "a", after: "b", requests: one("b")})
	f.want("third, again", pushing{ref: mainRef, before: "b", after: "c", requests: one("c")})
	f.want("back", pushing{ref: mainRef, before: "c", after: "b", forced: true, requests: one("b")}, "b-r2 ready")
	f.want("and forward", pushing{ref: mainRef, before: "b", after: "c", requests: one("c")}, "c-r2 ready")
}

func revisitOnce(t *testing.T, f *fixture) {
	one := func(sha string) []dispatch.NewRequest {
		return []dispatch.NewRequest{f.commit(sha, revisiting)}
	}
	a, _ := f.want("a", pushing{ref: mainRef, before: "", after: "a", requests: one("a")}, "a ready")
	f.want("b", pushing{ref: mainRef, before: "a", after: "b", requests: one("b")}, "b ready")
	back, _ := f.want("back", pushing{ref: mainRef, before: "b", after: "a", requests: one("a")}, "a-r2 ready")
	_, reasons := f.want("the same from another webhook", pushing{ref: mainRef, before: "b", after: "a", requests: one("a")})
	f.diff("reasons", []dispatch.Ignored{dispatch.AlreadyRequested("branches", "a", "a", a)}, reasons)
	_, reasons = f.want("out of order", pushing{ref: mainRef, before: "x", after: "b", requests: one("b")})
	f.diff("reasons", 1, len(reasons))
	f.want("in order again", pushing{ref: mainRef, before: "b", after: "c", requests: one("c")}, "c ready")
	// A replay, as the dispatcher expands it: without a move.
	for range 2 {
		f.must(f.j.Reopen(t.Context(), back))
		f.diff("replay", []string{}, changed(f.expand(f.seqOf(back), one("a")...)))
	}
	d, err := f.j.Delivery(t.Context(), back)
	f.must(err)
	f.diff("asked for", []string{"a-r2"}, idsOf(d.Executions))
	f.diff("and for nothing else", 0, len(d.Reasons))
	// An expansion that was applied, and reported as failed.
	seq := f.deliver("twice")
	e := dispatch.Expansion{Delivery: seq, Requests: one("a"), Move: &dispatch.Move{Source: "github", Repository: "acme/api", Ref: mainRef, Before: "c", After: "a"}, At: f.now}
	for _, want := range [][]string{{"a-r3 ready"}, {}} {
		changes, err := f.j.Expand(t.Context(), []dispatch.Expansion{e})
		f.must(err)
		f.diff("expanded", want, changed(changes))
	}
	// Another repository and another source have tips of their own.
	other := one("a")
	other[0].ID, other[0].Repository = "other", "acme/web"
	at, err := f.j.Foresee(t.Context(), []*event.Request{&other[0].Request}, &dispatch.Move{Source: "github", Repository: "acme/web", Ref: mainRef, After: "a"}, nil)
	f.must(err)
	f.diff("elsewhere", []dispatch.Foreseen{{ID: "other", New: true}}, at)
	// The tip may be known better than the journal has it yet.
	tip := "z"
	at, err = f.j.Foresee(t.Context(), []*event.Request{&one("b")[0].Request}, &dispatch.Move{Source: "github", Repository: "acme/api", Ref: mainRef, Before: "z", After: "b"}, &tip)
	f.must(err)
	f.diff("with another tip", []dispatch.Foreseen{{ID: "b-r2", New: true}}, at)
}

// recreated deletes a branch, whose teardown has a route of its own, and pushes
// it again.
func recreated(_ *testing.T, f *fixture) {
	const ref = "refs/heads/x"
	up := func(sha string, opts ...option) []dispatch.NewRequest {
		return []dispatch.NewRequest{f.commit(sha, opts...)}
	}
	down := func() []dispatch.NewRequest {
		return []dispatch.NewRequest{f.commit("a", onRoute("down"), func(r *dispatch.NewRequest) {
			r.ID, r.Kind, r.Teardown = "down-a", event.Delete, true
		})}
	}
	f.want("pushed", pushing{ref: ref, before: "", after: "a", requests: up("a")}, "a ready")
	first, _ := f.want("deleted", pushing{ref: ref, before: "a", after: "", requests: down()}, "down-a ready")
	_, reasons := f.want("deleted, says another webhook", pushing{ref: ref, before: "a", after: "", requests: down()})
	f.diff("reasons", []dispatch.Ignored{dispatch.AlreadyRequested("down", "a", "down-a", first)}, reasons)
	// Without revisit nothing is set up, so that nothing is to be torn down.
	_, reasons = f.want("pushed again, ignored", pushing{ref: ref, before: "", after: "a", requests: up("a")})
	f.diff("reasons", []dispatch.Ignored{dispatch.MovedBack("branches", "a", "a", "github:move-b")}, reasons)
	f.want("deleted again", pushing{ref: ref, before: "a", after: "", requests: down()})
	f.want("pushed again, run", pushing{ref: ref, before: "", after: "a", requests: up("a", revisiting)}, "a-r2 ready")
	f.want("torn down again", pushing{ref: ref, before: "a", after: "", requests: down()}, "down-a-r2 ready")
	// What was set up meanwhile is torn down whatever the commit is then.
	f.want("pushed again, ignored", pushing{ref: ref, before: "", after: "a", requests: up("a")})
	f.want("another commit", pushing{ref: ref, before: "a", after: "b", requests: up("b")}, "b ready")
	f.want("and back", pushing{ref: ref, before: "b", after: "a", requests: up("a")})
	f.want("torn down once more", pushing{ref: ref, before: "a", after: "", requests: down()}, "down-a-r3 ready")
	f.want("which is enough", pushing{ref: ref, before: "a", after: "", requests: down()})
}

// reopened closes a pull request, whose teardown has a route of its own, and
// opens it again.
func reopened(_ *testing.T, f *fixture) {
	event := func(sha string, requests ...dispatch.NewRequest) pushing {
		for i := range requests {
			requests[i].Kind, requests[i].PullRequest = event.PullRequest, 7
		}
		return pushing{ref: "pull request 7", after: sha, requests: requests, pull: 7}
	}
	closing := func() pushing {
		return event("", f.commit("a", onRoute("down"), func(r *dispatch.NewRequest) { r.ID, r.Teardown = "down-a", true }))
	}
	first, _ := f.want("opened", event("a", f.commit("a")), "a ready")
	f.want("closed", closing(), "down-a ready")
	_, reasons := f.want("reopened, which sets up nothing", event("a", f.commit("a")))
	f.diff("reasons", []dispatch.Ignored{dispatch.AlreadyRequested("branches", "a", "a", first)}, reasons)
	f.want("closed again, with nothing to tear down", closing())
	f.want("reopened", event("a", f.commit("a")))
	f.want("another commit", event("b", f.commit("b")), "b ready")
	_, reasons = f.want("and back", event("a", f.commit("a")))
	f.diff("reasons", []dispatch.Ignored{dispatch.AlreadyRequested("branches", "a", "a", first)}, reasons)
	f.want("what that set up is torn down", closing(), "down-a-r2 ready")
	f.want("once", closing())
}
