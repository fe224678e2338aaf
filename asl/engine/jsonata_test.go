package engine_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"switchyard/asl/engine"
	"switchyard/asl/history"
	"switchyard/asl/store"
	"switchyard/asl/task"
)

// jsonata is a machine in JSONata that begins with S.
func jsonata(states string) string {
	return `{"QueryLanguage":"JSONata","StartAt":"S","States":{` + states + `}}`
}

func echo(_ context.Context, t task.Task) (json.RawMessage, error) {
	if strings.Contains(string(t.Input), "bad") {
		return nil, &task.Error{Name: "Bad", Cause: "it is"}
	}
	return json.RawMessage(`{"got":` + string(t.Input) + `}`), nil
}

func TestJSONataStates(t *testing.T) {
	work := `"S":{"Type":"Task","Resource":"` + fn + `",`
	for _, tt := range []struct{ name, definition, input, want string }{
		{"task", jsonata(work + `"Arguments":{"n":"{% $states.input.n + 1 %}","s":"{% literal"},"TimeoutSeconds":"{% $states.input.n * 10 %}",
			"Output":{"r":"{% $states.result.got.n %}","state":"{% $states.context.State.Name %}"},"End":true}`), `{"n":4}`, `{"r":5,"state":"S"}`},
		{"task without arguments and output", jsonata(work + `"End":true}`), `{"n":4}`, `{"got":{"n":4}}`},
		{"variables are shared with JSONPath", `{"StartAt":"A","States":{"A":{"Type":"Pass","Assign":{"v.$":"$.n"},"Next":"S"},
			"S":{"Type":"Pass","QueryLanguage":"JSONata","Assign":{"v":"{% $v + 1 %}","w":"{% $v %}"},"Output":{"old":"{% $v %}"},"Next":"B"},
			"B":{"Type":"Pass","Parameters":{"v.$":"$v","w.$":"$w","old.$":"$.old"},"End":true}}}`, `{"n":4}`, `{"v":5,"w":4,"old":4}`},
		{"caught", jsonata(work + `"Catch":[{"ErrorEquals":["Other"],"Next":"E"},{"ErrorEquals":["Bad"],"Assign":{"v":"{% $states.errorOutput.Error %}"},
			"Output":{"c":"{% $states.errorOutput.Cause & $states.input.x %}"},"Next":"E"}],"End":true},
			"E":{"Type":"Pass","Output":"{% [$v, $states.input.c] %}","End":true}`), `{"x":"bad"}`, `["Bad","it isbad"]`},
		{"caught without output", jsonata(work + `"Catch":[{"ErrorEquals":["States.ALL"],"Next":"E"}],"End":true},"E":{"Type":"Succeed"}`), `"bad"`, `{"Error":"Bad","Cause":"it is"}`},
		{"an evaluation caught", jsonata(work + `"Arguments":"{% $states.input.none %}","Catch":[{"ErrorEquals":["States.QueryEvaluationError"],"Output":"{% $states.errorOutput.Error %}","Next":"E"}],"End":true},
			"E":{"Type":"Succeed"}`), `{}`, `"States.QueryEvaluationError"`},
		{"choice", jsonata(`"S":{"Type":"Choice","Choices":[{"Condition":"{% $states.input.n > 5 %}","Next":"E"},{"Condition":"{% $states.input.n > 3 %}","Assign":{"v":"{% 'second' %}"},"Output":{"m":1},"Next":"E"}],"Default":"F"},
			"E":{"Type":"Pass","Output":"{% $merge([$states.input, {'v': $v}]) %}","End":true},"F":{"Type":"Fail"}`), `{"n":4}`, `{"m":1,"v":"second"}`},
		{"default of a choice", jsonata(`"S":{"Type":"Choice","Choices":[{"Condition":false,"Output":1,"Next":"E"}],"Default":"E","Output":"{% 'default' %}"},"E":{"Type":"Succeed"}`), `{}`, `"default"`},
		{"wait", jsonata(`"S":{"Type":"Wait","Seconds":"{% $states.input.s %}","Output":"{% $states.input.s * 2 %}","End":true}`), `{"s":30}`, `60`},
		{"map", jsonata(`"S":{"Type":"Map","Items":"{% $states.input.items[n > 1] %}","MaxConcurrency":"{% 1 + 1 %}","ItemSelector":{"i":"{% $states.context.Map.Item.Index %}","n":"{% $states.context.Map.Item.Value.n %}"},
			"ItemProcessor":{"StartAt":"P","States":{"P":{"Type":"Pass","Output":"{% $states.input.i & ':' & $states.input.n %}","End":true}}},"Output":"{% $join($states.result, ' ') %}","End":true}`),
			`{"items":[{"n":1},{"n":2},{"n":3}]}`, `"0:2 1:3"`},
		{"states in a Map take the machine's language", `{"StartAt":"S","States":{"S":{"Type":"Map","QueryLanguage":"JSONata","Items":[1,"{% 2 %}"],"ItemProcessor":{"StartAt":"P","States":{
			"P":{"Type":"Pass","Parameters":{"v.$":"$"},"End":true}}},"End":true}}}`, `{}`, `[{"v":1},{"v":2}]`},
		{"parallel", jsonata(`"S":{"Type":"Parallel","Arguments":"{% $states.input.n %}","Branches":[{"StartAt":"P","States":{"P":{"Type":"Pass","Output":"{% $states.input + 1 %}","End":true}}},
			{"StartAt":"Q","States":{"Q":{"Type":"Succeed","Output":"{% [$states.input] %}"}}}],"Output":{"r":"{% $states.result %}"},"End":true}`), `{"n":4}`, `{"r":[5,[4]]}`},
		{"numbers are kept", jsonata(`"S":{"Type":"Pass","Output":"{% {'a': $states.input.big, 'b': $states.input.half * 2, 'c': 1e21} %}","End":true}`),
			`{"big":9007199254740993,"half":0.5}`, `{"a":9007199254740993,"b":1,"c":1e+21}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, e *engine.Engine) {
				wantOutput(t, runs(t, e, tt.definition, tt.input), tt.want)
			}, engine.WithHandler(fn, handlerFunc(echo)))
		})
	}
}

// TestJSONataErrors has AWS's sentences.
func TestJSONataErrors(t *testing.T) {
	for _, tt := range []struct{ name, states, location, cause string }{
		{"nothing", `"S":{"Type":"Pass","Output":{"a":[1,"{% $states.input.none %}"]},"End":true}`, "Output/a[1]",
			"The JSONata expression '$states.input.none' specified for the field 'Output/a[1]' returned nothing (undefined)."},
		{"an error", `"S":{"Type":"Pass","Assign":{"v":"{% 1 + 'a' %}"},"End":true}`, "Assign/v",
			`The JSONata expression '1 + 'a'' specified for the field 'Assign/v' threw an error during evaluation. T2002: The right side of the "+" operator must evaluate to a number`},
		{"a function", `"S":{"Type":"Succeed","Output":"{% $sum %}"}`, "Output",
			"The JSONata expression '$sum' specified for the field 'Output' returned an unsupported result type."},
		{"a condition that is a text", `"S":{"Type":"Choice","Choices":[{"Condition":false,"Next":"E"},{"Condition":"{% 'yes' %}","Next":"E"}]},"E":{"Type":"Succeed"}`, "Choices[1]/Condition",
			`The JSONata expression ''yes'' specified for the field 'Choices[1]/Condition' returned an unexpected result type. Expected 'boolean', but was 'string' for value: "yes"`},
		{"seconds that are a text", `"S":{"Type":"Wait","Seconds":"{% '1' %}","End":true}`, "Seconds",
			`The JSONata expression ''1'' specified for the field 'Seconds' returned an unexpected result type. Expected 'number', but was 'string' for value: "1"`},
		{"no time", `"S":{"Type":"Wait","Timestamp":"{% '2031-02-30' %}","End":true}`, "Timestamp",
			"The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time format string: 2031-02-30"},
		{"an error name that is a number", `"S":{"Type":"Fail","Error":"{% 1 %}"}`, "Error",
			"The JSONata expression '1' specified for the field 'Error' returned an unexpected result type. Expected 'string', but was 'number' for value: 1"},
		{"an input that is no array", `"S":{"Type":"Map","ItemProcessor":{"StartAt":"P","States":{"P":{"Type":"Succeed"}}},"End":true}`, "",
			"Map state input must be an array but was: {}"},
		{"too deep", `"S":{"Type":"Pass","Output":"{% ($f := function($n){ 1 + $f($n) }; $f(1)) %}","End":true}`, "Output",
			"The JSONata expression '($f := function($n){ 1 + $f($n) }; $f(1))' specified for the field 'Output' threw an error during evaluation. U1001: Stack overflow error: Check for non-terminating recursive function.  Consider rewriting as tail-recursive. Depth=101 max=100"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, e *engine.Engine) {
				x := runs(t, e, jsonata(tt.states), `{}`)
				cause := "An error occurred while executing the state 'S' (entered at the event id #2). " + tt.cause
				wantFailure(t, x, store.Failed, "States.QueryEvaluationError", cause)
				ev := events(t, e, x.ARN)[2]
				if ev.Type != history.EvaluationFailed || ev.Name != "S" || ev.Error != x.Error || ev.Cause != cause || ev.Resource != tt.location {
					t.Errorf("the third event is %+v", ev)
				}
			})
		})
	}
}

func TestJSONataTimeoutOfATask(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		begin := time.Now()
		x := runs(t, e, jsonata(`"S":{"Type":"Task","Resource":"`+fn+`","TimeoutSeconds":"{% $states.input.t %}","End":true}`), `{"t":7}`)
		wantFailure(t, x, store.Failed, "States.Timeout", "")
		if took := time.Since(begin); took < 7*time.Second || took > 8*time.Second {
			t.Errorf("it took %v", took)
		}
	}, engine.WithHandler(fn, handlerFunc(blocking)))
}
