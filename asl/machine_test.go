package asl

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/asl/jsonpath"
	"switchyard/asl/value"
)

func mustJSON(t testing.TB, s string) value.Value {
	t.Helper()
	v, err := value.ParseString(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

func mustParse(t testing.TB, definition string) *Machine {
	t.Helper()
	m, err := Parse([]byte(definition))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// scope sees input, the variable $v = {"n":"2","f":"0.5"} and a context object.
func scope(t testing.TB, input string) *Scope {
	ctx, v := mustJSON(t, `{"State":{"Name":"S"}}`), mustJSON(t, `{"n":"2","f":"0.5"}`)
	return &Scope{Scope: jsonpath.Scope{
		Input:    mustJSON(t, input),
		Context:  func() value.Value { return ctx },
		Variable: func(name string) (value.Value, bool) { return v, name == "v" },
	}}
}

// wantError checks the name and the cause of an error.
func wantError(t *testing.T, err error, name, cause string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want an *Error", err)
	}
	if e.Name != name || e.Cause != cause {
		t.Errorf("got  %s: %s\nwant %s: %s", e.Name, e.Cause, name, cause)
	}
}

const everything = `{
 "Comment":"all of it","StartAt":"P","Version":"1.0","TimeoutSeconds":60,"QueryLanguage":"JSONPath",
 "States":{
  "P":{"Type":"Pass","Comment":"c","InputPath":null,"OutputPath":"$.a","ResultPath":null,"Result":{"x.$":"$.y"},"Assign":{"v.$":"$.a","w":1},"Next":"T"},
  "T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f","Payload.$":"$"},"ResultSelector":{"out.$":"$.Payload"},"ResultPath":"$.r",
       "TimeoutSeconds":30,"HeartbeatSecondsPath":"$.hb","Credentials":{"RoleArn.$":"$.role"},
       "Retry":[{"ErrorEquals":["A","B"],"IntervalSeconds":2,"MaxAttempts":5,"BackoffRate":1.5,"MaxDelaySeconds":7,"JitterStrategy":"FULL"},{"ErrorEquals":["States.ALL"]}],
       "Catch":[{"ErrorEquals":["States.ALL"],"ResultPath":"$.err","Assign":{"e.$":"$.Error"},"Next":"F"}],"Next":"C"},
  "C":{"Type":"Choice","Choices":[{"Comment":"r","Variable":"$.n","NumericEquals":1,"Assign":{"k":2},"Next":"W"}],"Default":"M"},
  "W":{"Type":"Wait","Seconds":0,"Next":"Par"},
  "Par":{"Type":"Parallel","Branches":[{"Comment":"b","StartAt":"B1","States":{"B1":{"Type":"Pass","End":true}}},{"StartAt":"B2","States":{"B2":{"Type":"Succeed"}}}],"Next":"S"},
  "M":{"Type":"Map","ItemsPath":"$.items","ItemSelector":{"i.$":"$$.Map.Item.Value"},"MaxConcurrencyPath":"$.mc","ToleratedFailureCount":3,"ToleratedFailurePercentage":12.5,"Label":"run",
       "ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"EXPRESS"},"StartAt":"I","States":{"I":{"Type":"Pass","End":true}}},
       "ItemReader":{"Resource":"arn:aws:states:::s3:getObject","Parameters":{"Bucket":"b","Key.$":"$.k"},"ReaderConfig":{"InputType":"CSV","CSVHeaderLocation":"GIVEN","CSVHeaders":["a","b"],"CSVDelimiter":"TAB","MaxItemsPath":"$.max"}},
       "ItemBatcher":{"MaxItemsPerBatch":10,"BatchInput":{"x.$":"$.x"}},
       "ResultWriter":{"Resource":"arn:aws:states:::s3:putObject","Parameters":{"Bucket":"b"},"WriterConfig":{"Transformation":"COMPACT","OutputType":"JSONL"}},"End":true},
  "S":{"Type":"Succeed","InputPath":"$$"},
  "F":{"Type":"Fail","Error":"E","CausePath":"States.Format('c {}', $.x)"}
 }}`

func TestParseReadsEveryField(t *testing.T) {
	m := mustParse(t, everything)
	if m.Start.Name != "P" || m.Timeout != time.Minute || m.Comment != "all of it" || m.Version != "1.0" || len(m.States) != 8 {
		t.Errorf("machine %+v", m)
	}
	p := m.State("P")
	if p.Next != m.State("T") || !p.Pass.HasResult || p.InputPath.String() != "null" || p.OutputPath.String() != "$.a" || p.ResultPath.String() != "null" {
		t.Errorf("pass %+v", p)
	}
	task := m.State("T")
	want := []Retrier{
		{ErrorEquals: []string{"A", "B"}, Interval: 2 * time.Second, MaxAttempts: 5, BackoffRate: 1.5, MaxDelay: 7 * time.Second, FullJitter: true},
		{ErrorEquals: []string{"States.ALL"}, Interval: time.Second, MaxAttempts: 3, BackoffRate: 2},
	}
	if diff := cmp.Diff(want, task.Retry); diff != "" {
		t.Errorf("retry (-want +got):\n%s", diff)
	}
	sc := scope(t, `{"hb":5,"role":"r","items":[1,2],"mc":4,"k":"key","max":7,"x":"why"}`)
	if d, err := task.Task.Timeout.Eval(sc); d != 30*time.Second || err != nil {
		t.Errorf("timeout %v, %v", d, err)
	}
	if d, err := task.Task.Heartbeat.Eval(sc); d != 5*time.Second || err != nil {
		t.Errorf("heartbeat %v, %v", d, err)
	}
	if v, err := task.Task.Credentials.Eval(sc); err != nil || v.JSON() != `{"RoleArn":"r"}` {
		t.Errorf("credentials %v, %v", v, err)
	}
	if c := task.Catch[0]; c.Next != m.State("F") || c.ResultPath.String() != "$.err" || c.Assign == nil {
		t.Errorf("catch %+v", c)
	}
	if c := m.State("C").Choice; c.Default != m.State("M") || c.Rules[0].Next != m.State("W") || c.Rules[0].Assign == nil || c.Rules[0].Comment != "r" {
		t.Errorf("choice %+v", c)
	}
	if g := m.State("Par").Graphs(); len(g) != 2 || g[0].Start.Name != "B1" || g[1].State("B2") == nil {
		t.Errorf("branches %+v", g)
	}
	if m.Find("I") != m.State("M").Map.Processor.Start || m.Find("B2") == nil || m.Find("none") != nil {
		t.Error("Find does not see nested states")
	}
	mm := m.State("M").Map
	if !mm.Processor.Distributed || !mm.Processor.Express || mm.Label != "run" {
		t.Errorf("map %+v", mm)
	}
	if n, err := mm.MaxConcurrency(sc); n != 4 || err != nil {
		t.Errorf("concurrency %d, %v", n, err)
	}
	if tol, err := mm.Tolerance(sc); err != nil || tol.Count() != 3 || tol.Percentage() != 12.5 {
		t.Errorf("tolerance %+v, %v", tol, err)
	}
	if items, err := mm.Items(sc); len(items) != 2 || err != nil {
		t.Errorf("items %v, %v", items, err)
	}
	r := mm.ItemReader
	if diff := cmp.Diff([]string{"CSV", "GIVEN", "TAB", "a b"}, []string{r.Config.InputType, r.Config.CSVHeaderLocation, r.Config.CSVDelimiter, strings.Join(r.Config.CSVHeaders, " ")}); diff != "" {
		t.Errorf("reader (-want +got):\n%s", diff)
	}
	if n, err := r.Config.MaxItems(sc); n != 7 || err != nil {
		t.Errorf("max items %d, %v", n, err)
	}
	if n, err := mm.ItemBatcher.MaxItems(sc); n != 10 || err != nil {
		t.Errorf("batch %d, %v", n, err)
	}
	if n, err := mm.ItemBatcher.MaxBytes(sc); n != 0 || err != nil {
		t.Errorf("batch bytes %d, %v", n, err)
	}
	if w := mm.ResultWriter; w.OutputType != "JSONL" || w.Transformation != "COMPACT" || w.Parameters == nil {
		t.Errorf("writer %+v", w)
	}
	name, cause, err := m.State("F").Fail.Outcome(sc)
	if name != "E" || cause != "c why" || err != nil {
		t.Errorf("fail %q, %q, %v", name, cause, err)
	}
	var assigned []string
	if err := p.Assign.Eval(scope(t, `{"a":true}`), func(n string, v value.Value) { assigned = append(assigned, n+"="+v.JSON()) }); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(assigned, " "); got != "v=true w=1" {
		t.Errorf("assigned %s", got)
	}
}

func TestParseStateKnowsTargetsByName(t *testing.T) {
	s, err := ParseState([]byte(`{"Type":"Choice","Choices":[{"Variable":"$.a","IsNull":true,"Next":"X"}],"Default":"Y"}`))
	if err != nil {
		t.Fatal(err)
	}
	if s.Choice.Default.Name != "Y" || s.Choice.Rules[0].Next.Name != "X" {
		t.Errorf("choice %+v", s.Choice)
	}
	_, err = ParseState([]byte(`{"Type":"Pass","Bad":1}`))
	if err == nil || !strings.Contains(err.Error(), "Field 'Bad' is not supported at /") {
		t.Errorf("error %v", err)
	}
	if _, err = ParseState([]byte(`{`)); err == nil || !strings.Contains(err.Error(), CodeInvalidJSON) {
		t.Errorf("error %v", err)
	}
}

// parameters compiles the Parameters of a Pass state.
func parameters(t testing.TB, template string) Expression {
	t.Helper()
	return mustParse(t, states(`"S":{"Type":"Pass","Parameters":`+template+`,"End":true}`)).Start.Parameters
}

func TestTemplates(t *testing.T) {
	for _, tt := range []struct{ template, want string }{
		{`{"a.$":"$.x","b":"$.x","c":{"d.$":"$$.State.Name","e":[{"f.$":"$v.n"},1]}}`, `{"a":{"y":1},"b":"$.x","c":{"d":"S","e":[{"f":"2"},1]}}`},
		{`{"a":1,"b":[null]}`, `{"a":1,"b":[null]}`},
		{`{"all.$":"$","call.$":"States.Array($.x.y)","many.$":"$..y"}`, `{"all":{"x":{"y":1}},"call":[1],"many":[1]}`},
		{`{"a.$":"$.x","a":2}`, `{"a":2}`},
		{`[{"a.$":"$.x.y"}]`, `[{"a":1}]`},
		{`{".$":"$.x.y"}`, `{"":1}`},
	} {
		got, err := parameters(t, tt.template).Eval(scope(t, `{"x":{"y":1}}`))
		if err != nil || got.JSON() != tt.want {
			t.Errorf("%s gave %v, %v, want %s", tt.template, got, err, tt.want)
		}
	}
}

// The dialect of paths holds wherever a path stands.
func TestPathsInEveryFieldTakeBlanksAndBareWords(t *testing.T) {
	const filter = `$.l[?(@.city == New York)].n`
	s := mustParse(t, states(`"S":{"Type":"Map","InputPath":" $.in ","ItemsPath":" `+filter+`\t","ResultPath":" $.out","OutputPath":"$.out ",
		"ItemSelector":{"a.$":" `+filter+` ","b.$":" States.Array( `+filter+` , $.l[?(@.city!=New York)].n )"},"Assign":{"v.$":" $ "},
		"MaxConcurrencyPath":" $.max","ItemProcessor":{"StartAt":"W","States":{"W":{"Type":"Wait","SecondsPath":" $.s ","Next":"C"},
		"C":{"Type":"Choice","Choices":[{"Variable":" $.a ","StringEqualsPath":"$.b ","Next":"F"}],"Default":"F"},
		"F":{"Type":"Fail","ErrorPath":" $.e ","CausePath":" States.Format('{}', $.c) "}}},"End":true}`)).Start
	sc := scope(t, `{"in":{"max":2,"l":[{"city":"New York","n":1},{"city":"Oslo","n":2}]}}`)
	in, err := s.InputPath.Apply(sc)
	if err != nil {
		t.Fatal(err)
	}
	sc.Input = in
	items, err := s.Map.Items(sc)
	if err != nil || len(items) != 1 || items[0].JSON() != "1" {
		t.Errorf("items %v, %v, want 1 alone", items, err)
	}
	if got, err := s.Map.ItemSelector.Eval(sc); err != nil || got.JSON() != `{"a":[1],"b":[[1],[2]]}` {
		t.Errorf("selected %v, %v", got, err)
	}
	if n, err := s.Map.MaxConcurrency(sc); err != nil || n != 2 {
		t.Errorf("MaxConcurrency %d, %v, want 2", n, err)
	}
	inner := &s.Map.Processor.Graph
	if _, err := inner.State("W").Wait.Until(scope(t, `{"s":3}`), time.Now()); err != nil {
		t.Error(err)
	}
	if ok, err := inner.State("C").Choice.Rules[0].Match(scope(t, `{"a":"x","b":"x"}`)); err != nil || !ok {
		t.Errorf("the rule gave %v, %v", ok, err)
	}
	if name, cause, err := inner.State("F").Fail.Outcome(scope(t, `{"e":"E","c":"why"}`)); err != nil || name != "E" || cause != "why" {
		t.Errorf("failed with %q, %q, %v", name, cause, err)
	}
	out, err := s.ResultPath.Apply(mustJSON(t, `{}`), mustJSON(t, `7`))
	if err != nil || out.JSON() != `{"out":7}` {
		t.Errorf("ResultPath gave %v, %v", out, err)
	}
}

func TestTemplateIndexPastTheEndIsNull(t *testing.T) {
	in := `{"items":[1,2]}`
	if v, err := parameters(t, `{"v.$":"$.items[5]"}`).Eval(scope(t, in)); err != nil || v.JSON() != `{"v":null}` {
		t.Errorf("got %v, %v", v, err)
	}
	for _, template := range []string{`{"v.$":"$.items[5].x"}`, `{"v.$":"$.none[5]"}`, `{"v.$":"States.Array($.items[5])"}`} {
		if v, err := parameters(t, template).Eval(scope(t, in)); err == nil {
			t.Errorf("%s gave %s", template, v)
		}
	}
}

func TestTemplateErrorsNameTheField(t *testing.T) {
	_, err := parameters(t, `{"a":{"value.$":"$.no"}}`).Eval(scope(t, `{"int-literal": 0}`))
	wantError(t, err, ErrRuntime, `The JSONPath '$.no' specified for the field 'value.$' could not be found in the input '{"int-literal":0}'`)
	_, err = parameters(t, `{"v.$":"States.Format('{}', $.no)"}`).Eval(scope(t, `{}`))
	wantError(t, err, ErrRuntime, `The function 'States.Format('{}', $.no)' had the following error: The JsonPath argument for the field '$.no' could not be found in the input '{}'`)
	_, err = parameters(t, `{"v.$":"States.ArrayGetItem($, 0)"}`).Eval(scope(t, `[]`))
	wantError(t, err, ErrIntrinsicFailure, `The function 'States.ArrayGetItem($, 0)' had the following error: the index 0 is out of bounds of an array of length 0`)
}

func TestFiltersAndPlacements(t *testing.T) {
	m := mustParse(t, states(`"S":{"Type":"Pass","InputPath":"$.no","OutputPath":"$$.State","ResultPath":"$.a.b","Next":"T"},"T":{"Type":"Pass","InputPath":"$","ResultPath":"$","End":true}`))
	sc := scope(t, `{"a":1}`)
	_, err := m.Start.InputPath.Apply(sc)
	wantError(t, err, ErrRuntime, "Invalid path '$.no' : No results for path: $['no']")
	if v, err := m.Start.OutputPath.Apply(sc); err != nil || v.JSON() != `{"Name":"S"}` {
		t.Errorf("output %v, %v", v, err)
	}
	_, err = m.Start.ResultPath.Apply(sc.Input, value.OfInt(1))
	wantError(t, err, ErrReferencePathConflict, `Unable to apply step "b" to input {"a":1}`)
	if v, err := m.Start.ResultPath.Apply(mustJSON(t, `{"x":0}`), value.OfInt(1)); err != nil || v.JSON() != `{"x":0,"a":{"b":1}}` {
		t.Errorf("placed %v, %v", v, err)
	}
	last := m.State("T")
	if v, err := last.InputPath.Apply(sc); err != nil || v.JSON() != `{"a":1}` {
		t.Errorf("input %v, %v", v, err)
	}
	if v, err := last.ResultPath.Apply(sc.Input, value.OfInt(7)); err != nil || v.JSON() != `7` {
		t.Errorf("placed %v, %v", v, err)
	}
}

func TestRetryDelays(t *testing.T) {
	r := Retrier{Interval: 2 * time.Second, BackoffRate: 2, MaxDelay: 10 * time.Second}
	var got []string
	for n := range 5 {
		got = append(got, r.Delay(n).String())
	}
	if s := strings.Join(got, " "); s != "2s 4s 8s 10s 10s" {
		t.Errorf("delays %s", s)
	}
	if d := (&Retrier{Interval: time.Second, BackoffRate: 10}).Delay(400); d <= 0 {
		t.Errorf("delay %v overflowed", d)
	}
}

func TestErrorEquals(t *testing.T) {
	for _, tt := range []struct {
		equals, name string
		want         bool
	}{
		{"Custom", "Custom", true},
		{"Custom", "custom", false},
		{ErrAll, "Custom", true},
		{ErrAll, ErrTimeout, true},
		{ErrAll, ErrRuntime, false},
		{ErrAll, ErrDataLimitExceeded, true},
		{ErrDataLimitExceeded, ErrDataLimitExceeded, true},
		{ErrTaskFailed, ErrDataLimitExceeded, false},
		{ErrRuntime, ErrRuntime, false},
		{ErrTaskFailed, ErrRuntime, false},
		{ErrTaskFailed, "Custom", true},
		{ErrTaskFailed, ErrTimeout, false},
		{ErrTaskFailed, ErrHeartbeatTimeout, false},
		{ErrTimeout, ErrHeartbeatTimeout, true},
		{ErrHeartbeatTimeout, ErrTimeout, false},
	} {
		c := Catcher{ErrorEquals: []string{tt.equals}}
		r := Retrier{ErrorEquals: []string{"other", tt.equals}}
		if c.Matches(tt.name) != tt.want || r.Matches(tt.name) != tt.want {
			t.Errorf("%s matches %s: want %v", tt.equals, tt.name, tt.want)
		}
	}
}

func TestWaitUntil(t *testing.T) {
	entered := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct{ fields, input, want, cause string }{
		{fields: `"Seconds":90`, input: `{}`, want: "2024-01-01T00:01:30Z"},
		{fields: `"SecondsPath":"$.s"`, input: `{"s":5}`, want: "2024-01-01T00:00:05Z"},
		{fields: `"SecondsPath":"$.s"`, input: `{"s":-5}`, cause: "The SecondsPath parameter references a negative value: $.s == -5"},
		{fields: `"SecondsPath":"$.s"`, input: `{"s":"5"}`, cause: "The SecondsPath parameter cannot be parsed as a long value: $.s == 5"},
		{fields: `"SecondsPath":"$.s"`, input: `{}`, cause: "The SecondsPath parameter does not reference an input value: $.s"},
		{fields: `"Timestamp":"2016-03-14T01:59:00+01:00"`, input: `{}`, want: "2016-03-14T00:59:00Z"},
		{fields: `"TimestampPath":"$.t"`, input: `{"t":"2016-03-05T21:29:29.243167252Z"}`, want: "2016-03-05T21:29:29.243167252Z"},
		{fields: `"TimestampPath":"$.t"`, input: `{"t":"05-12-2016T21:29:29Z"}`, cause: "The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format string: $.t == 05-12-2016T21:29:29Z"},
	} {
		w := mustParse(t, states(`"S":{"Type":"Wait",`+tt.fields+`,"End":true}`)).Start.Wait
		got, err := w.Until(scope(t, tt.input), entered)
		if tt.cause != "" {
			wantError(t, err, ErrRuntime, tt.cause)
			continue
		}
		if s := got.UTC().Format(time.RFC3339Nano); err != nil || s != tt.want {
			t.Errorf("%s with %s: %s, %v, want %s", tt.fields, tt.input, s, err, tt.want)
		}
	}
}

func TestParseTimestamp(t *testing.T) {
	for s, want := range map[string]bool{
		"2016-03-14T01:59:00Z": true, "2016-03-14T01:59:00.1+05:30": true,
		"2016-03-14T01:59:00": false, "2016-03-14 01:59:00Z": false, "2016-03-14": false,
		"2016-13-05T21:29:29Z": false, "2016-12-05T25:29:29Z": false, "2016-03-14t01:59:00z": false, "": false,
	} {
		if _, ok := ParseTimestamp(s); ok != want {
			t.Errorf("ParseTimestamp(%q) = %v, want %v", s, ok, want)
		}
	}
}

// mapWith compiles a distributed Map state with more fields.
func mapWith(t testing.TB, fields string) *Map {
	t.Helper()
	return mustParse(t, states(`"S":{"Type":"Map",`+fields+`,"End":true,"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"B","States":{"B":{"Type":"Succeed"}}}}`)).Start.Map
}

func TestMapLimitsFromPaths(t *testing.T) {
	sc := scope(t, `{"word":"NoNumber","minus":-1,"much":100.1,"items":{}}`)
	_, err := mapWith(t, `"MaxConcurrencyPath":"$.word"`).MaxConcurrency(sc)
	wantError(t, err, ErrRuntime, `The MaxConcurrencyPath field refers to value "NoNumber" which is not a valid integer: $.word`)
	_, err = mapWith(t, `"ToleratedFailureCountPath":"$.word"`).Tolerance(sc)
	wantError(t, err, ErrRuntime, `The ToleratedFailureCountPath field refers to value "NoNumber" which is not a valid integer: $.word`)
	_, err = mapWith(t, `"MaxConcurrencyPath":"$.items"`).MaxConcurrency(sc)
	wantError(t, err, ErrRuntime, `The MaxConcurrencyPath field refers to value "{}" which is not a valid integer: $.items`)
	_, err = mapWith(t, `"ToleratedFailurePercentagePath":"$.items"`).Tolerance(sc)
	wantError(t, err, ErrRuntime, `The ToleratedFailurePercentagePath field refers to value "{}" which is not a valid float: $.items`)
	_, err = mapWith(t, `"ToleratedFailureCountPath":"$.minus"`).Tolerance(sc)
	wantError(t, err, ErrRuntime, `ToleratedFailureCount cannot be negative.`)
	_, err = mapWith(t, `"ToleratedFailurePercentagePath":"$.much"`).Tolerance(sc)
	wantError(t, err, ErrRuntime, `ToleratedFailurePercentage must be between 0 and 100.`)
	_, err = mapWith(t, `"ToleratedFailurePercentagePath":"$.word"`).Tolerance(sc)
	wantError(t, err, ErrRuntime, `The ToleratedFailurePercentagePath field refers to value "NoNumber" which is not a valid float: $.word`)
	_, err = mapWith(t, `"ItemsPath":"$.items"`).Items(sc)
	wantError(t, err, ErrRuntime, `Reference path "$.items" must point to array.`)
	_, err = mapWith(t, `"ItemsPath":"$.items.list"`).Items(sc)
	wantError(t, err, ErrReferencePathConflict, `Unable to apply step "list" to input `+sc.Input.JSON())
	_, err = mapWith(t, `"ItemsPath":"$none"`).Items(sc)
	wantError(t, err, ErrRuntime, `Invalid path '$none' : No results for path: $['none']`)
	_, err = mapWith(t, `"MaxConcurrencyPath":"$.none"`).MaxConcurrency(sc)
	wantError(t, err, ErrRuntime, `Invalid path '$.none' : No results for path: $['none']`)
	_, err = mapWith(t, `"ItemBatcher":{"MaxItemsPerBatchPath":"$.minus"}`).ItemBatcher.MaxItems(sc)
	wantError(t, err, ErrRuntime, `MaxItemsPerBatch must be at least 1.`)
	tol, err := mapWith(t, `"ToleratedFailureCountPath":"$v.n","ToleratedFailurePercentagePath":"$v.f"`).Tolerance(sc)
	if err != nil || tol.Count() != 2 || tol.Percentage() != 0.5 {
		t.Errorf("numbers in texts: %+v, %v", tol, err)
	}
}

func TestToleranceIsExceededByEitherThreshold(t *testing.T) {
	for _, tt := range []struct {
		tol           Tolerance
		failed, total int64
		want          bool
	}{
		{Tolerance{}, 0, 10, false},
		{Tolerance{}, 1, 10, true},
		{Tolerance{hasCount: true, count: 2}, 2, 10, false},
		{Tolerance{hasCount: true, count: 2}, 3, 10, true},
		{Tolerance{hasPercentage: true, percentage: 20}, 2, 10, false},
		{Tolerance{hasPercentage: true, percentage: 20}, 3, 10, true},
		{Tolerance{hasCount: true, count: 5, hasPercentage: true, percentage: 20}, 3, 10, true},
		{Tolerance{hasCount: true, count: 1, hasPercentage: true, percentage: 90}, 2, 10, true},
	} {
		if got := tt.tol.Exceeded(tt.failed, tt.total); got != tt.want {
			t.Errorf("%+v exceeded by %d of %d: %v, want %v", tt.tol, tt.failed, tt.total, got, tt.want)
		}
	}
}

func TestFailPaths(t *testing.T) {
	m := mustParse(t, states(`"S":{"Type":"Fail","ErrorPath":"$.ErrorX","CausePath":"$$.State.Name"}`))
	_, _, err := m.Start.Fail.Outcome(scope(t, `{"Error":"error-value"}`))
	wantError(t, err, ErrRuntime, `The JSONPath '$.ErrorX' specified for the field 'ErrorPath' could not be found in the input '{"Error":"error-value"}'`)
	name, cause, err := m.Start.Fail.Outcome(scope(t, `{"ErrorX":"e"}`))
	if name != "e" || cause != "S" || err != nil {
		t.Errorf("outcome %q, %q, %v", name, cause, err)
	}
	_, _, err = m.Start.Fail.Outcome(scope(t, `{"ErrorX":1}`))
	wantError(t, err, ErrRuntime, "The field 'Error' must be a string, it is 1")
	empty := mustParse(t, states(`"S":{"Type":"Fail"}`)).Start.Fail
	if name, cause, err := empty.Outcome(scope(t, `{}`)); name != "" || cause != "" || err != nil {
		t.Errorf("outcome %q, %q, %v", name, cause, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"QueryLanguage":"JSONata","StartAt":"S","States":{"S":{"Type":"Map","Items":"{% [1..3] %}","ItemSelector":{"a":["{% $states.context.Map.Item.Value %}"]},"ItemProcessor":{"StartAt":"P","States":{"P":{"Type":"Succeed"}}},"End":true}}}`), []byte(`{}`))
	f.Add([]byte(everything), []byte(`{"x":1}`))
	f.Add([]byte(states(`"S":{"Type":"Choice","Choices":[{"And":[{"Variable":"$","IsNull":true}],"Next":"S"}]}`)), []byte(`{}`))
	f.Add([]byte(states(`"S":{"Type":"Map","Iterator":{"StartAt":"B","States":{"B":{"Type":"Pass","Next":"B"}}},"End":true}`)), []byte(`[]`))
	f.Fuzz(func(t *testing.T, definition, input []byte) {
		diags := Validate(definition)
		m, err := Parse(definition)
		refused := false
		for _, d := range diags {
			refused = refused || d.Refuses()
			_ = d.Format("f")
		}
		if refused != (err != nil) {
			t.Fatalf("Validate gives %v, Parse %v", diags, err)
		}
		if err != nil {
			return
		}
		in, err := value.Parse(input)
		if err != nil {
			return
		}
		sc := &Scope{Scope: jsonpath.Scope{Input: in}}
		for _, s := range m.States {
			if s.Next == nil && !s.End && s.Type != TypeChoice && s.Type != TypeSucceed && s.Type != TypeFail {
				t.Fatalf("state %q leads nowhere", s.Name)
			}
			if s.Parameters != nil {
				_, _ = s.Parameters.Eval(sc)
			}
			frame := &Frame{Input: in, Scope: *sc}
			switch s.Type {
			case TypePass:
				_, _ = s.Fields.Pass(frame)
			case TypeMap:
				_, _ = s.Fields.Iterations(frame)
				_, _ = s.Fields.Distribution(frame, in)
			case TypeTask, TypeParallel:
				_, _ = s.Fields.Arguments(frame)
				_, _ = s.Fields.Complete(frame, in)
			default:
			}
			if s.Choice != nil {
				_, _ = s.Choice.Choose(sc)
			}
			if s.Fail != nil {
				_, _, _ = s.Fail.Outcome(sc)
			}
			_, _ = s.ResultPath.Apply(in, in)
		}
	})
}

func BenchmarkTemplate(b *testing.B) {
	e := parameters(b, `{"n.$":"States.MathAdd($.n, -1)","keep.$":"$.keep","fixed":{"a":[1,2,3]}}`)
	sc := scope(b, `{"n":200,"keep":{"commit":"0123456789abcdef","list":[1,2,3,4]}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Eval(sc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRule(b *testing.B) {
	r := rule(b, `{"Variable":"$.n","NumericGreaterThan":0}`)
	sc := scope(b, `{"n":200,"keep":1}`)
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := r.Match(sc); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	definition := []byte(everything)
	b.SetBytes(int64(len(definition)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(definition); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleDiagnostic_Format() {
	for _, d := range Validate([]byte("{\"StartAt\":\"Build\",\n \"States\":{\"Build\":{\"Type\":\"Pass\",\"Nxt\":\"Deploy\",\"End\":true}}}")) {
		fmt.Println(d.Format("deploy.asl.json"))
	}
	// Output:
	// deploy.asl.json:2:35: state "Build": Field 'Nxt' is not supported: did you mean Next? (SCHEMA_VALIDATION_FAILED at /States/Build)
}
