package api_test

import (
	"strings"
	"testing"
)

func TestTextsThatAreTooLong(t *testing.T) {
	s := serve(t)
	long := func(n int) string { return strings.Repeat("é", n) }
	const arn = machineARN + "n"
	do(t, s, "CreateStateMachine", m{"name": "n", "definition": passing, "roleArn": role})
	for _, row := range []struct {
		action, field string
		most          int
		sensitive     bool
		in            m
	}{
		{"CreateStateMachine", "name", 80, false, m{"definition": passing, "roleArn": role}},
		{"StartExecution", "name", 80, false, m{"stateMachineArn": arn}},
		{"StartSyncExecution", "traceHeader", 256, false, m{"stateMachineArn": arn}},
		{"CreateActivity", "name", 80, false, m{}},
		{"GetActivityTask", "workerName", 80, false, m{"activityArn": "arn:aws:states:us-east-1:123456789012:activity:a"}},
		{"DescribeStateMachine", "stateMachineArn", 256, false, m{}},
		{"DescribeMapRun", "mapRunArn", 2000, false, m{}},
		{"ListStateMachines", "nextToken", 3096, false, m{}},
		{"SendTaskHeartbeat", "taskToken", 2048, true, m{}},
		{"SendTaskFailure", "cause", 32768, true, m{"taskToken": "t"}},
		{"StopExecution", "error", 256, true, m{"executionArn": "arn:aws:states:us-east-1:123456789012:execution:n:x"}},
	} {
		row.in[row.field] = long(row.most + 1)
		want := "1 validation error detected: Value '" + long(row.most+1) + "' at '" + row.field + "' failed"
		if row.sensitive {
			want = "1 validation error detected: Value at '" + row.field + "' failed"
		}
		_, answer := post(t, s, "AWSStepFunctions."+row.action, body(row.in))
		if message, _ := answer["message"].(string); answer["__type"] != "ValidationException" || !strings.HasPrefix(message, want) {
			t.Errorf("%s: %.200v, want %.120s", row.action, answer, want)
		}
		row.in[row.field] = long(row.most)
		if _, answer := post(t, s, "AWSStepFunctions."+row.action, body(row.in)); strings.Contains(body(answer), "Member must have length") {
			t.Errorf("%s with %d characters: %v", row.action, row.most, answer)
		}
	}
}

func TestInputThatIsEmptyIsNotJSON(t *testing.T) {
	s := serve(t)
	const arn = machineARN + "n"
	do(t, s, "CreateStateMachine", m{"name": "n", "definition": passing, "roleArn": role})
	if _, answer := post(t, s, "AWSStepFunctions.StartExecution", body(m{"stateMachineArn": arn, "input": ""})); answer["__type"] != "InvalidExecutionInput" {
		t.Errorf("empty: %v", answer)
	}
	started := do(t, s, "StartExecution", m{"stateMachineArn": arn})
	if d := do(t, s, "DescribeExecution", m{"executionArn": started["executionArn"]}); d["input"] != "{}" {
		t.Errorf("none: %v", d)
	}
}

func TestTestStateRefusesWhatIsNoDefinition(t *testing.T) {
	s := serve(t)
	for _, definition := range []string{"nope", "[]", "null", `{"Type":`} {
		if _, answer := post(t, s, "AWSStepFunctions.TestState", body(m{"definition": definition, "roleArn": role})); answer["__type"] != "ValidationException" || answer["message"] != "Definition must be a valid JSON object" {
			t.Errorf("%s: %v", definition, answer)
		}
	}
}
