package journal

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
	"switchyard/internal/pace"
)

// Run by the race detector, which is what it fails under.
func TestPruneIsSafeForConcurrentUse(t *testing.T) {
	j, err := Open(filepath.Join(t.TempDir(), "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := j.Prune(t.Context(), time.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// finished adds deliveries that came at a time, each with one request; those
// whose number keep names are not finished.
func finished(t *testing.T, j *SQLite, at time.Time, n int, keep func(i int) bool) {
	t.Helper()
	var ended dispatch.Records
	ended.At = at
	had := count(t, j)
	for i := range n {
		id := fmt.Sprint(had + i)
		to, err := j.Append(t.Context(), dispatch.NewDelivery{Source: "s", DeliveryID: id, Event: []byte("{}"), ReceivedAt: at})
		if err != nil {
			t.Fatal(err)
		}
		r := dispatch.NewRequest{Request: event.Request{ID: id, Route: "r", Source: "s", Repository: "acme/api", Commit: event.Commit{SHA: id}, Input: []byte("{}")}, State: dispatch.StateReady, DueAt: at}
		if _, err := j.Expand(t.Context(), []dispatch.Expansion{{Delivery: to.Seq, Requests: []dispatch.NewRequest{r}, At: at}}); err != nil {
			t.Fatal(err)
		}
		x, err := j.Execution(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if !keep(i) {
			ended.Ended = append(ended.Ended, dispatch.EndRecord{Seq: x.Seq, State: dispatch.StateDead, StoppedAt: at})
		}
	}
	if _, err := j.Record(t.Context(), ended); err != nil {
		t.Fatal(err)
	}
}

func pruneAll(t *testing.T, j *SQLite, before time.Time) (rows, steps int) {
	t.Helper()
	for {
		n, err := j.Prune(t.Context(), before)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return rows, steps
		}
		if n > pace.Max {
			t.Errorf("a step of %d rows", n)
		}
		rows, steps = rows+n, steps+1
	}
}

// What was written while the clock was years ahead neither goes nor keeps what
// came after it from going.
func TestPrunePassesWhatIsFromTheFuture(t *testing.T) {
	j, err := Open(filepath.Join(t.TempDir(), "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	now := time.Now()
	old, ahead := now.AddDate(0, 0, -100), now.AddDate(7, 0, 0)
	none := func(int) bool { return false }
	finished(t, j, ahead, 3, none)
	finished(t, j, old, 3, none)
	finished(t, j, ahead, 3, none)
	finished(t, j, old, 30, func(i int) bool { return i < 20 })
	finished(t, j, now, 2, none)
	finished(t, j, old, 1, none) // behind one that is too young: its turn comes
	if rows, _ := pruneAll(t, j, now.AddDate(0, 0, -90)); rows != 2*(3+10) {
		t.Errorf("%d rows went, want 13 requests and their deliveries", rows)
	}
	page, err := j.Executions(t.Context(), dispatch.ExecutionFilter{Limit: 100})
	if err != nil || len(page.Executions) != 6+20+2+1 {
		t.Errorf("%d executions are left, %v", len(page.Executions), err)
	}
}

// Old work that is not finished is passed over, however much of it there is.
func TestPruneLooksPastWhatIsUnfinished(t *testing.T) {
	j, err := Open(filepath.Join(t.TempDir(), "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	old := time.Now().AddDate(0, 0, -100)
	finished(t, j, old, 10, func(i int) bool { return i < 9 })
	// As if there were many of the first.
	if err := j.do(t.Context(), func(c *conn) error {
		_, err := c.exec(`UPDATE requests SET seq = seq + 10000 WHERE seq = 10`)
		if err == nil {
			_, err = c.exec(`WITH RECURSIVE n (i) AS (SELECT 11 UNION ALL SELECT i + 1 FROM n WHERE i < 9000)
				INSERT INTO requests (seq, id, base, attempt, delivery, route, state_machine, environment, source, repository, ref, kind, pull_request, sha, title, author, reason, cancel_superseded, reports, state, due_at, created_at)
				SELECT i, i, i, 1, delivery, route, state_machine, environment, source, repository, ref, kind, pull_request, sha, title, author, reason, cancel_superseded, reports, state, due_at, created_at
				FROM n, (SELECT * FROM requests WHERE seq = 1)`)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if rows, _ := pruneAll(t, j, old.AddDate(0, 0, 10)); rows != 2 {
		t.Errorf("%d rows went, want the one request behind them and its delivery", rows)
	}
}

func TestPruneWaitsForAClockThatJumped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	finished(t, j, now.AddDate(0, 0, -100), 3, func(int) bool { return false })
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	// To the journal the present is three years ahead.
	statement(t, path, fmt.Sprintf("UPDATE data_file SET clock_seen = %d", now.AddDate(-3, 0, 0).UnixMilli()))
	for range 2 { // a restart does not make it right
		if j, err = Open(path); err != nil {
			t.Fatal(err)
		}
		n, err := j.Prune(t.Context(), now.AddDate(0, 0, -90))
		if n != 0 || err == nil || !strings.Contains(err.Error(), "the clock shows") {
			t.Errorf("%d rows went, %v", n, err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	statement(t, path, fmt.Sprintf("UPDATE data_file SET clock_since = %d", now.Add(-25*time.Hour).UnixMilli()))
	if j, err = Open(path); err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if rows, _ := pruneAll(t, j, now.AddDate(0, 0, -90)); rows != 6 {
		t.Errorf("after a day: %d rows went, want 6", rows)
	}
}
