package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// host is a git host whose answers a test sets.
type host struct {
	mu    sync.Mutex
	asked []string
	// on answers in the host's place when it returns an error.
	on      func(ctx context.Context, source string, call int) error
	commits map[string][]event.Commit // by the push's After
	commit  map[string]event.Commit
}

func (h *host) ask(ctx context.Context, source, what string) error {
	h.mu.Lock()
	h.asked = append(h.asked, what)
	on, n := h.on, len(h.asked)
	h.mu.Unlock()
	if on != nil {
		return on(ctx, source, n)
	}
	return nil
}

func (h *host) Commits(ctx context.Context, push *event.Event) ([]event.Commit, error) {
	return h.commits[push.After], h.ask(ctx, push.Source, "push "+push.After)
}

func (h *host) Commit(ctx context.Context, source, repository, sha string) (event.Commit, error) {
	return h.commit[sha], h.ask(ctx, source, "commit "+sha)
}

func (h *host) answer(on func(ctx context.Context, source string, call int) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.on = on
}

func (h *host) calls() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.asked)
}

// picky starts no commit that changes docs alone, and skips those that say so.
type picky struct{ planner }

func (p picky) Plan(ev event.Event) event.Plan {
	plan := p.planner.Plan(ev)
	if ev.Unnamed() {
		return event.Plan{Unlisted: true, Ignored: []event.Ignored{{Route: p.routes[0], Reason: "of a commit whose ID the event does not tell"}}}
	}
	var kept []event.Request
	for _, r := range plan.Requests {
		switch c := &r.Commit; {
		case strings.Contains(c.Message, "[skip]"):
			plan.Ignored = append(plan.Ignored, event.Ignored{Route: r.Route, Commit: c.SHA, Reason: "it says [skip]"})
			continue
		case c.PathsKnown && slices.Equal(c.Paths, []string{"docs"}):
			plan.Ignored = append(plan.Ignored, event.Ignored{Route: r.Route, Commit: c.SHA, Reason: "docs alone"})
			continue
		case !c.PathsKnown || !c.KnowsMessage():
			plan.Lacks = append(plan.Lacks, event.Lack{Route: r.Route, Commit: c.SHA, Message: !c.KnowsMessage(), Paths: !c.PathsKnown})
		}
		r.Input = fmt.Appendf(nil, `{"message":%q}`, r.Commit.Message)
		kept = append(kept, r)
	}
	plan.Requests = kept
	return plan
}

func told(sha, message string, paths ...string) event.Commit {
	return event.Commit{SHA: sha, Message: message, MessageKnown: true, Paths: paths, PathsKnown: true}
}

// pushed is a push that tells everything, or only a part.
func pushed(id, before string, truncated bool, commits ...event.Commit) event.Event {
	ev := push(id)
	ev.Before, ev.After, ev.Commits, ev.Truncated = before, commits[len(commits)-1].SHA, commits, truncated
	return ev
}

// pulled is a pull request's event, which tells nothing.
func pulled(id string, number int, sha string) event.Event {
	ev := push(id)
	ev.Kind, ev.Action, ev.After, ev.PullRequest = event.PullRequest, "opened", sha, &event.PullReq{Number: number, Base: "main"}
	ev.Commits = []event.Commit{{SHA: sha}}
	return ev
}

func withHost(t *testing.T, path string, e *engine, h dispatch.Host) *service {
	t.Helper()
	return run(t, path, e, picky{oneRoute}, dispatch.Config{PollEvery: time.Hour, CompleteFor: 10 * time.Minute}, dispatch.WithHost(h))
}

func (s *service) reasons(id string) []string {
	s.t.Helper()
	d, err := s.Delivery(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	var all []string
	for _, r := range d.Reasons {
		all = append(all, strings.Join(strings.Fields(r.Commit+" "+r.Execution+" "+r.Reason), " "))
	}
	return all
}

func (s *service) same(what string, got, want []string) {
	s.t.Helper()
	if !slices.Equal(got, want) {
		s.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func (s *service) delivery(id string) dispatch.Delivery {
	s.t.Helper()
	d, err := s.Delivery(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return d.Delivery
}

func TestPullRequestsKnowWhatPushesSaid(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		h := &host{}
		s := withHost(t, path, newEngine(), h)
		defer s.stop()
		s.accept(pushed("d1", "", false, told("a", "one", "docs"), told("b", "two [skip]", "x"), told("c", "three", "x")))
		settle()
		for i, sha := range []string{"a", "b", "c"} {
			id := "pr" + sha
			receipt := s.accept(pulled(id, i+1, sha))
			settle()
			want := map[string]string{"a": "route r: docs alone", "b": "route r: it says [skip]", "c": ""}[sha]
			if receipt.Ignored != want {
				t.Errorf("%s: %+v", sha, receipt)
			}
			if again := s.accept(pulled(id, i+1, sha)); again.Ignored != want || !slices.Equal(again.Executions, receipt.Executions) {
				t.Errorf("%s, delivered again: %+v", sha, again)
			}
		}
		s.same("the reasons", s.reasons("github:prc"), []string{"c c-r already requested by delivery github:d1"})
		// Both in one step, so that the journal has nothing yet.
		s.accept(pushed("d2", "c", false, told("d", "four", "docs")))
		if r := s.accept(pulled("prd", 4, "d")); r.Ignored != "route r: docs alone" {
			t.Errorf("at once: %+v", r)
		}
		settle()
		s.same("the reasons in one step", s.reasons("github:prd"), []string{"d docs alone"})
		s.same("nobody was asked", h.calls(), nil)
	})
}

func TestTheHostIsAskedBeforeTheRequestIsMade(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		h := &host{commit: map[string]event.Commit{"a": told("a", "from the host", "x"), "b": told("b", "m", "docs")}}
		h.answer(func(context.Context, string, int) error { return errors.New("502 from the host") })
		s := withHost(t, path, e, h)
		if r := s.accept(pulled("d1", 1, "a")); !slices.Equal(r.Executions, []string{"a-r"}) || r.New != 1 {
			t.Errorf("%+v", r)
		}
		s.accept(pushed("d2", "", false, told("z", "m", "x")))
		s.want(map[string]dispatch.State{"z-r": dispatch.StateRunning}) // and nothing of the first
		d := s.delivery("github:d1")
		if d.State != dispatch.DeliveryCompleting || !strings.Contains(d.WaitsFor, "502 from the host") || d.Tries != 1 || d.NextTry.IsZero() {
			t.Errorf("%+v", d)
		}
		if r := s.accept(pulled("d1", 1, "a")); !r.Duplicate || r.New != 0 || !slices.Equal(r.Executions, []string{"a-r"}) {
			t.Errorf("delivered again: %+v", r)
		}
		if depth, err := s.Depth(t.Context()); err != nil || depth.Completing != 1 || depth.Deliveries != 0 {
			t.Errorf("%+v, %v", depth, err)
		}
		time.Sleep(3 * time.Minute)
		s.stop()
		h.answer(nil)
		s = withHost(t, path, e, h)
		defer func() { s.stop() }()
		time.Sleep(5 * time.Minute)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
		if x := s.get("a-r"); string(x.Input) != `{"message":"from the host"}` || x.Title != "from the host" {
			t.Errorf("%+v", x)
		}
		s.same("no reason", s.reasons("github:d1"), nil)
		s.accept(pulled("d3", 2, "b"))
		settle()
		s.same("the host's word decides", s.reasons("github:d3"), []string{"b docs alone"})
		n := len(h.calls())
		s.accept(pulled("d4", 3, "a"))
		s.accept(pulled("d5", 4, "b"))
		settle()
		s.same("and is remembered", s.reasons("github:d5"), []string{"b docs alone"})
		if len(h.calls()) != n {
			t.Errorf("asked again: %v", h.calls()[n:])
		}
	})
}

func TestWhatNobodyTellsIsARecordedReason(t *testing.T) {
	noToken := fmt.Errorf("%w: sources.github has no token", dispatch.ErrCannotAsk)
	for name, row := range map[string]struct {
		host dispatch.Host
		why  string
	}{
		"no host":            {nil, "the host's API cannot be asked: give the source github access to it, for example by a token"},
		"no token":           {&host{on: func(context.Context, string, int) error { return noToken }}, "ask for commit a: the host's API cannot be asked: sources.github has no token"},
		"known to have none": {refuser{&host{}}, "the host's API cannot be asked: github is not set up"},
		"refused":            {&host{on: func(context.Context, string, int) error { return &dispatch.PermanentError{Err: errors.New("404")} }}, "ask for commit a: 404"},
		"never answers":      {&host{on: func(ctx context.Context, _ string, _ int) error { <-ctx.Done(); return ctx.Err() }}, "the host was asked for 10m0s in vain, and said at last: ask for commit a: get commit: no answer within 30s"},
		"panics":             {&host{on: func(context.Context, string, int) error { panic("nil map") }}, "ask for commit a: panic: nil map"},
		"throttles": {&host{on: func(context.Context, string, int) error {
			return &dispatch.ThrottledError{After: 6 * time.Minute, Err: errors.New("429")}
		}}, "the host was asked for 10m0s in vain, and said at last: ask for commit a: 429"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, path string) {
				s := withHost(t, path, newEngine(), row.host)
				defer s.stop()
				s.accept(pulled("d1", 1, "a"))
				time.Sleep(15 * time.Minute)
				s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
				s.same("reasons", s.reasons("github:d1"), []string{"a a-r routed without knowing its message and what it changed: " + row.why})
				if r := s.accept(pulled("d1", 1, "a")); !slices.Equal(r.Executions, []string{"a-r"}) {
					t.Errorf("delivered again: %+v", r)
				}
			})
		})
	}
}

// A delivery can be ahead of the host's API, which then knows no such commit.
func TestAHostIsAskedAgainForWhatItDoesNotKnowYet(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		began := time.Now()
		h := &host{commits: map[string][]event.Commit{"b": {told("a", "of a", "x"), told("b", "of b", "x")}}}
		h.answer(func(context.Context, string, int) error {
			if time.Since(began) < 2*time.Second {
				return &dispatch.PermanentError{Err: errors.New("404")}
			}
			return nil
		})
		s := withHost(t, path, newEngine(), h)
		defer s.stop()
		s.accept(pushed("d1", "z", true, told("b", "of b", "x")))
		time.Sleep(15 * time.Second)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning, "b-r": dispatch.StateRunning})
	})
}

// refuser is a host that knows that it cannot be asked.
type refuser struct{ *host }

func (refuser) Refuses(source string) error {
	return fmt.Errorf("%w: %s is not set up", dispatch.ErrCannotAsk, source)
}

// TestNobodyWaitsForASourceThatCannotBeAsked decides by the order in which
// deliveries came.
func TestNobodyWaitsForASourceThatCannotBeAsked(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		h := refuser{&host{}}
		s := withHost(t, path, newEngine(), h)
		defer s.stop()
		s.accept(pulled("d1", 1, "a"))
		s.accept(pushed("d2", "", true, told("a", "m [skip]", "x"), told("b", "m", "x")))
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning, "b-r": dispatch.StateRunning})
		s.same("reasons", s.reasons("github:d2"), []string{"a it says [skip]",
			"the host did not list the other commits of the push: the host's API cannot be asked: github is not set up"})
		s.same("nobody was asked", h.calls(), nil)
	})
}

func TestATruncatedPushIsCompleted(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		h := &host{commits: map[string][]event.Commit{"d": {{SHA: "a", Message: "of a"}, {SHA: "b"}, {SHA: "c"}, {SHA: "d"}}},
			commit: map[string]event.Commit{"a": told("a", "of a", "x"), "b": told("b", "of b", "docs")}}
		h.answer(func(context.Context, string, int) error { return errors.New("502") })
		s := withHost(t, path, e, h)
		defer func() { s.stop() }()
		s.accept(pushed("d1", "z", true, told("c", "of c", "x"), told("d", "of d", "x")))
		s.accept(pushed("d2", "d", false, told("e", "of e", "x")))
		elsewhere := pushed("d3", "", false, told("f", "of f", "x"))
		elsewhere.Ref = "refs/heads/other"
		s.accept(elsewhere)
		s.want(map[string]dispatch.State{"f-r": dispatch.StateRunning})
		if d := s.delivery("github:d2"); d.State != dispatch.DeliveryCompleting || d.WaitsFor != dispatch.WaitsBehind("github:d1") {
			t.Errorf("%+v", d)
		}
		s.stop()
		h.answer(nil)
		s = withHost(t, path, e, h)
		time.Sleep(time.Minute)
		settle()
		page, err := s.Executions(t.Context(), dispatch.ExecutionFilter{})
		if err != nil {
			t.Fatal(err)
		}
		var order []string
		for _, x := range page.Executions {
			order = append(order, x.ID)
		}
		s.same("the newest last", order, []string{"e-r", "d-r", "c-r", "a-r", "f-r"})
		s.same("reasons", s.reasons("github:d1"), []string{"b docs alone"})
		d, err := s.Delivery(t.Context(), "github:d1")
		if err != nil || d.Event.Truncated || d.Commits != 4 || len(d.Event.Commits) != 4 || d.Event.Commits[2].Message != "of c" || d.State != dispatch.DeliveryExpanded {
			t.Errorf("%+v, %v", d, err)
		}
		// The ref is where the completed push and the one behind it left it.
		back := pushed("d4", "e", false, told("c", "of c", "x"))
		settle()
		s.accept(back)
		settle()
		s.same("moved back", s.reasons("github:d4"), []string{"c c-r already requested by delivery github:d1; the branch moved back to it; set revisit: run on the route to run it again"})
	})
}

// A host may tell of a commit by the first digits of its ID. Nothing starts under
// those: it is asked which commit that is.
func TestACommitIsNamedBeforeItStarts(t *testing.T) {
	short := func(id string, number int) event.Event {
		ev := pulled(id, number, "")
		ev.Head, ev.Commits, ev.Truncated = "abc", nil, true
		return ev
	}
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		h := &host{commits: map[string][]event.Commit{"": {told("a", "of a", "x"), told("abcdef", "of the head", "x")}}}
		h.answer(func(context.Context, string, int) error { return errors.New("502") })
		s := withHost(t, path, e, h)
		defer func() { s.stop() }()
		if r := s.accept(short("d1", 1)); len(r.Executions) > 0 {
			t.Errorf("answered with %v", r.Executions)
		}
		settle()
		if d := s.delivery("github:d1"); d.State != dispatch.DeliveryCompleting {
			t.Errorf("%+v", d)
		}
		s.want(map[string]dispatch.State{})
		s.stop()
		h.answer(nil)
		s = withHost(t, path, e, h)
		time.Sleep(time.Minute)
		settle()
		s.want(map[string]dispatch.State{"abcdef-r": dispatch.StateRunning, "a-r": dispatch.StateRunning})
		if d, err := s.Delivery(t.Context(), "github:d1"); err != nil || d.Event.After != "abcdef" || d.Event.Truncated {
			t.Errorf("%+v %v", d.Event, err)
		}
		// A host that knows of none, or cannot be asked, leaves a reason.
		h.commits = nil
		s.accept(short("d2", 2))
		time.Sleep(time.Hour)
		settle()
		s.same("none", s.reasons("github:d2"), []string{
			"of a commit whose ID the event does not tell",
			"nothing starts, since it is not known which commit abc is: the host names no commit for abc, which is all that the delivery says of the head",
		})
		h.answer(func(context.Context, string, int) error { return dispatch.ErrCannotAsk })
		s.accept(short("d3", 3))
		settle()
		if got := s.reasons("github:d3"); len(got) != 2 || !strings.HasPrefix(got[1], "nothing starts, since it is not known which commit abc is: ") {
			t.Error(got)
		}
	})
}

func TestAHostThatNeverAnswersHoldsUpNobodyElse(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		h := &host{commits: map[string][]event.Commit{}, commit: map[string]event.Commit{}}
		h.answer(func(ctx context.Context, source string, _ int) error {
			if source == "slow" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		for i := range 40 {
			sha := fmt.Sprint("s", i)
			h.commit[sha], h.commit["g"+sha] = told(sha, "m", "x"), told("g"+sha, "m", "x")
		}
		s := withHost(t, path, newEngine(), h)
		defer s.stop()
		for i := range 40 {
			ev := pulled(fmt.Sprint("d", i), i, fmt.Sprint("s", i))
			ev.Source = "slow"
			s.accept(ev)
		}
		settle()
		s.accept(pulled("d", 1, "gs1"))
		s.want(map[string]dispatch.State{"gs1-r": dispatch.StateRunning})
		h.answer(nil)
		time.Sleep(9 * time.Minute)
		s.want(map[string]dispatch.State{"s0-r": dispatch.StateRunning, "s39-r": dispatch.StateRunning})
	})
}

func TestGivenUpPushStartsWhatItHas(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		h := &host{on: func(context.Context, string, int) error { return errors.New("503") }}
		s := withHost(t, path, newEngine(), h)
		defer s.stop()
		s.accept(pushed("d1", "z", true, told("a", "m", "x")))
		time.Sleep(9 * time.Minute)
		if s.want(map[string]dispatch.State{}); s.delivery("github:d1").State != dispatch.DeliveryCompleting {
			t.Errorf("%+v", s.delivery("github:d1"))
		}
		time.Sleep(5 * time.Minute)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
		s.same("reasons", s.reasons("github:d1"), []string{
			"the host did not list the other commits of the push: the host was asked for 10m0s in vain, and said at last: list the commits of the push: 503",
		})
		// The host is there again, and someone wants the rest.
		h.answer(nil)
		h.commits = map[string][]event.Commit{"a": {told("b", "m", "x"), told("a", "m", "x")}}
		if _, err := s.Replay(t.Context(), "github:d1"); err != nil {
			t.Fatal(err)
		}
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning, "b-r": dispatch.StateRunning})
		s.same("no reasons", s.reasons("github:d1"), nil)
	})
}

// A host that needs many calls for one answer, and gets on with each, is not
// kept waiting as one that fails.
func TestALongAnswerIsAskedForWithoutLongPauses(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		h := &host{commits: map[string][]event.Commit{"b": {told("a", "m", "x"), told("b", "m", "x")}}}
		h.answer(func(_ context.Context, _ string, call int) error {
			if call < 100 {
				return &dispatch.UnfinishedError{Err: fmt.Errorf("%d commits so far", call)}
			}
			return nil
		})
		s := withHost(t, path, newEngine(), h)
		defer s.stop()
		s.accept(pushed("d1", "z", true, told("b", "m", "x")))
		time.Sleep(2 * time.Minute)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning, "b-r": dispatch.StateRunning})
	})
}

// However many deliveries of a source whose host hangs are due, those of
// others, which fell due later, are completed meanwhile.
func TestHostThatHangsKeepsNoOtherSourceWaiting(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		h := &host{commit: map[string]event.Commit{"good": told("good", "m", "x")}}
		h.answer(func(ctx context.Context, source string, _ int) error {
			if source != "slow" {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		})
		s := run(t, path, newEngine(), picky{oneRoute}, dispatch.Config{CallTimeout: 24 * time.Hour, MaxPending: 1000}, dispatch.WithHost(h))
		defer s.stop()
		const many = 200
		for i := range many {
			ev := pulled(fmt.Sprint("s", i), i+1, fmt.Sprint("slow", i))
			ev.Source = "slow"
			s.accept(ev)
		}
		settle()
		if depth, err := s.Depth(t.Context()); err != nil || depth.Completing != many {
			t.Fatalf("%+v, %v", depth, err)
		}
		s.accept(pulled("d1", 1, "good"))
		settle()
		s.want(map[string]dispatch.State{"good-r": dispatch.StateRunning})
		if n := len(h.calls()); n != 3 {
			t.Errorf("the hosts were asked %d times", n)
		}
	})
}

// A host that does not tell where a branch was is asked for what came after the
// push before, and for the whole branch where there was none.
func TestAPushLeadsOnFromWhereTheBranchWas(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		h := &befores{host: host{commits: map[string][]event.Commit{"b": {{SHA: "a"}, {SHA: "b"}}, "d": {{SHA: "c"}, {SHA: "d"}}}}}
		s := withHost(t, path, newEngine(), h)
		defer func() { s.stop() }()
		for _, id := range []string{"b", "d"} {
			ev := pushed("to-"+id, "", true, told(id, "of "+id, "x"))
			ev.BeforeUnknown = true
			s.accept(ev)
		}
		created := pushed("created", "", true, told("f", "of f", "x"))
		s.accept(created)
		time.Sleep(time.Minute)
		settle()
		slices.Sort(h.of)
		s.same("led on from", h.of, []string{"b after ", "d after b", "f after "})
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning, "b-r": dispatch.StateRunning, "c-r": dispatch.StateRunning, "d-r": dispatch.StateRunning, "f-r": dispatch.StateRunning})
		if d, err := s.Delivery(t.Context(), "github:to-d"); err != nil || d.Event.Before != "b" {
			t.Errorf("%+v, %v", d.Event, err)
		}
	})
}

// befores notes where each push led on from.
type befores struct {
	host
	of []string
}

func (h *befores) Commits(ctx context.Context, push *event.Event) ([]event.Commit, error) {
	h.mu.Lock()
	h.of = append(h.of, push.After+" after "+push.Before)
	h.mu.Unlock()
	return h.host.Commits(ctx, push)
}
