package journal

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
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
	ctx := t.Context()
	now := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	var acknowledged []string
	retry := func(what string, step func() error) {
		t.Helper()
		for range 8 {
			err := step()
			if err == nil {
				return
			}
			if !strings.Contains(err.Error(), faultsql.Err.Error()) {
				t.Fatalf("%s: %v", what, err)
			}
		}
		t.Fatalf("%s fails although only two statements were to fail", what)
	}
	add := func(id string) error {
		_, err := j.Append(ctx, dispatch.NewDelivery{Source: "github", DeliveryID: id, Kind: event.Push, Event: []byte(`{}`), ReceivedAt: now})
		return err
	}
	deliver := func(id string) {
		retry("append "+id, func() error { return add(id) })
		acknowledged = append(acknowledged, id)
	}
	refuse := func() {
		retry("refused write", func() error {
			_, err := j.RequestStop(ctx, "unknown", dispatch.StopRequest{Reason: "enough", At: now})
			if errors.Is(err, dispatch.ErrNotFound) {
				return nil
			}
			return err
		})
	}
	request := func(id, env string) dispatch.NewRequest {
		r := dispatch.NewRequest{Request: event.Request{ID: id, Route: "r", Source: "github", Repository: "acme/api", Ref: "refs/heads/main", Environment: env,
			Commit: event.Commit{SHA: id}, Input: []byte("{}"), CancelSuperseded: true}, State: dispatch.StateReady, DueAt: now,
			Status: &dispatch.StatusChange{State: dispatch.StatusPending}}
		if env != "" {
			r.State = dispatch.StateWaiting
		}
		return r
	}
	expand := func(id string, requests ...dispatch.NewRequest) {
		d, err := j.Delivery(ctx, "github:"+id)
		if err != nil {
			t.Fatal(err)
		}
		retry("expand "+id, func() error {
			_, err := j.Expand(ctx, []dispatch.Expansion{{Delivery: d.Seq, Requests: requests, At: now}})
			return err
		})
	}
	seq := func(id string) int64 {
		x, err := j.Execution(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return x.Seq
	}
	record := func(r dispatch.Records) {
		r.At = now
		retry("record", func() error { _, err := j.Record(ctx, r); return err })
	}

	deliver("1")
	refuse()
	expand("1", request("a", ""), request("w", "prod"))
	refuse()
	// One delivery, one refused write and one other write in a transaction.
	results := make(chan error, 3)
	retry("shared", func() error {
		held, release := make(chan struct{}), make(chan struct{})
		go func() {
			results <- j.w.do(ctx, func(*conn) error { close(held); <-release; return nil })
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
		queued(func() int { return len(j.w.appends) }, func() error { return add("2") })
		queued(func() int { return len(j.w.works) }, func() error {
			_, err := j.RequestStop(ctx, "unknown", dispatch.StopRequest{Reason: "enough", At: now})
			if errors.Is(err, dispatch.ErrNotFound) {
				return nil
			}
			return err
		})
		queued(func() int { return len(j.w.works) }, func() error { _, err := j.Admit(ctx, "prod", 1, now); return err })
		close(release)
		var failed error
		for range 4 {
			failed = errors.Join(failed, <-results)
		}
		return failed
	})
	acknowledged = append(acknowledged, "2")
	refuse()
	record(dispatch.Records{Started: []dispatch.StartRecord{{Seq: seq("a"), ARN: "arn:a", StartedAt: now}}, Failed: []dispatch.FailureRecord{{Seq: seq("w"), Error: "no", DueAt: now}}})
	deliver("3")
	refuse()
	record(dispatch.Records{Ended: []dispatch.EndRecord{{Seq: seq("a"), ARN: "arn:a", State: dispatch.StateSucceeded, StoppedAt: now, Output: "{}"}}})
	retry("stop", func() error {
		_, err := j.RequestStop(ctx, "w", dispatch.StopRequest{Reason: "enough", At: now})
		return err
	})
	expand("2", request("c", ""))
	record(dispatch.Records{Ended: []dispatch.EndRecord{{Seq: seq("c"), State: dispatch.StateDead, StoppedAt: now, Error: "refused"}}})
	retry("redrive", func() error {
		_, err := j.Redrive(ctx, "c", dispatch.Resume{State: dispatch.StateReady, At: now})
		if errors.Is(err, dispatch.ErrNotDead) {
			return nil // applied before its report was lost
		}
		return err
	})
	retry("replay", func() error { return j.Reopen(ctx, "github:1") })
	retry("status", func() error {
		s, err := j.NextStatuses(ctx, dispatch.StatusQuery{Source: "github", Now: now, Limit: 1})
		if err != nil || len(s) == 0 {
			return err
		}
		return j.StatusFailed(ctx, s[0], now.Add(time.Hour), "rate limited")
	})
	refuse()
	retry("prune", func() error { _, err := j.Prune(ctx, now.Add(-time.Hour)); return err })
	deliver("4")
	page, err := j.Deliveries(ctx, dispatch.DeliveryFilter{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, d := range page.Deliveries {
		count[d.ID]++
	}
	for _, id := range acknowledged {
		if n := count["github:"+id]; n != 1 {
			t.Errorf("acknowledged delivery %s is there %d times", id, n)
		}
	}
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
