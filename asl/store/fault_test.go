package store

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

	"switchyard/internal/faultsql"
)

// faultLife is one life of the store, as the engine lives it: each write is
// repeated until it is acknowledged, and must then be there exactly once.
func faultLife(t *testing.T, s *SQLite) {
	t.Helper()
	ctx := t.Context()
	var nextID int64
	until := func(what string, step func() error) {
		t.Helper()
		for range 8 {
			err := step()
			if err == nil {
				return
			}
			if !errors.Is(err, faultsql.Err) {
				t.Fatalf("%s: %v", what, err)
			}
		}
		t.Fatalf("%s fails although only two statements were to fail", what)
	}
	// create starts an execution as the API's callers do: by name, each try
	// with an ID of its own. That the name is taken is an answer only to
	// somebody who has tried before.
	creating := func(name string, fill func(*Write)) (*Write, func(error) error) {
		nextID++
		w := &Write{Create: &Execution{ID: nextID, Machine: "m", Name: name, Input: []byte("{}"), Wake: 1}, Exec: nextID}
		if fill != nil {
			fill(w)
		}
		return w, func(err error) error {
			if errors.Is(err, ErrExists) {
				if x, err := s.Execution(ctx, "m", name); err == nil && x.ID == w.Create.ID {
					t.Errorf("%s is said to exist to the very write that made it", name)
				}
			}
			return err
		}
	}
	create := func(name string, fill func(*Write)) {
		t.Helper()
		tried := false
		until("create "+name, func() error {
			w, check := creating(name, fill)
			err := check(Do(ctx, s, w))
			if errors.Is(err, ErrExists) && tried {
				return nil
			}
			tried = true
			return err
		})
	}
	write := func(name string, w Write) {
		t.Helper()
		x, err := s.Execution(ctx, "m", name)
		if err != nil {
			t.Fatalf("acknowledged execution: %v", err)
		}
		w.Exec = x.ID
		until("write to "+name, func() error { again := w; return Do(ctx, s, &again) })
	}
	refuse := func() {
		t.Helper()
		until("refused create", func() error {
			w, _ := creating("one", nil)
			if err := Do(ctx, s, w); !errors.Is(err, ErrExists) {
				return fmt.Errorf("a second execution named one: %w", err)
			}
			return nil
		})
	}
	doc := func(key string) []Doc { return []Doc{{Kind: "k", Key: key, Body: []byte("text of " + key)}} }

	create("one", func(w *Write) {
		w.History, w.Put, w.Docs = &Segment{First: 2, Last: 4, Body: []byte("a")}, []Record{{ID: 1, Body: []byte("r1")}}, doc("a")
	})
	refuse()
	wake := int64(9)
	write("one", Write{History: &Segment{First: 5, Last: 6, Body: []byte("b")}, Put: []Record{{ID: 2, Body: []byte("r2")}}, Drop: []int64{1}, Wake: &wake,
		Docs: []Doc{{Kind: "k", Key: "a"}, {Kind: "k", Key: "b", Body: []byte("text")}}})
	refuse()
	// Three writes that share a transaction, one of which is refused.
	tried := false
	until("shared", func() error {
		held, release := make(chan error), make(chan struct{})
		s.Apply(&Write{Docs: doc("held"), Done: func(err error) { held <- err; <-release }})
		failed := <-held
		results := make(chan error, 3)
		first, check := creating("two", func(w *Write) { w.Create.Input = []byte(strings.Repeat("x", inlineInput+1)) })
		first.Done = func(err error) { results <- err }
		s.Apply(first)
		second, _ := creating("one", nil)
		second.Done = func(err error) { results <- err }
		s.Apply(second)
		s.Apply(&Write{Docs: doc("c"), Done: func(err error) { results <- err }})
		close(release)
		err := check(<-results)
		if errors.Is(err, ErrExists) && tried {
			err = nil
		}
		tried = true
		if refused := <-results; !errors.Is(refused, ErrExists) {
			err = errors.Join(err, refused)
		}
		return errors.Join(failed, err, <-results)
	})
	write("one", Write{End: &Ending{Status: Failed, Stopped: 7, Error: "e", Cause: "c"}})
	refuse()
	write("one", Write{Reopen: &Reopening{Attrs: []byte("again")}, Put: []Record{{ID: 3, Body: []byte("r3")}}})
	create("three", func(w *Write) { w.End = &Ending{Status: Succeeded, Stopped: 3, Output: []byte("[]")} })
	until("prune", func() error { _, err := s.Prune(ctx, time.UnixMilli(4), 9); return err })
	create("four", nil)
	if last, err := s.LastID(ctx); err != nil || last > nextID {
		t.Errorf("LastID = %d, %v; %d were given out", last, err, nextID)
	}
}

// contents is all that the store holds, without the IDs of executions.
func contents(t *testing.T, s *SQLite) string {
	t.Helper()
	var b strings.Builder
	for _, q := range []string{
		`SELECT 'execution ' || name || ' ' || status || ' ' || stopped || ' ' || wake || ' ' || coalesce(input, '') || ' ' || error || ' ' || coalesce(attrs, '') FROM executions ORDER BY name`,
		`SELECT 'payload ' || name || ' ' || length(body) FROM payloads JOIN executions ON id = exec ORDER BY 1`,
		`SELECT 'history ' || coalesce((SELECT name FROM executions WHERE id = key >> 16), '?') || ' ' || (key & 65535) || ' ' || last || ' ' || body FROM history ORDER BY 1`,
		`SELECT 'record ' || coalesce((SELECT name FROM executions WHERE id = key >> 28), '?') || ' ' || (key & 268435455) || ' ' || body FROM records ORDER BY 1`,
		`SELECT 'doc ' || key || ' ' || body FROM docs ORDER BY key`,
	} {
		lines, err := query(t.Context(), s, "contents", func(scan func(...any) error) (line string, err error) { return line, scan(&line) }, q)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(strings.Join(lines, "\n") + "\n")
	}
	return b.String()
}

func openFaulty(t *testing.T, path string, f *faultsql.Faults) *SQLite {
	t.Helper()
	s, err := open(t.Context(), path, func(c connect) connect {
		return f.Open(func() (driver.Conn, error) {
			conn, err := c()
			if err == nil { // these faults are not power cuts
				_, _ = conn.(driver.ExecerContext).ExecContext(context.Background(), "PRAGMA synchronous = OFF", nil) // slower without
			}
			return conn, err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestEveryStatementMayFail lets each statement of the store's life fail, and
// each pair of statements that come close together or are of different kinds,
// unapplied or applied but reported as failed. All must end as if nothing had
// happened, before and after the file is opened again.
func TestEveryStatementMayFail(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "store-*") // in memory, where there is one
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	f := &faultsql.Faults{}
	s := openFaulty(t, filepath.Join(dir, "undisturbed.db"), f)
	f.Arm()
	faultLife(t, s)
	statements, _ := f.Seen()
	want := contents(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var plans [][]faultsql.Fault
	for i := range statements {
		for _, applied := range []bool{false, true} {
			plans = append(plans, []faultsql.Fault{{At: i + 1, Applied: applied}})
		}
	}
	plans = append(plans, faultsql.Pairs(statements, 4)...)
	stride := 1
	if testing.Short() || raceDetector {
		stride = 29 // a prime: no pattern of the plans is left out
	}
	kinds := map[string]bool{}
	lives := 0
	for i := 0; i < len(plans) && !t.Failed(); i += stride {
		lives++
		f := &faultsql.Faults{}
		path := filepath.Join(dir, fmt.Sprint(i, ".db"))
		s := openFaulty(t, path, f)
		f.Arm(plans[i]...)
		faultLife(t, s)
		seen, fired := f.Seen()
		if fired == 0 {
			t.Fatalf("plan %v: no statement failed", plans[i])
		}
		name := "faults"
		for _, p := range plans[i] {
			if p.At <= len(seen) {
				kinds[seen[p.At-1]] = true
				name += fmt.Sprintf(", %d (%.60s, applied %v)", p.At, seen[p.At-1], p.Applied)
			}
		}
		for _, when := range []string{"", ", opened again"} {
			if got := contents(t, s); got != want {
				t.Errorf("%s%s:\n%s\nwant\n%s", name, when, got, want)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if when == "" {
				s = openFaulty(t, path, &faultsql.Faults{})
			}
		}
	}
	t.Logf("%d lives of %d statements, %d kinds of statements", lives, len(statements), len(kinds))
	for _, kind := range []string{faultsql.Opening, "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"} {
		if !kinds[kind] && !t.Failed() {
			t.Errorf("%s never failed", kind)
		}
	}
}
