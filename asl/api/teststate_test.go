package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"

	"switchyard/asl/engine"
	"switchyard/asl/store"
	"switchyard/asl/task"
)

func serveTask(t *testing.T) http.Handler {
	e, err := engine.New(store.NewMemory(), engine.Config{}, engine.WithHandler(function, handler(func(_ context.Context, tk task.Task) (json.RawMessage, error) {
		if strings.Contains(string(tk.Input), "bad") {
			return nil, &task.Error{Name: "Bad", Cause: "it is"}
		}
		return json.RawMessage(`{"got":` + string(tk.Input) + `,"more":1}`), nil
	})))
	if err != nil {
		t.Fatal(err)
	}
	return serveEngine(t, e)
}

func TestTestState(t *testing.T) {
	s := serveTask(t)
	const retried = `{"Type":"Task","Resource":"` + function + `","Retry":[{"ErrorEquals":["Other"]},{"ErrorEquals":["Bad"],"IntervalSeconds":3,"BackoffRate":2,"MaxAttempts":2}],
		"Catch":[{"ErrorEquals":["Bad"],"ResultPath":"$.e","Next":"Caught","Assign":{"v.$":"$.Error"}}],"Next":"N"}`
	for _, row := range []struct {
		name string
		in   m
		want m
	}{
		{"pass", m{"definition": `{"Type":"Pass","InputPath":"$.a","Parameters":{"x.$":"$.b"},"ResultPath":"$.r","OutputPath":"$.r","Next":"N"}`, "input": `{"a":{"b":1}}`, "inspectionLevel": "DEBUG"},
			m{"status": "SUCCEEDED", "nextState": "N", "output": `{"x":1}`, "inspectionData": m{
				"input": `{"a":{"b":1}}`, "afterInputPath": `{"b":1}`, "afterParameters": `{"x":1}`, "afterResultSelector": `{"x":1}`, "afterResultPath": `{"a":{"b":1},"r":{"x":1}}`}}},
		{"pass with a result", m{"definition": `{"Type":"Pass","Result":{"k":1},"End":true}`, "input": `{"a":1}`, "inspectionLevel": "TRACE"},
			m{"status": "SUCCEEDED", "output": `{"k":1}`, "inspectionData": m{
				"input": `{"a":1}`, "result": `{"k":1}`, "afterResultSelector": `{"k":1}`, "afterResultPath": `{"k":1}`}}},
		{"pass in JSONata", m{"definition": `{"Type":"Pass","QueryLanguage":"JSONata","Assign":{"v":"{% $states.input.a %}"},"Output":"{% $states.input.a + 1 %}","Next":"N"}`, "input": `{"a":1}`, "inspectionLevel": "DEBUG"},
			m{"status": "SUCCEEDED", "nextState": "N", "output": `2`, "inspectionData": m{"input": `{"a":1}`, "variables": `{"v":1}`}}},
		{"task in JSONata", m{"definition": `{"Type":"Task","QueryLanguage":"JSONata","Resource":"` + function + `","Arguments":{"x":"{% $states.input.a %}"},"Output":"{% $states.result.more %}","End":true}`, "input": `{"a":1}`, "inspectionLevel": "DEBUG", "roleArn": role},
			m{"status": "SUCCEEDED", "output": `1`, "inspectionData": m{"input": `{"a":1}`, "afterArguments": `{"x":1}`, "result": `{"got":{"x":1},"more":1}`}}},
		{"info shows no data", m{"definition": `{"Type":"Pass","End":true}`, "input": `{"a":1}`}, m{"status": "SUCCEEDED", "output": `{"a":1}`}},
		{"choice", m{"definition": `{"Type":"Choice","Choices":[{"Variable":"$.v","NumericLessThan":30,"Next":"Twenties"}],"Default":"Other"}`, "input": `{"v":22}`, "inspectionLevel": "DEBUG"},
			m{"status": "SUCCEEDED", "nextState": "Twenties", "output": `{"v":22}`, "inspectionData": m{"input": `{"v":22}`, "afterInputPath": `{"v":22}`}}},
		{"choice without a match", m{"definition": `{"Type":"Choice","Choices":[{"Variable":"$.v","IsNull":true,"Next":"N"}]}`, "input": `{"v":1}`},
			m{"status": "FAILED", "error": "States.NoChoiceMatched", "cause": "An error occurred while executing the state 'StateName' (entered at the event id #2). Failed to transition out of the state. The state does not point to a next state."}},
		{"wait", m{"definition": `{"Type":"Wait","Timestamp":"2020-01-01T00:00:00Z","Next":"N"}`, "input": `1`}, m{"status": "SUCCEEDED", "nextState": "N", "output": `1`}},
		{"succeed", m{"definition": `{"Type":"Succeed","OutputPath":"$.a"}`, "input": `{"a":2}`, "inspectionLevel": "DEBUG"},
			m{"status": "SUCCEEDED", "output": `2`, "inspectionData": m{"input": `{"a":2}`, "afterInputPath": `{"a":2}`}}},
		{"fail", m{"definition": `{"Type":"Fail","Error":"E","Cause":"C"}`, "input": `{"a":2}`, "inspectionLevel": "DEBUG"},
			m{"status": "FAILED", "error": "E", "cause": "C", "inspectionData": m{"input": `{"a":2}`, "afterInputPath": `{"a":2}`}}},
		{"task", m{"definition": `{"Type":"Task","Resource":"` + function + `","ResultSelector":{"g.$":"$.got"},"ResultPath":"$.r","End":true}`, "input": `{"a":1}`, "inspectionLevel": "DEBUG", "roleArn": role},
			m{"status": "SUCCEEDED", "output": `{"a":1,"r":{"g":{"a":1}}}`, "inspectionData": m{
				"input": `{"a":1}`, "afterInputPath": `{"a":1}`, "afterParameters": `{"a":1}`, "result": `{"got":{"a":1},"more":1}`,
				"afterResultSelector": `{"g":{"a":1}}`, "afterResultPath": `{"a":1,"r":{"g":{"a":1}}}`}}},
		{"task to be tried again", m{"definition": retried, "input": `{"k":"bad"}`, "roleArn": role, "inspectionLevel": "DEBUG", "stateConfiguration": m{"retrierRetryCount": 1}},
			m{"status": "RETRIABLE", "error": "Bad", "cause": "it is", "inspectionData": m{"input": `{"k":"bad"}`, "afterInputPath": `{"k":"bad"}`, "afterParameters": `{"k":"bad"}`,
				"errorDetails": m{"retryIndex": 1.0, "retryBackoffIntervalSeconds": 6.0}}}},
		{"task that is caught", m{"definition": retried, "input": `{"k":"bad"}`, "roleArn": role, "inspectionLevel": "DEBUG", "stateConfiguration": m{"retrierRetryCount": 2}},
			m{"status": "CAUGHT_ERROR", "error": "Bad", "cause": "it is", "nextState": "Caught", "output": `{"k":"bad","e":{"Error":"Bad","Cause":"it is"}}`,
				"inspectionData": m{"input": `{"k":"bad"}`, "afterInputPath": `{"k":"bad"}`, "afterParameters": `{"k":"bad"}`, "variables": `{"v":"Bad"}`, "errorDetails": m{"catchIndex": 0.0}}}},
		{"task that fails", m{"definition": taskState(function), "input": `"bad"`, "roleArn": role}, m{"status": "FAILED", "error": "Bad", "cause": "it is"}},
		{"task nobody does", m{"definition": taskState("arn:aws:states:::sqs:sendMessage"), "roleArn": role, "input": `{}`},
			m{"status": "FAILED", "error": "States.Runtime", "cause": "Nothing is configured to run the resource 'arn:aws:states:::sqs:sendMessage': give it a handler under engine.embedded.functions, engine.embedded.projects or engine.embedded.aws in the configuration."}},
		{"variables", m{"definition": `{"Type":"Pass","Parameters":{"v.$":"$old"},"Assign":{"new.$":"$.v"},"End":true}`, "variables": `{"old":1}`, "inspectionLevel": "DEBUG"},
			m{"status": "SUCCEEDED", "output": `{"v":1}`, "inspectionData": m{
				"input": `{}`, "afterInputPath": `{}`, "afterParameters": `{"v":1}`, "afterResultSelector": `{"v":1}`, "afterResultPath": `{"v":1}`, "variables": `{"old":1,"new":1}`}}},
		{"a state of a machine", m{"definition": `{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"B"},"B":{"Type":"Pass","Result":"b","End":true}}}`, "stateName": "A", "input": `3`},
			m{"status": "SUCCEEDED", "output": `3`, "nextState": "B"}},
		{"mocked result", m{"definition": `{"Type":"Task","Resource":"arn:aws:states:::sqs:sendMessage.waitForTaskToken","ResultPath":"$.r","Next":"N"}`, "input": `{}`, "mock": m{"result": `{"id":1}`}},
			m{"status": "SUCCEEDED", "nextState": "N", "output": `{"r":{"id":1}}`}},
		{"mocked error", m{"definition": taskState("arn:aws:states:::sqs:sendMessage"), "mock": m{"errorOutput": m{"error": "E", "cause": "C"}}}, m{"status": "FAILED", "error": "E", "cause": "C"}},
		{"mocked map", m{"definition": `{"Type":"Map","ResultSelector":{"n.$":"States.ArrayLength($)"},"End":true,"ItemProcessor":` + passing + `}`, "input": `[1,2]`, "mock": m{"result": `[1,2]`}},
			m{"status": "SUCCEEDED", "output": `{"n":2}`}},
		{"context with a mock", m{"definition": `{"Type":"Task","Resource":"` + function + `","Parameters":{"x.$":"$$.Custom"},"End":true}`, "context": `{"Custom":9}`, "mock": m{"result": `1`}, "inspectionLevel": "DEBUG"},
			m{"status": "SUCCEEDED", "output": `1`, "inspectionData": m{"input": `{}`, "afterInputPath": `{}`, "afterParameters": `{"x":9}`, "result": `1`, "afterResultSelector": `1`, "afterResultPath": `1`}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if d := cmp.Diff(row.want, do(t, s, "TestState", row.in)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func taskState(resource string) string {
	return `{"Type":"Task","Resource":"` + resource + `","End":true}`
}

func TestTestStateRefuses(t *testing.T) {
	s := serveTask(t)
	const pass, mapState = `{"Type":"Pass","End":true}`, `{"Type":"Map","End":true,"ItemProcessor":` + passing + `}`
	parallel := `{"Type":"Parallel","End":true,"Branches":[` + passing + `,` + strings.ReplaceAll(passing, `"P"`, `"Q"`) + `]}`
	for _, row := range []struct {
		name          string
		in            m
		code, message string
	}{
		{"no definition", m{}, "ValidationException", "'definition'"},
		{"bad definition", m{"definition": `{"Type":"Pass"}`}, "InvalidDefinition", "[Next] or [End]"},
		{"no such state", m{"definition": passing, "stateName": "X"}, "ValidationException", "State 'X'"},
		{"bad input", m{"definition": pass, "input": `{`}, "InvalidExecutionInput", "Invalid State Machine Execution Input"},
		{"bad variables", m{"definition": pass, "variables": `[]`}, "ValidationException", "variables must be a JSON object"},
		{"bad level", m{"definition": pass, "inspectionLevel": "ALL"}, "ValidationException", "[INFO, DEBUG, TRACE]"},
		{"negative retries", m{"definition": pass, "stateConfiguration": m{"retrierRetryCount": -1}}, "ValidationException", "retrierRetryCount"},
		{"task without role", m{"definition": taskState(function)}, "ValidationException", "RoleArn must be specified when testing a Task state"},
		{"token without mock", m{"definition": taskState("arn:aws:states:::sqs:sendMessage.waitForTaskToken"), "roleArn": role}, "InvalidDefinition", "mock"},
		{"context without mock", m{"definition": pass, "context": `{}`}, "ValidationException", "context"},
		{"map without mock", m{"definition": mapState}, "InvalidDefinition", "TestState API does not support Map or Parallel states. Supported state types include: [Task, Wait, Pass, Succeed, Fail, Choice]"},
		{"mocked pass", m{"definition": pass, "mock": m{"result": `1`}}, "ValidationException", "State type 'Pass' is not supported when a mock is specified"},
		{"mock of both", m{"definition": taskState(function), "mock": m{"result": `1`, "errorOutput": m{"error": "E"}}}, "ValidationException", "A test mock should have only one of the following fields: [result, errorOutput]."},
		{"mock of neither", m{"definition": taskState(function), "mock": m{}}, "ValidationException", "[result, errorOutput]"},
		{"mock that is not JSON", m{"definition": taskState(function), "mock": m{"result": `{`}}, "ValidationException", "valid JSON"},
		{"secrets with a mock", m{"definition": taskState(function), "mock": m{"result": `1`}, "revealSecrets": true}, "ValidationException", "TestState does not support RevealSecrets when a mock is specified."},
		{"map mocked with an object", m{"definition": mapState, "mock": m{"result": `{}`}}, "ValidationException", "Mocked result must be an array."},
		{"parallel mocked with too little", m{"definition": parallel, "mock": m{"result": `[1]`}}, "ValidationException", "Mocked result must contain the same number of items as number of Parallel branches."},
	} {
		t.Run(row.name, func(t *testing.T) {
			status, answer := post(t, s, "AWSStepFunctions.TestState", body(row.in))
			message, _ := answer["message"].(string)
			if status != http.StatusBadRequest || answer["__type"] != row.code || !strings.Contains(message, row.message) {
				t.Errorf("%d %v: %s\nwant 400 %s: %s", status, answer["__type"], message, row.code, row.message)
			}
		})
	}
}

const job = `{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"arn:aws:states:::ecs:runTask.sync","Parameters":{"TaskDefinition":"d"},"End":true}}}`

func TestTestStateAndValidationThroughTheSDK(t *testing.T) {
	c, ctx := client(serve(t).Transport(), "http://engine.invalid"), t.Context()
	tested, err := c.TestState(ctx, &sfn.TestStateInput{Definition: aws.String(`{"Type":"Pass","Next":"N"}`), Input: aws.String(`1`), InspectionLevel: types.InspectionLevelDebug})
	if err != nil || tested.Status != types.TestExecutionStatusSucceeded || aws.ToString(tested.NextState) != "N" || aws.ToString(tested.InspectionData.AfterInputPath) != "1" {
		t.Errorf("%+v, %v", tested, err)
	}
	checked, err := c.ValidateStateMachineDefinition(ctx, &sfn.ValidateStateMachineDefinitionInput{Definition: aws.String(strings.Replace(job, "ecs:runTask.sync", "ecs:runTask.waitForTaskToken", 1)), Type: types.StateMachineTypeExpress})
	if err != nil || checked.Result != types.ValidateStateMachineDefinitionResultCodeFail || len(checked.Diagnostics) != 1 || aws.ToString(checked.Diagnostics[0].Location) != "/States/T/Resource" {
		t.Errorf("%+v, %v", checked, err)
	}
}

func TestValidateStateMachineDefinition(t *testing.T) {
	s := serve(t)
	const warned = `{"StartAt":"P","States":{"P":{"Type":"Pass","Result":"$.x","End":true}}}`
	for _, row := range []struct {
		name      string
		in        m
		result    string
		codes     []string
		truncated bool
	}{
		{"good", m{"definition": passing}, "OK", nil, false},
		{"no STANDARD for what is EXPRESS alone", m{"definition": job}, "OK", nil, false},
		{"bad as EXPRESS", m{"definition": job, "type": "EXPRESS"}, "FAIL", []string{"SCHEMA_VALIDATION_FAILED"}, false},
		{"no parameters", m{"definition": taskOf("arn:aws:states:::ecs:runTask.sync")}, "FAIL", []string{"SCHEMA_VALIDATION_FAILED"}, false},
		{"misspelt parameters", m{"definition": strings.ReplaceAll(job, "TaskDefinition", "taskDefinition")}, "FAIL", []string{"SCHEMA_VALIDATION_FAILED", "SCHEMA_VALIDATION_FAILED"}, false},
		{"bad", m{"definition": `{}`, "type": "EXPRESS"}, "FAIL", []string{"SCHEMA_VALIDATION_FAILED"}, false},
		{"not JSON", m{"definition": `no`}, "FAIL", []string{"INVALID_JSON_DESCRIPTION"}, false},
		{"warnings are left out", m{"definition": warned}, "OK", nil, false},
		{"warnings", m{"definition": warned, "severity": "WARNING"}, "OK", []string{"PASS_RESULT_IS_STATIC"}, false},
		{"one of several", m{"definition": `{"StartAt":"P","States":{"P":{"Type":"Pass"},"Q":{"Type":"Fly"}}}`, "maxResults": 1}, "FAIL", []string{"SCHEMA_VALIDATION_FAILED"}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			out := do(t, s, "ValidateStateMachineDefinition", row.in)
			var codes []string
			for _, d := range out["diagnostics"].([]any) {
				codes = append(codes, d.(m)["code"].(string))
			}
			if out["result"] != row.result || out["truncated"] != row.truncated || !cmp.Equal(codes, row.codes) {
				t.Errorf("%v, want %s %v truncated %v", out, row.result, row.codes, row.truncated)
			}
		})
	}
	for _, in := range []m{{}, {"definition": passing, "type": "FAST"}, {"definition": passing, "severity": "INFO"}, {"definition": passing, "maxResults": 101}} {
		if status, answer := post(t, s, "AWSStepFunctions.ValidateStateMachineDefinition", body(in)); status != http.StatusBadRequest || answer["__type"] != "ValidationException" {
			t.Errorf("%v: %d %v", in, status, answer)
		}
	}
}
