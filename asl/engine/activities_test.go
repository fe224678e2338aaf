package engine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/asl"
	"switchyard/asl/apierror"
	"switchyard/asl/engine"
	"switchyard/asl/store"
)

const (
	activityARN  = "arn:aws:states:us-east-1:123456789012:activity:approve"
	activityTask = `{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"` + activityARN + `","TimeoutSeconds":600,"HeartbeatSeconds":60,"End":true}}}`
)

func activity(t testing.TB, e *engine.Engine) {
	t.Helper()
	if _, err := e.Catalog().CreateActivity(context.Background(), "approve"); err != nil {
		t.Fatal(err)
	}
}

// poll takes the next task, which must come.
func poll(t testing.TB, e *engine.Engine, worker string) *engine.ActivityTask {
	t.Helper()
	got, err := e.GetActivityTask(context.Background(), activityARN, worker)
	if err != nil || got == nil {
		t.Fatalf("poll: %v, %v; want a task", got, err)
	}
	return got
}

func TestActivityWorkerGetsTasksInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		activity(t, e)
		m := machine(t, e, "m", activityTask)
		var arns []string
		for i := range 3 {
			arns = append(arns, start(t, e, m, fmt.Sprint("x", i), fmt.Sprintf(`{"n":%d}`, i)))
			synctest.Wait()
			time.Sleep(time.Minute * 20) // waiting for a worker does not time out
		}
		for i, arn := range arns {
			work := poll(t, e, "w1")
			if want := fmt.Sprintf(`{"n":%d}`, i); work.Input != want {
				t.Errorf("task %d has input %s, want %s", i, work.Input, want)
			}
			if err := e.SendTaskSuccess(t.Context(), work.Token, `"yes"`); err != nil {
				t.Fatal(err)
			}
			wantOutput(t, wait(t, e, arn), `"yes"`)
			if got, want := types(t, e, arn), "ExecutionStarted TaskStateEntered ActivityScheduled ActivityStarted ActivitySucceeded TaskStateExited ExecutionSucceeded"; got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
			all := events(t, e, arn)
			if s := all[2]; s.Resource != activityARN || s.Timeout != 600 || s.Heartbeat != 60 {
				t.Errorf("scheduled as %+v", s)
			}
			if s := all[3]; s.Name != "w1" {
				t.Errorf("started by %q, want w1", s.Name)
			}
		}
	})
}

func TestActivityPollEndsEmptyAfterAMinute(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		activity(t, e)
		begin := time.Now()
		if got, err := e.GetActivityTask(t.Context(), activityARN, ""); got != nil || err != nil {
			t.Errorf("poll: %v, %v; want nothing", got, err)
		}
		if took := time.Since(begin); took != time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}

func TestEndPollsSendsWorkersAway(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		activity(t, e)
		begin := time.Now()
		time.AfterFunc(5*time.Second, e.EndPolls)
		for range 2 {
			if got, err := e.GetActivityTask(t.Context(), activityARN, ""); got != nil || err != nil {
				t.Errorf("poll: %v, %v; want nothing", got, err)
			}
		}
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestWaitingWorkersGetOneTaskEach(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		activity(t, e)
		m := machine(t, e, "m", activityTask)
		var mu sync.Mutex
		inputs := map[string]int{}
		var workers sync.WaitGroup
		for range 8 {
			workers.Go(func() {
				work, err := e.GetActivityTask(t.Context(), activityARN, "w")
				if err != nil || work == nil {
					t.Errorf("poll: %v, %v", work, err)
					return
				}
				mu.Lock()
				inputs[work.Input]++
				mu.Unlock()
				if err := e.SendTaskSuccess(t.Context(), work.Token, work.Input); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		want := map[string]int{}
		for i := range 8 {
			start(t, e, m, fmt.Sprint("x", i), fmt.Sprint(i))
			want[fmt.Sprint(i)] = 1
		}
		workers.Wait()
		if d := cmp.Diff(want, inputs); d != "" {
			t.Errorf("-want +got: %s", d)
		}
	})
}

func TestActivityTaskOfAWorkerThatLeftGoesToTheNext(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		activity(t, e)
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan struct{})
		go func() {
			defer close(left)
			if work, _ := e.GetActivityTask(ctx, activityARN, "first"); work != nil {
				t.Error("the worker that left got the task")
			}
		}()
		synctest.Wait()
		leave()
		<-left
		arn := start(t, e, machine(t, e, "m", activityTask), "x", `{}`)
		if err := e.SendTaskSuccess(t.Context(), poll(t, e, "second").Token, `1`); err != nil {
			t.Fatal(err)
		}
		wantOutput(t, wait(t, e, arn), `1`)
	})
}

func TestActivityFailures(t *testing.T) {
	for name, row := range map[string]struct {
		work   func(t *testing.T, e *engine.Engine, token string)
		err    string
		events string
	}{
		"fails": {func(t *testing.T, e *engine.Engine, token string) {
			if err := e.SendTaskFailure(t.Context(), token, "No", "because"); err != nil {
				t.Error(err)
			}
		}, "No", "ActivityFailed"},
		"falls silent": {func(*testing.T, *engine.Engine, string) { time.Sleep(61 * time.Second) }, asl.ErrHeartbeatTimeout, "ActivityTimedOut"},
		"takes too long": {func(t *testing.T, e *engine.Engine, token string) {
			for range 15 {
				time.Sleep(50 * time.Second)
				_ = e.SendTaskHeartbeat(t.Context(), token) // the last ones come too late
			}
		}, asl.ErrTimeout, "ActivityTimedOut"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, e *engine.Engine) {
				activity(t, e)
				arn := start(t, e, machine(t, e, "m", activityTask), "x", `{}`)
				token := poll(t, e, "").Token
				row.work(t, e, token)
				if x := wait(t, e, arn); x.Status != store.Failed || x.Error != row.err {
					t.Errorf("%s %s %s, want %s", x.Status, x.Error, x.Cause, row.err)
				}
				if got, want := types(t, e, arn), "ExecutionStarted TaskStateEntered ActivityScheduled ActivityStarted "+row.events+" ExecutionFailed"; got != want {
					t.Errorf("%s\nwant %s", got, want)
				}
				wantCode(t, e.SendTaskSuccess(t.Context(), token, `1`), apierror.CodeTaskTimedOut)
			})
		})
	}
}

func TestTaskOfAnActivityThatIsNotThereFails(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		wantFailure(t, runs(t, e, activityTask, `{}`), store.Failed, asl.ErrRuntime,
			"An error occurred while executing the state 'A' (entered at the event id #2). The activity "+activityARN+" does not exist.")
	})
}

// TestActivitiesOutliveTheEngine stops the engine while one task is with a
// worker and others wait for one, of which one is stopped.
func TestActivitiesOutliveTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		e := newEngine(t, s)
		stop := run(t, e)
		activity(t, e)
		m := machine(t, e, "m", activityTask)
		var arns []string
		for i := range 4 {
			arns = append(arns, start(t, e, m, fmt.Sprint("x", i), fmt.Sprint(i)))
			time.Sleep(time.Millisecond)
		}
		first := poll(t, e, "w")
		if _, err := e.StopExecution(t.Context(), arns[1], "", ""); err != nil {
			t.Fatal(err)
		}
		polling := make(chan *engine.ActivityTask, 1)
		stop()
		go func() { work, _ := e.GetActivityTask(t.Context(), activityARN, "late"); polling <- work }()
		if work := <-polling; work != nil {
			t.Error("an engine that has stopped gave work away")
		}

		e = newEngine(t, s)
		stop = run(t, e)
		defer stop()
		if err := e.SendTaskSuccess(t.Context(), first.Token, first.Input); err != nil {
			t.Error(err)
		}
		wantOutput(t, wait(t, e, arns[0]), `0`)
		for i, arn := range arns[2:] {
			work := poll(t, e, "w")
			if work.Input != fmt.Sprint(i+2) {
				t.Errorf("got task %s, want %d", work.Input, i+2)
			}
			if err := e.SendTaskSuccess(t.Context(), work.Token, work.Input); err != nil {
				t.Error(err)
			}
			wantOutput(t, wait(t, e, arn), fmt.Sprint(i+2))
		}
		if docs, err := s.Docs(t.Context(), "activity-task", "", 9); err != nil || len(docs) > 0 {
			t.Errorf("%v, %v stay behind", docs, err)
		}
	})
}
