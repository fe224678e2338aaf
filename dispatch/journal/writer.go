package journal

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/sqlitefile"
)

const (
	// maxGroup is how many deliveries one transaction takes at most, and
	// maxWork how long the other writes in it may take before those that still
	// wait are left for the next: a delivery waits for no more than that.
	maxGroup = 512
	maxWork  = 8 * time.Millisecond
)

// writer owns the connection that writes. Its channels are the only way in.
type writer struct {
	open connect
	conn *conn // nil after it broke, until the next write
	file *sqlitefile.File
	// seq is the newest delivery's, or unknown. A transaction that failed may
	// have been applied all the same, so after one the file is asked.
	seq     int64
	appends chan *appending
	works   chan *work
	quit    chan struct{}
	done    chan struct{}

	trouble                          sqlitefile.Trouble
	commits, appendCommits, appended atomic.Int64
}

// appending is a delivery on its way in.
type appending struct {
	ctx  context.Context
	d    *dispatch.NewDelivery
	at   dispatch.Appended
	err  error
	done chan struct{}
}

// work is any other write.
type work struct {
	ctx  context.Context
	run  func(*conn) error
	err  error
	done chan struct{}
}

// unknown is the sequence that has to be read from the file.
const unknown int64 = -1

func newWriter(open connect, c *conn, file *sqlitefile.File) *writer {
	return &writer{
		open: open, conn: c, file: file, seq: unknown,
		appends: make(chan *appending, maxGroup), works: make(chan *work, 64),
		quit: make(chan struct{}), done: make(chan struct{}),
	}
}

var errClosed = errors.New("the journal is closed")

// append hands in a delivery and waits until it is on disk. When ctx ends
// first the delivery may still be written.
func (w *writer) append(ctx context.Context, d *dispatch.NewDelivery) (dispatch.Appended, error) {
	a := &appending{ctx: ctx, d: d, done: make(chan struct{})}
	select {
	case w.appends <- a:
	case <-ctx.Done():
		return dispatch.Appended{}, ctx.Err()
	case <-w.quit:
		return dispatch.Appended{}, errClosed
	}
	select {
	case <-a.done:
		return a.at, a.err
	case <-ctx.Done():
		return dispatch.Appended{}, ctx.Err()
	case <-w.done:
		return dispatch.Appended{}, errClosed
	}
}

// do runs a write in a transaction and waits until it is on disk. run may be
// called twice, when the transaction it shared had to be repeated, so it must
// set its results anew.
func (w *writer) do(ctx context.Context, run func(*conn) error) error {
	o := &work{ctx: ctx, run: run, done: make(chan struct{})}
	select {
	case w.works <- o:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.quit:
		return errClosed
	}
	// Unlike append this waits for the end in any case: run writes to
	// variables of the caller.
	select {
	case <-o.done:
		return o.err
	case <-w.done:
		return errClosed
	}
}

// loop writes until quit is closed, and then what is still in the channels.
func (w *writer) loop() {
	defer close(w.done)
	for {
		var appends []*appending
		var first *work
		select {
		case a := <-w.appends:
			appends = append(appends, a)
		case first = <-w.works:
		case <-w.quit:
			if len(w.appends) == 0 && len(w.works) == 0 {
				w.drop()
				return
			}
			continue
		}
		// Those who are about to ask get a chance to join: a commit costs more
		// than the wait.
		runtime.Gosched()
	more:
		for len(appends) < maxGroup {
			select {
			case a := <-w.appends:
				appends = append(appends, a)
			default:
				break more
			}
		}
		w.group(appends, first)
	}
}

// group writes deliveries first, and then what other work there is time for,
// in one transaction. first is a piece of work that must be in it, or nil. One
// piece gets in if one waits, so that deliveries cannot starve it; more only
// while no delivery waits.
func (w *writer) group(appends []*appending, first *work) {
	var works []*work
	next := func() *work {
		if o := first; o != nil {
			first = nil
			return o
		}
		select {
		case o := <-w.works:
			return o
		default:
			return nil
		}
	}
	inserted, broken := false, false
	seq := w.seq
	err := w.transaction(func(c *conn) (err error) {
		if seq, err = insert(c, seq, appends); err != nil {
			return err
		}
		inserted = true
		for began := time.Now(); ; {
			o := next()
			if o == nil {
				return nil
			}
			works = append(works, o)
			// The first write of a transaction needs no savepoint: undoing it
			// undoes everything.
			whole := len(appends) == 0 && len(works) == 1
			if o.err = o.ctx.Err(); o.err == nil {
				o.err = runIn(c, o.run, !whole)
			}
			if o.err != nil && (whole || errors.Is(o.err, errBroken)) {
				broken = true
				return o.err
			}
			if time.Since(began) > maxWork || len(w.appends) > 0 {
				return nil
			}
		}
	})
	if w.seq = seq; err != nil {
		w.seq = unknown
	}
	for _, o := range works {
		if o.err == nil && err != nil {
			o.err = fmt.Errorf("commit: %w", err)
		}
		close(o.done)
	}
	switch {
	case err != nil && inserted && broken && len(appends) > 0:
		// Not the deliveries' fault: they go again, alone.
		w.group(appends, nil)
		return
	case !inserted && len(appends) > 1 && errors.As(err, new(*dispatch.PanicError)):
		for i := range appends { // one of them is to blame
			w.group(appends[i:i+1], nil)
		}
		if first != nil {
			w.group(nil, first)
		}
		return
	case err == nil:
		w.appended.Add(int64(len(appends)))
		if len(appends) > 0 {
			w.appendCommits.Add(1)
			w.trouble.Over()
		}
	}
	for _, a := range appends {
		if a.err == nil && err != nil {
			a.err = fmt.Errorf("commit: %w", err)
		}
		close(a.done)
	}
	switch {
	case first == nil:
	case len(appends) > 0: // its turn did not come
		w.group(nil, first)
	default: // there was no transaction
		first.err = err
		close(first.done)
	}
}

// errBroken marks a failure that took the whole transaction with it.
var errBroken = errors.New("the transaction was rolled back")

// runIn runs a write so that its failure undoes it alone. A panic is a failure
// like any other.
func runIn(c *conn, run func(*conn) error, savepoint bool) error {
	guarded := func() error { return dispatch.Guard(func() error { return run(c) }) }
	if !savepoint {
		return guarded()
	}
	if _, err := c.exec("SAVEPOINT work"); err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	failed := guarded()
	if failed != nil {
		if _, err := c.exec("ROLLBACK TO work"); err != nil {
			return fmt.Errorf("%w: %w", errBroken, failed)
		}
	}
	if _, err := c.exec("RELEASE work"); err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	return failed
}

// transaction runs fn and commits. After an error the connection is given up:
// what state it is in, and whether a commit that failed was applied, is for
// SQLite to find out when it opens the file again. So it is after a panic, which
// becomes a [*dispatch.PanicError].
func (w *writer) transaction(fn func(*conn) error) error {
	err := dispatch.Guard(func() error { return w.commit(fn) })
	if errors.As(err, new(*dispatch.PanicError)) {
		w.drop()
	}
	return err
}

func (w *writer) commit(fn func(*conn) error) error {
	if w.conn == nil {
		if err := w.reopen(); err != nil {
			return w.inTrouble(err)
		}
	}
	c := w.conn
	c.changed, c.failed = false, nil
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		w.drop()
		return w.inTrouble(err)
	}
	if err := fn(c); err != nil {
		if c.failed != nil { // not what fn itself refused
			_ = w.inTrouble(c.failed)
		}
		if _, err := c.exec("ROLLBACK"); err != nil {
			w.drop()
		}
		return err
	}
	if _, err := c.exec("COMMIT"); err != nil {
		w.drop()
		return w.inTrouble(err)
	}
	w.commits.Add(1)
	// What was written into a file that is gone is not kept.
	if err := w.file.Check(); err != nil {
		return w.inTrouble(err)
	}
	if c.changed {
		w.file.Wrote()
	}
	return nil
}

// inTrouble notes an error, and returns it.
func (w *writer) inTrouble(err error) error {
	w.trouble.Met(err)
	return err
}

func (w *writer) reopen() error {
	if err := w.file.Check(); err != nil {
		return err
	}
	raw, err := w.open()
	if err != nil {
		return err
	}
	w.conn = newConn(raw)
	return nil
}

func (w *writer) drop() {
	if w.conn != nil {
		_ = dispatch.Guard(w.conn.close) // it is given up, and what it did not commit with it
		w.conn = nil
	}
}

// lastSeq is the highest number that a delivery ever had.
func lastSeq(c *conn) (seq int64, err error) {
	const q = `SELECT max(expanded, coalesce((SELECT max(seq) FROM deliveries), 0)) FROM progress`
	err = c.query(q, func(s scan) error { return s(&seq) })
	return seq, err
}

// insert adds deliveries to the transaction, and returns the newest one's
// number; seq is that of the one before them.
func insert(c *conn, seq int64, appends []*appending) (_ int64, err error) {
	if len(appends) > 0 && seq == unknown {
		if seq, err = lastSeq(c); err != nil {
			return seq, err
		}
	}
	for _, a := range appends {
		a.err = a.ctx.Err() // whoever asked has gone
		if a.err != nil {
			continue
		}
		d := a.d
		n, err := c.exec(`INSERT INTO deliveries (seq, source, delivery_id, kind, repository, ref, commits, received_at, traceparent, event, digest)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (source, delivery_id) DO NOTHING`,
			seq+1, d.Source, d.DeliveryID, string(d.Kind), d.Repository, d.Ref, int64(d.Commits), millis(d.ReceivedAt), d.Traceparent, d.Event, d.Digest)
		if err != nil {
			return seq, err
		}
		if a.at.Existed = n == 0; a.at.Existed {
			err := c.query(`SELECT seq, digest <> '' AND ?3 <> '' AND digest <> ?3 FROM deliveries WHERE source = ?1 AND delivery_id = ?2`,
				func(s scan) error { return s(&a.at.Seq, &a.at.Differs) }, d.Source, d.DeliveryID, d.Digest)
			if err != nil {
				return seq, err
			}
			continue
		}
		seq++
		a.at.Seq = seq
	}
	return seq, nil
}
