package dispatch_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

func TestAcceptedCommitsRunToTheirEnd(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		s := run(t, path, newEngine(), oneRoute, dispatch.Config{})
		defer s.stop()
		got := s.accept(push("d1", "a", "b"))
		if d := cmp.Diff(event.Receipt{Delivery: "github:d1", Executions: []string{"a-r", "b-r"}, New: 2}, got); d != "" {
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
		first.Duplicate, first.New = true, 0
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
