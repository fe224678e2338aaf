package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// deaf never answers for executions whose name begins with "hang".
type deaf struct {
	*engine
	start, describe, stop bool
}

func never(ctx context.Context, when bool, name string) error {
	if when && strings.Contains(name, "hang") {
		<-ctx.Done()
		return fmt.Errorf("asked about %s: %w", name, ctx.Err())
	}
	return nil
}

func (d *deaf) Start(ctx context.Context, machine, name string, input []byte) (dispatch.Started, error) {
	if err := never(ctx, d.start, name); err != nil {
		return dispatch.Started{}, err
	}
	return d.engine.Start(ctx, machine, name, input)
}

func (d *deaf) Describe(ctx context.Context, arn string) (event.Outcome, error) {
	if err := never(ctx, d.describe, arn); err != nil {
		return event.Outcome{}, err
	}
	return d.engine.Describe(ctx, arn)
}

func (d *deaf) Stop(ctx context.Context, arn, name, cause string) error {
	if err := never(ctx, d.stop, arn); err != nil {
		return err
	}
	return d.engine.Stop(ctx, arn, name, cause)
}

// slowAppend makes deliveries wait for the journal, as a disk does. It keeps
// none of those that only make noise.
type slowAppend struct{ dispatch.Journal }

var errNoise = errors.New("only noise")

func (s slowAppend) Append(ctx context.Context, d dispatch.NewDelivery) (dispatch.Appended, error) {
	time.Sleep(18 * time.Millisecond)
	if strings.HasPrefix(d.DeliveryID, "noise") {
		return dispatch.Appended{}, errNoise
	}
	return s.Journal.Append(ctx, d)
}

// besiege keeps deliveries arriving at full speed until the function it returns
// is called.
func besiege(t *testing.T, s *service) func() {
	ctx, cancel := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	for i := range 12 {
		senders.Go(func() {
			for ctx.Err() == nil {
				if _, err := s.Accept(ctx, push(fmt.Sprint("noise", i))); !errors.Is(err, errNoise) {
					t.Error(err)
				}
			}
		})
	}
	return func() { cancel(); senders.Wait() }
}

func TestHangingStartHoldsUpNobody(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := &deaf{engine: newEngine(), start: true}
		slow := func(j dispatch.Journal) dispatch.Journal { return slowAppend{j} }
		cfg := dispatch.Config{CallTimeout: time.Hour, MaxStarts: 4, EnvironmentLimit: func(string) int { return 2 }}
		s := runOn(t, path, slow, e, planner{routes: []string{"r"}, env: "prod"}, cfg)
		defer s.stop()
		defer besiege(t, s)()
		s.accept(push("d1", "hang", "a", "b"))
		time.Sleep(700 * time.Millisecond)
		s.want(map[string]dispatch.State{"hang-r": dispatch.StateReady, "a-r": dispatch.StateRunning, "b-r": dispatch.StateWaiting})
		// What comes later is expanded, admitted and started all the same.
		if err := s.Observe(t.Context(), e.finish("a-r", event.Succeeded)); err != nil {
			t.Fatal(err)
		}
		s.accept(push("d2", "c"))
		time.Sleep(700 * time.Millisecond)
		s.want(map[string]dispatch.State{"b-r": dispatch.StateRunning, "c-r": dispatch.StateWaiting})
	})
}

func TestHangingQuestionHoldsUpNoStart(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := &deaf{engine: newEngine()}
		s := runOn(t, path, unchanged, e, oneRoute, dispatch.Config{})
		s.accept(push("d1", "hang"))
		settle()
		s.stop()
		// Another journal, that knows nothing of it: it exists when it is started.
		e.describe = true
		s = runOn(t, path+".2", unchanged, e, oneRoute, dispatch.Config{MaxStarts: 1, CallTimeout: time.Hour})
		defer s.stop()
		s.accept(push("d1", "hang", "a", "b"))
		s.want(map[string]dispatch.State{"hang-r": dispatch.StateRunning, "a-r": dispatch.StateRunning, "b-r": dispatch.StateRunning})
	})
}

func TestHangingQuestionsHoldUpNoRound(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := &deaf{engine: newEngine(), describe: true}
		s := runOn(t, path, unchanged, e, oneRoute, dispatch.Config{PollEvery: time.Minute, CallTimeout: 24 * time.Hour})
		defer s.stop()
		s.accept(push("d1", "hang1", "hang2", "hang3", "hang4", "hang5", "hang6", "hang7", "a"))
		settle()
		e.finish("a-r", event.Succeeded)
		time.Sleep(2*time.Minute + 10*time.Second)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateSucceeded, "hang1-r": dispatch.StateRunning})
	})
}

func TestHangingStopsHoldUpNoStop(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := &deaf{engine: newEngine(), stop: true}
		s := runOn(t, path, unchanged, e, oneRoute, dispatch.Config{CallTimeout: time.Hour})
		defer s.stop()
		ids := []string{"hang1", "hang2", "hang3", "hang4", "hang5", "a", "b"}
		s.accept(push("d1", ids...))
		settle()
		for _, id := range ids[:6] {
			if err := s.Stop(t.Context(), id+"-r", "ada"); err != nil {
				t.Fatal(err)
			}
		}
		s.want(map[string]dispatch.State{"hang1-r": dispatch.StateRunning, "a-r": dispatch.StateAborted})
		if err := s.Stop(t.Context(), "b-r", "ada"); err != nil {
			t.Fatal(err)
		}
		s.want(map[string]dispatch.State{"hang5-r": dispatch.StateRunning, "b-r": dispatch.StateAborted})
	})
}

func TestOneTimeoutForEachCall(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := &deaf{engine: newEngine(), start: true, stop: true}
		s := runOn(t, path, unchanged, e, oneRoute, dispatch.Config{CallTimeout: 9 * time.Second})
		defer s.stop()
		s.accept(push("d1", "hang"))
		time.Sleep(9 * time.Second)
		settle()
		if x := s.get("hang-r"); x.Tries != 1 || x.LastError != "start: no answer within 9s" {
			t.Errorf("%d tries, %q", x.Tries, x.LastError)
		}
	})
}
