package journaltest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

func (f *fixture) learn(commits ...event.Commit) {
	f.t.Helper()
	f.count++
	seq := f.deliver("facts-" + string(rune('a'+f.count)))
	_, err := f.j.Expand(f.t.Context(), []dispatch.Expansion{{Delivery: seq, Source: "github", Repository: "acme/api", Learned: commits, At: f.now}})
	f.must(err)
}

func (f *fixture) known(source, repository string, shas ...string) map[string]event.Commit {
	f.t.Helper()
	known, err := f.j.KnownCommits(f.t.Context(), source, repository, shas)
	f.must(err)
	return known
}

func commitFacts(t *testing.T, f *fixture) {
	whole := event.Commit{SHA: "a", Message: "m\n\nbody", MessageKnown: true, Author: "ada", AuthorEmail: "ada@x", URL: "https://x", Paths: []string{"é", "b c"}, PathsKnown: true}
	f.learn(whole, event.Commit{SHA: "b", PathsKnown: true, Paths: []string{}}, event.Commit{SHA: "nothing", Author: "ada"})
	f.diff("known", map[string]event.Commit{"a": whole, "b": {SHA: "b", PathsKnown: true, Paths: []string{}}}, f.known("github", "acme/api", "b", "nothing", "none", "a"))
	f.diff("of another repository", 0, len(f.known("github", "acme/web", "a")))
	f.diff("of another source", 0, len(f.known("gitlab", "acme/api", "a")))
	// What is known stays, and what was not is added.
	f.learn(event.Commit{SHA: "a", Message: "other", Paths: []string{"other"}, PathsKnown: true},
		event.Commit{SHA: "b", MessageKnown: true, Author: "bob", Paths: []string{"other"}, PathsKnown: true})
	f.diff("later", map[string]event.Commit{"a": whole, "b": {SHA: "b", MessageKnown: true, Author: "bob", PathsKnown: true, Paths: []string{}}}, f.known("github", "acme/api", "a", "b"))
	// Too many paths are none.
	f.learn(event.Commit{SHA: "c", Message: "m", Paths: strings.Split(strings.Repeat("a/long/path ", 10_000), " "), PathsKnown: true})
	f.diff("too many paths", map[string]event.Commit{"c": {SHA: "c", Message: "m", MessageKnown: true}}, f.known("github", "acme/api", "c"))
	// They go with their retention, and so do tips.
	m := &dispatch.Move{Source: "github", Repository: "acme/api", Ref: mainRef, After: "a"}
	_, err := f.j.Expand(t.Context(), []dispatch.Expansion{{Delivery: f.deliver("move"), Move: m, At: f.now}})
	f.must(err)
	tip := func(repository, ref string) string {
		sha, err := f.j.Tip(t.Context(), "github", repository, ref)
		f.must(err)
		return sha
	}
	f.diff("tips", []string{"a", "", ""}, []string{tip("acme/api", mainRef), tip("acme/web", mainRef), tip("acme/api", mainRef+"2")})
	f.now = f.now.Add(time.Hour)
	limit := f.now
	f.learn(event.Commit{SHA: "fresh", Message: "m"})
	for n := 1; n > 0; {
		n, err = f.j.Prune(t.Context(), limit)
		f.must(err)
	}
	f.diff("after pruning", map[string]event.Commit{"fresh": {SHA: "fresh", Message: "m", MessageKnown: true}}, f.known("github", "acme/api", "a", "b", "c", "fresh"))
}

// commitHolders tells the commits of a repository from those that forks offer it.
func commitHolders(t *testing.T, f *fixture) {
	said := func(repository string, fork bool, learned []event.Commit, commits ...string) {
		t.Helper()
		f.count++
		seq := f.deliver("holders-" + string(rune('a'+f.count)))
		_, err := f.j.Expand(t.Context(), []dispatch.Expansion{{
			Delivery: seq, Source: "github", Repository: repository, Commits: commits, Fork: fork, Learned: learned, At: f.now,
		}})
		f.must(err)
	}
	want := func(name, sha string, want ...dispatch.Holder) {
		t.Helper()
		got, err := f.j.Holders(t.Context(), sha)
		f.must(err)
		f.diff(name, want, got)
	}
	fork, own := dispatch.Holder{Source: "github", Repository: "acme/api"}, dispatch.Holder{Source: "github", Repository: "acme/api", Own: true}
	want("unknown", "a")
	said("acme/api", true, nil, "a", "b")
	want("offered", "a", fork)
	said("acme/api", true, []event.Commit{{SHA: "a", Message: "m", MessageKnown: true}}, "a")
	want("offered, and its message known", "a", fork)
	said("acme/api", false, []event.Commit{{SHA: "a", Message: "m", MessageKnown: true, PathsKnown: true}}, "a", "c")
	want("pushed later", "a", own)
	want("pushed without a word of it", "c", own)
	said("acme/api", true, nil, "a", "c")
	want("offered after it was pushed", "a", own)
	want("offered after it was pushed without a word", "c", own)
	want("still offered alone", "b", fork)
	said("stranger/api", false, nil, "b")
	got, err := f.j.Holders(t.Context(), "b")
	f.must(err)
	f.diff("repositories", 2, len(got))
	for _, h := range got {
		f.diff("own of "+h.Repository, h.Repository == "stranger/api", h.Own)
	}
	f.diff("facts", 0, len(f.known("github", "acme/api", "b", "c")))
	said("acme/api", false, nil, "b")
	said("acme/api", false, nil, "b")
	// A delivery that is set aside tells of its commits all the same.
	seq := f.deliver("aside")
	_, err = f.j.Expand(t.Context(), []dispatch.Expansion{{
		Delivery: seq, Source: "github", Repository: "acme/api", Commits: []string{"d"}, Fork: true, At: f.now,
		Deferral: &dispatch.Deferral{DueAt: f.now, Reason: "the host's word"},
	}})
	f.must(err)
	want("of a delivery that is set aside", "d", fork)
}

// onLane expands a delivery of a lane, deferred or not.
func (f *fixture) onLane(seq int64, lane string, deferred bool, requests ...dispatch.NewRequest) []string {
	f.t.Helper()
	e := dispatch.Expansion{Delivery: seq, Lane: lane, Requests: requests, At: f.now}
	if deferred {
		e.Requests, e.Deferral = nil, &dispatch.Deferral{DueAt: f.now, Reason: "the host's word"}
	}
	changes, err := f.j.Expand(f.t.Context(), []dispatch.Expansion{e})
	f.must(err)
	return changed(changes)
}

// pendingIDs reads what is to be expanded.
func (f *fixture) pendingIDs() []string {
	f.t.Helper()
	pending, err := f.j.Pending(f.t.Context(), 100)
	f.must(err)
	ids := []string{}
	for _, p := range pending {
		ids = append(ids, strings.TrimPrefix(p.ID, "github:"))
	}
	return ids
}

func (f *fixture) delivery(id string) dispatch.Delivery {
	f.t.Helper()
	d, err := f.j.Delivery(f.t.Context(), "github:"+id)
	f.must(err)
	return d.Delivery
}

func setAside(t *testing.T, f *fixture) {
	a, b := f.deliver("a"), f.deliver("b")
	f.diff("deferred", []string{}, f.onLane(a, "main", true))
	f.diff("others go on", []string{"b ready"}, f.onLane(b, "other", false, f.request("b")))
	f.diff("applied before", []string{}, f.onLane(a, "main", false, f.request("a")))
	f.diff("pending", []string{}, f.pendingIDs())
	d := f.delivery("a")
	if d.State != dispatch.DeliveryCompleting || d.WaitsFor != "the host's word" || !d.NextTry.Equal(f.now) || d.Tries != 0 || d.Requested != 0 {
		t.Errorf("%+v", d)
	}
	depth, err := f.j.Unfinished(t.Context())
	f.must(err)
	f.diff("depth", dispatch.Depth{Completing: 1, Ready: 1}, depth)
	due, next, err := f.j.Deferred(t.Context(), f.now, dispatch.DeferredQuery{Limit: 10})
	f.must(err)
	f.diff("due", []dispatch.DeferredDelivery{{Seq: a, ID: "github:a", Since: f.now}}, due)
	f.diff("nothing later", true, next.IsZero())
	for _, except := range [][]string{{"other"}, {"github"}, {"other", "github"}} {
		some, _, err := f.j.Deferred(t.Context(), f.now, dispatch.DeferredQuery{Limit: 1, Except: except})
		f.must(err)
		want := due
		if slices.Contains(except, "github") {
			want = nil
		}
		f.diff(fmt.Sprintf("without %q", except), len(want), len(some))
	}
	later := f.now.Add(time.Minute)
	f.must(f.j.Postpone(t.Context(), a, later, "it said 502", []byte(`{"delivery_id":"a","sender":"partly"}`)))
	due, next, err = f.j.Deferred(t.Context(), f.now, dispatch.DeferredQuery{Limit: 10})
	f.must(err)
	f.diff("not due", 0, len(due))
	f.diff("but then", true, next.Equal(later))
	if d := f.delivery("a"); d.WaitsFor != "it said 502" || !d.NextTry.Equal(later) || d.Tries != 1 {
		t.Errorf("%+v", d)
	}
	whole, err := f.j.Delivery(t.Context(), "github:a")
	f.must(err)
	f.diff("what was learned is kept", "partly", whole.Event.Sender)
	// The clock was years ahead when it was set aside: the host is asked for as
	// long as if that had been now.
	c := f.deliver("c")
	ahead := f.now.Add(5 * 365 * 24 * time.Hour)
	_, err = f.j.Expand(t.Context(), []dispatch.Expansion{{Delivery: c, At: f.now, Lane: "ahead", Deferral: &dispatch.Deferral{DueAt: ahead, Reason: "the host's word"}}})
	f.must(err)
	n, err := f.j.Hasten(t.Context(), "", f.now.Add(5*time.Minute), f.now)
	f.must(err)
	f.diff("hastened", 1, n)
	due, _, err = f.j.Deferred(t.Context(), f.now, dispatch.DeferredQuery{Limit: 10})
	f.must(err)
	f.diff("due by the right clock", []dispatch.DeferredDelivery{{Seq: c, ID: "github:c", Since: f.now}}, due)
	f.must(f.j.Complete(t.Context(), c, nil, 0, ""))
	f.diff("c is expanded", []string{}, f.onLane(c, "ahead", false))
	// A person wants it tried now.
	f.must(f.j.Reopen(t.Context(), "github:a"))
	due, _, err = f.j.Deferred(t.Context(), f.now, dispatch.DeferredQuery{Limit: 10})
	f.must(err)
	f.diff("due at once", 1, len(due))
	f.diff("and not expanded without", []string{}, f.pendingIDs())
	for n := 1; n > 0; { // its retention is over, but it is not through
		n, err = f.j.Prune(t.Context(), f.now.Add(time.Hour))
		f.must(err)
	}
	for range 2 { // the second time it was applied before
		f.must(f.j.Complete(t.Context(), a, []byte(`{"delivery_id":"a","sender":"whole"}`), 7, "all but one"))
	}
	f.must(f.j.Postpone(t.Context(), a, later, "late", nil))
	pending, err := f.j.Pending(t.Context(), 10)
	f.must(err)
	f.diff("pending again", []dispatch.PendingDelivery{{Seq: a, ID: "github:a", ReceivedAt: whole.ReceivedAt,
		Event: []byte(`{"delivery_id":"a","sender":"whole"}`), Completed: true, Unknown: "all but one"}}, pending)
	if d := f.delivery("a"); d.State != dispatch.DeliveryPending || d.WaitsFor != "" || d.Commits != 7 {
		t.Errorf("%+v", d)
	}
	f.diff("at last", []string{"a ready"}, f.onLane(a, "main", false, f.request("a")))
	f.diff("state", dispatch.DeliveryExpanded, f.delivery("a").State)
	f.must(f.j.Complete(t.Context(), a, nil, 0, "late"))
	f.diff("nothing is left", []string{}, f.pendingIDs())
	depth, err = f.j.Unfinished(t.Context())
	f.must(err)
	f.diff("depth", dispatch.Depth{Ready: 2}, depth)
}

// commandsWaitApart has what is on no lane asked for by itself.
func commandsWaitApart(t *testing.T, f *fixture) {
	push, command, later := f.deliver("push"), f.deliver("command"), f.deliver("later")
	f.onLane(push, "main", true)
	f.onLane(command, "", true)
	f.onLane(later, "", true)
	f.must(f.j.Postpone(t.Context(), later, f.now.Add(time.Minute), "it said 502", nil))
	for _, row := range []struct {
		laneless bool
		want     []dispatch.DeferredDelivery
		next     time.Time
	}{
		{false, []dispatch.DeferredDelivery{{Seq: push, ID: "github:push", Since: f.now}}, time.Time{}},
		{true, []dispatch.DeferredDelivery{{Seq: command, ID: "github:command", Since: f.now}}, f.now.Add(time.Minute)},
	} {
		due, next, err := f.j.Deferred(t.Context(), f.now, dispatch.DeferredQuery{Laneless: row.laneless, Limit: 10})
		f.must(err)
		f.diff("due", row.want, due)
		f.diff("next", true, next.Equal(row.next))
	}
}

// laneKeepsOrder has deliveries of one lane wait behind one that is set aside.
func laneKeepsOrder(t *testing.T, f *fixture) {
	seq := map[string]int64{}
	for _, id := range []string{"a", "b", "c", "d", "x"} {
		seq[id] = f.deliver(id)
	}
	expand := func(id string, deferred bool) []string { return f.onLane(seq[id], "main", deferred, f.request(id)) }
	f.diff("a waits for the host", []string{}, expand("a", true))
	f.diff("b behind a", []string{}, expand("b", false))
	f.diff("c would ask too", []string{}, expand("c", true))
	f.diff("d behind c", []string{}, expand("d", false))
	f.diff("x is elsewhere", []string{"x ready"}, f.onLane(seq["x"], "other", false, f.request("x")))
	for id, behind := range map[string]string{"b": "a", "c": "b", "d": "c"} {
		if d := f.delivery(id); d.State != dispatch.DeliveryCompleting || d.WaitsFor != dispatch.WaitsBehind("github:"+behind) || !d.NextTry.IsZero() {
			t.Errorf("%s: %+v", id, d)
		}
	}
	due, _, err := f.j.Deferred(t.Context(), f.now, dispatch.DeferredQuery{Limit: 10})
	f.must(err)
	f.diff("one asks at a time", 1, len(due))
	f.must(f.j.Complete(t.Context(), seq["a"], nil, 0, ""))
	f.diff("first a alone", []string{"a"}, f.pendingIDs())
	seq["e"] = f.deliver("e")
	f.diff("a newer one, read before a was complete", []string{}, expand("e", false))
	f.diff("a", []string{"a ready"}, expand("a", false))
	f.diff("then b", []string{"b"}, f.pendingIDs())
	pending, err := f.j.Pending(t.Context(), 1)
	f.must(err)
	if p := pending[0]; p.Reopened || p.Completed || p.Unknown != "" {
		t.Errorf("b is expanded for the first time, and may ask: %+v", p)
	}
	f.diff("b", []string{"b ready"}, expand("b", false))
	f.diff("c may ask now", []string{}, expand("c", true))
	f.diff("nobody overtakes", []string{}, f.pendingIDs())
	f.must(f.j.Complete(t.Context(), seq["c"], nil, 0, "nobody knows"))
	f.diff("c", []string{"c ready"}, expand("c", false))
	f.diff("d", []string{"d ready"}, expand("d", false))
	f.diff("e", []string{"e ready"}, expand("e", false))
	f.diff("all are through", []string{}, f.pendingIDs())
	// A replay that asks holds up nobody, and waits behind nobody.
	f.must(f.j.Reopen(t.Context(), "github:a"))
	f.diff("a again", []string{}, expand("a", true))
	f.now = f.now.Add(time.Minute)
	seq["f"] = f.deliver("f")
	f.diff("f", []string{"f ready"}, expand("f", false))
	f.must(f.j.Complete(t.Context(), seq["a"], nil, 0, ""))
	pending, err = f.j.Pending(t.Context(), 1)
	f.must(err)
	f.diff("still a replay", true, pending[0].Reopened && pending[0].Completed)
}
