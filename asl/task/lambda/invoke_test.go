package lambda_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"testing"

	"switchyard/asl/task"
	"switchyard/asl/task/lambda"
)

// probe keeps the payload, logs, and fails when it has an error.
type probe struct {
	payload string
	err     error
}

func (p *probe) Invoke(_ context.Context, _ task.Task, payload json.RawMessage) ([]byte, error) {
	p.payload = string(payload)
	return []byte(`{}`), p.err
}

type loggedProbe struct{ probe }

func (p *loggedProbe) InvokeLogged(ctx context.Context, t task.Task, payload json.RawMessage) (answer, log []byte, err error) {
	answer, err = p.Invoke(ctx, t, payload)
	return answer, []byte("line one\nline two\n"), err
}

// From recordings of lambda:invoke on AWS: a text is the payload itself, and the
// function gets what the JSON in it says.
func TestPayloadOfInvoke(t *testing.T) {
	for field, want := range map[string]string{
		``:                            `{}`,
		`,"Payload":null`:             `{}`,
		`,"Payload":""`:               `{}`,
		`,"Payload":{"a": 1}`:         `{"a": 1}`,
		`,"Payload":[]`:               `[]`,
		`,"Payload":"\"Hello\""`:      `"Hello"`,
		`,"Payload":"0"`:              `0`,
		`,"Payload":"true"`:           `true`,
		`,"Payload":"{\"a\":[1,2]}"`:  `{"a":[1,2]}`,
		`,"Payload":"null"`:           `null`,
		`,"Payload":"no JSON \u00e9"`: "no JSON é",
	} {
		p := &probe{}
		if _, err := run(t, p, lambda.ResourceInvoke, `{"FunctionName":"f"`+field+`}`); err != nil || p.payload != want {
			t.Errorf("%s: the function gets %s, %v; want %s", field, p.payload, err, want)
		}
	}
	p := &probe{}
	if _, err := run(t, p, arn+"f", `"text"`); err != nil || p.payload != `"text"` {
		t.Errorf("a function by its ARN gets %s, %v", p.payload, err)
	}
}

func TestLogResultIsTheEndOfTheLog(t *testing.T) {
	log := base64.StdEncoding.EncodeToString([]byte("line one\nline two\n"))
	for name, row := range map[string]struct {
		f       lambda.Function
		logType string
		want    any
	}{
		"tail":               {&loggedProbe{}, `,"LogType":"Tail"`, log},
		"none":               {&loggedProbe{}, `,"LogType":"None"`, nil},
		"not asked for":      {&loggedProbe{}, ``, nil},
		"nobody keeps a log": {&probe{}, `,"LogType":"Tail"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := run(t, row.f, lambda.ResourceInvoke, `{"FunctionName":"f"`+row.logType+`}`)
			if err != nil {
				t.Fatal(err)
			}
			var fields map[string]any
			if err := json.Unmarshal(out, &fields); err != nil {
				t.Fatal(err)
			}
			if fields["LogResult"] != row.want {
				t.Errorf("%s, want %v", out, row.want)
			}
		})
	}
	_, err := run(t, &probe{}, lambda.ResourceInvoke, `{"FunctionName":"f","LogType":"Head"}`)
	var failed *task.Error
	if !errors.As(err, &failed) || failed.Name != "Lambda.InvalidParameterValueException" {
		t.Errorf("LogType Head: %v", err)
	}
}

// From recordings: lambda:invoke writes the cause of a function's error anew,
// without blanks; a function by its ARN has it passed on.
func TestCauseOfAFunctionsError(t *testing.T) {
	const cause = "{ \"errorType\": \"Broken\",\n \"errorMessage\": \"a  b\", \"stackTrace\": [ \"x\" ] }"
	for resource, want := range map[string]string{
		lambda.ResourceInvoke:                       `{"errorType":"Broken","errorMessage":"a  b","stackTrace":["x"]}`,
		lambda.ResourceInvoke + ".waitForTaskToken": `{"errorType":"Broken","errorMessage":"a  b","stackTrace":["x"]}`,
		arn + "f": cause,
	} {
		_, err := run(t, &probe{err: lambda.Reported([]byte(cause))}, resource, `{"FunctionName":"f"}`)
		var failed *task.Error
		if !errors.As(err, &failed) || failed.Name != "Broken" || failed.Cause != want {
			t.Errorf("%s: %v\nwant %s", resource, err, want)
		}
	}
	_, err := run(t, &probe{err: &task.Error{Name: "E", Cause: "no  JSON"}}, lambda.ResourceInvoke, `{"FunctionName":"f"}`)
	var failed *task.Error
	if !errors.As(err, &failed) || failed.Cause != "no  JSON" {
		t.Errorf("%v", err)
	}
}

func run(t *testing.T, f lambda.Function, resource, input string) (json.RawMessage, error) {
	t.Helper()
	h, err := lambda.New(map[string]lambda.Function{"f": f})
	if err != nil {
		t.Fatal(err)
	}
	return h.Run(t.Context(), task.Task{ID: "t", Resource: resource, Input: json.RawMessage(input)})
}
