package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
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

	// redrives are the tokens of successful redrives by ARN.
	redrives map[string][]string
	// onRedrive answers a redrive in the engine's place when it returns an
	// error; afterRedrive is called when it has been done.
	onRedrive, afterRedrive func(ctx context.Context) error
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

func (e *engine) Redrive(ctx context.Context, arn, token string) error {
	e.mu.Lock()
	on, after := e.onRedrive, e.afterRedrive
	e.mu.Unlock()
	if on != nil {
		if err := on(ctx); err != nil {
			return err
		}
	}
	e.mu.Lock()
	o := e.running[arn]
	if !slices.Contains(e.redrives[arn], token) {
		if !o.Status.Closed() || o.Status == event.Succeeded {
			e.mu.Unlock()
			return &dispatch.PermanentError{Err: fmt.Errorf("ExecutionNotRedrivable: Execution is %s and cannot be redriven", o.Status)}
		}
		if e.redrives == nil {
			e.redrives = map[string][]string{}
		}
		e.redrives[arn] = append(e.redrives[arn], token)
		o.Status, o.StoppedAt, o.Output, o.Error, o.Cause = event.Running, time.Time{}, "", "", ""
	}
	e.mu.Unlock()
	if after != nil {
		return after(ctx)
	}
	return nil
}

// redriven is how often an execution was redriven.
func (e *engine) redriven(name string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.redrives[arnOf(name)])
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
	// machines are the state machines of routes; deploy is that of the others.
	machines map[string]string
}

func (p planner) Plan(ev event.Event) event.Plan {
	plan := event.Plan{Unlisted: ev.Truncated && len(p.routes) > 0}
	for _, route := range p.routes {
		machine := "deploy"
		if m, ok := p.machines[route]; ok {
			machine = m
		}
		for _, c := range ev.Commits {
			plan.Requests = append(plan.Requests, event.Request{
				ID: c.SHA + "-" + route, Route: route, StateMachine: machine, Environment: p.env, Source: ev.Source, Repository: ev.Repository.FullName,
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
	engine *engine // nil when it is another
	stop   func()
}

// Reconfigure applies a planner and a config, as a reload does.
func (s *service) Reconfigure(p dispatch.Planner, cfg dispatch.Config) error {
	apply, err := s.Prepare(p, cfg)
	if err == nil {
		apply()
	}
	return err
}

// run starts a dispatcher on the journal at path.

func run(t *testing.T, path string, e *engine, p dispatch.Planner, cfg dispatch.Config, opts ...dispatch.Option) *service {
	t.Helper()
	return runOn(t, path, func(j dispatch.Journal) dispatch.Journal { return j }, e, p, cfg, opts...)
}

// runOn puts something between the dispatcher and its journal.
func runOn(t *testing.T, path string, between func(dispatch.Journal) dispatch.Journal, e dispatch.Engine, p dispatch.Planner, cfg dispatch.Config, opts ...dispatch.Option) *service {
	t.Helper()
	j, err := journal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	d, err := dispatch.New(between(j), e, p, cfg, append([]dispatch.Option{dispatch.WithJitter(func() float64 { return 0.5 })}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	s := &service{Dispatcher: d, t: t, path: path, j: j}
	s.engine, _ = e.(*engine)
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
