package graph_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/asl"
	"switchyard/asl/graph"
)

func TestTextListsStatesWithTheirMarks(t *testing.T) {
	m, err := asl.Parse([]byte(`{"StartAt": "Look", "States": {
		"Look": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericEquals": 1, "Next": "All"}], "Default": "Stop\u001b[31m"},
		"All": {"Type": "Parallel", "Branches": [{"StartAt": "Each", "States": {"Each": {"Type": "Map", "ItemProcessor": {"StartAt": "One", "States": {"One": {"Type": "Pass", "End": true}}}, "End": true}}}],
			"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Stop\u001b[31m"}], "End": true},
		"Stop\u001b[31m": {"Type": "Fail"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	got := graph.Text(m, map[string]graph.Mark{
		"Look": {Status: graph.Succeeded, Visits: 1}, "All": {Status: graph.Running, Visits: 2, Detail: "Boom: \x1b why"},
		"Each": {Status: graph.Running, Visits: 1, Items: graph.Items{Total: 3, Succeeded: 1, Failed: 1, Running: 1}},
	})
	want := `+ Look (Choice) [succeeded], first; if $.n == 1 -> All; otherwise -> Stop\x1b[31m
> All (Parallel · 1 branches) [running x2] -> end; on any error -> Stop\x1b[31m
    Boom: \x1b why
    branch 1
    > Each (Map) [running, 2 of 3 items done, 1 failed], first -> end
          One (Pass), first -> end
  Stop\x1b[31m (Fail)
`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
