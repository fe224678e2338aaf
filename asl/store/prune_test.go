package store

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPruneTakesStepsAndPassesWhatIsFromTheFuture(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "engine.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := time.Now()
	old, ahead := now.AddDate(0, 0, -100).UnixMilli(), now.AddDate(7, 0, 0).UnixMilli()
	id := int64(0)
	add := func(n int, at int64) {
		for range n {
			id++
			if err := Do(t.Context(), s, &Write{Create: &Execution{ID: id, Machine: "m", Name: fmt.Sprint(id), Started: at}, Exec: id, End: &Ending{Status: Succeeded, Stopped: at}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(2, ahead)
	add(30, old)
	add(2, ahead)
	add(20, old)
	add(1, now.UnixMilli())
	for _, want := range []int{35, 15, 0} {
		if n, err := s.Prune(t.Context(), now.AddDate(0, 0, -90), 35); err != nil || n != want {
			t.Errorf("%d went, %v; want %d", n, err, want)
		}
	}
	if left, err := s.Executions(t.Context(), Query{Machine: "m", Limit: 99}); err != nil || len(left) != 5 {
		t.Errorf("%d are left, %v; want 5", len(left), err)
	}
}

func TestPruneWaitsForAClockThatJumped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "engine.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	at := now.AddDate(0, 0, -100).UnixMilli()
	if err := Do(t.Context(), s, &Write{Create: &Execution{ID: 1, Machine: "m", Name: "n", Started: at}, Exec: 1, End: &Ending{Status: Succeeded, Stopped: at}}); err != nil {
		t.Fatal(err)
	}
	// As if the clock had been right a moment ago, and were ten years ahead now.
	if err := s.file.MayPrune(now); err != nil {
		t.Fatal(err)
	}
	if err := s.file.MayPrune(now.AddDate(10, 0, 0)); err == nil || !strings.Contains(err.Error(), "the clock shows") {
		t.Errorf("ten years ahead: %v", err)
	}
	if err := s.file.MayPrune(now.Add(time.Hour)); err != nil {
		t.Errorf("right again: %v", err)
	}
	if n, err := s.Prune(t.Context(), now.AddDate(0, 0, -90), 9); err != nil || n != 1 {
		t.Errorf("%d went, %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
