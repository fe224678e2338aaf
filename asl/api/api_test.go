package api_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/asl"
	"switchyard/asl/api"
	"switchyard/asl/engine"
	"switchyard/asl/store"
)

const (
	role        = "arn:aws:iam::123456789012:role/r"
	passing     = `{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}}`
	waiting     = `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":3600,"End":true}}}`
	activityARN = "arn:aws:states:us-east-1:123456789012:activity:"
	machineARN  = "arn:aws:states:us-east-1:123456789012:stateMachine:"
)

// serve returns a server with a running engine behind it.
func serve(t testing.TB) *api.Server {
	t.Helper()
	e, err := engine.New(store.NewMemory(), engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return serveEngine(t, e)
}

// serveEngine runs e behind a server.
func serveEngine(t testing.TB, e *engine.Engine) *api.Server {
	t.Helper()
	s, err := api.New(e)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := e.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return s
}

func post(t testing.TB, s http.Handler, target, body string) (status int, answer map[string]any) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	if target != "" {
		r.Header.Set("X-Amz-Target", target)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if ct := w.Header().Get("Content-Type"); ct != "application/x-amz-json-1.0" {
		t.Errorf("Content-Type %q", ct)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%s answered %q: %v", target, w.Body, err)
	}
	return w.Code, answer
}

// do makes a call that must succeed.
func do(t testing.TB, s http.Handler, action string, in any) map[string]any {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	status, answer := post(t, s, "AWSStepFunctions."+action, string(body))
	if status != http.StatusOK {
		t.Fatalf("%s: %d %v", action, status, answer)
	}
	return answer
}

type m = map[string]any

func TestErrorsHaveCodeAndStatus(t *testing.T) {
	s := serve(t)
	do(t, s, "CreateStateMachine", m{"name": "there", "definition": passing, "roleArn": role})
	do(t, s, "CreateStateMachine", m{"name": "slow", "definition": waiting, "roleArn": role})
	do(t, s, "StartExecution", m{"stateMachineArn": machineARN + "slow", "name": "x"})
	executionARN := "arn:aws:states:us-east-1:123456789012:execution:slow:x"
	big := strings.Repeat("x", asl.MaxData)
	nobody := base64.RawURLEncoding.EncodeToString([]byte("77.1." + strings.Repeat("0", 64)))
	for _, row := range []struct {
		name, target, body string
		status             int
		code               string
		message            string // a part of it
	}{
		{"no target", "", `{}`, 400, "UnknownOperationException", "no action"},
		{"another service", "DynamoDB_20120810.GetItem", `{}`, 400, "UnknownOperationException", `"DynamoDB_20120810.GetItem"`},
		{"unknown action", "AWSStepFunctions.Fly", `{}`, 400, "UnknownOperationException", `"AWSStepFunctions.Fly"`},
		{"not JSON", "AWSStepFunctions.StartExecution", `{"stateMachineArn`, 400, "SerializationException", "not a JSON object"},
		{"not an object", "AWSStepFunctions.StartExecution", `[]`, 400, "SerializationException", "not a JSON object"},
		{"wrong type", "AWSStepFunctions.ListExecutions", `{"maxResults":"many"}`, 400, "SerializationException", "maxResults must not be a JSON string"},
		{"empty body", "AWSStepFunctions.StartExecution", ``, 400, "ValidationException", "'stateMachineArn'"},
		{"create without name", "AWSStepFunctions.CreateStateMachine", `{"definition":"{}","roleArn":"r"}`, 400, "ValidationException", "'name'"},
		{"create without definition", "AWSStepFunctions.CreateStateMachine", `{"name":"n","roleArn":"r"}`, 400, "ValidationException", "'definition'"},
		{"bad machine name", "AWSStepFunctions.CreateStateMachine", body(m{"name": "a b", "definition": passing, "roleArn": role}), 400, "InvalidName", "'a b'"},
		{"bad definition", "AWSStepFunctions.CreateStateMachine", body(m{"name": "n", "definition": `{"StartAt":"A"}`, "roleArn": role}), 400, "InvalidDefinition", "Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: These fields are required: [States] at /'"},
		{"bad machine type", "AWSStepFunctions.CreateStateMachine", body(m{"name": "n", "definition": passing, "roleArn": role, "type": "FAST"}), 400, "ValidationException", "'FAST' at 'type'"},
		{"other content", "AWSStepFunctions.CreateStateMachine", body(m{"name": "there", "definition": waiting, "roleArn": role}), 400, "StateMachineAlreadyExists", "State Machine Already Exists: '" + machineARN + "there'"},
		{"update of nothing", "AWSStepFunctions.UpdateStateMachine", body(m{"stateMachineArn": machineARN + "there"}), 400, "MissingRequiredParameter", "must be specified"},
		{"update of no machine", "AWSStepFunctions.UpdateStateMachine", body(m{"stateMachineArn": machineARN + "gone", "definition": passing}), 400, "StateMachineDoesNotExist", "gone"},
		{"update to nonsense", "AWSStepFunctions.UpdateStateMachine", body(m{"stateMachineArn": machineARN + "there", "definition": "{"}), 400, "InvalidDefinition", "INVALID_JSON_DESCRIPTION"},
		{"machine of another region", "AWSStepFunctions.DescribeStateMachine", body(m{"stateMachineArn": "arn:aws:states:eu-west-1:123456789012:stateMachine:there"}), 400, "StateMachineDoesNotExist", "eu-west-1"},
		{"not an ARN", "AWSStepFunctions.DescribeStateMachine", body(m{"stateMachineArn": "there"}), 400, "InvalidArn", "there"},
		{"delete with an execution's ARN", "AWSStepFunctions.DeleteStateMachine", body(m{"stateMachineArn": executionARN}), 400, "InvalidArn", "execution"},
		{"start of no machine", "AWSStepFunctions.StartExecution", body(m{"stateMachineArn": machineARN + "gone"}), 400, "StateMachineDoesNotExist", "gone"},
		{"start of a version", "AWSStepFunctions.StartExecution", body(m{"stateMachineArn": machineARN + "there:7"}), 400, "StateMachineDoesNotExist", "there:7"},
		{"bad execution name", "AWSStepFunctions.StartExecution", body(m{"stateMachineArn": machineARN + "there", "name": "a/b"}), 400, "InvalidName", "a/b"},
		{"name too long", "AWSStepFunctions.StartExecution", body(m{"stateMachineArn": machineARN + "there", "name": strings.Repeat("n", 81)}), 400, "ValidationException", "Member must have length less than or equal to 80"},
		{"input not JSON", "AWSStepFunctions.StartExecution", body(m{"stateMachineArn": machineARN + "there", "input": "{'a'}"}), 400, "InvalidExecutionInput", "Invalid State Machine Execution Input"},
		{"input too large", "AWSStepFunctions.StartExecution", body(m{"stateMachineArn": machineARN + "there", "input": `"` + big + `"`}), 400, "ValidationException", "262144"},
		{"other input", "AWSStepFunctions.StartExecution", body(m{"stateMachineArn": machineARN + "slow", "name": "x", "input": "[1]"}), 400, "ExecutionAlreadyExists", "Execution Already Exists: '" + executionARN + "'"},
		{"describe nothing", "AWSStepFunctions.DescribeExecution", body(m{"executionArn": executionARN + "y"}), 400, "ExecutionDoesNotExist", "Execution Does Not Exist: '" + executionARN + "y'"},
		{"describe no ARN", "AWSStepFunctions.DescribeExecution", body(m{"executionArn": "slow:x"}), 400, "InvalidArn", "slow:x"},
		{"stop nothing", "AWSStepFunctions.StopExecution", body(m{"executionArn": executionARN + "y"}), 400, "ExecutionDoesNotExist", "y"},
		{"stop with a novel", "AWSStepFunctions.StopExecution", body(m{"executionArn": executionARN, "cause": big}), 400, "ValidationException", "'cause'"},
		{"history of nothing", "AWSStepFunctions.GetExecutionHistory", body(m{"executionArn": executionARN + "y"}), 400, "ExecutionDoesNotExist", "y"},
		{"too many results", "AWSStepFunctions.GetExecutionHistory", body(m{"executionArn": executionARN, "maxResults": 1001}), 400, "ValidationException", "less than or equal to 1000"},
		{"too few results", "AWSStepFunctions.ListStateMachines", `{"maxResults":-1}`, 400, "ValidationException", "greater than or equal to 0"},
		{"bad token", "AWSStepFunctions.ListStateMachines", `{"nextToken":"?"}`, 400, "InvalidToken", "Invalid Token"},
		{"token of another list", "AWSStepFunctions.ListExecutions", body(m{"stateMachineArn": machineARN + "slow", "nextToken": "bWFjaGluZXMAYQ"}), 400, "InvalidToken", "Invalid Token"},
		{"bad status", "AWSStepFunctions.ListExecutions", body(m{"stateMachineArn": machineARN + "slow", "statusFilter": "DONE"}), 400, "ValidationException", "'DONE' at 'statusFilter'"},
		{"status of a Map run's children", "AWSStepFunctions.ListExecutions", body(m{"stateMachineArn": machineARN + "slow", "statusFilter": "PENDING_REDRIVE"}), 400, "ValidationException", "only with 'mapRunArn'"},
		{"machine of no execution", "AWSStepFunctions.DescribeStateMachineForExecution", body(m{"executionArn": executionARN + "y"}), 400, "ExecutionDoesNotExist", "y"},
		{"token missing", "AWSStepFunctions.SendTaskSuccess", body(m{"output": "{}"}), 400, "ValidationException", "'taskToken'"},
		{"output missing", "AWSStepFunctions.SendTaskSuccess", body(m{"taskToken": "x"}), 400, "ValidationException", "'output'"},
		{"output not JSON", "AWSStepFunctions.SendTaskSuccess", body(m{"taskToken": "x", "output": "{"}), 400, "InvalidOutput", "Invalid Output"},
		{"no token of ours", "AWSStepFunctions.SendTaskHeartbeat", body(m{"taskToken": "x"}), 400, "InvalidToken", "Invalid Token"},
		{"token of nobody", "AWSStepFunctions.SendTaskFailure", body(m{"taskToken": nobody}), 400, "InvalidToken", "Invalid Token"},
		{"token without output", "AWSStepFunctions.SendTaskSuccess", body(m{"taskToken": nobody}), 400, "ValidationException", "'output'"},
		{"token with output that is not JSON", "AWSStepFunctions.SendTaskSuccess", body(m{"taskToken": nobody, "output": "{"}), 400, "InvalidOutput", "Invalid Output"},
		{"token with too much output", "AWSStepFunctions.SendTaskSuccess", body(m{"taskToken": nobody, "output": `"` + big + `"`}), 400, "ValidationException", "262144"},
		{"token with too long an error", "AWSStepFunctions.SendTaskFailure", body(m{"taskToken": nobody, "error": big}), 400, "ValidationException", "'error'"},
		{"token with too long a cause", "AWSStepFunctions.SendTaskFailure", body(m{"taskToken": nobody, "cause": big}), 400, "ValidationException", "'cause'"},
		{"heartbeat without token", "AWSStepFunctions.SendTaskHeartbeat", `{}`, 400, "ValidationException", "'taskToken'"},
		{"bad activity name", "AWSStepFunctions.CreateActivity", `{"name":"a b$"}`, 400, "InvalidName", "Invalid Name: 'a b$'"},
		{"activity without name", "AWSStepFunctions.CreateActivity", `{}`, 400, "ValidationException", "'name'"},
		{"activity that is not there", "AWSStepFunctions.DescribeActivity", body(m{"activityArn": activityARN + "gone"}), 400, "ActivityDoesNotExist", "Activity Does Not Exist: '" + activityARN + "gone'"},
		{"poll of no activity", "AWSStepFunctions.GetActivityTask", body(m{"activityArn": activityARN + "gone"}), 400, "ActivityDoesNotExist", "Activity Does Not Exist: '" + activityARN + "gone'"},
		{"poll of a machine", "AWSStepFunctions.GetActivityTask", body(m{"activityArn": machineARN + "there"}), 400, "InvalidArn", machineARN},
		{"poll without activity", "AWSStepFunctions.GetActivityTask", `{}`, 400, "ValidationException", "'activityArn'"},
		{"poll with a long name", "AWSStepFunctions.GetActivityTask", body(m{"activityArn": activityARN + "gone", "workerName": big}), 400, "ValidationException", "'workerName'"},
		{"deletion with a machine's ARN", "AWSStepFunctions.DeleteActivity", body(m{"activityArn": machineARN + "there"}), 400, "InvalidArn", machineARN},
		{"body too large", "AWSStepFunctions.StartExecution", strings.Repeat(" ", 5<<20), 413, "RequestEntityTooLargeException", "4194304"},
	} {
		t.Run(row.name, func(t *testing.T) {
			status, answer := post(t, s, row.target, row.body)
			message, _ := answer["message"].(string)
			if status != row.status || answer["__type"] != row.code || !strings.Contains(message, row.message) {
				t.Errorf("%d %v\nwant %d %s … %s …", status, answer, row.status, row.code, row.message)
			}
		})
	}
}

func body(in m) string {
	b, err := json.Marshal(in)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestOtherMethodsAndPathsAreNotActions(t *testing.T) {
	s := serve(t)
	for _, row := range []struct{ method, path string }{{"GET", "/"}, {"POST", "/api"}} {
		r := httptest.NewRequestWithContext(t.Context(), row.method, row.path, nil)
		r.Header.Set("X-Amz-Target", "AWSStepFunctions.ListStateMachines")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != http.StatusNotFound {
			t.Errorf("%s %s: %d, want 404", row.method, row.path, w.Code)
		}
	}
}

func TestUnboundedBodyIsCutOff(t *testing.T) {
	s := serve(t)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", io.MultiReader(strings.NewReader(`{"name":"`), endless{}))
	r.ContentLength = -1
	r.Header.Set("X-Amz-Target", "AWSStepFunctions.CreateStateMachine")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s, want 413", w.Code, w.Body)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestTimesAreSecondsWithMilliseconds(t *testing.T) {
	s := serve(t)
	before := time.Now().Truncate(time.Millisecond)
	created := do(t, s, "CreateStateMachine", m{"name": "n", "definition": passing, "roleArn": role})
	seconds, ok := created["creationDate"].(float64)
	if at := time.UnixMilli(int64(seconds * 1000)); !ok || at.Before(before.Add(-time.Millisecond)) || at.After(time.Now()) {
		t.Errorf("creationDate %v is not now", created["creationDate"])
	}
}

// finished starts an execution and waits for its end.
func finished(t testing.TB, s http.Handler, machine string, in m) (arn string, described map[string]any) {
	t.Helper()
	in["stateMachineArn"] = machineARN + machine
	arn = do(t, s, "StartExecution", in)["executionArn"].(string)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 10_000 {
		if d := do(t, s, "DescribeExecution", m{"executionArn": arn}); d["status"] != "RUNNING" {
			return arn, d
		}
		<-tick.C
	}
	t.Fatalf("%s does not end", arn)
	return "", nil
}

func TestHistoryPagesBothWaysAndHidesData(t *testing.T) {
	s := serve(t)
	do(t, s, "CreateStateMachine", m{"name": "n", "roleArn": role, "definition": `{"StartAt":"A","States":{
		"A":{"Type":"Pass","Assign":{"v":{"x":1}},"Next":"B"},"B":{"Type":"Fail","Error":"E","Cause":"C"}}}`})
	arn, _ := finished(t, s, "n", m{"input": `{"secret":1}`})

	history := func(in m) (ids []float64, all []any) {
		t.Helper()
		in["executionArn"] = arn
		for {
			page := do(t, s, "GetExecutionHistory", in)
			for _, ev := range page["events"].([]any) {
				ids = append(ids, ev.(m)["id"].(float64))
				all = append(all, ev)
			}
			if page["nextToken"] == nil {
				return ids, all
			}
			in["nextToken"] = page["nextToken"]
		}
	}
	for size := range 7 {
		ids, _ := history(m{"maxResults": size})
		if d := cmp.Diff([]float64{1, 2, 3, 4, 5}, ids); d != "" {
			t.Errorf("pages of %d: %s", size, d)
		}
		ids, _ = history(m{"maxResults": size, "reverseOrder": true})
		if d := cmp.Diff([]float64{5, 4, 3, 2, 1}, ids); d != "" {
			t.Errorf("pages of %d in reverse: %s", size, d)
		}
	}
	_, all := history(m{})
	for _, ev := range all {
		if at, ok := ev.(m)["timestamp"].(float64); !ok || at < 1e9 {
			t.Errorf("event %v has no timestamp", ev)
		}
		delete(ev.(m), "timestamp")
	}
	whole := m{"truncated": false}
	if d := cmp.Diff([]any{
		m{"id": 1.0, "previousEventId": 0.0, "type": "ExecutionStarted", "executionStartedEventDetails": m{"input": `{"secret":1}`, "inputDetails": whole, "roleArn": role}},
		m{"id": 2.0, "previousEventId": 0.0, "type": "PassStateEntered", "stateEnteredEventDetails": m{"name": "A", "input": `{"secret":1}`, "inputDetails": whole}},
		m{"id": 3.0, "previousEventId": 2.0, "type": "PassStateExited", "stateExitedEventDetails": m{"name": "A", "output": `{"secret":1}`, "outputDetails": whole,
			"assignedVariables": m{"v": `{"x":1}`}, "assignedVariablesDetails": whole}},
		m{"id": 4.0, "previousEventId": 3.0, "type": "FailStateEntered", "stateEnteredEventDetails": m{"name": "B", "input": `{"secret":1}`, "inputDetails": whole}},
		m{"id": 5.0, "previousEventId": 4.0, "type": "ExecutionFailed", "executionFailedEventDetails": m{"error": "E", "cause": "C"}},
	}, all); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	_, hidden := history(m{"includeExecutionData": false})
	if text := fmt.Sprint(hidden); strings.Contains(text, "secret") || !strings.Contains(text, "name:A") {
		t.Errorf("without execution data: %s", text)
	}
}

func TestListsPage(t *testing.T) {
	s := serve(t)
	var machines, executions []string
	for i := range 7 {
		name := fmt.Sprint("n", i)
		machines = append(machines, name)
		do(t, s, "CreateStateMachine", m{"name": name, "definition": passing, "roleArn": role})
		executions = append([]string{name}, executions...) // the newest comes first
		finished(t, s, "n0", m{"name": name})
	}
	names := func(action, list string, in m) (names []string) {
		t.Helper()
		for {
			page := do(t, s, action, in)
			for _, x := range page[list].([]any) {
				names = append(names, x.(m)["name"].(string))
			}
			if page["nextToken"] == nil {
				return names
			}
			in["nextToken"] = page["nextToken"]
		}
	}
	for size := range 9 {
		if d := cmp.Diff(machines, names("ListStateMachines", "stateMachines", m{"maxResults": size})); d != "" {
			t.Errorf("machines in pages of %d: %s", size, d)
		}
		if d := cmp.Diff(executions, names("ListExecutions", "executions", m{"maxResults": size, "stateMachineArn": machineARN + "n0"})); d != "" {
			t.Errorf("executions in pages of %d: %s", size, d)
		}
	}
	if got := names("ListExecutions", "executions", m{"stateMachineArn": machineARN + "n0", "statusFilter": "FAILED"}); got != nil {
		t.Errorf("failed executions %v, want none", got)
	}
}

func TestMachineLifeCycle(t *testing.T) {
	s := serve(t)
	in := m{"name": "n", "definition": passing, "roleArn": role, "tracingConfiguration": m{"enabled": true}}
	first := do(t, s, "CreateStateMachine", in)
	if again := do(t, s, "CreateStateMachine", in); !cmp.Equal(first, again) {
		t.Errorf("the same again: %v, want %v", again, first)
	}
	arn := first["stateMachineArn"]
	d := do(t, s, "DescribeStateMachine", m{"stateMachineArn": arn})
	if d["status"] != "ACTIVE" || d["type"] != "STANDARD" || d["definition"] != passing || d["revisionId"] != nil || !cmp.Equal(d["tracingConfiguration"], any(m{"enabled": true})) {
		t.Errorf("described as %v", d)
	}
	updated := do(t, s, "UpdateStateMachine", m{"stateMachineArn": arn, "definition": waiting})
	d = do(t, s, "DescribeStateMachine", m{"stateMachineArn": arn})
	if d["definition"] != waiting || d["revisionId"] != updated["revisionId"] || updated["revisionId"] == nil {
		t.Errorf("after %v described as %v", updated, d)
	}
	do(t, s, "DeleteStateMachine", m{"stateMachineArn": arn})
	do(t, s, "DeleteStateMachine", m{"stateMachineArn": arn})
	if status, answer := post(t, s, "AWSStepFunctions.DescribeStateMachine", body(m{"stateMachineArn": arn})); answer["__type"] != "StateMachineDoesNotExist" {
		t.Errorf("after the deletion: %d %v", status, answer)
	}
	do(t, s, "CreateStateMachine", in)
}

func FuzzBody(f *testing.F) {
	for action, in := range map[string]m{
		"CreateStateMachine":             {"name": "n", "definition": passing, "roleArn": role},
		"UpdateStateMachine":             {"stateMachineArn": machineARN + "n", "definition": waiting},
		"StartExecution":                 {"stateMachineArn": machineARN + "n", "input": "[1]"},
		"GetExecutionHistory":            {"executionArn": "arn:aws:states:us-east-1:123456789012:execution:n:x", "nextToken": "AA"},
		"ListExecutions":                 {"stateMachineArn": machineARN + "n", "maxResults": 1e9},
		"StopExecution":                  {"executionArn": nil},
		"DescribeExecution":              {"executionArn": strings.Repeat(":", 99)},
		"DeleteStateMachine":             {},
		"TestState":                      {"definition": `{"Type":"Wait","Seconds":0,"End":true}`, "input": "1"},
		"CreateStateMachineAlias":        {"name": "a", "routingConfiguration": []m{{"stateMachineVersionArn": machineARN + "n:1", "weight": 100}}},
		"ListStateMachineVersions":       {"stateMachineArn": machineARN + "n", "nextToken": "AA"},
		"TagResource":                    {"resourceArn": machineARN + "n", "tags": []m{{"key": "k", "value": "v"}}},
		"ValidateStateMachineDefinition": {"definition": passing, "type": "EXPRESS"},
		"StartSyncExecution":             {"stateMachineArn": machineARN + "n:a"},
	} {
		f.Add("AWSStepFunctions."+action, []byte(body(in)))
	}
	s := serve(f)
	f.Fuzz(func(t *testing.T, target string, in []byte) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", bytes.NewReader(in))
		r.Header["X-Amz-Target"] = []string{target}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("answer %q is not JSON", w.Body)
		}
	})
}
