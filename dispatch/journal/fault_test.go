package journal

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/faultsql"
)

// steps is a life of requests.
func steps(t *testing.T, j *SQLite) (repeats int) {
	t.Helper()
	l := newLife(t, j, 1)
	l.deliver("1")
	l.deliver("2")
	l.expand("1", l.request("a", ""), l.request("b", ""), l.request("w", "prod"), l.request("x", "prod"))
	l.retry("admit", func() error { _, err := j.Admit(t.Context(), "prod", 1, l.now); return err })
	l.record(dispatch.Records{
		Started: []dispatch.StartRecord{{Seq: l.seq("a"), ARN: "arn:a", StartedAt: l.now, Status: &dispatch.StatusChange{State: dispatch.StatusPending, Description: "Running"}}},
		Failed:  []dispatch.FailureRecord{{Seq: l.seq("b"), Error: "no", DueAt: l.now.Add(time.Hour)}},
	})
	l.retry("hasten", func() error {
		_, err := j.Hasten(t.Context(), "", l.now.Add(time.Minute), l.now)
		return err
	})
	l.record(dispatch.Records{Ended: []dispatch.EndRecord{{Seq: l.seq("a"), ARN: "arn:a", State: dispatch.StateSucceeded, StoppedAt: l.now, Output: "{}"}}})
	l.expand("2", l.request("a", ""), l.request("c", ""))
	l.stop("w")
	l.record(dispatch.Records{Ended: []dispatch.EndRecord{{Seq: l.seq("c"), State: dispatch.StateDead, StoppedAt: l.now, Error: "refused"}}})
	l.redrive("c", dispatch.StateDead, dispatch.StateReady)
	for _, id := range []string{"b", "x"} {
		l.retry("admit", func() error { _, err := j.Admit(t.Context(), "prod", 1, l.now); return err })
		l.record(dispatch.Records{Started: []dispatch.StartRecord{{Seq: l.seq(id), ARN: "arn:" + id, StartedAt: l.now}}})
		l.record(dispatch.Records{Ended: []dispatch.EndRecord{{Seq: l.seq(id), ARN: "arn:" + id, State: dispatch.StateFailed, StoppedAt: l.now, Error: "E"}}})
		l.redrive(id, dispatch.StateFailed, dispatch.StateReady)
	}
	l.record(dispatch.Records{
		Started:   []dispatch.StartRecord{{Seq: l.seq("b"), ARN: "arn:b", StartedAt: l.now, Status: &dispatch.StatusChange{State: dispatch.StatusPending}}},
		Withdrawn: []dispatch.WithdrawalRecord{{Seq: l.seq("x"), Reason: "no", Status: dispatch.StatusChange{State: dispatch.StatusFailure}}},
	})
	l.approvals("b")
	l.redrive("x", dispatch.StateFailed, dispatch.StateWaiting)
	l.stop("x")
	l.putOffStatus()
	l.deliver("3")
	l.command("3", dispatch.Act{Execution: "b", Again: true, Reason: "again", Resume: dispatch.Resume{State: dispatch.StateReady, At: l.now}},
		dispatch.Act{Execution: "c", Stop: dispatch.StopRequest{Reason: "enough", At: l.now}}, dispatch.Act{Execution: "a"})
	l.answers()
	l.deliver("4")
	l.end()
	return l.repeats
}

// picture is all that the journal holds, but for how often something failed.
func picture(t *testing.T, j *SQLite) string {
	t.Helper()
	var b strings.Builder
	for _, q := range []string{
		`SELECT 'delivery ' || delivery_id || ' ' || (seq <= (SELECT expanded FROM progress)) FROM deliveries ORDER BY seq`,
		`SELECT 'request ' || id || ' ' || state || ' ' || arn || ' ' || stop_reason || ' ' || error || ' ' || redrives || redrive_of || (redriven_from > 0) || ' ' || (SELECT count(*) FROM inputs WHERE request = seq) FROM requests ORDER BY seq`,
		`SELECT 'status ' || sha || ' ' || state || ' ' || context FROM statuses ORDER BY sha, context`,
		`SELECT 'ignored ' || delivery || ' ' || reasons FROM ignored ORDER BY delivery`,
		`SELECT 'output ' || output FROM outputs ORDER BY request`,
		`SELECT 'tip ' || ref || ' ' || sha || ' ' || newest FROM tips ORDER BY ref`,
		`SELECT 'landing ' || request || ' ' || ref FROM landings ORDER BY request, ref`,
		`SELECT 'repeat ' || request || ' ' || delivery FROM repeats ORDER BY request, delivery`,
		`SELECT 'commit ' || sha || ' ' || message || ' ' || coalesce(paths, 'unknown') FROM commits ORDER BY sha`,
		`SELECT 'deferred ' || delivery || ' ' || behind || ' ' || (due_at > 0) || ' ' || reason FROM deferred ORDER BY delivery`,
		`SELECT 'answer ' || comment || ' ' || text || ' ' || unlabel || ' ' || (due_at > wanted_at) FROM answers ORDER BY seq`,
		`SELECT 'approval ' || id || ' ' || state || ' ' || token || ' ' || decided_by || ' ' || (begun_at > 0) || (told_at > 0) FROM approvals ORDER BY seq`,
		`SELECT 'reopened ' || delivery || ' ' || first FROM reopened ORDER BY delivery`,
	} {
		err := j.read(t.Context(), func(s scan) error {
			var line string
			err := s(&line)
			fmt.Fprintln(&b, line)
			return err
		}, q)
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// TestEveryStatementMayFail lets each statement of the journal's life fail
// once, unapplied and applied but reported as failed, the commits among them.
// Whatever was acknowledged must be there, and all must end as if nothing had
// happened, before and after the file is opened again.
func TestEveryStatementMayFail(t *testing.T) {
	for name, life := range map[string]func(*testing.T, *SQLite) int{"requests": steps, "moves and deferrals": moves} {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, applied %v", name, applied), func(t *testing.T) {
				t.Parallel()
				failEach(t, life, applied)
			})
		}
	}
}

func failEach(t *testing.T, life func(*testing.T, *SQLite) (repeats int), applied bool) {
	t.Helper()
	statements, want := undisturbed(t, func(t *testing.T, j *SQLite) { life(t, j) })
	if len(statements) < 60 {
		t.Fatalf("only %d statements: the journal's life has become too simple for this test", len(statements))
	}
	stride := 1
	if testing.Short() || raceDetector { // one thing happens after another here
		stride = 7
	}
	commits := 0
	for at := 1; at <= len(statements); at += stride {
		f := &faultsql.Faults{}
		path := filepath.Join(t.TempDir(), "journal.db")
		j := openWith(t, path, f)
		f.Arm(faultsql.Fault{At: at, Applied: applied})
		repeats := life(t, j)
		seen, fired := f.Seen()
		if fired != 1 {
			t.Fatalf("statement %d of %d did not come", at, len(statements))
		}
		name := fmt.Sprintf("statement %d (%s), applied %v", at, brief(seen[at-1]), applied)
		if seen[at-1] == "COMMIT" {
			commits++
		}
		if repeats != 1 && seen[at-1] != "ROLLBACK" {
			t.Errorf("%s: noticed %d times", name, repeats)
		}
		compare(t, name, path, j, want)
	}
	if commits == 0 && stride == 1 {
		t.Error("no commit failed: the fault has lost its way to them")
	}
}

// undisturbed lives a life without faults, and returns its statements and what
// the journal holds at its end.
func undisturbed(t *testing.T, life func(*testing.T, *SQLite)) (statements []string, want string) {
	t.Helper()
	f := &faultsql.Faults{}
	j := openWith(t, filepath.Join(t.TempDir(), "journal.db"), f)
	defer j.Close()
	f.Arm()
	life(t, j)
	statements, _ = f.Seen()
	return statements, picture(t, j)
}

// compare closes j, after a look at what it holds, and looks once more after
// the file was opened again.
func compare(t *testing.T, name, path string, j *SQLite, want string) {
	t.Helper()
	if got := picture(t, j); got != want {
		t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = openWith(t, path, &faultsql.Faults{})
	if got := picture(t, j); got != want {
		t.Errorf("%s, opened again:\n%s\nwant\n%s", name, got, want)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// brief is a statement short enough for a message.
func brief(statement string) string {
	return fmt.Sprintf("%.60s", strings.Join(strings.Fields(statement), " "))
}

func openWith(t *testing.T, path string, f *faultsql.Faults) *SQLite {
	t.Helper()
	j, err := open(path, f.Open)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// eachConn lets a test see each connection of the writer, and replace it.
func eachConn(see func(driver.Conn) driver.Conn) func(connect) connect {
	return func(open connect) connect {
		return func() (driver.Conn, error) {
			c, err := open()
			if err != nil {
				return nil, err
			}
			return see(c), nil
		}
	}
}

// TestWorkFailsAlone puts a failing write into one transaction with deliveries
// and another write: only the one that failed may notice.
func TestWorkFailsAlone(t *testing.T) {
	j, err := Open(filepath.Join(t.TempDir(), "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	errMine := errors.New("mine")
	held, release := make(chan struct{}), make(chan struct{})
	results := make(chan error, 3)
	go func() {
		results <- j.w.do(t.Context(), func(*conn) error { close(held); <-release; return nil })
	}()
	<-held // whatever comes now shares the next transaction
	go func() {
		_, err := j.Append(t.Context(), dispatch.NewDelivery{Source: "s", DeliveryID: "d", Event: []byte("{}")})
		results <- err
	}()
	bad, good := make(chan error, 1), make(chan error, 1)
	for len(j.w.appends) == 0 {
		time.Sleep(time.Millisecond) //nolint:forbidigo // until the goroutine has handed it in
	}
	go func() {
		bad <- j.w.do(t.Context(), func(c *conn) error {
			if _, err := c.exec(`INSERT INTO ignored VALUES (1, 1, x'')`); err != nil {
				return err
			}
			return errMine
		})
	}()
	for len(j.w.works) == 0 {
		time.Sleep(time.Millisecond) //nolint:forbidigo // until the goroutine has handed it in
	}
	go func() {
		good <- j.w.do(t.Context(), func(c *conn) error {
			_, err := c.exec(`INSERT INTO ignored VALUES (2, 1, x'')`)
			return err
		})
	}()
	close(release)
	for range 2 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if err := <-bad; !errors.Is(err, errMine) {
		t.Errorf("the one that failed: %v", err)
	}
	if err := <-good; err != nil {
		t.Errorf("the one that did not: %v", err)
	}
	var left []int64
	if err := j.read(t.Context(), func(s scan) error {
		var n int64
		err := s(&n)
		left = append(left, n)
		return err
	}, `SELECT delivery FROM ignored`); err != nil || len(left) != 1 || left[0] != 2 {
		t.Errorf("rows %v, %v: want only the good one", left, err)
	}
}

func TestFullDiskRecoversByItself(t *testing.T) {
	var full atomic.Bool
	limit := func(c driver.Conn) {
		pages := 1 << 30
		if full.Load() {
			pages = 40
		}
		if _, err := c.(driver.ExecerContext).ExecContext(context.Background(), fmt.Sprintf("PRAGMA max_page_count = %d", pages), nil); err != nil {
			t.Error(err)
		}
	}
	var present driver.Conn // touched by the writer's goroutine only
	j, err := open(filepath.Join(t.TempDir(), "journal.db"), eachConn(func(c driver.Conn) driver.Conn {
		limit(c)
		present = c
		return c
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	disk := func(isFull bool) {
		t.Helper()
		full.Store(isFull)
		if err := j.w.do(t.Context(), func(*conn) error { limit(present); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	disk(true)
	acknowledged := 0
	add := func() error {
		_, err := j.Append(t.Context(), dispatch.NewDelivery{Source: "s", DeliveryID: fmt.Sprint(acknowledged), Event: make([]byte, 20_000)})
		if err == nil {
			acknowledged++
		}
		return err
	}
	for err = error(nil); err == nil && acknowledged < 1000; {
		err = add()
	}
	if err == nil || !strings.Contains(err.Error(), "the disk is full, free some space") || !strings.Contains(err.Error(), j.path) {
		t.Fatalf("a full disk says: %v", err)
	}
	if err := add(); err == nil {
		t.Error("the disk is still full, yet a delivery was acknowledged")
	}
	disk(false)
	if err := add(); err != nil {
		t.Fatalf("there is space again: %v", err)
	}
	page, err := j.Deliveries(t.Context(), dispatch.DeliveryFilter{Limit: 1000})
	if err != nil || len(page.Deliveries) != acknowledged {
		t.Errorf("%d deliveries, %d acknowledged, %v", len(page.Deliveries), acknowledged, err)
	}
}

func TestHealthTellsOfAFullDiskAndOfItsEnd(t *testing.T) {
	f := &faultsql.Faults{}
	j := openWith(t, filepath.Join(t.TempDir(), "journal.db"), f)
	defer j.Close()
	refused := func() error { return j.Reopen(t.Context(), "github:unknown") }
	if err := refused(); !errors.Is(err, dispatch.ErrNotFound) {
		t.Fatal(err)
	}
	if err := j.Health(t.Context()); err != nil {
		t.Errorf("a write that was refused is no trouble: %v", err)
	}
	var every []faultsql.Fault
	for at := range 40 {
		every = append(every, faultsql.Fault{At: at + 1})
	}
	f.Arm(every...)
	for range 2 {
		if _, err := j.Append(t.Context(), dispatch.NewDelivery{Source: "s", DeliveryID: "1", Event: []byte("{}")}); err == nil {
			t.Fatal("it was acknowledged")
		}
		if err := j.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot be written since") || !strings.Contains(err.Error(), faultsql.Err.Error()) {
			t.Errorf("health: %v", err)
		}
	}
	f.Arm()
	eventually := time.Now().Add(time.Minute) // it tries once a second
	for err := j.Health(t.Context()); err != nil; err = j.Health(t.Context()) {
		if time.Now().After(eventually) {
			t.Fatalf("nobody writes, but one could: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
