package engine_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"switchyard/asl/engine"
	"switchyard/asl/store"
)

// distributedInJSONata is distributedMap in JSONata.
func distributedInJSONata(fields, states string) string {
	return strings.Replace(distributedMap(fields, states), `{`, `{"QueryLanguage":"JSONata",`, 1)
}

func TestDistributedMapInJSONata(t *testing.T) {
	for name, tt := range map[string]struct{ fields, states, input, want string }{
		"items and a selector": {
			`"Items":"{% $states.input.list[size > 1] %}","MaxConcurrency":"{% $states.input.wide / 2 %}",
				"ItemSelector":{"at":"{% $states.context.Map.Item.Index %}","name":"{% $states.context.Map.Item.Value.name %}","of":"{% $count($states.input.list) %}"},
				"Output":"{% $states.result.(name & ':' & at & '/' & of) %}",`,
			passItem, `{"wide":4,"list":[{"name":"p","size":1},{"name":"q","size":2},{"name":"r","size":3}]}`, `["q:0/3","r:1/3"]`,
		},
		"children take the machine's language": {
			`"Items":"{% [1..3] %}",`, `"StartAt":"P","States":{"P":{"Type":"Pass","Output":"{% $states.input * $states.input %}","End":true}}`, `{}`, `[1,4,9]`,
		},
		"batches": {
			`"Items":"{% $states.input.list %}","ItemBatcher":{"MaxItemsPerBatch":"{% $states.input.n %}","BatchInput":{"who":"{% $uppercase($states.input.who) %}"}},`,
			passItem, `{"n":2,"who":"ann","list":[7,8,9]}`, `[{"BatchInput":{"who":"ANN"},"Items":[7,8]},{"BatchInput":{"who":"ANN"},"Items":[9]}]`,
		},
		"failures within the tolerance": {
			`"Items":"{% [1..4] %}","ToleratedFailurePercentage":"{% 20 + 5 %}","Output":"{% $count($states.result) %}",`,
			`"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[{"Condition":"{% $states.input = 2 %}","Next":"F"}],"Default":"P"},
				"F":{"Type":"Fail","Error":"{% 'E' & $states.input %}"},"P":{"Type":"Pass","End":true}}`, `{}`, `4`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, e *engine.Engine) {
				wantOutput(t, runs(t, e, distributedInJSONata(tt.fields, tt.states), tt.input), tt.want)
			})
		})
	}
}

func TestDistributedMapInJSONataReadsAndWrites(t *testing.T) {
	opt, root := withObjects(t, map[string]string{"in/2026/jobs.csv": "id,state\n4,open\n5,done\n6,open\n"})
	e := newEngine(t, store.NewMemory(), opt)
	run(t, e)
	x := runs(t, e, distributedInJSONata(
		`"ItemReader":{"Resource":"arn:aws:states:::s3:getObject","ReaderConfig":{"InputType":"CSV","CSVHeaderLocation":"FIRST_ROW","MaxItems":"{% $states.input.most %}"},
			"Arguments":{"Bucket":"in","Key":"{% $states.input.year & '/jobs.csv' %}"}},
		"ItemSelector":"{% $number($states.context.Map.Item.Value.id) %}",
		"ResultWriter":{"Resource":"arn:aws:states:::s3:putObject","WriterConfig":{"Transformation":"COMPACT","OutputType":"JSON"},"Arguments":{"Bucket":"out","Prefix":"{% 'of-' & $states.input.year %}"}},
		"Output":"{% $states.result.ResultWriterDetails.Key %}",`, passItem), `{"year":2026,"most":2}`)
	m := mapRuns(t, e, x.ARN)[0]
	wantOutput(t, x, `"of-2026/`+m.ID()+`/manifest.json"`)
	written, err := os.ReadFile(filepath.Join(root, "out/of-2026", m.ID(), "SUCCEEDED_0.json"))
	if err != nil || string(written) != "[4,5]" {
		t.Errorf("results %s, %v", written, err)
	}
}

func TestDistributedMapInJSONataFails(t *testing.T) {
	const said = "An error occurred while executing the state 'M' (entered at the event id #2). "
	for name, tt := range map[string]struct{ fields, input, failure, cause string }{
		"no items":          {`"Items":"{% $states.input.none %}",`, `{}`, "States.QueryEvaluationError", said + "The JSONata expression '$states.input.none' specified for the field 'Items' returned nothing (undefined)."},
		"items of no kind":  {`"Items":"{% 5 %}",`, `{}`, "States.QueryEvaluationError", said + "The JSONata expression '5' specified for the field 'Items' returned an unexpected result type. Expected 'array', but was 'number' for value: 5"},
		"half a batch":      {`"Items":[1],"ItemBatcher":{"MaxItemsPerBatch":"{% 0.5 %}"},`, `{}`, "States.QueryEvaluationError", said + "The JSONata expression '0.5' specified for the field 'ItemBatcher/MaxItemsPerBatch' returned a value that is not an integer"},
		"no percentage":     {`"Items":[1],"ToleratedFailurePercentage":"{% 101 %}",`, `{}`, "States.QueryEvaluationError", said + "The JSONata expression '101' specified for the field 'ToleratedFailurePercentage' returned a value that is not a percentage from 0 to 100: 101"},
		"beyond tolerance":  {`"Items":"{% $states.input.items %}","ToleratedFailureCount":"{% $states.input.may %}",`, `{"may":1,"items":["bad","bad"]}`, "States.ExceedToleratedFailureThreshold", "The specified tolerated failure threshold was exceeded"},
		"a wrong selection": {`"Items":[1],"ItemSelector":{"n":"{% $states.context.Map.Item.Value + 'x' %}"},`, `{}`, "States.QueryEvaluationError", said + "The JSONata expression '$states.context.Map.Item.Value + 'x'' specified for the field 'ItemSelector/n' threw an error during evaluation. T2002: "},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, e *engine.Engine) {
				x := runs(t, e, distributedInJSONata(tt.fields, taskItem), tt.input)
				if x.Status != store.Failed || x.Error != tt.failure || !strings.HasPrefix(x.Cause, tt.cause) {
					t.Errorf("%s %s\n\tgot  %s\n\twant %s", x.Status, x.Error, x.Cause, tt.cause)
				}
			}, engine.WithHandler(fn, handlerFunc(echo)))
		})
	}
}
