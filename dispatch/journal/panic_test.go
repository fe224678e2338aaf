package journal

import (
	"context"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"switchyard/dispatch"
)

// brittle panics in a statement that is given a certain text.
type brittle struct {
	driver.Conn
	on string
}

type brittleStmt struct {
	driver.Stmt
	on string
}

func (c brittle) Prepare(query string) (driver.Stmt, error) {
	s, err := c.Conn.Prepare(query)
	return brittleStmt{s, c.on}, err
}

func (s brittleStmt) check(args []driver.NamedValue) {
	for _, a := range args {
		if a.Value == s.on {
			panic("cannot bind " + s.on)
		}
	}
}

func (s brittleStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.check(args)
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

func (s brittleStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.check(args)
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}

func openBrittle(t *testing.T, on string) *SQLite {
	t.Helper()
	j, err := open(filepath.Join(t.TempDir(), "journal.db"), eachConn(func(c driver.Conn) driver.Conn { return brittle{c, on} }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

func panicked(err error) bool { return errors.As(err, new(*dispatch.PanicError)) }

// A panic costs the write that it came from, which leaves nothing behind.
func TestPanicOfAWriteFailsItAlone(t *testing.T) {
	j := openBrittle(t, "bad")
	var seqs []int64
	for _, id := range []string{"1", "2"} {
		at, err := j.Append(t.Context(), dispatch.NewDelivery{Source: "s", DeliveryID: id, Event: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, at.Seq)
	}
	expansion := func(i int, ids ...string) dispatch.Expansion {
		e := dispatch.Expansion{Delivery: seqs[i], At: time.UnixMilli(1)}
		for _, id := range ids {
			e.Requests = append(e.Requests, dispatch.NewRequest{State: dispatch.StateReady})
			r := &e.Requests[len(e.Requests)-1]
			r.ID, r.Input = id, []byte("{}")
		}
		return e
	}
	if _, err := j.Expand(t.Context(), []dispatch.Expansion{expansion(0, "a"), expansion(1, "b", "bad")}); !panicked(err) {
		t.Errorf("together: %v", err)
	}
	for _, id := range []string{"a", "b", "bad"} {
		if x, err := j.Execution(t.Context(), id); !errors.Is(err, dispatch.ErrNotFound) {
			t.Errorf("%s was left behind: %+v, %v", id, x, err)
		}
	}
	if _, err := j.Expand(t.Context(), []dispatch.Expansion{expansion(0, "a")}); err != nil {
		t.Error(err)
	}
	if _, err := j.Expand(t.Context(), []dispatch.Expansion{expansion(1, "b", "bad")}); !panicked(err) {
		t.Errorf("alone: %v", err)
	}
	if _, err := j.Expand(t.Context(), []dispatch.Expansion{expansion(1, "b")}); err != nil {
		t.Error(err)
	}
	if err := j.Health(t.Context()); err != nil {
		t.Errorf("the file is as good as before: %v", err)
	}
}

// A write and a delivery that panic share a transaction with ones that do not.
func TestPanicFailsAloneInASharedTransaction(t *testing.T) {
	j := openBrittle(t, "bad")
	held, release := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- j.w.do(t.Context(), func(*conn) error { close(held); <-release; return nil })
	}()
	<-held // whatever comes now shares the next transaction
	appends, works := map[string]chan error{}, map[string]chan error{}
	for i, id := range []string{"1", "bad", "2"} {
		done := make(chan error, 1)
		appends[id] = done
		go func() {
			_, err := j.Append(t.Context(), dispatch.NewDelivery{Source: "s", DeliveryID: id, Event: []byte("{}")})
			done <- err
		}()
		for len(j.w.appends) == i {
			time.Sleep(time.Millisecond) //nolint:forbidigo // until the goroutine has handed it in
		}
	}
	for i, reasons := range []string{"one", "bad", "two"} {
		done := make(chan error, 1)
		works[reasons] = done
		go func() {
			done <- j.w.do(t.Context(), func(c *conn) error {
				if _, err := c.exec(`INSERT INTO ignored VALUES (?, 1, x'')`, int64(i)); err != nil {
					return err
				}
				if reasons == "bad" {
					panic(reasons)
				}
				return nil
			})
		}()
		for len(j.w.works) == i {
			time.Sleep(time.Millisecond) //nolint:forbidigo // until the goroutine has handed it in
		}
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	for what, results := range map[string]map[string]chan error{"delivery": appends, "write": works} {
		for name, done := range results {
			if err := <-done; panicked(err) != (name == "bad") || name != "bad" && err != nil {
				t.Errorf("%s %s: %v", what, name, err)
			}
		}
	}
	page, err := j.Deliveries(t.Context(), dispatch.DeliveryFilter{})
	if err != nil || len(page.Deliveries) != 2 || page.Deliveries[0].Seq != 2 {
		t.Errorf("%+v, %v", page, err)
	}
	var left int
	if err := j.read(t.Context(), func(s scan) error { return s(&left) }, `SELECT count(*) FROM ignored WHERE delivery IN (0, 2)`); err != nil || left != 2 {
		t.Errorf("%d rows of the good writes, %v", left, err)
	}
}
