package status

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"switchyard/dispatch"
)

// memOutbox is an outbox in memory that follows [dispatch.Outbox].
type memOutbox struct {
	mu   sync.Mutex
	rows map[rowKey]*memRow
	// fail, when set, is what every call of the named method answers.
	fail map[string]error
}

type memRow struct {
	dispatch.Status
	seq     int64
	due     time.Time
	done    bool
	refused string
}

func newOutbox() *memOutbox { return &memOutbox{rows: map[rowKey]*memRow{}, fail: map[string]error{}} }

// want records a desired state, as the journal does when a request moves on.
func (o *memOutbox) want(seq int64, s dispatch.Status) {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := keyOf(s)
	s.Version = 1
	if old := o.rows[key]; old != nil {
		s.Version = old.Version + 1
	}
	o.rows[key] = &memRow{Status: s, seq: seq}
}

func (o *memOutbox) NextStatuses(ctx context.Context, q dispatch.StatusQuery) ([]dispatch.Status, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := errors.Join(ctx.Err(), o.fail["next"]); err != nil {
		return nil, err
	}
	rank := func(r *memRow) int64 {
		if r.State == dispatch.StatusPending {
			return r.seq
		}
		return r.seq + 1<<40
	}
	except := map[string]bool{}
	for _, name := range q.Except {
		except[name] = true
	}
	var due []*memRow // the first few, in order
	for _, r := range o.rows {
		if r.Source != q.Source || r.done || r.refused != "" || r.due.After(q.Now) || except[r.Repository] {
			continue
		}
		if len(due) == q.Limit && rank(r) < rank(due[len(due)-1]) {
			continue
		}
		at, _ := slices.BinarySearchFunc(due, rank(r), func(d *memRow, of int64) int { return cmp.Compare(of, rank(d)) })
		due = slices.Insert(due, at, r)
		due = due[:min(q.Limit, len(due))]
	}
	var out []dispatch.Status
	for _, r := range due {
		out = append(out, r.Status)
	}
	return out, nil
}

func (o *memOutbox) StatusPosted(ctx context.Context, s dispatch.Status) error {
	return o.change(ctx, "posted", s, func(r *memRow) { r.done = true })
}

func (o *memOutbox) StatusFailed(ctx context.Context, s dispatch.Status, retryAt time.Time, reason string) error {
	return o.change(ctx, "failed", s, func(r *memRow) {
		r.Tries++
		r.due = retryAt
		if retryAt.IsZero() {
			r.refused = reason
		}
	})
}

func (o *memOutbox) change(ctx context.Context, method string, s dispatch.Status, f func(*memRow)) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := errors.Join(ctx.Err(), o.fail[method]); err != nil {
		return err
	}
	if r := o.rows[keyOf(s)]; r != nil && r.Version == s.Version {
		f(r)
	}
	return nil
}

func (o *memOutbox) setFail(method string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail[method] = err
}

func (o *memOutbox) row(s dispatch.Status) memRow {
	o.mu.Lock()
	defer o.mu.Unlock()
	return *o.rows[keyOf(s)]
}

// open counts what is neither posted nor refused.
func (o *memOutbox) open() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, r := range o.rows {
		if !r.done && r.refused == "" {
			n++
		}
	}
	return n
}

// fakePoster notes each post and when it came.
type fakePoster struct {
	limits Limits
	// answer decides what a post comes to; nil takes everything.
	answer func(ctx context.Context, s dispatch.Status) error

	mu    sync.Mutex
	posts []posted
	busy  int
	peak  int
}

type posted struct {
	At  time.Duration // since the test began
	SHA string
	dispatch.StatusState
	URL string
}

// began is the time at which every synctest bubble starts.
var began = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (p *fakePoster) Limits() Limits { return p.limits }

func (p *fakePoster) Post(ctx context.Context, s dispatch.Status, url string) error {
	p.mu.Lock()
	p.posts = append(p.posts, posted{time.Since(began), s.SHA, s.State, url})
	p.busy++
	p.peak = max(p.peak, p.busy)
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.busy--
		p.mu.Unlock()
	}()
	if p.answer == nil {
		return nil
	}
	return p.answer(ctx, s)
}

func (p *fakePoster) seen() []posted {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.posts)
}

func row(sha string, state dispatch.StatusState) dispatch.Status {
	return dispatch.Status{Source: "github", Repository: "acme/api", SHA: sha, Context: "switchyard/build", State: state, Execution: "x-" + sha}
}
