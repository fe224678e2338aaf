// Package storetest is the suite that every engine store must pass.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/asl/store"
)

// Run runs the suite; open returns a new, empty store each time, and closes it
// when the test ends.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for name, test := range map[string]func(*testing.T, store.Store){
		"DocsArePutListedAndDeleted":       docs,
		"ExecutionIsReadBackAsWritten":     readBack,
		"LargeInputSurvivesStatusChange":   largeInput,
		"WholeLifeInOneWrite":              wholeLife,
		"NameIsTakenOnce":                  nameTaken,
		"RepeatedCreateIsTheSame":          repeatedCreate,
		"NameRaceHasOneWinner":             nameRace,
		"HistoryPagesBothWays":             history,
		"RepeatedWriteChangesNothing":      repeated,
		"EndDropsRecordsAndKeepsHistory":   end,
		"ReopenedExecutionRunsAgain":       reopen,
		"RunningListsOpenOnesWithWake":     running,
		"ExecutionsPageNewestFirst":        list,
		"RevisionsOfAMachine":              revisions,
		"PruneSparesRunningAndRecent":      prune,
		"LastIDSurvivesPruning":            lastID,
		"WritesAreAppliedInOrder":          order,
		"ClosedStoreRefusesWrites":         closed,
		"ReadsOfUnknownThingsAreNotFound":  notFound,
		"ExecutionsDoNotSeeEachOthersData": separate,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func do(t *testing.T, s store.Store, w *store.Write) {
	t.Helper()
	if err := store.Do(t.Context(), s, w); err != nil {
		t.Fatalf("write: %v", err)
	}
}

func create(t *testing.T, s store.Store, id int64, name string) *store.Execution {
	t.Helper()
	e := &store.Execution{
		ID: id, Machine: "m", Name: name, Revision: "r1", Started: 1000 + id,
		Input: []byte(`{"a":1}`), Attrs: []byte(`{"x":"y"}`),
	}
	do(t, s, &store.Write{Create: e, Exec: id})
	return e
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func docs(t *testing.T, s store.Store) {
	put := func(kind, key, body string) store.Doc {
		d := store.Doc{Kind: kind, Key: key}
		if body != "" {
			d.Body = []byte(body)
		}
		return d
	}
	do(t, s, &store.Write{Docs: []store.Doc{put("a", "2", "two"), put("a", "1", "one"), put("b", "1", "other"), put("a", "3", "three")}})
	do(t, s, &store.Write{Docs: []store.Doc{put("a", "3", ""), put("a", "2", "zwei")}})
	all, err := s.Docs(t.Context(), "a", "", 10)
	if err != nil {
		t.Fatal(err)
	}
	same(t, all, []store.Doc{put("a", "1", "one"), put("a", "2", "zwei")})
	page, err := s.Docs(t.Context(), "a", "1", 1)
	if err != nil {
		t.Fatal(err)
	}
	same(t, page, []store.Doc{put("a", "2", "zwei")})
	body, err := s.Doc(t.Context(), "b", "1")
	if err != nil || string(body) != "other" {
		t.Errorf("Doc = %q, %v; want other", body, err)
	}
}

func readBack(t *testing.T, s store.Store) {
	want := create(t, s, 7, "one")
	got, err := s.Execution(t.Context(), "m", "one")
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, want)
	got, err = s.ExecutionByID(t.Context(), 7)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, want)
}

func largeInput(t *testing.T, s store.Store) {
	input := []byte(`"` + strings.Repeat("x", 200_000) + `"`)
	do(t, s, &store.Write{Create: &store.Execution{ID: 1, Machine: "m", Name: "big", Input: input}, Exec: 1})
	do(t, s, &store.Write{Exec: 1, End: &store.Ending{Status: store.Failed, Stopped: 5, Error: "E", Cause: "C"}})
	got, err := s.ExecutionByID(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, &store.Execution{ID: 1, Machine: "m", Name: "big", Input: input, Status: store.Failed, Stopped: 5, Error: "E", Cause: "C"})
}

func wholeLife(t *testing.T, s store.Store) {
	do(t, s, &store.Write{
		Create: &store.Execution{ID: 1, Machine: "m", Name: "n", Input: []byte("{}")}, Exec: 1, History: segment(1, 9),
		End: &store.Ending{Status: store.Succeeded, Stopped: 5, Output: []byte("[]")},
	})
	got, err := s.ExecutionByID(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, &store.Execution{ID: 1, Machine: "m", Name: "n", Input: []byte("{}"), Output: []byte("[]"), Status: store.Succeeded, Stopped: 5})
	segments, err := s.Segments(t.Context(), 1, 1, false, 9)
	if err != nil {
		t.Fatal(err)
	}
	same(t, segments, []store.Segment{*segment(1, 9)})
}

func nameTaken(t *testing.T, s store.Store) {
	create(t, s, 1, "same")
	err := store.Do(t.Context(), s, &store.Write{
		Create: &store.Execution{ID: 2, Machine: "m", Name: "same"}, Exec: 2,
		Docs: []store.Doc{{Kind: "k", Key: "1", Body: []byte("x")}},
	})
	if !errors.Is(err, store.ErrExists) {
		t.Fatalf("second create: %v, want ErrExists", err)
	}
	if _, err := s.Doc(t.Context(), "k", "1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a refused write left a document behind (%v)", err)
	}
	do(t, s, &store.Write{Create: &store.Execution{ID: 3, Machine: "other", Name: "same"}, Exec: 3})
}

func repeatedCreate(t *testing.T, s store.Store) {
	wake := int64(7)
	for _, w := range []*store.Write{
		{Create: &store.Execution{ID: 1, Machine: "m", Name: "n", Input: []byte("{}")}, Exec: 1, History: segment(1, 3), Put: []store.Record{{ID: 1, Body: []byte("a")}},
			Docs: []store.Doc{{Kind: "k", Key: "1", Body: []byte("x")}}},
		{Exec: 1, History: segment(4, 5), Put: []store.Record{{ID: 2, Body: []byte("b")}}, Drop: []int64{1}, Wake: &wake},
		{Create: &store.Execution{ID: 2, Machine: "m", Name: "ended"}, Exec: 2, History: segment(1, 2), End: &store.Ending{Status: store.Succeeded, Stopped: 5}},
	} {
		do(t, s, w)
		do(t, s, w)
	}
	got, err := s.ExecutionByID(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, &store.Execution{ID: 1, Machine: "m", Name: "n", Input: []byte("{}"), Wake: 7})
	segments, err := s.Segments(t.Context(), 1, 1, false, 9)
	if err != nil {
		t.Fatal(err)
	}
	same(t, segments, []store.Segment{*segment(1, 3), *segment(4, 5)})
	records, err := s.Records(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	same(t, records, []store.Record{{ID: 2, Body: []byte("b")}})
	if got, err = s.ExecutionByID(t.Context(), 2); err != nil || got.Status != store.Succeeded || got.Stopped != 5 {
		t.Errorf("an execution that ended as it began, repeated: %+v, %v", got, err)
	}
	if all, err := s.Executions(t.Context(), store.Query{Machine: "m", Limit: 9}); err != nil || len(all) != 2 {
		t.Errorf("%d executions, %v; want 2", len(all), err)
	}
}

func nameRace(t *testing.T, s store.Store) {
	var wg sync.WaitGroup
	errs := make([]error, 32)
	for i := range errs {
		wg.Go(func() {
			id := int64(i + 1)
			errs[i] = store.Do(context.Background(), s, &store.Write{Create: &store.Execution{ID: id, Machine: "m", Name: "n"}, Exec: id})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, store.ErrExists):
			t.Errorf("create: %v, want nil or ErrExists", err)
		}
	}
	if won != 1 {
		t.Errorf("%d creates won, want 1", won)
	}
}

func segment(first, last int64) *store.Segment {
	return &store.Segment{First: first, Last: last, Body: fmt.Appendf(nil, "events %d to %d", first, last)}
}

func history(t *testing.T, s store.Store) {
	create(t, s, 1, "one")
	for _, g := range []*store.Segment{segment(1, 10), segment(11, 11), segment(12, 30)} {
		do(t, s, &store.Write{Exec: 1, History: g})
	}
	for _, row := range []struct {
		name    string
		from    int64
		reverse bool
		limit   int
		want    []store.Segment
	}{
		{"from the start", 1, false, 9, []store.Segment{*segment(1, 10), *segment(11, 11), *segment(12, 30)}},
		{"limited", 1, false, 2, []store.Segment{*segment(1, 10), *segment(11, 11)}},
		{"from within a segment", 5, false, 1, []store.Segment{*segment(1, 10)}},
		{"from the edge", 11, false, 9, []store.Segment{*segment(11, 11), *segment(12, 30)}},
		{"beyond the end", 31, false, 9, nil},
		{"in reverse", store.MaxEventID, true, 2, []store.Segment{*segment(12, 30), *segment(11, 11)}},
		{"in reverse from within", 10, true, 9, []store.Segment{*segment(1, 10)}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := s.Segments(t.Context(), 1, row.from, row.reverse, row.limit)
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, row.want)
		})
	}
}

func repeated(t *testing.T, s store.Store) {
	create(t, s, 1, "one")
	for range 2 {
		do(t, s, &store.Write{Exec: 1, History: segment(1, 4), Put: []store.Record{{ID: 0, Body: []byte("r")}}, Drop: []int64{9}})
	}
	got, err := s.Segments(t.Context(), 1, 1, false, 9)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, []store.Segment{*segment(1, 4)})
	records, err := s.Records(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	same(t, records, []store.Record{{ID: 0, Body: []byte("r")}})
}

func end(t *testing.T, s store.Store) {
	want := create(t, s, 1, "one")
	do(t, s, &store.Write{Exec: 1, Put: []store.Record{{ID: 0, Body: []byte("root")}, {ID: store.MaxRecordID, Body: []byte("last")}}})
	do(t, s, &store.Write{Exec: 1, History: segment(1, 3), End: &store.Ending{Status: store.Succeeded, Stopped: 99, Output: []byte("[1]")}})
	got, err := s.ExecutionByID(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	want.Status, want.Stopped, want.Output = store.Succeeded, 99, []byte("[1]")
	same(t, got, want)
	records, err := s.Records(t.Context(), 1)
	if err != nil || len(records) != 0 {
		t.Errorf("records after the end: %v, %v; want none", records, err)
	}
	segments, err := s.Segments(t.Context(), 1, 1, false, 9)
	if err != nil || len(segments) != 1 {
		t.Errorf("history after the end: %v, %v; want one segment", segments, err)
	}
}

func reopen(t *testing.T, s store.Store) {
	e := create(t, s, 1, "x")
	create(t, s, 2, "y")
	do(t, s, &store.Write{Exec: 1, History: &store.Segment{First: 2, Last: 3, Body: []byte("ab")}, Put: []store.Record{{ID: 1, Body: []byte("old")}},
		End: &store.Ending{Status: store.Failed, Stopped: 9, Output: []byte("o"), Error: "E", Cause: "C"}})
	w := &store.Write{Exec: 1, Reopen: &store.Reopening{Attrs: []byte("new")}, Put: []store.Record{{ID: 7, Body: []byte("r")}},
		History: &store.Segment{First: 4, Last: 4, Body: []byte("c")}}
	do(t, s, w)
	do(t, s, w) // reported failed, and repeated
	want := *e
	want.Attrs, want.Wake = []byte("new"), 0
	got, err := s.ExecutionByID(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Output) == 0 {
		got.Output = nil
	}
	same(t, got, &want)
	records, err := s.Records(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	same(t, records, []store.Record{{ID: 7, Body: []byte("r")}})
	var open []int64
	if err := s.Running(t.Context(), func(id, wake int64) error {
		open = append(open, id, wake)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	same(t, open, []int64{1, 0, 2, e.Wake})
	list, err := s.Executions(t.Context(), store.Query{Machine: "m", Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || string(list[1].Attrs) != "new" || list[1].Status != store.Running {
		t.Errorf("listed as %+v", list)
	}
}

func running(t *testing.T, s store.Store) {
	for id := int64(1); id <= 4; id++ {
		create(t, s, id, fmt.Sprint("n", id))
	}
	wake := int64(123456)
	do(t, s, &store.Write{Exec: 2, Wake: &wake})
	do(t, s, &store.Write{Exec: 3, End: &store.Ending{Status: store.Aborted, Stopped: 1}})
	var got [][2]int64
	if err := s.Running(t.Context(), func(id, wake int64) error {
		got = append(got, [2]int64{id, wake})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	same(t, got, [][2]int64{{1, 0}, {2, wake}, {4, 0}})
	stop := errors.New("stop")
	if err := s.Running(t.Context(), func(int64, int64) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Running passed on %v, want the callback's error", err)
	}
}

func list(t *testing.T, s store.Store) {
	for id := int64(1); id <= 9; id++ {
		create(t, s, id, fmt.Sprint("n", id))
		status := store.Status(id % 3) // running, succeeded, failed
		if status != store.Running {
			do(t, s, &store.Write{Exec: id, End: &store.Ending{Status: status, Stopped: 1}})
		}
	}
	do(t, s, &store.Write{Create: &store.Execution{ID: 10, Machine: "other", Name: "n"}, Exec: 10})
	ids := func(q store.Query) (ids []int64) {
		t.Helper()
		q.Machine = "m"
		found, err := s.Executions(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range found {
			if e.Input != nil {
				t.Errorf("execution %d is listed with its input", e.ID)
			}
			ids = append(ids, e.ID)
		}
		return ids
	}
	same(t, ids(store.Query{Limit: 4}), []int64{9, 8, 7, 6})
	same(t, ids(store.Query{Limit: 4, Before: 6}), []int64{5, 4, 3, 2})
	for status, want := range map[store.Status][]int64{
		store.Running: {9, 6, 3}, store.Succeeded: {7, 4, 1}, store.Failed: {8, 5, 2}, store.Aborted: nil,
	} {
		same(t, ids(store.Query{Limit: 9, Status: &status}), want)
	}
}

func revisions(t *testing.T, s store.Store) {
	for i, x := range []struct{ machine, revision string }{
		{"m", "a"}, {"m", "a"}, {"m", "b"}, {"m/L:1", "c"}, {"m/L:2", "a"}, {"m0", "d"}, {"m-1", "e"}, {"n", "f"},
	} {
		id := int64(i + 1)
		do(t, s, &store.Write{Exec: id, Create: &store.Execution{ID: id, Machine: x.machine, Name: fmt.Sprint("x", id), Revision: x.revision}})
	}
	for machine, want := range map[string][]string{"m": {"a", "b", "c"}, "m0": {"d"}, "n": {"f"}, "none": nil} {
		found, err := s.Revisions(t.Context(), machine)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(found)
		same(t, found, want)
	}
}

func prune(t *testing.T, s store.Store) {
	for id := int64(1); id <= 5; id++ {
		create(t, s, id, fmt.Sprint("n", id))
		do(t, s, &store.Write{Exec: id, History: segment(1, 2)})
		if id != 2 {
			do(t, s, &store.Write{Exec: id, End: &store.Ending{Status: store.Succeeded, Stopped: 10_000 * id}})
		}
	}
	n, err := s.Prune(t.Context(), time.UnixMilli(40_001), 2)
	if err != nil || n != 2 {
		t.Fatalf("Prune = %d, %v; want 2 (the limit)", n, err)
	}
	n, err = s.Prune(t.Context(), time.UnixMilli(40_001), 10)
	if err != nil || n != 1 {
		t.Fatalf("Prune = %d, %v; want 1", n, err)
	}
	for id, want := range map[int64]bool{1: false, 2: true, 3: false, 4: false, 5: true} {
		_, err := s.ExecutionByID(t.Context(), id)
		if (err == nil) != want {
			t.Errorf("execution %d: %v, want it there: %t", id, err, want)
		}
		segments, err := s.Segments(t.Context(), id, 1, false, 1)
		if err != nil || (len(segments) == 1) != want {
			t.Errorf("history of %d: %d segments, %v; want some: %t", id, len(segments), err, want)
		}
	}
	create(t, s, 6, "n1") // the name is free again
}

func lastID(t *testing.T, s store.Store) {
	create(t, s, 41, "one")
	do(t, s, &store.Write{Exec: 41, End: &store.Ending{Status: store.Succeeded, Stopped: 2000}})
	if n, err := s.Prune(t.Context(), time.UnixMilli(9999), 9); err != nil || n != 1 {
		t.Fatalf("Prune = %d, %v; want 1", n, err)
	}
	if id, err := s.LastID(t.Context()); err != nil || id != 41 {
		t.Errorf("LastID = %d, %v; want 41", id, err)
	}
}

func order(t *testing.T, s store.Store) {
	create(t, s, 1, "one")
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Add(1)
		s.Apply(&store.Write{Exec: 1, Put: []store.Record{{ID: 5, Body: fmt.Append(nil, i)}}, Done: func(err error) {
			if err != nil {
				t.Errorf("write %d: %v", i, err)
			}
			wg.Done()
		}})
	}
	wg.Wait()
	records, err := s.Records(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	same(t, records, []store.Record{{ID: 5, Body: []byte("199")}})
}

func closed(t *testing.T, s store.Store) {
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.Do(t.Context(), s, &store.Write{Create: &store.Execution{ID: 1}, Exec: 1}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("write after Close: %v, want ErrClosed", err)
	}
}

func notFound(t *testing.T, s store.Store) {
	_, err := s.Doc(t.Context(), "k", "x")
	_, err2 := s.Execution(t.Context(), "m", "x")
	_, err3 := s.ExecutionByID(t.Context(), 404)
	for i, err := range []error{err, err2, err3} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("read %d: %v, want ErrNotFound", i, err)
		}
	}
}

func separate(t *testing.T, s store.Store) {
	for id := int64(1); id <= 3; id++ {
		create(t, s, id, fmt.Sprint("n", id))
		do(t, s, &store.Write{Exec: id, History: segment(1, id), Put: []store.Record{{ID: 0, Body: []byte{byte(id)}}, {ID: store.MaxRecordID, Body: []byte{byte(id)}}}})
	}
	do(t, s, &store.Write{Exec: 2, End: &store.Ending{Status: store.Succeeded, Stopped: 1}})
	for _, id := range []int64{1, 3} {
		records, err := s.Records(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		same(t, records, []store.Record{{ID: 0, Body: []byte{byte(id)}}, {ID: store.MaxRecordID, Body: []byte{byte(id)}}})
		segments, err := s.Segments(t.Context(), id, 1, false, 9)
		if err != nil {
			t.Fatal(err)
		}
		same(t, segments, []store.Segment{*segment(1, id)})
	}
}
