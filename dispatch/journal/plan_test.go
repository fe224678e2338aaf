package journal

import (
	"context"
	"database/sql/driver"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"switchyard/dispatch"
)

// recorder notes the statements that the writer prepares.
type recorder struct {
	driver.Conn
	seen *sync.Map
}

func (r recorder) Prepare(query string) (driver.Stmt, error) {
	r.seen.Store(query, true)
	return r.Conn.Prepare(query)
}

// TestWritesNeverScan asks SQLite how it runs each statement of the journal's
// life: none may walk through a whole table, or its cost would grow with what
// is finished.
func TestWritesNeverScan(t *testing.T) {
	var seen sync.Map
	j, err := open(filepath.Join(t.TempDir(), "journal.db"), eachConn(func(c driver.Conn) driver.Conn { return recorder{c, &seen} }))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	steps(t, j)
	if _, err := j.Prune(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	checked := 0
	seen.Range(func(q, _ any) bool {
		query := q.(string)
		if verb, _, _ := strings.Cut(strings.TrimSpace(query), " "); strings.Contains("SELECT INSERT UPDATE DELETE WITH", verb) && !strings.Contains(query, "sqlite_schema") {
			checked++
			neverScans(t, j, query)
		}
		return true
	})
	if checked < 20 {
		t.Errorf("only %d statements were looked at", checked)
	}
}

// TestReadsNeverScan does the same for the reads that the dispatcher and the
// posters of statuses repeat all the time.
func TestReadsNeverScan(t *testing.T) {
	j, err := Open(filepath.Join(t.TempDir(), "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	for name, query := range map[string]string{
		"pending":      pendingQuery,
		"due":          dueQuery,
		"next due":     nextDueQuery,
		"running":      executionQuery + runningQuery,
		"stopping":     executionQuery + stoppingQuery,
		"next stop":    nextStoppingQuery,
		"statuses":     nextStatusesQuery,
		"tip":          tipQuery,
		"landing":      landingQuery,
		"held":         heldQuery,
		"former":       formerQuery,
		"held many":    heldManyQuery,
		"commits":      commitsQuery,
		"holders":      holdersQuery,
		"deferred":     deferredQuery,
		"next of them": nextDeferredQuery,
		"next command": nextLanelessQuery,
		"names":        requestIDsQuery,
		"approvals of": approvalsOfQuery,
		"untold":       untoldQuery,
		"next untold":  nextUntoldQuery,
		"next expiry":  nextExpiryQuery,
		"waits for":    waitsForQuery,
		"live":         liveQuery,
	} {
		t.Run(name, func(t *testing.T) { neverScans(t, j, query) })
	}
}

// TestApprovalListsNeverScan looks at those that are read with each view of a page,
// and at those that wait, which are few among many that were decided.
func TestApprovalListsNeverScan(t *testing.T) {
	j, err := Open(filepath.Join(t.TempDir(), "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	for name, c := range map[string]struct {
		filter dispatch.ApprovalFilter
		index  string
	}{
		"of an execution":   {dispatch.ApprovalFilter{Execution: "x"}, "approvals_request"},
		"one":               {dispatch.ApprovalFilter{ID: "a"}, "approvals_id"},
		"one, and whose":    {dispatch.ApprovalFilter{Execution: "x", ID: "a", Waiting: true}, "approvals_id"},
		"waiting":           {dispatch.ApprovalFilter{Waiting: true}, "approvals_waiting"},
		"waiting, by whose": {dispatch.ApprovalFilter{Execution: "x", Waiting: true}, "approvals_waiting"},
	} {
		t.Run(name, func(t *testing.T) {
			query, args := approvalsQuery(c.filter)
			var plan []string
			err := j.read(t.Context(), func(s scan) error {
				var id, parent, unused int
				var detail string
				err := s(&id, &parent, &unused, &detail)
				plan = append(plan, detail)
				return err
			}, "EXPLAIN QUERY PLAN "+query, args...)
			if all := strings.Join(plan, "; "); err != nil || !strings.Contains(all, " a USING INDEX "+c.index) || strings.Contains(all, "SCAN r") {
				t.Errorf("%s, %v\n\tin %s", all, err, query)
			}
		})
	}
}

func neverScans(t *testing.T, j *SQLite, query string) {
	t.Helper()
	args := make([]any, 40)
	err := j.read(t.Context(), func(s scan) error {
		var id, parent, unused int
		var detail string
		if err := s(&id, &parent, &unused, &detail); err != nil {
			return err
		}
		walks := strings.HasPrefix(detail, "SCAN") && !strings.Contains(detail, "CONSTANT ROW")
		for _, small := range []string{"SCAN progress", "SCAN reopened", "SCAN (subquery", "SCAN hop", "SCAN json_each", "SCAN w VIRTUAL TABLE"} {
			walks = walks && !strings.HasPrefix(detail, small)
		}
		// An index that holds only unfinished requests may be walked along.
		walks = walks && !strings.Contains(detail, "USING INDEX requests_") && !strings.Contains(detail, "USING COVERING INDEX requests_")
		if walks || strings.Contains(detail, "TEMP B-TREE") {
			t.Errorf("%s\n\tin %s", detail, strings.Join(strings.Fields(query), " "))
		}
		return nil
	}, "EXPLAIN QUERY PLAN "+query, args[:parameters(query)]...)
	if err != nil {
		t.Errorf("%s: %v", query, err)
	}
}

// parameters counts what a statement must be given.
func parameters(query string) int {
	n, highest := 0, 0
	for i := range len(query) {
		if query[i] != '?' {
			continue
		}
		n++
		var number int
		if _, err := fmt.Sscanf(query[i+1:], "%d", &number); err == nil {
			n--
			highest = max(highest, number)
		}
	}
	return max(n, highest)
}

func TestConcurrentDeliveriesShareCommits(t *testing.T) {
	j, err := Open(filepath.Join(t.TempDir(), "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	// While the writer is held, deliveries gather.
	held, release := make(chan struct{}), make(chan struct{})
	go func() {
		_ = j.w.do(context.Background(), func(*conn) error { close(held); <-release; return nil })
	}()
	<-held
	const n = 100
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if _, err := j.Append(context.Background(), dispatch.NewDelivery{Source: "s", DeliveryID: fmt.Sprint(i), Event: []byte("{}")}); err != nil {
				t.Error(err)
			}
		})
	}
	for len(j.w.appends) < n {
		time.Sleep(time.Millisecond) //nolint:forbidigo // until the goroutines have handed them in
	}
	close(release)
	wg.Wait()
	if s := j.Stats(); s.Appended != n || s.AppendCommits != 1 {
		t.Errorf("%d deliveries in %d commits, want %d in 1", s.Appended, s.AppendCommits, n)
	}
}

// TestLeftOutIsReadFromWhatIsIgnored looks at a list that is read with each view of
// the dashboard: deliveries of which everything was taken cost nothing.
func TestLeftOutIsReadFromWhatIsIgnored(t *testing.T) {
	j, err := Open(filepath.Join(t.TempDir(), "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	query, _ := leftOutQuery(dispatch.LeftOutFilter{})
	neverScans(t, j, query)
}
