package journal

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/faultsql"
)

// A commit that was applied and reported as failed, and then a write that is
// refused: the deliveries after that must find their places.
func TestAppendAfterALostCommitAndARefusedWrite(t *testing.T) {
	for _, refused := range []struct {
		name  string
		write func(ctx context.Context, j *SQLite) error
	}{
		{"stop of an unknown execution", func(ctx context.Context, j *SQLite) error {
			_, err := j.RequestStop(ctx, "unknown", dispatch.StopRequest{})
			return err
		}},
		{"rerun of an unknown execution", func(ctx context.Context, j *SQLite) error {
			_, _, err := j.Rerun(ctx, "unknown", "again", dispatch.Resume{State: dispatch.StateReady})
			return err
		}},
		{"replay of an unknown delivery", func(ctx context.Context, j *SQLite) error { return j.Reopen(ctx, "github:unknown") }},
	} {
		t.Run(refused.name, func(t *testing.T) {
			f := &faultsql.Faults{}
			j := openWith(t, filepath.Join(t.TempDir(), "journal.db"), f)
			defer j.Close()
			add := func(id string) error {
				_, err := j.Append(t.Context(), dispatch.NewDelivery{Source: "github", DeliveryID: id, Event: []byte("{}")})
				return err
			}
			if err := add("1"); err != nil {
				t.Fatal(err)
			}
			f.Arm(faultsql.Fault{At: 3, Applied: true}) // BEGIN, INSERT, COMMIT
			if err := add("2"); !errors.Is(err, faultsql.Err) {
				t.Fatalf("the commit: %v", err)
			}
			if err := refused.write(t.Context(), j); !errors.Is(err, dispatch.ErrNotFound) {
				t.Fatalf("the refused write: %v", err)
			}
			for _, id := range []string{"2", "3", "4"} {
				if err := add(id); err != nil {
					t.Errorf("delivery %s: %v", id, err)
				}
			}
		})
	}
}

// pairLife is a life in which every kind of statement comes early and every
// write has a refused one after it, and deliveries, writes and refused writes
// share transactions.
func pairLife(t *testing.T, j *SQLite) {
	t.Helper()
	l := newLife(t, j, 2)
	stopUnknown := func() error {
		_, err := j.RequestStop(t.Context(), "unknown", dispatch.StopRequest{Reason: "enough", At: l.now})
		if errors.Is(err, dispatch.ErrNotFound) {
			return nil
		}
		return err
	}
	refuse := func() { l.retry("refused write", stopUnknown) }

	l.deliver("1")
	refuse()
	l.expand("1", l.request("a", ""), l.request("w", "prod"))
	refuse()
	// One delivery, one refused write and one other write in a transaction.
	results := make(chan error, 3)
	l.retry("shared", func() error {
		held, release := make(chan struct{}), make(chan struct{})
		go func() {
			results <- j.w.do(t.Context(), func(*conn) error { close(held); <-release; return nil })
		}()
		select {
		case <-held:
		case err := <-results: // its BEGIN failed
			return err
		}
		queued := func(n func() int, f func() error) {
			before := n()
			go func() { results <- f() }()
			for n() == before {
				time.Sleep(50 * time.Microsecond) // until it is handed in
			}
		}
		queued(func() int { return len(j.w.appends) }, func() error { return l.append("2") })
		queued(func() int { return len(j.w.works) }, stopUnknown)
		queued(func() int { return len(j.w.works) }, func() error { _, err := j.Admit(t.Context(), "prod", 1, l.now); return err })
		close(release)
		var failed error
		for range 4 {
			failed = errors.Join(failed, <-results)
		}
		return failed
	})
	l.acknowledged = append(l.acknowledged, "2")
	refuse()
	l.record(dispatch.Records{Started: []dispatch.StartRecord{{Seq: l.seq("a"), ARN: "arn:a", StartedAt: l.now}}, Failed: []dispatch.FailureRecord{{Seq: l.seq("w"), Error: "no", DueAt: l.now}}})
	l.deliver("3")
	refuse()
	l.record(dispatch.Records{Ended: []dispatch.EndRecord{{Seq: l.seq("a"), ARN: "arn:a", State: dispatch.StateSucceeded, StoppedAt: l.now, Output: "{}"}}})
	l.stop("w")
	l.expand("2", l.request("c", ""))
	l.record(dispatch.Records{Ended: []dispatch.EndRecord{{Seq: l.seq("c"), State: dispatch.StateDead, StoppedAt: l.now, Error: "refused"}}})
	l.redrive("c", dispatch.StateDead, dispatch.StateReady)
	l.retry("replay", func() error { return j.Reopen(t.Context(), "github:1") })
	l.putOffStatus()
	refuse()
	l.retry("prune", func() error { _, err := j.Prune(t.Context(), l.now.Add(-time.Hour)); return err })
	l.deliver("4")
	l.end()
}

// TestEveryPairOfStatementsMayFail lets two statements of one life fail, each
// unapplied or applied but reported as failed: every statement with each of
// those that follow it closely, since that is where what a failure left behind
// is met, and every kind of statement with every other kind, wherever it comes.
func TestEveryPairOfStatementsMayFail(t *testing.T) {
	statements, want := undisturbed(t, pairLife)
	plans := faultsql.Pairs(statements, 3)
	dir := quickDir(t)
	empty := emptyJournal(t)
	stride := 1
	if testing.Short() || raceDetector {
		stride = 29 // a prime: no pattern of the plans is left out
	}
	kinds := map[string]bool{}
	both := 0
	began := time.Now()
	lives := 0
	for i := 0; i < len(plans); i += stride {
		f := &faultsql.Faults{}
		path := filepath.Join(dir, fmt.Sprint(i, ".db"))
		write(t, path, empty)
		j, err := open(path, func(c connect) connect { return f.Open(quick(c)) })
		if err != nil {
			t.Fatal(err)
		}
		f.Arm(plans[i]...)
		pairLife(t, j)
		seen, fired := f.Seen()
		if fired == 2 { // after the first fault the second may not come
			both++
		}
		name := "faults"
		for _, p := range plans[i] {
			if p.At <= len(seen) {
				kinds[seen[p.At-1]] = true
				name += fmt.Sprintf(", %d (%s, applied %v)", p.At, brief(seen[p.At-1]), p.Applied)
			}
		}
		compare(t, name, path, j, want)
		if lives++; t.Failed() {
			return
		}
	}
	t.Logf("%d lives of %d statements, %d with both faults, %d kinds of statements, %v", lives, len(statements), both, len(kinds), time.Since(began))
	if both < lives*3/4 {
		t.Errorf("only %d of %d lives met both faults", both, lives)
	}
	for _, kind := range []string{faultsql.Opening, "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK", "SAVEPOINT work", "RELEASE work", "ROLLBACK TO work"} {
		if !kinds[kind] {
			t.Errorf("%s never failed", kind)
		}
	}
}

// emptyJournal is the file of a new journal.
func emptyJournal(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal.db")
	if err := openWith(t, path, &faultsql.Faults{}).Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// quickDir is a folder in memory where there is one.
func quickDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "journal-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// quick makes connections that sync nothing: these faults are not power cuts.
func quick(open connect) connect {
	return eachConn(func(c driver.Conn) driver.Conn {
		_, _ = c.(driver.ExecerContext).ExecContext(context.Background(), "PRAGMA synchronous = OFF", nil) // slower without
		return c
	})(open)
}
