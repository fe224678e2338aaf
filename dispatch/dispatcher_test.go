package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/dispatch/journal"
	"switchyard/internal/event"
)

// engine is a Step Functions of our own, with a switch for every misfortune.
type engine struct {
	mu      sync.Mutex
	started map[string]int // calls by name
	running map[string]*event.Outcome
	order   []string
	active  int
	most    int
	stopped map[string]string
	// on answers a start in the engine's place when it returns an error.
	on func(ctx context.Context, name string, call int) error
	// forget makes Describe answer that it knows nothing.
	forget bool
	// lag is how long a start takes.
	lag time.Duration
}

func newEngine() *engine {
	return &engine{started: map[string]int{}, running: map[string]*event.Outcome{}, stopped: map[string]string{}}
}

func arnOf(name string) string {
	return "arn:aws:states:us-east-1:123456789012:execution:deploy:" + name
}

func (e *engine) Start(ctx context.Context, _, name string, input []byte) (dispatch.Started, error) {
	e.mu.Lock()
	e.started[name]++
	call := e.started[name]
	e.order = append(e.order, name)
	e.active++
	e.most = max(e.most, e.active)
	on, lag := e.on, e.lag
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		e.active--
		e.mu.Unlock()
	}()
	if lag > 0 {
		select {
		case <-time.After(lag):
		case <-ctx.Done():
			return dispatch.Started{}, ctx.Err()
		}
	}
	if on != nil {
		if err := on(ctx, name, call); err != nil {
			return dispatch.Started{}, err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if o, ok := e.running[arnOf(name)]; ok {
		if o.Input != string(input) {
			return dispatch.Started{}, &dispatch.PermanentError{Err: errors.New("the name is taken with another input")}
		}
		return dispatch.Started{ExecutionARN: arnOf(name), StartedAt: o.StartedAt, Existed: true}, nil
	}
	now := time.Now()
	e.running[arnOf(name)] = &event.Outcome{ExecutionARN: arnOf(name), Name: name, Status: event.Running, StartedAt: now, Input: string(input)}
	return dispatch.Started{ExecutionARN: arnOf(name), StartedAt: now}, nil
}

func (e *engine) Describe(_ context.Context, arn string) (event.Outcome, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	o, ok := e.running[arn]
	if !ok || e.forget {
		return event.Outcome{}, fmt.Errorf("describe: %w", dispatch.ErrNotFound)
	}
	return *o, nil
}

func (e *engine) Stop(_ context.Context, arn, name, cause string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped[arn] = name + ": " + cause
	if o := e.running[arn]; o != nil && !o.Status.Closed() {
		o.Status, o.StoppedAt, o.Error, o.Cause = event.Aborted, time.Now(), name, cause
	}
	return nil
}

// finish ends an execution and returns what the engine would say of it.
func (e *engine) finish(name string, s event.ExecutionStatus) event.Outcome {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.running[arnOf(name)]
	o.Status, o.StoppedAt, o.Output = s, time.Now(), `{"done":true}`
	return *o
}

// names are those of the start calls so far, in order.
func (e *engine) names() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.order)
}

// answer sets what the engine says to start calls from now on.
func (e *engine) answer(on func(ctx context.Context, name string, call int) error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.on = on
}

func (e *engine) calls(name string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.started[name]
}

// planner asks for an execution of every commit on each route, in the
// environment named by the ref.
type planner struct {
	routes []string
	cancel bool
	env    string
}

func (p planner) Plan(ev event.Event) event.Plan {
	var plan event.Plan
	for _, route := range p.routes {
		for _, c := range ev.Commits {
			plan.Requests = append(plan.Requests, event.Request{
				ID: c.SHA + "-" + route, Route: route, StateMachine: "deploy", Environment: p.env, Source: ev.Source, Repository: ev.Repository.FullName,
				Ref: ev.Ref, Kind: ev.Kind, Commit: c, Input: []byte(`{"sha":"` + c.SHA + `"}`), CancelSuperseded: p.cancel, Reason: "test",
			})
		}
	}
	if len(plan.Requests) == 0 {
		plan.Ignored = append(plan.Ignored, event.Ignored{Route: "nightly", Reason: "branch does not match"})
	}
	return plan
}

func push(id string, shas ...string) event.Event {
	ev := event.Event{Source: "github", DeliveryID: id, Kind: event.Push, Ref: "refs/heads/main", Repository: event.Repository{FullName: "acme/api"}}
	for _, sha := range shas {
		ev.Commits = append(ev.Commits, event.Commit{SHA: sha, Message: "Title of " + sha})
	}
	return ev
}

// service is a dispatcher that runs, on a journal that outlives it.
type service struct {
	*dispatch.Dispatcher
	t      *testing.T
	path   string
	j      *journal.SQLite
	engine *engine
	stop   func()
}

// run starts a dispatcher on the journal at path.
func run(t *testing.T, path string, e *engine, p dispatch.Planner, cfg dispatch.Config) *service {
	t.Helper()
	j, err := journal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	d, err := dispatch.New(j, e, p, cfg, dispatch.WithJitter(func() float64 { return 0.5 }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	s := &service{Dispatcher: d, t: t, path: path, j: j, engine: e}
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *service) accept(ev event.Event) event.Receipt {
	s.t.Helper()
	r, err := s.Accept(s.t.Context(), ev)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *service) get(id string) dispatch.Execution {
	s.t.Helper()
	x, err := s.Execution(s.t.Context(), id)
	if err != nil {
		s.t.Fatalf("%s: %v", id, err)
	}
	return x
}

// want waits until the bubble is idle and compares states.
func (s *service) want(states map[string]dispatch.State) {
	s.t.Helper()
	settle()
	got := map[string]dispatch.State{}
	for id := range states {
		if x, err := s.Execution(s.t.Context(), id); err == nil {
			got[id] = x.State
		}
	}
	if d := cmp.Diff(states, got); d != "" {
		s.t.Errorf("states (-want +got):\n%s", d)
	}
}

// settle lets everything happen that needs no time but the yielding pauses.
func settle() {
	time.Sleep(100 * time.Millisecond)
	synctest.Wait()
}

func bubble(t *testing.T, test func(t *testing.T, path string)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal.db")
	synctest.Test(t, func(t *testing.T) { test(t, path) })
}

var oneRoute = planner{routes: []string{"r"}}

func TestAcceptedCommitsRunToTheirEnd(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		s := run(t, path, newEngine(), oneRoute, dispatch.Config{})
		defer s.stop()
		got := s.accept(push("d1", "a", "b"))
		if d := cmp.Diff(event.Receipt{Delivery: "github:d1", Executions: []string{"a-r", "b-r"}}, got); d != "" {
			t.Errorf("receipt (-want +got):\n%s", d)
		}
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning, "b-r": dispatch.StateRunning})
		if err := s.Observe(t.Context(), s.engine.finish("a-r", event.Succeeded)); err != nil {
			t.Fatal(err)
		}
		s.engine.finish("b-r", event.Failed) // nobody tells us
		s.want(map[string]dispatch.State{"a-r": dispatch.StateSucceeded, "b-r": dispatch.StateRunning})
		time.Sleep(3 * time.Minute)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateSucceeded, "b-r": dispatch.StateFailed})
		if x := s.get("b-r"); string(x.Output) != `{"done":true}` || x.StoppedAt.IsZero() || x.ARN != arnOf("b-r") {
			t.Errorf("%+v", x)
		}
	})
}

func TestRepeatedDeliveryAnswersTheSame(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{})
		defer s.stop()
		first := s.accept(push("d1", "a", "b"))
		settle()
		// The routes have changed since, the answer has not.
		if err := s.Reconfigure(planner{}, dispatch.Config{}); err != nil {
			t.Fatal(err)
		}
		again := s.accept(push("d1", "a", "b"))
		first.Duplicate = true
		if d := cmp.Diff(first, again); d != "" {
			t.Errorf("repeat (-want +got):\n%s", d)
		}
		settle()
		if e.calls("a-r") != 1 {
			t.Errorf("started %d times", e.calls("a-r"))
		}
		ignored := s.accept(push("d2", "c"))
		if ignored.Ignored != "route nightly: branch does not match" || ignored.Executions != nil {
			t.Errorf("%+v", ignored)
		}
		settle()
		ignored.Duplicate = true
		if d := cmp.Diff(ignored, s.accept(push("d2", "c"))); d != "" {
			t.Errorf("repeat of an ignored one (-want +got):\n%s", d)
		}
	})
}

func TestPushAndPullRequestStartACommitOnce(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{})
		defer s.stop()
		s.accept(push("d1", "a"))
		pr := push("d2", "a")
		pr.Kind = event.PullRequest
		if got := s.accept(pr); len(got.Executions) != 1 || got.Duplicate {
			t.Errorf("%+v", got)
		}
		settle()
		if e.calls("a-r") != 1 {
			t.Errorf("started %d times", e.calls("a-r"))
		}
		d, err := s.Delivery(t.Context(), "github:d2")
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Reasons) != 1 || d.Reasons[0].Reason != "already requested by delivery github:d1" {
			t.Errorf("reasons %+v", d.Reasons)
		}
		again := s.accept(pr)
		if !again.Duplicate || !slices.Equal(again.Executions, []string{"a-r"}) {
			t.Errorf("repeat: %+v", again)
		}
	})
}

func TestStartsAreBoundedAndInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		e.lag = time.Second
		s := run(t, path, e, oneRoute, dispatch.Config{MaxStarts: 3})
		defer s.stop()
		var shas []string
		for i := range 20 {
			shas = append(shas, fmt.Sprintf("c%02d", i))
		}
		s.accept(push("d1", shas...))
		time.Sleep(10 * time.Second)
		settle()
		e.mu.Lock()
		if e.most != 3 {
			t.Errorf("%d starts at once, want 3", e.most)
		}
		e.mu.Unlock()
		// Starts of one moment may overtake one another, no others.
		order := e.names()
		for moment := range slices.Chunk(order, 3) {
			slices.Sort(moment)
		}
		if len(order) != 20 || !slices.IsSorted(order) {
			t.Errorf("order %v", order)
		}
	})
}

func TestStartsKeepThePace(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{StartRate: 10, StartBurst: 5})
		defer s.stop()
		var shas []string
		for i := range 100 {
			shas = append(shas, fmt.Sprintf("c%02d", i))
		}
		s.accept(push("d1", shas...))
		time.Sleep(time.Second)
		if n := len(e.names()); n < 13 || n > 16 {
			t.Errorf("%d starts in the first second, want the burst of 5 and 10 more", n)
		}
		time.Sleep(10 * time.Second)
		if n := len(e.names()); n != 100 {
			t.Errorf("%d starts after 11 s, want all", n)
		}
	})
}

func TestFailedStartBacksOffAndCounts(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		var at []time.Duration
		began := time.Now()
		e.on = func(_ context.Context, _ string, call int) error {
			at = append(at, time.Since(began).Round(time.Second))
			if call < 5 {
				return errors.New("connection refused")
			}
			return nil
		}
		s := run(t, path, e, oneRoute, dispatch.Config{RetryBase: 4 * time.Second, RetryMax: 20 * time.Second})
		defer s.stop()
		s.accept(push("d1", "a"))
		time.Sleep(5 * time.Second)
		settle()
		if x := s.get("a-r"); x.State != dispatch.StateReady || x.Tries != 2 || x.LastError != "connection refused" {
			t.Errorf("after the second failure: %+v", x)
		}
		time.Sleep(5 * time.Minute)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
		// Three quarters of 4, 8, 16 and 20 s: the jitter of these tests.
		if d := cmp.Diff([]time.Duration{0, 3 * time.Second, 9 * time.Second, 21 * time.Second, 36 * time.Second}, at); d != "" {
			t.Errorf("calls (-want +got):\n%s", d)
		}
	})
}

func TestThrottlingPausesWithoutCounting(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		until := time.Now().Add(10 * time.Second)
		throttled := 0
		e.on = func(context.Context, string, int) error {
			if time.Now().Before(until) {
				throttled++
				return &dispatch.ThrottledError{After: time.Second, Err: errors.New("rate exceeded")}
			}
			return nil
		}
		s := run(t, path, e, oneRoute, dispatch.Config{MaxStarts: 1})
		defer s.stop()
		s.accept(push("d1", "a", "b", "c"))
		time.Sleep(time.Minute)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning, "b-r": dispatch.StateRunning, "c-r": dispatch.StateRunning})
		if throttled < 2 || throttled > 8 {
			t.Errorf("%d throttled calls in 10 s: it should pause for all requests together", throttled)
		}
		if x := s.get("a-r"); x.Tries != 0 {
			t.Errorf("throttling was counted as %d failures", x.Tries)
		}
	})
}

func TestRefusedStartIsDeadUntilRedriven(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		e.on = func(context.Context, string, int) error {
			return &dispatch.PermanentError{Err: errors.New("state machine deploy does not exist")}
		}
		s := run(t, path, e, oneRoute, dispatch.Config{Statuses: func(string) bool { return true }})
		defer s.stop()
		s.accept(push("d1", "a"))
		s.want(map[string]dispatch.State{"a-r": dispatch.StateDead})
		if x := s.get("a-r"); x.Error != "Switchyard.StartRefused" || x.Cause != "state machine deploy does not exist" {
			t.Errorf("%+v", x)
		}
		statuses, err := s.j.NextStatuses(t.Context(), "github", time.Now(), 10)
		if err != nil || len(statuses) != 1 || statuses[0].State != dispatch.StatusError || !strings.Contains(statuses[0].Description, "does not exist") {
			t.Errorf("statuses %+v, %v", statuses, err)
		}
		time.Sleep(time.Hour)
		if e.calls("a-r") != 1 {
			t.Errorf("started %d times", e.calls("a-r"))
		}
		e.answer(nil)
		if err := s.Redrive(t.Context(), "a-r"); err != nil {
			t.Fatal(err)
		}
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
		if err := s.Redrive(t.Context(), "a-r"); !errors.Is(err, dispatch.ErrNotDead) {
			t.Errorf("redrive of a running one: %v", err)
		}
	})
}

func TestHangingEngineIsCutOff(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		e.on = func(ctx context.Context, name string, call int) error {
			if name == "a-r" && call == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		s := run(t, path, e, oneRoute, dispatch.Config{CallTimeout: 7 * time.Second})
		defer s.stop()
		s.accept(push("d1", "a", "b"))
		s.want(map[string]dispatch.State{"a-r": dispatch.StateReady, "b-r": dispatch.StateRunning})
		time.Sleep(8 * time.Second)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
		if x := s.get("a-r"); x.State == dispatch.StateReady && !strings.Contains(x.LastError, "did not answer in 7s") {
			t.Errorf("%+v", x)
		}
	})
}

func TestShutdownCostsNoAttempt(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		e.lag = time.Hour
		s := run(t, path, e, oneRoute, dispatch.Config{CallTimeout: 2 * time.Hour})
		s.accept(push("d1", "a"))
		settle()
		s.stop()
		e.lag = 0
		s = run(t, path, e, oneRoute, dispatch.Config{})
		defer s.stop()
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
		if x := s.get("a-r"); x.Tries != 0 || x.LastError != "" {
			t.Errorf("%+v", x)
		}
	})
}

func TestExecutionThatEndedMeanwhileIsFoundAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{})
		s.accept(push("d1", "a"))
		settle()
		s.stop()
		e.finish("a-r", event.TimedOut)
		s = run(t, path, e, oneRoute, dispatch.Config{PollEvery: time.Hour})
		defer s.stop()
		time.Sleep(time.Second)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateTimedOut})
	})
}

func TestForgottenExecutionIsFailed(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{})
		defer s.stop()
		s.accept(push("d1", "a"))
		settle()
		e.mu.Lock()
		e.forget = true
		e.mu.Unlock()
		time.Sleep(3 * time.Minute)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateFailed})
		if x := s.get("a-r"); x.Error != "Switchyard.ExecutionLost" {
			t.Errorf("%+v", x)
		}
	})
}

func TestPollingKeepsToItsRate(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{PollEvery: time.Minute, PollRate: 2})
		defer s.stop()
		var shas []string
		for i := range 300 {
			shas = append(shas, fmt.Sprintf("c%03d", i))
		}
		s.accept(push("d1", shas...))
		settle()
		for _, sha := range shas {
			e.finish(sha+"-r", event.Succeeded)
		}
		time.Sleep(2 * time.Minute)
		settle()
		ended := s.Stats().Ended
		if ended < 100 || ended > 160 {
			t.Errorf("%d found in the first minute of polling at 2 a second", ended)
		}
		time.Sleep(3 * time.Minute)
		settle()
		if n := s.Stats().Ended; n != 300 {
			t.Errorf("%d found in all, want 300", n)
		}
	})
}

func TestOutcomeMayOvertakeItsStart(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{PollEvery: time.Hour})
		defer s.stop()
		e.answer(func(ctx context.Context, name string, _ int) error {
			return s.Observe(ctx, event.Outcome{ExecutionARN: arnOf(name), Name: name, Status: event.Succeeded, StoppedAt: time.Now()})
		})
		s.accept(push("d1", "a", "b", "c"))
		s.want(map[string]dispatch.State{"a-r": dispatch.StateSucceeded, "b-r": dispatch.StateSucceeded, "c-r": dispatch.StateSucceeded})
	})
}

func TestEnvironmentWaitsInOrderAcrossRestart(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		limited := func(limit int) dispatch.Config {
			return dispatch.Config{PollEvery: time.Second, EnvironmentLimit: func(env string) int {
				if env == "prod" {
					return limit
				}
				return 0
			}}
		}
		cfg := limited(1)
		e := newEngine()
		p := planner{routes: []string{"r"}, env: "prod"}
		s := run(t, path, e, p, cfg)
		s.accept(push("d1", "a", "b"))
		s.accept(push("d2", "c", "d"))
		settle()
		if d := cmp.Diff([]string{"a-r"}, e.names()); d != "" {
			t.Errorf("one at a time (-want +got):\n%s", d)
		}
		s.stop()
		s = run(t, path, e, p, cfg)
		defer func() { s.stop() }()
		settle()
		if d := cmp.Diff([]string{"a-r"}, e.names()); d != "" {
			t.Errorf("after a restart (-want +got):\n%s", d)
		}
		// Another environment does not wait for this one.
		if err := s.Reconfigure(planner{routes: []string{"r"}, env: "test"}, cfg); err != nil {
			t.Fatal(err)
		}
		s.accept(push("d3", "free"))
		s.want(map[string]dispatch.State{"free-r": dispatch.StateRunning, "b-r": dispatch.StateWaiting})
		e.finish("a-r", event.Failed)
		time.Sleep(3 * time.Second)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateFailed, "b-r": dispatch.StateRunning, "c-r": dispatch.StateWaiting})
		if err := s.Reconfigure(p, limited(2)); err != nil {
			t.Fatal(err)
		}
		s.want(map[string]dispatch.State{"c-r": dispatch.StateRunning, "d-r": dispatch.StateWaiting})
		if err := s.Reconfigure(p, limited(1)); err != nil {
			t.Fatal(err)
		}
		e.finish("b-r", event.Succeeded)
		time.Sleep(3 * time.Second)
		s.want(map[string]dispatch.State{"d-r": dispatch.StateWaiting})
		e.finish("c-r", event.Succeeded)
		time.Sleep(3 * time.Second)
		s.want(map[string]dispatch.State{"d-r": dispatch.StateRunning})
		if d := cmp.Diff([]string{"a-r", "free-r", "b-r", "c-r", "d-r"}, e.names()); d != "" {
			t.Errorf("order (-want +got):\n%s", d)
		}
	})
}

func TestNewerCommitSupersedesOlder(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		p := planner{routes: []string{"r"}, cancel: true}
		s := run(t, path, e, p, dispatch.Config{})
		defer s.stop()
		s.accept(push("d1", "a", "b"))
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning, "b-r": dispatch.StateRunning}) // of one push, all run
		s.accept(push("d2", "c"))
		s.want(map[string]dispatch.State{"a-r": dispatch.StateAborted, "b-r": dispatch.StateAborted, "c-r": dispatch.StateRunning})
		if got := e.stopped[arnOf("a-r")]; got != "Switchyard.Superseded: superseded by c-r" {
			t.Errorf("stopped with %q", got)
		}
		// One whose start fails has not started: it is superseded without a call.
		e.answer(func(_ context.Context, name string, _ int) error {
			if name == "d-r" {
				return &dispatch.ThrottledError{After: time.Minute, Err: errors.New("slow down")}
			}
			return nil
		})
		s.accept(push("d3", "d"))
		settle()
		s.accept(push("d4", "e"))
		time.Sleep(2 * time.Minute)
		s.want(map[string]dispatch.State{"c-r": dispatch.StateAborted, "d-r": dispatch.StateSuperseded, "e-r": dispatch.StateRunning})
	})
}

func TestStopEndsWhateverTheState(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, planner{routes: []string{"r"}, env: "prod"}, dispatch.Config{EnvironmentLimit: func(string) int { return 1 }})
		defer s.stop()
		s.accept(push("d1", "a", "b", "c"))
		settle()
		for _, id := range []string{"b-r", "a-r"} {
			if err := s.Stop(t.Context(), id, "ada"); err != nil {
				t.Fatal(err)
			}
		}
		s.want(map[string]dispatch.State{"a-r": dispatch.StateAborted, "b-r": dispatch.StateAborted, "c-r": dispatch.StateRunning})
		if e.calls("b-r") != 0 {
			t.Error("one that waited was started to be stopped")
		}
		if x := s.get("a-r"); x.Error != "Switchyard.Stopped" || x.Cause != "stopped by ada" {
			t.Errorf("%+v", x)
		}
		if err := s.Stop(t.Context(), "a-r", "ada"); !errors.Is(err, dispatch.ErrFinished) {
			t.Errorf("second stop: %v", err)
		}
	})
}

func TestRerunHasANameOfItsOwn(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{PollEvery: time.Second})
		defer s.stop()
		s.accept(push("d1", "a"))
		settle()
		if _, err := s.Rerun(t.Context(), "a-r", "ada"); !errors.Is(err, dispatch.ErrUnfinished) {
			t.Errorf("rerun of a running one: %v", err)
		}
		e.finish("a-r", event.Failed)
		time.Sleep(3 * time.Second)
		settle()
		id, err := s.Rerun(t.Context(), "a-r", "ada")
		if err != nil || id != "a-r-r2" {
			t.Fatalf("%q, %v", id, err)
		}
		s.want(map[string]dispatch.State{"a-r": dispatch.StateFailed, "a-r-r2": dispatch.StateRunning})
		// A repeat of the delivery still names what it asked for, not the rerun.
		if r := s.accept(push("d1", "a")); !slices.Equal(r.Executions, []string{"a-r"}) {
			t.Errorf("%+v", r)
		}
	})
}

func TestManualStartTakesTheSameWay(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, planner{}, dispatch.Config{})
		req := event.Request{ID: "by-hand", Route: "manual", StateMachine: "deploy", Repository: "acme/api", Ref: "refs/heads/main", Commit: event.Commit{SHA: "a"}, Input: []byte(`{"sha":"a"}`)}
		r, err := s.Start(t.Context(), req, "ada")
		if err != nil || r.Duplicate || !slices.Equal(r.Executions, []string{"by-hand"}) {
			t.Fatalf("%+v, %v", r, err)
		}
		s.want(map[string]dispatch.State{"by-hand": dispatch.StateRunning})
		if x := s.get("by-hand"); x.Reason != "started by ada" || x.Delivery != "manual:by-hand" || string(x.Input) != `{"sha":"a"}` {
			t.Errorf("%+v", x)
		}
		if r, err = s.Start(t.Context(), req, "ada"); err != nil || !r.Duplicate {
			t.Errorf("repeat: %+v, %v", r, err)
		}
		if r, err = s.Replay(t.Context(), "manual:by-hand"); err != nil || !slices.Equal(r.Executions, []string{"by-hand"}) {
			t.Errorf("replay: %+v, %v", r, err)
		}
		settle()
		if e.calls("by-hand") != 1 {
			t.Errorf("started %d times", e.calls("by-hand"))
		}
		s.stop()
		var permanent *dispatch.PermanentError
		for name, bad := range map[string]event.Request{
			"name":    {ID: "no spaces", StateMachine: "deploy", Input: []byte("{}")},
			"machine": {ID: "x", Input: []byte("{}")},
			"input":   {ID: "x", StateMachine: "deploy", Input: []byte("{")},
			"size":    {ID: "x", StateMachine: "deploy", Input: []byte(`"` + strings.Repeat("x", 262_143) + `"`)},
		} {
			if _, err := s.Start(t.Context(), bad, "ada"); !errors.As(err, &permanent) {
				t.Errorf("bad %s: %v", name, err)
			}
		}
	})
}

func TestReplayStartsWhatTheRoutesAskForNow(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{})
		defer s.stop()
		s.accept(push("d1", "a"))
		settle()
		if err := s.Reconfigure(planner{routes: []string{"r", "new"}}, dispatch.Config{}); err != nil {
			t.Fatal(err)
		}
		r, err := s.Replay(t.Context(), "github:d1")
		if err != nil || !slices.Equal(r.Executions, []string{"a-r", "a-new"}) {
			t.Fatalf("%+v, %v", r, err)
		}
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning, "a-new": dispatch.StateRunning})
		if e.calls("a-r") != 1 {
			t.Errorf("started %d times", e.calls("a-r"))
		}
		if _, err := s.Replay(t.Context(), "github:none"); !errors.Is(err, dispatch.ErrNotFound) {
			t.Errorf("unknown: %v", err)
		}
	})
}

func TestBiggestPushStartsEveryCommitOnce(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{})
		defer s.stop()
		var shas []string
		for i := range 2048 {
			shas = append(shas, fmt.Sprintf("c%04d", i))
		}
		if r := s.accept(push("d1", shas...)); len(r.Executions) != 2048 {
			t.Fatalf("%d executions named", len(r.Executions))
		}
		time.Sleep(time.Second)
		settle()
		names := e.names()
		slices.Sort(names)
		if n := len(slices.Compact(slices.Clone(names))); n != 2048 || len(names) != 2048 {
			t.Errorf("%d executions in %d calls, want 2048 in as many", n, len(names))
		}
	})
}

func TestSubscriberLosesChangesButDelaysNobody(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		s := run(t, path, newEngine(), oneRoute, dispatch.Config{})
		defer s.stop()
		changes, cancel := s.Subscribe(3)
		idle, cancelIdle := s.Subscribe(1)
		defer cancelIdle()
		s.accept(push("d1", "a"))
		settle()
		cancel()
		var got []string
		for c := range changes {
			got = append(got, c.ID+" "+string(c.State))
		}
		if d := cmp.Diff([]string{"a-r ready", "a-r running"}, got); d != "" {
			t.Errorf("changes (-want +got):\n%s", d)
		}
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
		if len(idle) != 1 {
			t.Errorf("%d changes in a full feed", len(idle))
		}
	})
}

func TestRetentionRemovesOnlyWhatIsFinished(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{PollEvery: time.Minute, Retention: 90 * time.Minute})
		defer s.stop()
		s.accept(push("d1", "a"))
		s.accept(push("d2", "b"))
		settle()
		e.finish("a-r", event.Succeeded)
		time.Sleep(time.Hour + time.Minute)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateSucceeded})
		time.Sleep(time.Hour)
		settle()
		if _, err := s.Execution(t.Context(), "a-r"); !errors.Is(err, dispatch.ErrNotFound) {
			t.Errorf("a-r after its retention: %v", err)
		}
		s.want(map[string]dispatch.State{"b-r": dispatch.StateRunning})
	})
}
