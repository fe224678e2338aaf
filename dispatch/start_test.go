package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
)

func TestStartsAreBoundedAndInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		e.lag = 900 * time.Millisecond
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

// Calls that get no answer must not hold up all others until they time out, nor
// become more and more.
func TestStartsWithoutAnAnswerHoldUpNobody(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		e.on = func(ctx context.Context, name string, call int) error {
			if call == 1 && name < "c30" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		s := run(t, path, e, oneRoute, dispatch.Config{MaxStarts: 2, CallTimeout: 30 * time.Second})
		defer s.stop()
		var shas []string
		for i := range 50 {
			shas = append(shas, fmt.Sprintf("c%02d", i))
		}
		s.accept(push("d1", shas...))
		time.Sleep(5 * time.Second)
		e.mu.Lock()
		if e.most > 2+8*2 {
			t.Errorf("%d starts at once, want at most the 2, and 16 without an answer", e.most)
		}
		e.mu.Unlock()
		s.want(map[string]dispatch.State{"c49-r": dispatch.StateReady, "c00-r": dispatch.StateReady})
		time.Sleep(2 * time.Minute)
		for _, sha := range shas {
			if x := s.get(sha + "-r"); x.State != dispatch.StateRunning {
				t.Errorf("%s is %s", sha, x.State)
			}
		}
		if n := len(e.names()); n != 80 {
			t.Errorf("%d calls, want one each and 30 more", n)
		}
	})
}

func TestStartsKeepThePace(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{Quota: func(string) dispatch.Quota { return dispatch.Quota{Rate: 10, Burst: 5} }})
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

// Each region of AWS has a bucket of its own: what waits for one must not wait
// for the other's, neither at its pace nor when it throttles.
func TestQuotasKeepTheirOwnPace(t *testing.T) {
	regions := map[string]dispatch.Quota{
		"slow": {Name: "us-east-2", Rate: 1, Burst: 1}, "quick": {Name: "eu-west-1", Rate: 20, Burst: 2},
		"quick-too": {Name: "eu-west-1", Rate: 20, Burst: 2},
	}
	routes := planner{routes: []string{"r", "q", "q2"}, machines: map[string]string{"r": "slow", "q": "quick", "q2": "quick-too"}}
	cfg := dispatch.Config{MaxStarts: 4, Quota: func(machine string) dispatch.Quota { return regions[machine] }}
	count := func(e *engine, route string) (n int) {
		for _, name := range e.names() {
			if strings.HasSuffix(name, "-"+route) {
				n++
			}
		}
		return n
	}
	var shas []string
	for i := range 40 {
		shas = append(shas, fmt.Sprintf("c%02d", i))
	}
	t.Run("pace", func(t *testing.T) {
		bubble(t, func(t *testing.T, path string) {
			e := newEngine()
			s := run(t, path, e, routes, cfg)
			defer s.stop()
			s.accept(push("d1", shas...))
			time.Sleep(4500 * time.Millisecond)
			if n := count(e, "r"); n < 4 || n > 6 {
				t.Errorf("%d starts of the slow region in 4.5 s, want one per second", n)
			}
			if q, q2 := count(e, "q"), count(e, "q2"); q != 40 || q2 != 40 {
				t.Errorf("%d and %d starts of the quick region's state machines, want all 80 in 4.5 s", q, q2)
			}
			time.Sleep(time.Minute)
			if n := len(e.names()); n != 120 {
				t.Errorf("%d starts in all, want each once: 120", n)
			}
		})
	})
	t.Run("throttling", func(t *testing.T) {
		bubble(t, func(t *testing.T, path string) {
			e := newEngine()
			until := time.Now().Add(10 * time.Second)
			e.on = func(_ context.Context, name string, _ int) error {
				if strings.HasSuffix(name, "-r") && time.Now().Before(until) {
					return &dispatch.ThrottledError{After: 2 * time.Second, Err: errors.New("rate exceeded")}
				}
				return nil
			}
			s := run(t, path, e, routes, cfg)
			defer s.stop()
			s.accept(push("d1", shas...))
			time.Sleep(5 * time.Second)
			if q, q2 := count(e, "q"), count(e, "q2"); q != 40 || q2 != 40 {
				t.Errorf("%d and %d starts of the region that throttles nobody, want all", q, q2)
			}
			time.Sleep(5 * time.Minute)
			s.want(map[string]dispatch.State{"c00-r": dispatch.StateRunning, "c39-r": dispatch.StateRunning, "c39-q": dispatch.StateRunning})
		})
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
		statuses, err := s.j.NextStatuses(t.Context(), dispatch.StatusQuery{Source: "github", Now: time.Now(), Limit: 10})
		if err != nil || len(statuses) != 1 || statuses[0].State != dispatch.StatusError || !strings.Contains(statuses[0].Description, "does not exist") {
			t.Errorf("statuses %+v, %v", statuses, err)
		}
		time.Sleep(time.Hour)
		if e.calls("a-r") != 1 {
			t.Errorf("started %d times", e.calls("a-r"))
		}
		e.answer(nil)
		if _, err := s.Redrive(t.Context(), "a-r"); err != nil {
			t.Fatal(err)
		}
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
		if _, err := s.Redrive(t.Context(), "a-r"); !errors.Is(err, dispatch.ErrNotRedrivable) {
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
