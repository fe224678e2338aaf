package asl

import (
	"errors"
	"strings"
	"testing"
)

// states wraps states into a machine that starts at S.
func states(s string) string { return `{"StartAt":"S","States":{` + s + `}}` }

// inJSONata is a machine in JSONata with these states.
func inJSONata(s string) string {
	return `{"QueryLanguage":"JSONata","StartAt":"S","States":{` + s + `}}`
}

func TestParseRefusesInAWSWords(t *testing.T) {
	end := `,"E":{"Type":"Succeed"}`
	for _, tt := range []struct{ name, definition, want string }{
		{"no states", `{"StartAt":"S"}`, `SCHEMA_VALIDATION_FAILED: These fields are required: [States] at /`},
		{"nothing", `{}`, `SCHEMA_VALIDATION_FAILED: These fields are required: [StartAt, States] at /`},
		{"empty states", `{"StartAt":"S","States":{}}`, `SCHEMA_VALIDATION_FAILED: At least one state is required at /States`},
		{"unknown field of the machine", `{"StartAt":"S","Bogus":1,"States":{"S":{"Type":"Succeed"}}}`, `SCHEMA_VALIDATION_FAILED: Field 'Bogus' is not supported at /`},
		{"unknown field of a state", states(`"S":{"Type":"Succeed","Nxt":"E"}`), `SCHEMA_VALIDATION_FAILED: Field 'Nxt' is not supported at /States/S`},
		{"field of another type of state", states(`"S":{"Type":"Wait","Seconds":1,"ResultPath":null,"End":true}`), `SCHEMA_VALIDATION_FAILED: Field 'ResultPath' is not supported at /States/S`},
		{"timeout of a map", states(`"S":{"Type":"Parallel","TimeoutSeconds":1,"End":true,"Branches":[{"StartAt":"B","States":{"B":{"Type":"Succeed"}}}]}`), `SCHEMA_VALIDATION_FAILED: Field 'TimeoutSeconds' is not supported at /States/S`},
		{"catch of a pass", states(`"S":{"Type":"Pass","Catch":[],"End":true}`), `SCHEMA_VALIDATION_FAILED: Field 'Catch' is not supported at /States/S`},
		{"no type", states(`"S":{"End":true}`), `SCHEMA_VALIDATION_FAILED: These fields are required: [Type] at /States/S`},
		{"unknown type", states(`"S":{"Type":"Pss","End":true}`), `SCHEMA_VALIDATION_FAILED: Value is not one of the allowed values: [Choice, Fail, Map, Parallel, Pass, Succeed, Task, Wait] at /States/S/Type`},
		{"wrong type of a value", states(`"S":{"Type":"Wait","Seconds":"1","End":true}`), `SCHEMA_VALIDATION_FAILED: Expected value of type Integer at /States/S/Seconds`},
		{"decimal for an integer", states(`"S":{"Type":"Wait","Seconds":1.5,"End":true}`), `SCHEMA_VALIDATION_FAILED: Expected value of type Integer at /States/S/Seconds`},
		{"too large", states(`"S":{"Type":"Wait","Seconds":10000000000000000000000,"End":true}`), `SCHEMA_VALIDATION_FAILED: Maximum value is 99999999 at /States/S/Seconds`},
		{"too small", states(`"S":{"Type":"Wait","Seconds":-1,"End":true}`), `SCHEMA_VALIDATION_FAILED: Minimum value is 0 at /States/S/Seconds`},
		{"two times to wait", states(`"S":{"Type":"Wait","Seconds":1,"SecondsPath":"$.s","End":true}`), `SCHEMA_VALIDATION_FAILED: Exactly one of these fields is required: [Seconds, SecondsPath, Timestamp, TimestampPath] at /States/S`},
		{"bad timestamp", states(`"S":{"Type":"Wait","Timestamp":"2016-12-05T25:29:29Z","End":true}`), `SCHEMA_VALIDATION_FAILED: String does not match RFC3339 timestamp at /States/S/Timestamp`},
		{"path without $", states(`"S":{"Type":"Pass","OutputPath":"Test","End":true}`), `SCHEMA_VALIDATION_FAILED: Value must be a valid JSONPath. at /States/S/OutputPath`},
		{"result path without $", states(`"S":{"Type":"Pass","ResultPath":"x","End":true}`), `SCHEMA_VALIDATION_FAILED: Value is not a Reference Path: Reference path didn't start with '$' at /States/S/ResultPath`},
		{"value under .$ that is neither path nor call", states(`"S":{"Type":"Pass","Assign":{"v":{"x.$":"Test"}},"End":true}`), `SCHEMA_VALIDATION_FAILED: The value for the field 'x.$' must be a valid JSONPath or a valid intrinsic function call at /States/S/Assign`},
		{"illegal escape in a call", states(`"S":{"Type":"Pass","Parameters":{"p.$":"States.StringToJson('{\"a\":\\\"}')"},"End":true}`), `SCHEMA_VALIDATION_FAILED: The value for the field 'p.$' must be a valid JSONPath or a valid intrinsic function call at /States/S/Parameters`},
		{"neither Next nor End", states(`"S":{"Type":"Pass"}`), `SCHEMA_VALIDATION_FAILED: These fields are required: [Next] or [End] at /States/S`},
		{"both Next and End", states(`"S":{"Type":"Pass","Next":"E","End":true}` + end), `SCHEMA_VALIDATION_FAILED: Only one of these fields is allowed: [Next, End] at /States/S`},
		{"missing targets, then unreachable states", states(`"S":{"Type":"Pass","Next":"nope"}` + end),
			`MISSING_TRANSITION_TARGET: Missing 'Next' target: nope at /States/S/Next, MISSING_TRANSITION_TARGET: State "E" is not reachable. at /States/E`},
		{"missing start", `{"StartAt":"no","States":{"S":{"Type":"Succeed"}}}`,
			`MISSING_TRANSITION_TARGET: Missing 'Next' target: no at /StartAt, MISSING_TRANSITION_TARGET: State "S" is not reachable. at /States/S`},
		{"missing default", states(`"S":{"Type":"Choice","Choices":[{"Variable":"$.a","IsNull":true,"Next":"E"}],"Default":"no"}` + end), `MISSING_TRANSITION_TARGET: Missing 'Next' target: no at /States/S/Default`},
		{"missing target of a choice", states(`"S":{"Type":"Choice","Choices":[{"Variable":"$.a","IsNull":true,"Next":"no"}],"Default":"E"}` + end), `MISSING_TRANSITION_TARGET: Missing 'Next' target: no at /States/S/Choices[0]/Next`},
		{"missing target of a catcher", states(`"S":{"Type":"Task","Resource":"arn:aws:lambda:us-east-1:123456789012:function:f","Catch":[{"ErrorEquals":["States.ALL"],"Next":"no"}],"End":true}`), `MISSING_TRANSITION_TARGET: Missing 'Next' target: no at /States/S/Catch[0]/Next`},
		{"loop without end", states(`"S":{"Type":"Pass","Next":"T"},"T":{"Type":"Pass","Next":"S"},"U":{"Type":"Pass","Next":"S"}`), `MISSING_END_STATE: Workflow has no terminal state at null`},
		{"dangling and without end", states(`"S":{"Type":"Pass","Next":"no"}`), `MISSING_TRANSITION_TARGET: Missing 'Next' target: no at /States/S/Next, MISSING_END_STATE: Workflow has no terminal state at null`},
		{"transition out of a branch", states(`"S":{"Type":"Parallel","End":true,"Branches":[{"StartAt":"B","States":{"B":{"Type":"Pass","Next":"S"},"C":{"Type":"Pass","End":true}}}]}`),
			`MISSING_TRANSITION_TARGET: Missing 'Next' target: S at /States/S/Branches[0]/States/B/Next, MISSING_TRANSITION_TARGET: State "C" is not reachable. at /States/S/Branches[0]/States/C`},
		{"same name in a branch", states(`"S":{"Type":"Parallel","End":true,"Branches":[{"StartAt":"S","States":{"S":{"Type":"Succeed"}}}]}`), `DUPLICATE_STATE_NAME: Duplicate state name: S at /States/S/Branches[0]/States/S`},
		{"name too long", `{"StartAt":"` + strings.Repeat("é", 81) + `","States":{"` + strings.Repeat("é", 81) + `":{"Type":"Succeed"}}}`, `INVALID_STATE_NAME: The name of a state has 1 to 80 characters at /States/` + strings.Repeat("é", 81)},
		{"choice without Next", states(`"S":{"Type":"Choice","Choices":[{"Variable":"$","StringMatches":"x"}],"Default":"E"}` + end), `SCHEMA_VALIDATION_FAILED: These fields are required: [Next] at /States/S/Choices[0]`},
		{"choice variable without $", states(`"S":{"Type":"Choice","Choices":[{"Variable":"x","IsNull":true,"Next":"E"}]}` + end), `SCHEMA_VALIDATION_FAILED: Value is not a Reference Path: Reference path didn't start with '$' at /States/S/Choices[0]/Variable`},
		{"choice without operator", states(`"S":{"Type":"Choice","Choices":[{"Variable":"$.x","Next":"E"}]}` + end), `SCHEMA_VALIDATION_FAILED: Exactly one comparison operator is required, found [] at /States/S/Choices[0]`},
		{"two operators", states(`"S":{"Type":"Choice","Choices":[{"Variable":"$.x","IsNull":true,"IsString":true,"Next":"E"}]}` + end), `SCHEMA_VALIDATION_FAILED: Exactly one comparison operator is required, found [IsNull, IsString] at /States/S/Choices[0]`},
		{"unknown operator", states(`"S":{"Type":"Choice","Choices":[{"Variable":"$.x","StringMatchesPath":"$.y","Next":"E"}]}` + end),
			`SCHEMA_VALIDATION_FAILED: Field 'StringMatchesPath' is not supported at /States/S/Choices[0], SCHEMA_VALIDATION_FAILED: Exactly one comparison operator is required, found [] at /States/S/Choices[0]`},
		{"Next inside And", states(`"S":{"Type":"Choice","Choices":[{"And":[{"Variable":"$.x","IsNull":true,"Next":"E"}],"Next":"E"}]}` + end), `SCHEMA_VALIDATION_FAILED: Field 'Next' is not supported at /States/S/Choices[0]/And[0]`},
		{"operand of the wrong type", states(`"S":{"Type":"Choice","Choices":[{"Not":{"Variable":"$.x","NumericEquals":"1"},"Next":"E"}]}` + end), `SCHEMA_VALIDATION_FAILED: Expected value of type Number at /States/S/Choices[0]/Not/NumericEquals`},
		{"bad timestamp of an operator", states(`"S":{"Type":"Choice","Choices":[{"Variable":"$.x","TimestampEquals":"today","Next":"E"}]}` + end), `SCHEMA_VALIDATION_FAILED: String does not match RFC3339 timestamp at /States/S/Choices[0]/TimestampEquals`},
		{"task without resource", states(`"S":{"Type":"Task","End":true}`), `SCHEMA_VALIDATION_FAILED: These fields are required: [Resource] at /States/S`},
		{"empty resource", states(`"S":{"Type":"Task","Resource":"","End":true}`), `SCHEMA_VALIDATION_FAILED: Value cannot be empty at /States/S/Resource`},
		{"empty next", states(`"S":{"Type":"Pass","Next":""}` + end), `SCHEMA_VALIDATION_FAILED: Value cannot be empty at /States/S/Next`},
		{"empty start", `{"StartAt":"","States":{"S":{"Type":"Succeed"}}}`, `SCHEMA_VALIDATION_FAILED: Value cannot be empty at /StartAt`},
		{"resource that is no ARN", states(`"S":{"Type":"Task","Resource":"createToken","End":true}`), `SCHEMA_VALIDATION_FAILED: Value is not a valid resource ARN at /States/S/Resource`},
		{"retry without errors", states(`"S":{"Type":"Task","Resource":"arn:aws:lambda:us-east-1:123456789012:function:f","Retry":[{"ErrorEquals":[]}],"End":true}`), `SCHEMA_VALIDATION_FAILED: At least one error name is required at /States/S/Retry[0]/ErrorEquals`},
		{"backoff below one", states(`"S":{"Type":"Task","Resource":"arn:aws:lambda:us-east-1:123456789012:function:f","Retry":[{"ErrorEquals":["a"],"BackoffRate":0.5}],"End":true}`), `SCHEMA_VALIDATION_FAILED: Minimum value is 1 at /States/S/Retry[0]/BackoffRate`},
		{"error twice", states(`"S":{"Type":"Fail","Error":"a","ErrorPath":"$.a"}`), `SCHEMA_VALIDATION_FAILED: Only one of these fields is allowed: [Error, ErrorPath] at /States/S`},
		{"function that gives no string", states(`"S":{"Type":"Fail","CausePath":"States.Array()"}`), `SCHEMA_VALIDATION_FAILED: The intrinsic function States.Array cannot be used here at /States/S/CausePath`},
		{"map without processor", states(`"S":{"Type":"Map","End":true}`), `SCHEMA_VALIDATION_FAILED: These fields are required: [ItemProcessor] at /States/S`},
		{"reader of an inline map", states(`"S":{"Type":"Map","End":true,"ItemReader":{"Resource":"arn:aws:states:::s3:getObject"},"Iterator":{"StartAt":"B","States":{"B":{"Type":"Succeed"}}}}`), `SCHEMA_VALIDATION_FAILED: Field 'ItemReader' is not supported at /States/S`},
		{"variable that cannot be", states(`"S":{"Type":"Pass","Assign":{"a-b":1},"End":true}`), `SCHEMA_VALIDATION_FAILED: Invalid variable name: a-b at /States/S/Assign`},
		{"JSONPath state in a JSONata machine", inJSONata(`"S":{"Type":"Pass","QueryLanguage":"JSONPath","Output":1,"End":true}`), `SCHEMA_VALIDATION_FAILED: 'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine at /States/S`},
		{"JSONPath field in JSONata", inJSONata(`"S":{"Type":"Pass","InputPath":"$","End":true}`), `SCHEMA_VALIDATION_FAILED: The QueryLanguage is set to 'JSONata', but field 'InputPath' is only supported for the 'JSONPath' QueryLanguage at /States/S`},
		{"JSONata field in JSONPath", states(`"S":{"Type":"Pass","Output":1,"End":true}`), `SCHEMA_VALIDATION_FAILED: The QueryLanguage is set to 'JSONPath', but field 'Output' is only supported for the 'JSONata' QueryLanguage at /States/S`},
		{"language of a branch", inJSONata(`"S":{"Type":"Parallel","Branches":[{"QueryLanguage":"JSONata","StartAt":"B","States":{"B":{"Type":"Succeed"}}}],"End":true}`), `SCHEMA_VALIDATION_FAILED: Field 'QueryLanguage' is not supported at /States/S/Branches[0]`},
		{"unfinished expression", inJSONata(`"S":{"Type":"Pass","Output":{"a":["{% 1 + %}"]},"End":true}`), `INVALID_JSONATA_EXPRESSION: Unexpected end of expression at /States/S/Output/a[0]`},
		{"name without an input", inJSONata(`"S":{"Type":"Pass","Assign":{"v":"{% $uppercase(phone) %}"},"End":true}`), `UNSUPPORTED_JSONATA_EXPRESSION: Reference to 'phone' at the top level is not supported. at /States/S/Assign/v`},
		{"the context itself", inJSONata(`"S":{"Type":"Pass","Output":"{% $ %}","End":true}`), `UNSUPPORTED_JSONATA_EXPRESSION: Reference to '$' at the top level is not supported. at /States/S/Output`},
		{"the root", inJSONata(`"S":{"Type":"Pass","Output":"{% $states.input.a[$$.b = 1] %}","End":true}`), `UNSUPPORTED_JSONATA_EXPRESSION: Reference to '$$' is not supported. at /States/S/Output`},
		{"error output without an error", inJSONata(`"S":{"Type":"Pass","Output":"{% $states.errorOutput %}","End":true}`), `UNSUPPORTED_JSONATA_EXPRESSION: Field '$states.errorOutput' does not exist. at /States/S/Output`},
		{"result where there is none yet", inJSONata(`"S":{"Type":"Task","Resource":"arn:aws:lambda:us-east-1:123456789012:function:f","Arguments":"{% $states.result %}","End":true}`), `UNSUPPORTED_JSONATA_EXPRESSION: Field '$states.result' does not exist. at /States/S/Arguments`},
		{"condition that is a text", inJSONata(`"S":{"Type":"Choice","Choices":[{"Condition":"yes","Next":"T"}]},"T":{"Type":"Succeed"}`), `SCHEMA_VALIDATION_FAILED: Expected value of type Boolean at /States/S/Choices[0]/Condition`},
		{"choice by a data test", inJSONata(`"S":{"Type":"Choice","Choices":[{"Variable":"$.a","Condition":true,"Next":"T"}]},"T":{"Type":"Succeed"}`), `SCHEMA_VALIDATION_FAILED: Field 'Variable' is not supported at /States/S/Choices[0]`},
		{"not JSON", `{"StartAt":`, `INVALID_JSON_DESCRIPTION: unexpected end, expected a value at null`},
		{"not an object", `[]`, `INVALID_JSON_DESCRIPTION: The definition must be a JSON object, not array at null`},
		{"empty", " ", `MISSING_DESCRIPTION: The definition is empty at null`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.definition))
			var refused *DefinitionError
			if !errors.As(err, &refused) {
				t.Fatalf("error %v, want a *DefinitionError", err)
			}
			if want := "Invalid State Machine Definition: '" + tt.want + "'"; err.Error() != want {
				t.Errorf("got  %s\nwant %s", err, want)
			}
		})
	}
}

func TestDiagnosticsPointIntoTheFile(t *testing.T) {
	definition := `{
  "StartAt": "S",
  "States": {
    "S": {
      "Type": "Pass",
      "Parameters": {"é": 1, "bad.$": "$.x["},
      "Paramters": {},
      "Next": "E"
    },
    "E": {"Type": "Succeed"}
  }
}`
	var got []string
	for _, d := range Validate([]byte(definition)) {
		got = append(got, d.Format("m.asl.json"))
	}
	want := []string{
		`m.asl.json:7:7: state "S": Field 'Paramters' is not supported: did you mean Parameters? (SCHEMA_VALIDATION_FAILED at /States/S)`,
		`m.asl.json:6:39: state "S": The value for the field 'bad.$' must be a valid JSONPath or a valid intrinsic function call: expected a name in quotes, an index, a slice, * or a filter in [ ], at character 5 (SCHEMA_VALIDATION_FAILED at /States/S/Parameters)`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWarningsDoNotRefuse(t *testing.T) {
	definition := `{"Comment":"a","Comment":"b","StartAt":"S","States":{
"S":{"Type":"Pass","Parameters":{"x":"$.a.b","y":"$","z":["$.q"]},"Next":"T"},
"T":{"Type":"Pass","Result":"$.a","End":true}}}`
	if _, err := Parse([]byte(definition)); err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, d := range Validate([]byte(definition)) {
		if d.Severity != SeverityWarning || d.Line == 0 {
			t.Errorf("unexpected %+v", d)
		}
		codes = append(codes, d.Code)
	}
	if got, want := strings.Join(codes, " "), "DUPLICATE_KEY NO_DOLLAR PASS_RESULT_IS_STATIC"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDiagnosticsAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"S` + strings.Repeat("x", i%70) + strings.Repeat("y", i/70) + `":{}`)
	}
	if n := len(Validate([]byte(states(b.String())))); n != maxDiagnostics {
		t.Errorf("%d diagnostics, want %d", n, maxDiagnostics)
	}
}

func TestErrorsAreFoundBehindManyWarnings(t *testing.T) {
	many := strings.Repeat(`"Comment":"again",`, 2*maxDiagnostics)
	if _, err := Parse([]byte(`{` + many + `"StartAt":"S"}`)); err == nil {
		t.Error("a definition without States was taken")
	}
}

func TestDeepNestingIsRefused(t *testing.T) {
	var b strings.Builder
	for range maxGraphDepth + 10 {
		b.WriteString(`{"StartAt":"S","States":{"S":{"Type":"Map","End":true,"ItemProcessor":`)
	}
	b.WriteString(`{"StartAt":"S","States":{"S":{"Type":"Succeed"}}}`)
	for range maxGraphDepth + 10 {
		b.WriteString(`}}}`)
	}
	_, err := Parse([]byte(b.String()))
	if err == nil || !strings.Contains(err.Error(), CodeTooDeeplyNested) {
		t.Errorf("error %.200v", err)
	}
	rule := strings.Repeat(`{"Not":`, 200) + `{"Variable":"$","IsNull":true}` + strings.Repeat(`}`, 200)
	_, err = Parse([]byte(states(`"S":{"Type":"Choice","Choices":[{"Not":` + rule + `,"Next":"E"}]},"E":{"Type":"Succeed"}`)))
	if err == nil || !strings.Contains(err.Error(), CodeTooDeeplyNested) {
		t.Errorf("error %.200v", err)
	}
}

func TestStoredDefinitionsMayNameTheLanguageOfABranch(t *testing.T) {
	definition := []byte(states(`"S":{"Type":"Parallel","Branches":[{"QueryLanguage":"JSONPath","StartAt":"B","States":{"B":{"Type":"Succeed"}}}],"End":true}`))
	if _, err := ParseStored(definition); err != nil {
		t.Error(err)
	}
	if _, err := Parse(definition); err == nil {
		t.Error("a new one is accepted")
	}
}
