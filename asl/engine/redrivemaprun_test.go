package engine_test

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/asl/apierror"
	"switchyard/asl/distributed"
	"switchyard/asl/engine"
	"switchyard/asl/store"
)

const tooManyFailures = "The specified tolerated failure threshold was exceeded"

// since are the types of the events from the last redrive on.
func since(t testing.TB, e *engine.Engine, arn string) string {
	t.Helper()
	all := types(t, e, arn)
	return all[strings.LastIndex(all, "ExecutionRedriven"):]
}

func TestRedriveGoesOnWithTheMapRun(t *testing.T) {
	b := newBroken(`2`, `4`)
	bubble(t, func(t *testing.T, e *engine.Engine) {
		arn := start(t, e, machine(t, e, "m", distributedMap(`"MaxConcurrency":1,"ToleratedFailureCount":1,`, taskItem)), "x", `[1,2,3,4,5]`)
		wantFailure(t, wait(t, e, arn), store.Failed, "States.ExceedToleratedFailureThreshold", tooManyFailures)
		first := mapRuns(t, e, arn)[0]
		var failed string
		for _, child := range children(t, e, first.ARN) {
			x := describe(t, e, child.ARN)
			want := "Execution is SUCCEEDED and cannot be redriven"
			if x.Status != store.Succeeded {
				want = "Execution was started by a Map Run: redrive the execution that started the Map Run"
				failed = x.ARN
			}
			if x.ByMapRun != (x.Status != store.Succeeded) || (x.NotRedrivable == "") != x.ByMapRun {
				t.Errorf("%s: redriven by its Map run %t, not redrivable %q", x.Status, x.ByMapRun, x.NotRedrivable)
			}
			_, err := e.Redrive(t.Context(), child.ARN, "")
			wantRefusal(t, err, apierror.CodeExecutionNotRedrivable, want)
		}

		time.Sleep(time.Second)
		redrive(t, e, arn) // both fail again
		wantFailure(t, wait(t, e, arn), store.Failed, "States.ExceedToleratedFailureThreshold", tooManyFailures)
		if got, want := since(t, e, arn), "ExecutionRedriven MapRunRedriven MapRunFailed MapStateFailed ExecutionFailed"; got != want {
			t.Errorf("events %s, want %s", got, want)
		}
		b.repair()
		time.Sleep(time.Second)
		at := redrive(t, e, arn)
		wantOutput(t, wait(t, e, arn), `[1,2,3,4,5]`)
		if got, want := since(t, e, arn), "ExecutionRedriven MapRunRedriven MapRunSucceeded MapStateSucceeded MapStateExited ExecutionSucceeded"; got != want {
			t.Errorf("events %s, want %s", got, want)
		}
		if want := map[string]int{`1`: 1, `2`: 3, `3`: 1, `4`: 3, `5`: 1}; !maps.Equal(b.calls, want) {
			t.Errorf("calls %v, want %v", b.calls, want)
		}
		list := mapRuns(t, e, arn)
		if len(list) != 1 {
			t.Fatalf("%d Map runs, want 1", len(list))
		}
		r, counts := list[0], distributed.Counts{Succeeded: 5, Total: 5}
		if r.ARN != first.ARN || r.Status != distributed.RunSucceeded || r.Items != counts || r.Children != counts ||
			r.Redrives != 2 || r.Redriven != at || r.Started != first.Started {
			t.Errorf("%+v\nafter %+v", r, first)
		}
		if x := describe(t, e, failed); x.Redrives != 2 || x.Status != store.Succeeded {
			t.Errorf("%s was redriven %d times and is %s", failed, x.Redrives, x.Status)
		}
		all := events(t, e, arn)
		for _, ev := range all {
			if ev.Type.String() == "MapRunRedriven" && (ev.ARN != first.ARN || ev.Length < 1 || ev.Length > 2) {
				t.Errorf("%+v", ev)
			}
		}
	}, engine.WithHandler(fn, b))
}

func TestRedriveOfAStoppedMapRunLetsItsChildrenGoOn(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		arn := start(t, e, machine(t, e, "m", distributedMap(`"MaxConcurrency":3,`, waitItem)), "x", `[1,2,3,4]`)
		time.Sleep(50 * time.Second)
		if _, err := e.StopExecution(t.Context(), arn, "", ""); err != nil {
			t.Fatal(err)
		}
		redrive(t, e, arn) // before its children have been stopped
		began := time.Now()
		time.Sleep(69 * time.Second)
		wantOutput(t, wait(t, e, arn), `[1,2,3,4]`)
		// The waits go on where they were, and the fourth begins.
		if took := time.Since(began).Round(time.Second); took != 70*time.Second {
			t.Errorf("took %s, want 70s", took)
		}
		if r := mapRuns(t, e, arn)[0]; r.Status != distributed.RunSucceeded || r.Items != (distributed.Counts{Succeeded: 4, Total: 4}) {
			t.Errorf("%+v", r)
		}
	})
}

func TestRedriveThenRetryMakesAnotherMapRun(t *testing.T) {
	b := newBroken(`1`)
	bubble(t, func(t *testing.T, e *engine.Engine) {
		retried := `"Retry":[{"ErrorEquals":["States.ALL"],"MaxAttempts":1}],`
		arn := start(t, e, machine(t, e, "m", distributedMap(retried, taskItem)), "x", `[1]`)
		wait(t, e, arn)
		redrive(t, e, arn)
		wait(t, e, arn)
		list := mapRuns(t, e, arn)
		if len(list) != 3 || b.calls[`1`] != 4 {
			t.Fatalf("%d Map runs and %d calls, want 3 and 4", len(list), b.calls[`1`])
		}
		var redriven []int
		for _, r := range list {
			if r.Redrives > 0 {
				redriven = append(redriven, r.Redrives)
			}
		}
		if len(redriven) != 1 {
			t.Errorf("redrives of the Map runs: %v, want only that of the last to be redriven", redriven)
		}
	}, engine.WithHandler(fn, b))
}

func TestExpressChildrenBeginAgainAtARedrive(t *testing.T) {
	b := newBroken(`{"second":7}`)
	bubble(t, func(t *testing.T, e *engine.Engine) {
		two := `"StartAt":"A","States":{"A":{"Type":"Task","Resource":"` + fn + `","Next":"B"},
			"B":{"Type":"Task","Resource":"` + fn + `","Parameters":{"second.$":"$"},"End":true}}`
		definition := strings.Replace(distributedMap(``, two), "STANDARD", "EXPRESS", 1)
		arn := start(t, e, machine(t, e, "m", definition), "x", `[7]`)
		wait(t, e, arn)
		b.repair()
		redrive(t, e, arn)
		wantOutput(t, wait(t, e, arn), `[{"second":7}]`)
		if want := map[string]int{`7`: 2, `{"second":7}`: 2}; !maps.Equal(b.calls, want) {
			t.Errorf("calls %v, want %v", b.calls, want)
		}
	}, engine.WithHandler(fn, b))
}

func TestRedriveOfNestedMapRuns(t *testing.T) {
	b := newBroken(`3`)
	bubble(t, func(t *testing.T, e *engine.Engine) {
		inner := strings.TrimSuffix(strings.TrimPrefix(distributedMap(`"MaxConcurrency":1,`, taskItem), "{"), "}")
		inner = strings.NewReplacer(`"M":{`, `"N":{`, `"StartAt":"M"`, `"StartAt":"N"`, `"Label":"L"`, `"Label":"K"`).Replace(inner)
		arn := start(t, e, machine(t, e, "m", distributedMap(``, inner)), "x", `[[1,2],[3,4]]`)
		wait(t, e, arn)
		b.repair()
		redrive(t, e, arn)
		wantOutput(t, wait(t, e, arn), `[[1,2],[3,4]]`)
		if n := b.calls[`3`]; n != 2 {
			t.Errorf("%d calls of what failed, want 2", n)
		}
		for in, n := range b.calls {
			if n > 2 || n == 2 && in == `1` {
				t.Errorf("%d calls of %s", n, in)
			}
		}
	}, engine.WithHandler(fn, b))
}

// TestChildrenWithoutRoomFailAgain: the history of a child that is full cannot
// take a redrive, so the child counts as failed.
func TestChildrenWithoutRoomFailAgain(t *testing.T) {
	b := newBroken(`1`)
	synctest.Test(t, func(t *testing.T) {
		e, err := engine.New(store.NewMemory(), engine.Config{MaxHistory: 17}, engine.WithHandler(fn, b))
		if err != nil {
			t.Fatal(err)
		}
		defer run(t, e)()
		long := `"StartAt":"A","States":{"A":{"Type":"Pass","Next":"B"},"B":{"Type":"Pass","Next":"C"},"C":{"Type":"Pass","Next":"D"},"D":{"Type":"Pass","Next":"E"},"E":{"Type":"Pass","Next":"T"},
			"T":{"Type":"Task","Resource":"` + fn + `","End":true}}`
		arn := start(t, e, machine(t, e, "m", distributedMap(``, long)), "x", `[1]`)
		wait(t, e, arn)
		b.repair()
		redrive(t, e, arn)
		wantFailure(t, wait(t, e, arn), store.Failed, "States.ExceedToleratedFailureThreshold", tooManyFailures)
		if r := mapRuns(t, e, arn)[0]; r.Items != (distributed.Counts{Failed: 1, Total: 1, FailuresNotRedrivable: 1}) {
			t.Errorf("%+v", r.Items)
		}
		if b.calls[`1`] != 1 {
			t.Errorf("calls %v", b.calls)
		}
	})
}

func TestRedrivenMapRunSurvivesRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "engine.db")
	b := newBroken(`2`, `3`)
	slow := `"StartAt":"T","States":{"T":{"Type":"Task","Resource":"` + fn + `","Next":"W"},"W":{"Type":"Wait","Seconds":600,"End":true}}`
	synctest.Test(t, func(t *testing.T) {
		session := opened(t, path, engine.WithHandler(fn, b))
		var arn string
		session(func(e *engine.Engine) {
			arn = start(t, e, machine(t, e, "m", distributedMap(`"MaxConcurrency":2,`, slow)), "x", `[1,2,3,4]`)
			if x := wait(t, e, arn); x.Status != store.Failed {
				t.Fatalf("%s %s", x.Status, x.Output)
			}
		}, true)
		b.repair()
		session(func(e *engine.Engine) { redrive(t, e, arn) }, false)
		session(func(*engine.Engine) { time.Sleep(time.Minute) }, true)
		session(func(e *engine.Engine) {
			time.Sleep(time.Hour) // so that there is little to poll for
			wantOutput(t, wait(t, e, arn), `[1,2,3,4]`)
		}, true)
	})
	for in, n := range b.calls {
		if n > 2 || in == `4` && n != 1 || in == `2` && n != 2 {
			t.Errorf("calls %v", b.calls)
		}
	}
}

// TestRetentionSparesWhatARedriveNeeds: the children that succeeded are not
// forgotten before the execution that would otherwise run them again.
func TestRetentionSparesWhatARedriveNeeds(t *testing.T) {
	b := newBroken(`[5400]`)
	synctest.Test(t, func(t *testing.T) {
		e, err := engine.New(store.NewMemory(), engine.Config{Retention: 2 * time.Hour}, engine.WithHandler(fn, b))
		if err != nil {
			t.Fatal(err)
		}
		defer run(t, e)()
		late := `"StartAt":"W","States":{"W":{"Type":"Wait","SecondsPath":"$[0]","Next":"T"},"T":{"Type":"Task","Resource":"` + fn + `","End":true}}`
		arn := start(t, e, machine(t, e, "m", distributedMap(``, late)), "x", `[[1],[5400]]`)
		time.Sleep(90 * time.Minute)
		wait(t, e, arn)
		time.Sleep(95 * time.Minute)
		b.repair()
		redrive(t, e, arn)
		wantOutput(t, wait(t, e, arn), `[[1],[5400]]`)
		if want := map[string]int{`[1]`: 1, `[5400]`: 2}; !maps.Equal(b.calls, want) {
			t.Errorf("calls %v, want %v", b.calls, want)
		}
	})
}
