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

// people are who may write, pull requests, and what was said to their authors.
type people struct {
	mu      sync.Mutex
	may     map[string]bool
	names   map[string][]string
	pulls   map[int]event.Event
	asked   []string
	said    []dispatch.Answer
	refuses error
	// on answers in their place when it returns an error.
	on func(ctx context.Context, what string) error
}

func (p *people) ask(ctx context.Context, what string) error {
	p.mu.Lock()
	p.asked = append(p.asked, what)
	on := p.on
	p.mu.Unlock()
	if on != nil {
		return on(ctx, what)
	}
	return nil
}

func (p *people) answer(on func(ctx context.Context, what string) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.on = on
}

func (p *people) RefusesCommands(string) error { return p.refuses }

func (p *people) MayWrite(ctx context.Context, source, repository, login string) (bool, error) {
	return p.may[login], p.ask(ctx, fmt.Sprintf("may %s write to %s:%s", login, source, repository))
}

func (p *people) Names(ctx context.Context, source, repository, login string) ([]string, error) {
	return p.names[login], p.ask(ctx, fmt.Sprintf("names of %s at %s:%s", login, source, repository))
}

func (p *people) PullRequest(ctx context.Context, _, _ string, number int) (event.Event, error) {
	if err := p.ask(ctx, fmt.Sprint("pull request ", number)); err != nil {
		return event.Event{}, err
	}
	pull, ok := p.pulls[number]
	if !ok {
		return pull, &dispatch.PermanentError{Err: errors.New("404")}
	}
	return pull, nil
}

func (p *people) Answer(ctx context.Context, a *dispatch.Answer) error {
	if err := p.ask(ctx, "answer "+a.Comment); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, *a)
	return nil
}

func (p *people) answers() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, a := range p.said {
		text := a.Text
		if a.Unlabel != "" {
			text = "without " + a.Unlabel
		}
		all = append(all, fmt.Sprintf("#%d %s: %s", a.PullRequest, a.Comment, text))
	}
	return all
}

func (p *people) count(prefix string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.asked {
		if strings.HasPrefix(a, prefix) {
			n++
		}
	}
	return n
}

// commanded is a command that ada gave in a comment on pull request 1.
func commanded(id string, o event.Order) event.Event {
	o.PullRequest, o.Comment = 1, "c-"+id
	return event.Event{Source: "github", DeliveryID: id, Kind: event.Command, Repository: event.Repository{FullName: "acme/api"}, Sender: "ada", Command: &o}
}

func withPeople(t *testing.T, path string, e *engine, p dispatch.Planner, who *people, opts ...dispatch.Option) *service {
	t.Helper()
	return run(t, path, e, p, dispatch.Config{PollEvery: time.Hour, CompleteFor: 10 * time.Minute}, append([]dispatch.Option{dispatch.WithCommander(who)}, opts...)...)
}

var twoRoutes = planner{routes: []string{"r", "lint"}}

func (e *engine) end(s *service, id string, status event.ExecutionStatus) {
	s.t.Helper()
	if err := s.Observe(s.t.Context(), e.finish(id, status)); err != nil {
		s.t.Fatal(err)
	}
	settle()
}

func TestRerunRunsAgainWhatDidNotSucceed(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e, who := newEngine(), &people{may: map[string]bool{"ada": true}}
		s := withPeople(t, path, e, twoRoutes, who)
		defer s.stop()
		s.accept(pulled("d1", 1, "a"))
		settle()
		e.end(s, "a-r", event.Failed)
		e.end(s, "a-lint", event.Succeeded)
		r := s.accept(commanded("c1", event.Order{Verb: event.Rerun}))
		if r.Ignored != "" || len(r.Executions) != 0 || r.Note == "" {
			t.Errorf("%+v", r)
		}
		s.want(map[string]dispatch.State{"a-r-r2": dispatch.StateRunning})
		s.same("the answer", who.answers(), []string{"#1 c-c1: Running again:\n- `a-r-r2`: `rerun of a-r by ada on pull request #1`"})
		s.same("recorded", s.reasons("github:comment-acme/api-c-c1"), []string{"a a-r-r2 rerun of a-r by ada on pull request #1"})
		// Another webhook tells of the same comment.
		again := commanded("c1", event.Order{Verb: event.Rerun})
		again.DeliveryID, again.Digest = "other", strings.Repeat("f", 64)
		if r := s.accept(again); !r.Duplicate || !slices.Equal(r.Executions, []string{"a-r-r2"}) {
			t.Errorf("delivered again: %+v", r)
		}
		if _, err := s.Replay(t.Context(), "github:comment-acme/api-c-c1"); !errors.As(err, new(*dispatch.PermanentError)) {
			t.Errorf("replayed: %v", err)
		}
		s.accept(commanded("c2", event.Order{Verb: event.Rerun}))
		settle()
		s.accept(commanded("c3", event.Order{Verb: event.Rerun, Route: "lint"}))
		settle()
		s.accept(commanded("c4", event.Order{Verb: event.Rerun, Route: "n`o @acme/all"}))
		settle()
		if got := who.answers()[1:]; len(got) != 3 || !strings.Contains(got[0], "all 1 executions of commit a that have ended succeeded") ||
			!strings.Contains(got[1], "`a-lint-r2`") || !strings.Contains(got[2], "Not done: `no execution of commit a is known on a route \"n'o @acme/all\"`") {
			t.Errorf("%q", got)
		}
		if n := e.calls("a-r-r2") + e.calls("a-lint-r2"); n != 2 || len(e.names()) != 4 {
			t.Errorf("started %q", e.names())
		}
	})
}

func TestStopEndsWhatAPullRequestHasAskedFor(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e, who := newEngine(), &people{may: map[string]bool{"ada": true}}
		s := withPeople(t, path, e, numbered{twoRoutes}, who)
		defer s.stop()
		s.accept(pulled("d1", 1, "a"))
		s.accept(pulled("d2", 2, "x"))
		s.accept(pulled("d3", 1, "b"))
		settle()
		e.end(s, "a-lint", event.Succeeded)
		s.accept(commanded("c1", event.Order{Verb: event.Stop, Route: "lint"}))
		time.Sleep(time.Minute)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning, "b-r": dispatch.StateRunning, "b-lint": dispatch.StateAborted, "x-lint": dispatch.StateRunning})
		s.accept(commanded("c2", event.Order{Verb: event.Stop}))
		time.Sleep(time.Minute)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateAborted, "b-r": dispatch.StateAborted, "x-r": dispatch.StateRunning})
		s.accept(commanded("c3", event.Order{Verb: event.Stop}))
		settle()
		got := who.answers()
		if len(got) != 3 || got[0] != "#1 c-c1: Stopping:\n- `b-lint`: `stopped by ada on pull request #1`" || !strings.Contains(got[2], "nothing waits or runs") {
			t.Errorf("%q", got)
		}
	})
}

// numbered notes which pull request asked.
type numbered struct{ planner }

func (p numbered) Plan(ev event.Event) event.Plan {
	plan := p.planner.Plan(ev)
	for i := range plan.Requests {
		if ev.PullRequest != nil {
			plan.Requests[i].PullRequest = ev.PullRequest.Number
		}
	}
	return plan
}

// Somebody who may not is told nothing, and neither is anybody while it is not
// known who may.
func TestCommandsOfStrangersDoNothing(t *testing.T) {
	for name, row := range map[string]struct {
		who    *people
		reason string
	}{
		"a stranger":           {&people{}, `"ada" may not write to acme/api, and commands are for those who may`},
		"no access":            {&people{refuses: fmt.Errorf("%w: set a token", dispatch.ErrCannotAsk)}, "not carried out: the host's API cannot be asked: set a token"},
		"the host refuses":     {&people{may: map[string]bool{"ada": true}, on: func(context.Context, string) error { return &dispatch.PermanentError{Err: errors.New("403")} }}, `not carried out: ask whether "ada" may write to acme/api: 403`},
		"the host is away":     {&people{may: map[string]bool{"ada": true}, on: func(context.Context, string) error { return errors.New("502") }}, `not carried out: the host was asked for 10m0s in vain, and said at last: ask whether "ada" may write to acme/api: 502`},
		"asking for it panics": {&people{may: map[string]bool{"ada": true}, on: func(context.Context, string) error { panic("nil map") }}, `not carried out: ask whether "ada" may write to acme/api: panic: nil map`},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, path string) {
				e := newEngine()
				s := withPeople(t, path, e, oneRoute, row.who)
				defer s.stop()
				s.accept(pulled("d1", 1, "a"))
				settle()
				// No delivery says what the host has said.
				s.accept(commanded("c1", event.Order{Verb: event.Stop, Verdict: event.Granted}))
				time.Sleep(20 * time.Minute)
				s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
				s.same("the reason", s.reasons("github:comment-acme/api-c-c1"), []string{row.reason})
				s.same("nobody is told", row.who.answers(), nil)
			})
		})
	}
}

// A command is carried out once, and answered, whenever the process ends.
func TestACommandSurvivesTheProcess(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e, who := newEngine(), &people{may: map[string]bool{"ada": true}}
		away := func(context.Context, string) error { return errors.New("502") }
		who.answer(away)
		s := withPeople(t, path, e, oneRoute, who)
		s.accept(pulled("d1", 1, "a"))
		settle()
		e.end(s, "a-r", event.Failed)
		s.accept(commanded("c1", event.Order{Verb: event.Rerun}))
		settle()
		if d := s.delivery("github:comment-acme/api-c-c1"); d.State != dispatch.DeliveryCompleting || !strings.Contains(d.WaitsFor, "502") {
			t.Errorf("%+v", d)
		}
		s.stop()

		who.answer(func(ctx context.Context, what string) error {
			if strings.HasPrefix(what, "answer") {
				return errors.New("502")
			}
			return nil
		})
		s = withPeople(t, path, e, oneRoute, who)
		time.Sleep(time.Minute)
		s.want(map[string]dispatch.State{"a-r-r2": dispatch.StateRunning})
		if depth, err := s.Depth(t.Context()); err != nil || depth.Answers != 1 {
			t.Errorf("%+v, %v", depth, err)
		}
		s.stop()

		who.answer(nil)
		s = withPeople(t, path, e, oneRoute, who)
		defer s.stop()
		time.Sleep(5 * time.Minute)
		if got := who.answers(); len(got) != 1 || !strings.Contains(got[0], "a-r-r2") {
			t.Errorf("%q", got)
		}
		if e.calls("a-r-r2") != 1 || len(e.names()) != 2 {
			t.Errorf("started %q", e.names())
		}
		if depth, err := s.Depth(t.Context()); err != nil || depth.Answers != 0 {
			t.Errorf("%+v, %v", depth, err)
		}
	})
}

// Requests wait neither for commands nor for what they wait for.
func TestNothingWaitsForACommand(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		who := &people{on: func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }}
		s := withPeople(t, path, newEngine(), oneRoute, who)
		defer s.stop()
		s.accept(commanded("c1", event.Order{Verb: event.Rerun}))
		settle()
		s.accept(pulled("d1", 1, "a"))
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
	})
}

// An answer that the host does not take is given up in the end.
func TestAnswersAreGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		who := &people{may: map[string]bool{"ada": true}}
		who.answer(func(_ context.Context, what string) error {
			switch {
			case strings.HasPrefix(what, "answer c-c1"):
				return &dispatch.PermanentError{Err: errors.New("410, the comment is gone")}
			case strings.HasPrefix(what, "answer"):
				return errors.New("502")
			}
			return nil
		})
		s := withPeople(t, path, newEngine(), oneRoute, who)
		defer s.stop()
		s.accept(commanded("c1", event.Order{Verb: event.Stop}))
		s.accept(commanded("c2", event.Order{Verb: event.Stop}))
		time.Sleep(30 * time.Minute)
		if depth, err := s.Depth(t.Context()); err != nil || depth.Answers != 0 {
			t.Errorf("%+v, %v", depth, err)
		}
		if one, two := who.count("answer c-c1"), who.count("answer c-c2"); one != 1 || two < 3 || two > 30 {
			t.Errorf("answered %d and %d times", one, two)
		}
	})
}

// forks start nothing unless the one commit was allowed.
type forks struct{ dispatch.Planner }

func (p forks) Plan(ev event.Event) event.Plan {
	if ev.Kind == event.PullRequest && ev.PullRequest.Fork && ev.Action != "allowed" {
		return event.Plan{Ignored: []event.Ignored{{Route: "r", Reason: "it comes from a `fork` of <b>@acme/all</b>"}}}
	}
	return p.Planner.Plan(ev)
}

func forked(sha string) event.Event {
	ev := pulledOf("", 1, 3, sha)
	ev.Action, ev.PullRequest.Fork, ev.PullRequest.HeadRepo, ev.Source, ev.DeliveryID = "synchronize", true, "eve/api", "", ""
	return ev
}

func TestAllowLetsOneCommitRun(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e, who := newEngine(), &people{may: map[string]bool{"ada": true}, pulls: map[int]event.Event{1: forked("c")}}
		h := &host{commits: map[string][]event.Commit{"c": {told("a", "of a", "x"), told("b", "of b", "x"), told("c", "of c", "x")}}}
		s := withPeople(t, path, e, forks{oneRoute}, who, dispatch.WithHost(h))
		defer s.stop()
		first := forked("c")
		first.Source, first.DeliveryID = "github", "d1"
		s.accept(first)
		settle()
		for i, sha := range []string{"b", "z", "c"} {
			s.accept(commanded(fmt.Sprint("c", i), event.Order{Verb: event.Allow, SHA: sha}))
			settle()
		}
		s.want(map[string]dispatch.State{"b-r": dispatch.StateRunning, "c-r": dispatch.StateRunning})
		if len(e.names()) != 2 {
			t.Errorf("started %q", e.names())
		}
		s.same("answers", who.answers(), []string{"#1 c-c0: `b` may run:\n- `b-r`: route `r`", "#1 c-c1: Not done: `pull request #1 has no commit z`", "#1 c-c2: `c` may run:\n- `c-r`: route `r`"})
		if d := s.delivery("github:comment-acme/api-c-c0"); d.Requested != 1 {
			t.Errorf("%+v", d)
		}
		for _, sha := range []string{"b", "c"} {
			if held, err := s.j.Holders(t.Context(), sha); err != nil || len(held) != 1 || held[0].Own {
				t.Errorf("%s: %+v, %v", sha, held, err)
			}
		}
		// What is pushed after that is not allowed by it.
		next := forked("d")
		next.Source, next.DeliveryID = "github", "d2"
		s.accept(next)
		settle()
		if len(e.names()) != 2 {
			t.Errorf("started %q", e.names())
		}
	})
}

func TestExplainSaysWhatRoutesMakeOfAPullRequest(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e, who := newEngine(), &people{may: map[string]bool{"ada": true}, pulls: map[int]event.Event{1: forked("c")}}
		s := withPeople(t, path, e, forks{oneRoute}, who)
		defer s.stop()
		s.accept(pushed("d1", "", false, told("c", "of c", "x")))
		settle()
		e.end(s, "c-r", event.Failed)
		s.accept(commanded("c1", event.Order{Verb: event.Explain}))
		settle()
		s.same("the answer", who.answers(), []string{"#1 c-c1: Commit `c`:\n- `c-r`: Failed. test\n- route `r`: `it comes from a 'fork' of <b>@acme/all</b>`"})
		if len(e.names()) != 1 {
			t.Errorf("started %q", e.names())
		}
	})
}

// A button of a check names an execution, of its own repository alone.
func TestACommandNamesAnExecution(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e, who := newEngine(), &people{may: map[string]bool{"ada": true}}
		s := withPeople(t, path, e, oneRoute, who)
		defer s.stop()
		s.accept(pushed("d1", "", false, told("c", "of c", "x")))
		settle()
		e.end(s, "c-r", event.Succeeded)
		for i, repository := range []string{"acme/api", "eve/api"} {
			ev := commanded(fmt.Sprint("c", i), event.Order{Verb: event.Rerun, Execution: "c-r"})
			ev.Repository.FullName, ev.Command.PullRequest, ev.Command.Comment = repository, 0, ""
			s.accept(ev)
			settle()
		}
		s.want(map[string]dispatch.State{"c-r-r2": dispatch.StateRunning})
		s.same("another's", s.reasons("github:c1"), []string{`no execution "c-r" of this repository is known`})
		s.same("no comment, no answer", who.answers(), nil)
	})
}

// outdating says that a fork's label speaks for an older commit.
type outdating struct{ planner }

func (p outdating) Plan(ev event.Event) event.Plan {
	if ev.Action == "synchronize" {
		return event.Plan{Ignored: []event.Ignored{{Route: "r", Reason: "older"}}, Outdated: []string{"safe to test"}}
	}
	return p.planner.Plan(ev)
}

// Once another commit has come, the label that let the one before run is taken
// off.
func TestALabelIsTakenOffWhenAnotherCommitComes(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		who := &people{}
		who.answer(func(context.Context, string) error { return errors.New("502") })
		s := withPeople(t, path, newEngine(), outdating{oneRoute}, who)
		ev := pulled("d1", 1, "a")
		ev.Action = "labeled"
		s.accept(ev)
		ev = pulled("d2", 1, "b")
		ev.Action = "synchronize"
		s.accept(ev)
		late := pulled("d3", 2, "c")
		late.Action, late.Late = "synchronize", true
		s.accept(late)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
		s.stop()
		who.answer(nil)
		s = withPeople(t, path, newEngine(), outdating{oneRoute}, who)
		defer s.stop()
		time.Sleep(time.Minute)
		s.same("taken off", who.answers(), []string{"#1 : without safe to test"})
	})
}

// A label that a person gave again stays, however late it was to be taken off.
func TestALabelThatWasGivenAgainStays(t *testing.T) {
	labeled := func(sha string) event.Event {
		ev := pulled("labeled", 1, sha)
		ev.Action, ev.PullRequest.Label = "labeled", "Safe to test"
		return ev
	}
	for name, row := range map[string]struct {
		now   string
		again *event.Event
		want  []string
	}{
		"neither":             {now: "b", want: []string{"#1 : without safe to test"}},
		"for a newer commit":  {now: "c"},
		"for the same commit": {now: "b", again: new(labeled("b"))},
		"another label":       {now: "b", again: func() *event.Event { ev := labeled("b"); ev.PullRequest.Label = "docs"; return &ev }(), want: []string{"#1 : without safe to test"}},
		"of another":          {now: "b", again: func() *event.Event { ev := labeled("b"); ev.PullRequest.Number = 2; return &ev }(), want: []string{"#1 : without safe to test"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, path string) {
				who := &people{pulls: map[int]event.Event{1: pulled("", 1, row.now)}}
				who.answer(func(context.Context, string) error { return errors.New("502") })
				s := withPeople(t, path, newEngine(), outdating{oneRoute}, who)
				defer s.stop()
				ev := pulled("d1", 1, "b")
				ev.Action = "synchronize"
				s.accept(ev)
				settle()
				if row.again != nil {
					s.accept(*row.again)
					settle()
				}
				who.answer(nil)
				time.Sleep(time.Minute)
				s.same("taken off", who.answers(), row.want)
				if depth, err := s.Depth(t.Context()); err != nil || depth.Answers != 0 {
					t.Errorf("%+v, %v", depth, err)
				}
			})
		})
	}
}

func TestNothingIsTakenOffWithoutAccess(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		who := &people{refuses: dispatch.ErrCannotAsk}
		s := withPeople(t, path, newEngine(), outdating{oneRoute}, who)
		defer s.stop()
		ev := pulled("d2", 1, "b")
		ev.Action = "synchronize"
		s.accept(ev)
		settle()
		if depth, err := s.Depth(t.Context()); err != nil || depth.Answers != 0 {
			t.Errorf("%+v, %v", depth, err)
		}
	})
}
