package distributed

import (
	"testing"
	"time"

	"switchyard/asl"
	"switchyard/asl/run"
	"switchyard/asl/value"
)

// TestBatchesAreTheSameAfterARestart: where a batch ends depends on how long its
// items are, and a restart finds its children by the numbers of the batches.
func TestBatchesAreTheSameAfterARestart(t *testing.T) {
	m, err := asl.Parse([]byte(`{"QueryLanguage":"JSONata","StartAt":"M","States":{"M":{"Type":"Map","End":true,
		"ItemSelector":{"draw":"{% $random() %}","at":"{% $millis() %}"},
		"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	items := make([]value.Value, 40)
	for i := range items {
		items[i] = value.OfInt(int64(i))
	}
	inputs := func(seed uint64) (all []string) {
		w := &run.MapWork{
			State: m.Start, Iterations: asl.Iterations{Items: items}, Distribution: asl.Distribution{Batching: &asl.Batching{MaxBytes: 300}},
			Frame: run.MapFrame{Variables: value.EmptyObject, Entered: time.UnixMilli(1_700_000_000_123), Seed: seed},
		}
		for b, err := range (&Coordinator{}).newRun(w, nil).batches() {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b.input.JSON())
		}
		return all
	}
	first, again, other := inputs(7), inputs(7), inputs(8)
	if len(first) < 2 {
		t.Fatalf("%d batches", len(first))
	}
	if len(first) != len(again) {
		t.Fatalf("%d batches, and then %d", len(first), len(again))
	}
	for i := range first {
		if first[i] != again[i] {
			t.Errorf("batch %d was\n%s, and then\n%s", i, first[i], again[i])
		}
		for _, b := range first[:i] {
			if b == first[i] {
				t.Errorf("the items of batch %d are those of another: %s", i, b)
			}
		}
	}
	if first[0] == other[0] {
		t.Errorf("another visit of the state draws the same numbers: %s", other[0])
	}
}
