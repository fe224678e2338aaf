package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/asl/distributed"
	"switchyard/asl/engine"
	"switchyard/asl/objects"
	"switchyard/asl/store"
	"switchyard/asl/task"
)

// distributed is a machine with one distributed Map; fields are those of the
// Map, states what it does with an item.
func distributedMap(fields, states string) string {
	return `{"StartAt":"M","States":{"M":{"Type":"Map","Label":"L","End":true,` + fields + `"ItemProcessor":{
		"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},` + states + `}}}}`
}

const (
	passItem = `"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}`
	waitItem = `"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":60,"End":true}}`
	failItem = `"StartAt":"F","States":{"F":{"Type":"Fail","Error":"E","Cause":"C"}}`
	taskItem = `"StartAt":"T","States":{"T":{"Type":"Task","Resource":"` + fn + `","End":true}}`
)

// withObjects is an option for an engine on the files given as BUCKET/KEY.
func withObjects(t *testing.T, files map[string]string) (_ engine.Option, root string) {
	t.Helper()
	root = t.TempDir()
	d, err := objects.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	for name, body := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return engine.WithObjects(d), root
}

func mapRuns(t testing.TB, e *engine.Engine, executionARN string) []*distributed.MapRun {
	t.Helper()
	runs, err := e.ListMapRuns(context.Background(), executionARN, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range runs {
		if runs[i], err = e.MapRuns().Describe(context.Background(), r.ARN); err != nil {
			t.Fatal(err)
		}
	}
	return runs
}

func children(t testing.TB, e *engine.Engine, mapRunARN string) []*engine.Execution {
	t.Helper()
	list, err := e.ListChildren(context.Background(), mapRunARN, nil, 0, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestItemsAreExecutionsOfTheirOwn(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		x := runs(t, e, distributedMap(`"ItemSelector":{"i.$":"$$.Map.Item.Index","v.$":"$$.Map.Item.Value","all.$":"$.n"},"ItemsPath":"$.items",`,
			`"StartAt":"P","States":{"P":{"Type":"Pass","Parameters":{"in.$":"$","item.$":"$$.Map.Item","name.$":"$$.StateMachine.Name"},"End":true}}`), `{"n":7,"items":["a","b"]}`)
		wantOutput(t, x, `[{"in":{"i":0,"v":"a","all":7},"item":{"Index":0,"Value":"a"},"name":"m/L"},{"in":{"i":1,"v":"b","all":7},"item":{"Index":1,"Value":"b"},"name":"m/L"}]`)
		if got := types(t, e, x.ARN); got != "ExecutionStarted MapStateEntered MapStateStarted MapRunStarted MapRunSucceeded MapStateSucceeded MapStateExited ExecutionSucceeded" {
			t.Error(got)
		}
		run := mapRuns(t, e, x.ARN)[0]
		if want := regexp.MustCompile(`^arn:aws:states:us-east-1:123456789012:mapRun:m/L:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`); !want.MatchString(run.ARN) {
			t.Errorf("the run's ARN is %s", run.ARN)
		}
		all := events(t, e, x.ARN)
		if got := all[3].ARN; got != run.ARN {
			t.Errorf("MapRunStarted names %s, want %s", got, run.ARN)
		}
		var previous []int64
		for _, ev := range all {
			previous = append(previous, ev.Prev)
		}
		if diff := cmp.Diff([]int64{0, 0, 2, 3, 4, 5, 4, 7}, previous); diff != "" {
			t.Errorf("previous events (-want +got):\n%s", diff)
		}
		counts := distributed.Counts{Succeeded: 2, Total: 2}
		if run.Status != distributed.RunSucceeded || run.ExecutionARN != x.ARN || run.Items != counts || run.Children != counts || run.Stopped == 0 {
			t.Errorf("%+v", run)
		}
		list := children(t, e, run.ARN)
		if len(list) != 2 {
			t.Fatalf("%d children", len(list))
		}
		for i, c := range list {
			c = describe(t, e, c.ARN)
			if c.MapRunARN != run.ARN || c.MachineARN != "arn:aws:states:us-east-1:123456789012:stateMachine:m/L" || c.ARN != "arn:aws:states:us-east-1:123456789012:execution:m/L:"+c.Name {
				t.Errorf("child %d: %+v", i, c)
			}
			if got := types(t, e, c.ARN); got != "ExecutionStarted PassStateEntered PassStateExited ExecutionSucceeded" {
				t.Error(got)
			}
		}
	})
}

func TestMapRunHoldsItsConcurrencyAndUpdatesIt(t *testing.T) {
	var now, most atomic.Int64
	h := handlerFunc(func(ctx context.Context, t task.Task) (json.RawMessage, error) {
		n := now.Add(1)
		defer now.Add(-1)
		most.Store(max(most.Load(), n))
		time.Sleep(time.Second)
		return t.Input, nil
	})
	bubble(t, func(t *testing.T, e *engine.Engine) {
		arn := start(t, e, machine(t, e, "m", distributedMap(`"MaxConcurrencyPath":"$.c","ItemsPath":"$.items",`, taskItem)), "x", `{"c":2,"items":[1,2,3,4,5,6,7,8,9,10]}`)
		time.Sleep(1500 * time.Millisecond)
		run := mapRuns(t, e, arn)[0]
		counts := distributed.Counts{Pending: 6, Running: 2, Succeeded: 2, Total: 10}
		if run.Status != distributed.RunRunning || run.Items != counts || run.MaxConcurrency != 2 || most.Load() != 2 {
			t.Errorf("%+v, %d at once", run, most.Load())
		}
		five := int64(5)
		if err := e.MapRuns().Update(t.Context(), run.ARN, distributed.Limits{MaxConcurrency: &five}); err != nil {
			t.Fatal(err)
		}
		wantOutput(t, wait(t, e, arn), `[1,2,3,4,5,6,7,8,9,10]`)
		if run = mapRuns(t, e, arn)[0]; run.MaxConcurrency != 5 || most.Load() != 5 {
			t.Errorf("%+v, %d at once", run, most.Load())
		}
		if err := e.MapRuns().Update(t.Context(), run.ARN, distributed.Limits{MaxConcurrency: &five}); err == nil {
			t.Error("a run that has ended was updated")
		}
	}, engine.WithHandler(fn, h))
}

func TestTooManyFailuresStopTheOthers(t *testing.T) {
	const states = `"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[{"Variable":"$","NumericLessThan":3,"Next":"F"}],"Default":"W"},
		"F":{"Type":"Fail","Error":"E","Cause":"C"},"W":{"Type":"Wait","Seconds":3600,"Next":"P"},"P":{"Type":"Pass","End":true}}`
	for fields, fails := range map[string]bool{
		`"ToleratedFailureCount":1,`:                                  true,
		`"ToleratedFailureCount":2,`:                                  false,
		`"ToleratedFailurePercentage":49,`:                            true,
		`"ToleratedFailurePercentage":50,`:                            false,
		`"ToleratedFailureCount":2,"ToleratedFailurePercentage":10,`:  true,
		`"ToleratedFailureCount":2,"ToleratedFailurePercentage":100,`: false,
	} {
		bubble(t, func(t *testing.T, e *engine.Engine) {
			begin := time.Now()
			x := runs(t, e, distributedMap(fields, states), `[1,2,3,4]`)
			run := mapRuns(t, e, x.ARN)[0]
			if !fails {
				if x.Status != store.Succeeded || run.Items != (distributed.Counts{Succeeded: 2, Failed: 2, Total: 4}) {
					t.Errorf("%s: %s %s %+v", fields, x.Status, x.Cause, run)
				}
				return
			}
			wantFailure(t, x, store.Failed, "States.ExceedToleratedFailureThreshold", "The specified tolerated failure threshold was exceeded")
			if run.Status != distributed.RunFailed || run.Items.Failed != 2 || run.Items.Aborted+run.Items.Pending != 2 || run.Items.Total != 4 {
				t.Errorf("%s: %+v", fields, run)
			}
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("%s: the failure took %v", fields, took)
			}
			for _, c := range children(t, e, run.ARN) {
				if c.Status == store.Running {
					t.Errorf("%s: %s still runs", fields, c.ARN)
				}
			}
		})
	}
}

func TestStoppedExecutionStopsItsMapRuns(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		arn := start(t, e, machine(t, e, "m", distributedMap(`"MaxConcurrency":3,`, waitItem)), "x", `[1,2,3,4,5]`)
		time.Sleep(time.Second)
		if _, err := e.StopExecution(t.Context(), arn, "Enough", "of it"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		run := mapRuns(t, e, arn)[0]
		if run.Status != distributed.RunAborted || run.Items != (distributed.Counts{Pending: 2, Aborted: 3, Total: 5}) {
			t.Errorf("%+v", run)
		}
		if got := types(t, e, arn); got != "ExecutionStarted MapStateEntered MapStateStarted MapRunStarted MapRunAborted ExecutionAborted" {
			t.Error(got)
		}
	})
}

func TestSiblingFailureAbortsAMapRun(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		inner := strings.TrimSuffix(strings.TrimPrefix(distributedMap("", waitItem), `{`), `}`)
		x := runs(t, e, `{"StartAt":"P","States":{"P":{"Type":"Parallel","Branches":[{`+inner+`},
			{"StartAt":"V","States":{"V":{"Type":"Wait","Seconds":1,"Next":"F"},"F":{"Type":"Fail","Error":"E","Cause":"C"}}}],
			"Catch":[{"ErrorEquals":["States.ALL"],"Next":"D"}],"End":true},"D":{"Type":"Wait","Seconds":5,"End":true}}}`, `[1,2]`)
		if x.Status != store.Succeeded {
			t.Fatalf("%s %s %s", x.Status, x.Error, x.Cause)
		}
		if run := mapRuns(t, e, x.ARN)[0]; run.Status != distributed.RunAborted || run.Items != (distributed.Counts{Aborted: 2, Total: 2}) {
			t.Errorf("%+v", run)
		}
		if got := types(t, e, x.ARN); !strings.Contains(got, "MapRunAborted MapStateAborted ") {
			t.Error(got)
		}
	})
}

func TestMapRunIsRetriedAsANewOne(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		x := runs(t, e, distributedMap(`"Retry":[{"ErrorEquals":["States.ALL"],"MaxAttempts":1}],"Catch":[{"ErrorEquals":["States.ExceedToleratedFailureThreshold"],"ResultPath":"$[1]","Next":"M"}],`, failItem), `[1]`)
		if x.Status != store.Failed {
			t.Errorf("%s %s", x.Status, x.Output)
		}
	})
	bubble(t, func(t *testing.T, e *engine.Engine) {
		x := runs(t, e, distributedMap(`"Retry":[{"ErrorEquals":["States.ALL"],"MaxAttempts":2}],`, failItem), `[1]`)
		if got := mapRuns(t, e, x.ARN); len(got) != 3 || got[0].ARN == got[1].ARN {
			t.Errorf("%d runs", len(got))
		}
		if got := strings.Count(types(t, e, x.ARN), "MapRunFailed"); got != 3 {
			t.Errorf("%d runs failed", got)
		}
	})
}

func TestVirtualTimePassesForMapRuns(t *testing.T) {
	begin := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	e := newEngine(t, store.NewMemory(), engine.WithVirtualTime(begin))
	run(t, e)
	x := runs(t, e, distributedMap(`"MaxConcurrency":2,`, waitItem), `[1,2,3,4,5,6]`)
	wantOutput(t, x, `[1,2,3,4,5,6]`)
	if took := x.Stopped - x.Started; took < 180_000 || took > 181_000 {
		t.Errorf("three times a minute took %d ms", took)
	}
}

func TestNestedDistributedMaps(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		x := runs(t, e, distributedMap("", `"StartAt":"N","States":{"N":{"Type":"Map","End":true,"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"EXPRESS"},`+passItem+`}}}`), `[[1,2],[],[3]]`)
		wantOutput(t, x, `[[1,2],[],[3]]`)
		first := children(t, e, mapRuns(t, e, x.ARN)[0].ARN)[2]
		inner := mapRuns(t, e, first.ARN)[0]
		if !strings.HasPrefix(inner.ARN, "arn:aws:states:us-east-1:123456789012:mapRun:m/N:") || inner.MachineARN != "arn:aws:states:us-east-1:123456789012:stateMachine:m" || len(children(t, e, inner.ARN)) != 2 {
			t.Errorf("%+v", inner)
		}
	})
}

func TestItemReader(t *testing.T) {
	opt, root := withObjects(t, map[string]string{
		"data/a.csv": "id,name\n1,Ann\n2,\"B, C\"\n3,D\n", "data/a.jsonl": "{\"id\":1}\n{\"id\":2}\n", "data/a.json": `{"x":{"items":[1,2,3]}}`,
		"data/dir/1.json": `[1]`, "data/dir/2.json": `[2,3]`, "data/bad.jsonl": "1\nnot\n", "data/o.json": `{"k":1,"l":2}`,
	})
	old := time.Unix(1_700_000_000, 0)
	for _, name := range []string{"1.json", "2.json"} {
		if err := os.Chtimes(filepath.Join(root, "data/dir", name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	reader := func(action, params, config string) string {
		return `"ItemReader":{"Resource":"arn:aws:states:::s3:` + action + `","Parameters":` + params + `,"ReaderConfig":` + config + `},`
	}
	const at = "An error occurred while executing the state 'M' (entered at the event id #2). "
	for name, c := range map[string]struct{ fields, output, cause string }{
		"CSV":                   {reader("getObject", `{"Bucket":"data","Key.$":"$.key"}`, `{"InputType":"CSV","CSVHeaderLocation":"FIRST_ROW"}`), `[{"id":"1","name":"Ann"},{"id":"2","name":"B, C"},{"id":"3","name":"D"}]`, ""},
		"at most":               {reader("getObject", `{"Bucket":"data","Key":"a.csv"}`, `{"InputType":"CSV","CSVHeaderLocation":"FIRST_ROW","MaxItemsPath":"$.max"}`), `[{"id":"1","name":"Ann"},{"id":"2","name":"B, C"}]`, ""},
		"JSON lines":            {reader("getObject", `{"Bucket":"data","Key":"a.jsonl"}`, `{"InputType":"JSONL"}`) + `"ItemSelector":{"i.$":"$$.Map.Item.Index","id.$":"$$.Map.Item.Value.id","max.$":"$.max"},`, `[{"i":0,"id":1,"max":2},{"i":1,"id":2,"max":2}]`, ""},
		"JSON":                  {reader("getObject", `{"Bucket":"data","Key":"a.json"}`, `{"InputType":"JSON","ItemsPointer":"/x/items"}`), `[1,2,3]`, ""},
		"JSON object":           {reader("getObject", `{"Bucket":"data","Key":"o.json"}`, `{"InputType":"JSON"}`), `[{"Key":"k","Value":1},{"Key":"l","Value":2}]`, ""},
		"list":                  {reader("listObjectsV2", `{"Bucket":"data","Prefix":"dir/"}`, `{}`) + `"ItemSelector":{"k.$":"$$.Map.Item.Value.Key","s.$":"$$.Map.Item.Value.Size","m.$":"$$.Map.Item.Value.LastModified"},`, `[{"k":"dir/1.json","s":3,"m":1700000000},{"k":"dir/2.json","s":5,"m":1700000000}]`, ""},
		"objects of a list":     {reader("listObjectsV2", `{"Bucket":"data","Prefix":"dir/"}`, `{"InputType":"JSON","Transformation":"LOAD_AND_FLATTEN"}`), `[1,2,3]`, ""},
		"nothing listed":        {reader("listObjectsV2", `{"Bucket":"data","Prefix":"none/"}`, `{}`), `[]`, ""},
		"fewer than none":       {reader("getObject", `{"Bucket":"data","Key":"a.json"}`, `{"InputType":"JSON","ItemsPointer":"/x/items","MaxItemsPath":"$.minus"}`), "", at + "field MaxItems must be positive"},
		"missing key":           {reader("getObject", `{"Bucket":"data","Key":"none"}`, `{"InputType":"JSON"}`), "", at + "The specified key does not exist: s3://data/none"},
		"missing bucket":        {reader("listObjectsV2", `{"Bucket":"none"}`, `{}`), "", at + "list s3://none: file does not exist: there is no folder of this name"},
		"hostile key":           {reader("getObject", `{"Bucket":"data","Key":"../../etc/passwd"}`, `{"InputType":"JSON"}`), "", at + `key "../../etc/passwd": a file stands for it, so it needs 1 to 1024 bytes of UTF-8 without backslash, and no part between slashes that is empty, '.' or '..'`},
		"no key":                {reader("getObject", `{"Bucket":"data"}`, `{"InputType":"JSON"}`), "", at + "the parameter 'Key' must be a text that is not empty"},
		"wrong pointer":         {reader("getObject", `{"Bucket":"data","Key":"a.json"}`, `{"InputType":"JSON","ItemsPointer":"/y"}`), "", at + "The provided ReaderConfig.ItemsPointer does not match any valid path in the JSON structure."},
		"later line is no JSON": {reader("getObject", `{"Bucket":"data","Key":"bad.jsonl"}`, `{"InputType":"JSONL"}`), "", at + "Cannot read items from s3://data/bad.jsonl: line 2: "},
		"Parquet":               {reader("getObject", `{"Bucket":"data","Key":"a.csv"}`, `{"InputType":"PARQUET"}`), "", at + "Cannot read items from s3://data/a.csv: the InputType 'PARQUET' is not supported by this engine: use JSON, JSONL or CSV"},
		"other service":         {`"ItemReader":{"Resource":"arn:aws:states:::dynamodb:scan","Parameters":{"Bucket":"b"}},`, "", at + "The resource 'arn:aws:states:::dynamodb:scan' cannot read items: use arn:aws:states:::s3:getObject or arn:aws:states:::s3:listObjectsV2."},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, store.NewMemory(), opt)
			run(t, e)
			x := runs(t, e, distributedMap(c.fields, passItem), `{"key":"a.csv","max":2,"minus":-1}`)
			if c.cause == "" {
				wantOutput(t, x, c.output)
				return
			}
			if x.Status != store.Failed || x.Error != "States.ItemReaderFailed" || !strings.HasPrefix(x.Cause, c.cause) {
				t.Errorf("%s %q\n%s, want\n%s", x.Status, x.Error, x.Cause, c.cause)
			}
			if got := types(t, e, x.ARN); got != "ExecutionStarted MapStateEntered MapStateStarted MapRunStarted MapRunFailed MapStateFailed ExecutionFailed" {
				t.Error(got)
			}
			if list := children(t, e, mapRuns(t, e, x.ARN)[0].ARN); len(list) != 0 {
				t.Errorf("%d children were started all the same", len(list))
			}
		})
	}
	t.Run("no objects", func(t *testing.T) {
		e := newEngine(t, store.NewMemory())
		run(t, e)
		x := runs(t, e, distributedMap(reader("getObject", `{"Bucket":"b","Key":"k"}`, `{"InputType":"JSON"}`), passItem), `{}`)
		wantFailure(t, x, store.Failed, "States.ItemReaderFailed", at+"This engine has no objects to read: set engine.embedded.objects in the configuration to a folder that holds them as BUCKET/KEY.")
	})
}

func TestItemBatcher(t *testing.T) {
	for name, c := range map[string]struct {
		fields, input, output string
		sizes                 []int64 // newest first
	}{
		"items":         {`"ItemsPath":"$.i","ItemBatcher":{"MaxItemsPerBatch":2},`, `{"i":[1,2,3]}`, `[{"Items":[1,2]},{"Items":[3]}]`, []int64{1, 2}},
		"items by path": {`"ItemsPath":"$.i","ItemBatcher":{"MaxItemsPerBatchPath":"$.n"},`, `{"n":3,"i":[1,2,3]}`, `[{"Items":[1,2,3]}]`, []int64{3}},
		"batch input":   {`"ItemsPath":"$.i","ItemSelector":{"v.$":"$$.Map.Item.Value"},"ItemBatcher":{"MaxItemsPerBatch":2,"BatchInput":{"n.$":"$.n"}},`, `{"n":7,"i":[1,2,3]}`, `[{"BatchInput":{"n":7},"Items":[{"v":1},{"v":2}]},{"BatchInput":{"n":7},"Items":[{"v":3}]}]`, []int64{1, 2}},
		"bytes":         {`"ItemsPath":"$.i","ItemBatcher":{"MaxInputBytesPerBatchPath":"$.n"},`, `{"n":20,"i":["aaa","b","c","dddd"]}`, `[{"Items":["aaa"]},{"Items":["b","c"]},{"Items":["dddd"]}]`, []int64{1, 2, 1}},
		"nothing":       {`"ItemsPath":"$.i","ItemBatcher":{"MaxItemsPerBatch":2},`, `{"i":[]}`, `[]`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, e *engine.Engine) {
				x := runs(t, e, distributedMap(c.fields, passItem), c.input)
				wantOutput(t, x, c.output)
				run := mapRuns(t, e, x.ARN)[0]
				var sizes []int64
				items := int64(0)
				for _, child := range children(t, e, run.ARN) {
					sizes = append(sizes, child.Items)
					items += child.Items
				}
				if diff := cmp.Diff(c.sizes, sizes); diff != "" {
					t.Errorf("sizes: -want +got\n%s", diff)
				}
				n := int64(len(c.sizes))
				if run.Items != (distributed.Counts{Succeeded: items, Total: items}) || run.Children != (distributed.Counts{Succeeded: n, Total: n}) {
					t.Errorf("%+v", run)
				}
			})
		})
	}
	bubble(t, func(t *testing.T, e *engine.Engine) {
		x := runs(t, e, distributedMap(`"ItemBatcher":{"MaxInputBytesPerBatch":16},`, passItem), `["a","too long by far"]`)
		wantFailure(t, x, store.Failed, "States.DataLimitExceeded", "An error occurred while executing the state 'M' (entered at the event id #2). The item at index 1 takes 29 bytes as the input of a child workflow execution, at most 16 are allowed.")
	})
}

func TestFailedBatchFailsAllItsItems(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		x := runs(t, e, distributedMap(`"ToleratedFailureCount":2,"MaxConcurrency":1,"ItemBatcher":{"MaxItemsPerBatch":3},`, failItem), `[1,2,3,4,5,6,7]`)
		if x.Error != "States.ExceedToleratedFailureThreshold" {
			t.Errorf("%s %s", x.Status, x.Error)
		}
		if run := mapRuns(t, e, x.ARN)[0]; run.Items != (distributed.Counts{Failed: 3, Pending: 4, Total: 7}) || run.Children != (distributed.Counts{Failed: 1, Pending: 2, Total: 3}) {
			t.Errorf("%+v", run)
		}
	})
}

// shape replaces what differs from run to run.
func shape(text string) string {
	text = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{11}`).ReplaceAllString(text, "RUN")
	return regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`).ReplaceAllString(text, "TIME")
}

func TestResultWriter(t *testing.T) {
	const states = `"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[{"Variable":"$[0]","StringEquals":"bad","Next":"F"}],"Default":"P"},
		"F":{"Type":"Fail","Error":"E","Cause":"<C>"},"P":{"Type":"Pass","End":true}}`
	writer := func(config string) string {
		return `"MaxConcurrency":1,"ResultWriter":{"Resource":"arn:aws:states:::s3:putObject","Parameters":{"Bucket":"out","Prefix":"jobs/1"}` + config + `},`
	}
	entry := func(n int, status, input, more, redrive string) string {
		return `{` + more + fmt.Sprintf(`"ExecutionArn":"arn:aws:states:us-east-1:123456789012:execution:m/L:RUN%d","Input":%s,"InputDetails":{"Included":true},"Name":"RUN%d",`, n, input, n) +
			redrive + `"StartDate":"TIME","StateMachineArn":"arn:aws:states:us-east-1:123456789012:stateMachine:m/L","Status":"` + status + `","StopDate":"TIME"}`
	}
	good := entry(1, "SUCCEEDED", `"[\"a\",\"<b>\"]"`, "", `"Output":"[\"a\",\"<b>\"]","OutputDetails":{"Included":true},"RedriveCount":0,"RedriveStatus":"NOT_REDRIVABLE","RedriveStatusReason":"Execution is SUCCEEDED and cannot be redriven",`)
	bad := entry(2, "FAILED", `"[\"bad\"]"`, `"Cause":"<C>","Error":"E",`, `"OutputDetails":{"Included":true},"RedriveCount":0,"RedriveStatus":"REDRIVABLE_BY_MAP_RUN",`)
	pending := `{"Input":"[\"c\"]","InputDetails":{"Included":true},"OutputDetails":{"Included":true},"RedriveCount":0,"StateMachineArn":"arn:aws:states:us-east-1:123456789012:stateMachine:m/L","Status":"PENDING"}`
	for name, c := range map[string]struct {
		fields string
		files  map[string]string
	}{
		"whole":      {writer("") + `"ToleratedFailureCount":1,`, map[string]string{"SUCCEEDED_0.json": "[" + good + `,` + strings.NewReplacer("RUN1", "RUN3", `[\"a\",\"<b>\"]`, `[\"c\"]`).Replace(good) + "]", "FAILED_0.json": "[" + bad + "]"}},
		"compact":    {writer(`,"WriterConfig":{"Transformation":"COMPACT","OutputType":"JSON"}`) + `"ToleratedFailureCount":1,`, map[string]string{"SUCCEEDED_0.json": `[["a","<b>"],["c"]]`, "FAILED_0.json": "[" + bad + "]"}},
		"flat lines": {writer(`,"WriterConfig":{"Transformation":"FLATTEN","OutputType":"JSONL"}`) + `"ToleratedFailureCount":1,`, map[string]string{"SUCCEEDED_0.jsonl": "\"a\"\n\"<b>\"\n\"c\"\n", "FAILED_0.jsonl": bad + "\n"}},
		"failed run": {writer(""), map[string]string{"SUCCEEDED_0.json": "[" + good + "]", "FAILED_0.json": "[" + bad + "]", "PENDING_0.json": "[" + pending + "]"}},
	} {
		t.Run(name, func(t *testing.T) {
			opt, root := withObjects(t, nil)
			e := newEngine(t, store.NewMemory(), opt)
			run(t, e)
			x := runs(t, e, distributedMap(c.fields, states), `[["a","<b>"],["bad"],["c"]]`)
			m := mapRuns(t, e, x.ARN)[0]
			id := m.ID()
			if name == "failed run" {
				wantFailure(t, x, store.Failed, "States.ExceedToleratedFailureThreshold", "The specified tolerated failure threshold was exceeded")
			} else {
				wantOutput(t, x, `{"MapRunArn":"`+m.ARN+`","ResultWriterDetails":{"Bucket":"out","Key":"jobs/1/`+id+`/manifest.json"}}`)
			}
			manifest, err := os.ReadFile(filepath.Join(root, "out/jobs/1", id, "manifest.json"))
			if err != nil {
				t.Fatal(err)
			}
			var written struct {
				DestinationBucket, MapRunArn string
				ResultFiles                  map[string][]struct {
					Key  string
					Size int64
				}
			}
			if err := json.Unmarshal(manifest, &written); err != nil || written.DestinationBucket != "out" || written.MapRunArn != m.ARN || len(written.ResultFiles) != 3 || strings.Contains(string(manifest), "null") {
				t.Errorf("manifest %s, %v", manifest, err)
			}
			files := map[string]string{}
			for _, list := range written.ResultFiles {
				for _, f := range list {
					body, err := os.ReadFile(filepath.Join(root, "out", f.Key))
					if err != nil || int64(len(body)) != f.Size {
						t.Errorf("%s: %d bytes, %v; the manifest says %d", f.Key, len(body), err, f.Size)
					}
					files[strings.TrimPrefix(f.Key, "jobs/1/"+id+"/")] = shape(string(body))
				}
			}
			if diff := cmp.Diff(c.files, files); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if done := m.Items.Succeeded + m.Items.Failed; m.Items.ResultsWritten != done || m.Children.ResultsWritten != done {
				t.Errorf("%+v", m)
			}
		})
	}
}

// unwritable refuses every object.
type unwritable struct{ distributed.ObjectStore }

func (unwritable) Put(context.Context, string, string, func(io.Writer) error) (int64, error) {
	return 0, errBoom
}

func TestResultsThatCannotBeWrittenFailTheMap(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		x := runs(t, e, distributedMap(`"ResultWriter":{"Resource":"arn:aws:states:::s3:putObject","Parameters":{"Bucket":"out"}},`, passItem), `[1]`)
		wantFailure(t, x, store.Failed, "States.ResultWriterFailed", "An error occurred while executing the state 'M' (entered at the event id #2). Cannot write results: boom")
	}, engine.WithObjects(unwritable{}))
}

func TestResultsTooLargeForTheState(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		x := runs(t, e, distributedMap(`"ItemsPath":"$.i","ItemSelector":{"t.$":"$.t"},`, passItem), `{"i":[1,2,3],"t":"`+strings.Repeat("x", 100_000)+`"}`)
		if x.Status != store.Failed || x.Error != "States.DataLimitExceeded" {
			t.Errorf("%s %s %s", x.Status, x.Error, x.Cause)
		}
	})
}

func TestNoSuchMapRun(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		for _, arn := range []string{"", "x", "arn:aws:states:us-east-1:123456789012:mapRun:m", "arn:aws:states:us-east-1:123456789012:mapRun:m/L:none", "arn:aws:states:eu-west-1:1:mapRun:m/L:x"} {
			if _, err := e.MapRuns().Describe(t.Context(), arn); err == nil {
				t.Errorf("describe %q: no error", arn)
			}
		}
		for _, arn := range []string{"arn:aws:states:us-east-1:123456789012:execution:m/L:none", "arn:aws:states:us-east-1:123456789012:execution:m/L:00000000-0000-0000-0000-000000000001", "arn:aws:states:us-east-1:123456789012:execution:m/L:00000000-0000-0000-0000-zzzzzzzzzzzz"} {
			if _, err := e.DescribeExecution(t.Context(), arn); err == nil {
				t.Errorf("describe %q: no error", arn)
			}
		}
	})
}

func TestRetentionSparesTheChildrenOfOpenMapRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := store.NewMemory(), newBroken()
		begin := func() (*engine.Engine, func()) {
			e, err := engine.New(s, engine.Config{Retention: time.Hour}, engine.WithHandler(fn, b))
			if err != nil {
				t.Fatal(err)
			}
			return e, run(t, e)
		}
		e, stop := begin()
		other := start(t, e, machine(t, e, "p", `{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}}`), "x", `{}`)
		wait(t, e, other)
		time.Sleep(time.Minute)
		arn := start(t, e, machine(t, e, "m", distributedMap(``, `"StartAt":"T","States":{"T":{"Type":"Task","Resource":"`+fn+`","Next":"W"},"W":{"Type":"Wait","SecondsPath":"$","End":true}}`)), "x", `[1,10000]`)
		time.Sleep(150 * time.Minute)
		stop()
		if _, err := e.DescribeExecution(t.Context(), other); err == nil {
			t.Error("what stopped before the run is still there")
		}
		e, stop = begin()
		defer stop()
		wantOutput(t, wait(t, e, arn), `[1,10000]`)
		if want := map[string]int{"1": 1, "10000": 1}; !maps.Equal(b.calls, want) {
			t.Errorf("calls %v, want %v", b.calls, want)
		}
	})
}
