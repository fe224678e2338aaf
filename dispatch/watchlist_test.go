package dispatch_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// brief ends each execution when it has run for a time, and tells nobody.
type brief struct {
	*engine
	lasts time.Duration
	asked atomic.Int64
}

func (b *brief) Describe(ctx context.Context, arn string) (event.Outcome, error) {
	b.asked.Add(1)
	o, err := b.engine.Describe(ctx, arn)
	if err == nil && time.Since(o.StartedAt) >= b.lasts {
		o.Status, o.StoppedAt = event.Succeeded, o.StartedAt.Add(b.lasts)
	}
	return o, err
}

func commits(n int) (shas []string) {
	for i := range n {
		shas = append(shas, fmt.Sprintf("c%03d", i))
	}
	return shas
}

func TestFullEnvironmentIsFreedSoonWithoutEvents(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := &brief{engine: newEngine(), lasts: 300 * time.Millisecond}
		cfg := dispatch.Config{EnvironmentLimit: func(string) int { return 1 }, PollEvery: time.Minute, PollRate: 8}
		s := runOn(t, path, unchanged, e, planner{routes: []string{"r"}, env: "prod"}, cfg)
		defer s.stop()
		s.accept(push("d1", commits(100)...))
		time.Sleep(2 * time.Minute)
		settle()
		if n := s.Stats().Ended; n < 99 { // nobody waits for the last
			t.Errorf("%d of 100 executions of 0.3 s have ended after 2 minutes", n)
		}
		if n := e.asked.Load(); n > 130 {
			t.Errorf("%d calls for 100 executions", n)
		}
	})
}

// What others wait for is asked for at ever longer intervals, and what nobody
// waits for only by the round.
func TestLongExecutionsAreNotAskedForOften(t *testing.T) {
	for name, row := range map[string]struct{ waiting, least, most int64 }{"others wait": {2, 12, 30}, "nobody waits": {1, 8, 11}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, path string) {
				e := &brief{engine: newEngine(), lasts: time.Hour}
				cfg := dispatch.Config{EnvironmentLimit: func(string) int { return 1 }, PollEvery: time.Minute}
				s := runOn(t, path, unchanged, e, planner{routes: []string{"r"}, env: "prod"}, cfg)
				defer s.stop()
				s.accept(push("d1", commits(int(row.waiting))...))
				time.Sleep(10 * time.Minute)
				if n := e.asked.Load(); n < row.least || n > row.most {
					t.Errorf("%d calls in 10 minutes, want %d to %d", n, row.least, row.most)
				}
			})
		})
	}
}

func TestFreeingEnvironmentsKeepsToThePollRate(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := &brief{engine: newEngine(), lasts: time.Hour}
		cfg := dispatch.Config{EnvironmentLimit: func(string) int { return 50 }, PollEvery: time.Minute, PollRate: 5}
		s := runOn(t, path, unchanged, e, planner{routes: []string{"r"}, env: "prod"}, cfg)
		defer s.stop()
		s.accept(push("d1", commits(60)...))
		for range 3 {
			before := e.asked.Load()
			time.Sleep(10 * time.Second)
			if n := e.asked.Load() - before; n > 51 {
				t.Errorf("%d calls in 10 s at 5 a second", n)
			}
		}
	})
}

// A holder that a process before this one started is watched as well.
func TestEnvironmentIsFreedSoonAfterARestart(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := &brief{engine: newEngine(), lasts: 45 * time.Second}
		cfg := dispatch.Config{EnvironmentLimit: func(string) int { return 1 }, PollEvery: 10 * time.Minute}
		p := planner{routes: []string{"r"}, env: "prod"}
		s := runOn(t, path, unchanged, e, p, cfg)
		s.accept(push("d1", "a", "b"))
		time.Sleep(30 * time.Second)
		s.stop()
		s = runOn(t, path, unchanged, e, p, cfg)
		defer s.stop()
		time.Sleep(40 * time.Second)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateSucceeded, "b-r": dispatch.StateRunning})
	})
}

func TestWaiterThatComesLateFreesTheEnvironment(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := &brief{engine: newEngine(), lasts: 20 * time.Second}
		cfg := dispatch.Config{EnvironmentLimit: func(string) int { return 1 }, PollEvery: time.Hour}
		s := runOn(t, path, unchanged, e, planner{routes: []string{"r"}, env: "prod"}, cfg)
		defer s.stop()
		s.accept(push("d1", "a"))
		time.Sleep(time.Minute)
		s.accept(push("d2", "b"))
		time.Sleep(time.Second)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateSucceeded, "b-r": dispatch.StateRunning})
	})
}
