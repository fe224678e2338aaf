package store

import (
	"path/filepath"
	"testing"
)

// A redrive may come between the look at what has stopped and its deletion.
func TestPruneLeavesAnExecutionThatWasReopened(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "engine.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, w := range []*Write{
		{Create: &Execution{ID: 1, Machine: "m", Name: "x", Started: 1}, Exec: 1, History: &Segment{First: 2, Last: 2}},
		{Exec: 1, End: &Ending{Status: Failed, Stopped: 2}},
		{Exec: 1, Reopen: &Reopening{}, Put: []Record{{ID: 1}}},
		{prune: []int64{1}},
	} {
		if err := Do(t.Context(), s, w); err != nil {
			t.Fatal(err)
		}
	}
	if x, err := s.ExecutionByID(t.Context(), 1); err != nil || x.Status != Running {
		t.Errorf("execution %+v, %v; want it running", x, err)
	}
	if segments, err := s.Segments(t.Context(), 1, 1, false, 9); err != nil || len(segments) != 1 {
		t.Errorf("%d segments, %v; want 1", len(segments), err)
	}
	if records, err := s.Records(t.Context(), 1); err != nil || len(records) != 1 {
		t.Errorf("%d records, %v; want 1", len(records), err)
	}
}
