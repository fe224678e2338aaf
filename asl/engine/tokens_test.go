package engine_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/asl/apierror"
	"switchyard/asl/engine"
	"switchyard/asl/store"
	"switchyard/asl/task"
)

const tokenTask = `{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken",
	"Parameters":{"FunctionName":"f","Payload":{"token.$":"$$.Task.Token"}},"TimeoutSeconds":600,"HeartbeatSeconds":60,"Retry":[{"ErrorEquals":["Again"]}],
	"Catch":[{"ErrorEquals":["States.ALL"],"Next":"C"}],"End":true},"C":{"Type":"Pass","End":true}}}`

// tokens is a handler that keeps the tokens it is given.
type tokens chan string

func (c tokens) Run(_ context.Context, t task.Task) (json.RawMessage, error) {
	var in struct{ Payload struct{ Token string } }
	if err := json.Unmarshal(t.Input, &in); err != nil {
		return nil, err
	}
	c <- in.Payload.Token
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

func wantCode(t *testing.T, err error, code apierror.Code) {
	t.Helper()
	var known *apierror.Error
	if !errors.As(err, &known) || known.Code != code {
		t.Errorf("%v, want %s", err, code)
	}
}

func TestTokenEndsItsTask(t *testing.T) {
	withTokens(t, func(t *testing.T, e *engine.Engine, given tokens) {
		arn := start(t, e, machine(t, e, "m", tokenTask), "x", `{}`)
		token := <-given
		synctest.Wait()
		wantCode(t, e.SendTaskSuccess(t.Context(), token, `{`), apierror.CodeInvalidOutput)
		wantCode(t, e.SendTaskSuccess(t.Context(), "nonsense", `{}`), apierror.CodeInvalidToken)
		if err := e.SendTaskFailure(t.Context(), token, "Again", "once more"); err != nil {
			t.Fatal(err)
		}
		second := <-given
		synctest.Wait()
		wantCode(t, e.SendTaskSuccess(t.Context(), token, `{}`), apierror.CodeTaskTimedOut)
		if err := e.SendTaskSuccess(t.Context(), second, `[1]`); err != nil {
			t.Fatal(err)
		}
		wantOutput(t, wait(t, e, arn), `[1]`)
		wantCode(t, e.SendTaskHeartbeat(t.Context(), second), apierror.CodeTaskTimedOut)
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

// given gives a token that is out, and the engine that waits for it.
func given(t testing.TB) (*engine.Engine, string) {
	handler := make(tokens, 1)
	e := newEngine(t, store.NewMemory(), engine.WithHandler("arn:aws:states:::lambda:invoke", handler))
	run(t, e)
	start(t, e, machine(t, e, "m", tokenTask), "x", `{}`)
	return e, <-handler
}

func TestTokensCannotBeMadeUp(t *testing.T) {
	e, token := given(t)
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		forged := slices.Clone(raw)
		forged[i] ^= 1
		wantCode(t, e.SendTaskSuccess(t.Context(), base64.RawURLEncoding.EncodeToString(forged), `{}`), apierror.CodeInvalidToken)
	}
	for name, forged := range map[string]string{
		"empty": "", "cut": token[:len(token)-1], "longer": token + "A", "line": token + "\n", "other alphabet": strings.Repeat("+/", len(token)/2),
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, e.SendTaskHeartbeat(t.Context(), forged), apierror.CodeInvalidToken) })
	}
	// Another store has another secret, although its executions are the same.
	other, foreign := given(t)
	if foreign == token {
		t.Error("two stores gave the same token")
	}
	wantCode(t, other.SendTaskSuccess(t.Context(), token, `{}`), apierror.CodeInvalidToken)
	if err := e.SendTaskHeartbeat(t.Context(), token); err != nil {
		t.Errorf("the true token: %v", err)
	}
}

func TestTokenOfAPrunedExecutionDoesNotExist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := make(tokens, 1)
		e, err := engine.New(store.NewMemory(), engine.Config{Retention: time.Hour}, engine.WithHandler("arn:aws:states:::lambda:invoke", handler))
		if err != nil {
			t.Fatal(err)
		}
		defer run(t, e)()
		arn := start(t, e, machine(t, e, "m", tokenTask), "x", `{}`)
		token := <-handler
		if _, err := e.StopExecution(t.Context(), arn, "", ""); err != nil {
			t.Fatal(err)
		}
		wantCode(t, e.SendTaskSuccess(t.Context(), token, `{}`), apierror.CodeTaskTimedOut)
		time.Sleep(5 * time.Hour)
		wantCode(t, e.SendTaskSuccess(t.Context(), token, `{}`), apierror.CodeTaskDoesNotExist)
	})
}

func TestHandlerThatCannotHandOutTheTokenFailsTheSubmission(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		arn := start(t, e, machine(t, e, "m", `{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken","End":true}}}`), "x", `{}`)
		wantFailure(t, wait(t, e, arn), store.Failed, "Broken", "attempt 0")
		if got, want := types(t, e, arn), "ExecutionStarted TaskStateEntered TaskScheduled TaskStarted TaskSubmitFailed ExecutionFailed"; got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}, engine.WithHandler("arn:aws:states:::lambda:invoke", failing(1, "Broken")))
}

func TestTokensOfQuietIterationsDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := make(tokens, 9)
		e := newEngine(t, store.NewMemory(), engine.WithHandler("arn:aws:states:::lambda:invoke", handler))
		defer run(t, e)()
		token := `"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken","Parameters":{"FunctionName":"f","Payload":{"token.$":"$$.Task.Token"}}`
		arn := start(t, e, machine(t, e, "m", `{"StartAt":"M","States":{"M":{"Type":"Map","ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},
			"StartAt":"A","States":{"A":{`+token+`,"Next":"B"},"B":{`+token+`,"End":true}}},"End":true}}}`), "x", `[1,2]`)
		seen := map[string]bool{}
		for range 4 {
			got := <-handler
			if seen[got] {
				t.Error("a token was given out twice")
			}
			seen[got] = true
			time.Sleep(time.Millisecond)
			if err := e.SendTaskSuccess(t.Context(), got, `1`); err != nil {
				t.Fatal(err)
			}
		}
		wantOutput(t, wait(t, e, arn), `[1,1]`)
	})
}

func TestJobsAreSubmitted(t *testing.T) {
	for _, row := range []struct{ resource, events string }{
		{"arn:aws:states:::codebuild:startBuild.sync", "TaskScheduled TaskStarted TaskSubmitted TaskSucceeded"},
		{"arn:aws:states:::lambda:invoke", "TaskScheduled TaskStarted TaskSucceeded"},
		{fn, "LambdaFunctionScheduled LambdaFunctionStarted LambdaFunctionSucceeded"},
	} {
		t.Run(row.resource, func(t *testing.T) {
			bubble(t, func(t *testing.T, e *engine.Engine) {
				arn := start(t, e, machine(t, e, "m", `{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"`+row.resource+`","End":true}}}`), "x", `{}`)
				wantOutput(t, wait(t, e, arn), `{}`)
				if got, want := types(t, e, arn), "ExecutionStarted TaskStateEntered "+row.events+" TaskStateExited ExecutionSucceeded"; got != want {
					t.Errorf("%s\nwant %s", got, want)
				}
			}, engine.WithHandler(row.resource, failing(0, "")))
		})
	}
}

func FuzzToken(f *testing.F) {
	e, token := given(f)
	for _, seed := range []string{"", token, token[:9], token + "=", strings.Repeat("A", len(token)), "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		err := e.SendTaskHeartbeat(t.Context(), s)
		if s == token {
			if err != nil {
				t.Errorf("the true token: %v", err)
			}
			return
		}
		wantCode(t, err, apierror.CodeInvalidToken)
	})
}

func TestTokensFromBeforeARedriveAreVoid(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		activity(t, e)
		arn := start(t, e, machine(t, e, "m", activityTask), "x", `{}`)
		late := poll(t, e, "late").Token
		wait(t, e, arn) // it misses its heartbeat
		redrive(t, e, arn)
		now := poll(t, e, "now").Token
		wantCode(t, e.SendTaskSuccess(t.Context(), late, `"late"`), apierror.CodeTaskTimedOut)
		if err := e.SendTaskSuccess(t.Context(), now, `"now"`); err != nil {
			t.Fatal(err)
		}
		wantOutput(t, wait(t, e, arn), `"now"`)
	})
}
