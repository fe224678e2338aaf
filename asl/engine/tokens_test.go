package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/asl/engine"
	"switchyard/asl/store"
	"switchyard/asl/task"
)

const tokenTask = `{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken",
	"Parameters":{"token.$":"$$.Task.Token"},"TimeoutSeconds":600,"HeartbeatSeconds":60,"Retry":[{"ErrorEquals":["Again"]}],
	"Catch":[{"ErrorEquals":["States.ALL"],"Next":"C"}],"End":true},"C":{"Type":"Pass","End":true}}}`

// tokens is a handler that keeps the tokens it is given.
type tokens chan string

func (c tokens) Run(_ context.Context, t task.Task) (json.RawMessage, error) {
	var in struct{ Token string }
	if err := json.Unmarshal(t.Input, &in); err != nil {
		return nil, err
	}
	c <- in.Token
	return json.RawMessage(`{"StatusCode":200}`), nil
}

// withTokens makes the channel in the bubble: time passes only while everybody
// waits for something that is in it.
func withTokens(t *testing.T, test func(t *testing.T, e *engine.Engine, given tokens)) {
	synctest.Test(t, func(t *testing.T) {
		given := make(tokens, 9)
		e := newEngine(t, store.NewMemory(), engine.WithHandler("arn:aws:states:::lambda:invoke", given))
		stop := run(t, e)
		test(t, e, given)
		stop()
	})
}

func wantCode(t *testing.T, err error, code engine.Code) {
	t.Helper()
	var known *engine.Error
	if !errors.As(err, &known) || known.Code != code {
		t.Errorf("%v, want %s", err, code)
	}
}

func TestTokenEndsItsTask(t *testing.T) {
	withTokens(t, func(t *testing.T, e *engine.Engine, given tokens) {
		arn := start(t, e, machine(t, e, "m", tokenTask), "x", `{}`)
		token := <-given
		synctest.Wait()
		wantCode(t, e.SendTaskSuccess(t.Context(), token, `{`), engine.CodeInvalidOutput)
		wantCode(t, e.SendTaskSuccess(t.Context(), "nonsense", `{}`), engine.CodeInvalidToken)
		if err := e.SendTaskFailure(t.Context(), token, "Again", "once more"); err != nil {
			t.Fatal(err)
		}
		second := <-given
		synctest.Wait()
		wantCode(t, e.SendTaskSuccess(t.Context(), token, `{}`), engine.CodeTaskTimedOut)
		if err := e.SendTaskSuccess(t.Context(), second, `[1]`); err != nil {
			t.Fatal(err)
		}
		wantOutput(t, wait(t, e, arn), `[1]`)
		wantCode(t, e.SendTaskHeartbeat(t.Context(), second), engine.CodeTaskTimedOut)
		if got := types(t, e, arn); got != "ExecutionStarted TaskStateEntered TaskScheduled TaskStarted TaskSubmitted TaskFailed TaskScheduled TaskStarted TaskSubmitted TaskSucceeded TaskStateExited ExecutionSucceeded" {
			t.Error(got)
		}
	})
}

func TestTokenHeartbeatsKeepTheTaskAlive(t *testing.T) {
	withTokens(t, func(t *testing.T, e *engine.Engine, given tokens) {
		arn := start(t, e, machine(t, e, "m", tokenTask), "x", `{}`)
		token := <-given
		begin := time.Now()
		for range 3 {
			time.Sleep(50 * time.Second)
			if err := e.SendTaskHeartbeat(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
		wantOutput(t, wait(t, e, arn), `{"Error":"States.HeartbeatTimeout","Cause":""}`)
		if took := time.Since(begin).Round(time.Second); took != 210*time.Second {
			t.Errorf("it took %v, want a heartbeat's time after the last one", took)
		}
	})
}

func TestTokenStaysValidOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		given := make(tokens, 9)
		handler := engine.WithHandler("arn:aws:states:::lambda:*", given)
		e := newEngine(t, s, handler)
		stop := run(t, e)
		arn := start(t, e, machine(t, e, "m", tokenTask), "x", `{}`)
		token := <-given
		synctest.Wait()
		stop()
		e = newEngine(t, s, handler)
		stop = run(t, e)
		if err := e.SendTaskSuccess(t.Context(), token, `"here"`); err != nil {
			t.Error(err)
		}
		wantOutput(t, wait(t, e, arn), `"here"`)
		stop()
		if len(given) != 0 {
			t.Error("the handler was called again although its work was done")
		}
	})
}
