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
	// waiting are those neither posted nor refused, in the order in which they
	// are handed out.
	waiting []*memRow
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
	if s.WantedAt.IsZero() {
		s.WantedAt = time.Now()
	}
	if old := o.rows[key]; old != nil {
		s.Version = old.Version + 1
	}
	o.remove(o.rows[key])
	r := &memRow{Status: s, seq: seq}
	o.rows[key] = r
	at, _ := slices.BinarySearchFunc(o.waiting, r, byTurn)
	o.waiting = slices.Insert(o.waiting, at, r)
}

// byTurn puts ends before what is pending, and of each the newest first.
func byTurn(a, b *memRow) int {
	return cmp.Or(cmp.Compare(a.pending(), b.pending()), cmp.Compare(b.seq, a.seq))
}

func (r *memRow) pending() int {
	if r.State == dispatch.StatusPending {
		return 1
	}
	return 0
}

func (o *memOutbox) remove(r *memRow) {
	if r == nil || r.done || r.refused != "" {
		return
	}
	at, _ := slices.BinarySearchFunc(o.waiting, r, byTurn)
	for o.waiting[at] != r {
		at++
	}
	o.waiting = slices.Delete(o.waiting, at, at+1)
}

func (o *memOutbox) NextStatuses(ctx context.Context, q dispatch.StatusQuery) ([]dispatch.Status, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := errors.Join(ctx.Err(), o.fail["next"]); err != nil {
		return nil, err
	}
	var out []dispatch.Status
	except := map[string]bool{}
	for _, name := range q.Except {
		except[name] = true
	}
	for _, r := range o.waiting {
		if len(out) == q.Limit {
			break
		}
		late := !q.Horizon.IsZero() && r.due.After(q.Horizon)
		if r.Source == q.Source && (late || !r.due.After(q.Now)) && !except[r.Repository] {
			out = append(out, r.Status)
		}
	}
	return out, nil
}

func (o *memOutbox) StatusPosted(ctx context.Context, s dispatch.Status) error {
	return o.change(ctx, "posted", s, func(r *memRow) { o.remove(r); r.done = true })
}

func (o *memOutbox) StatusFailed(ctx context.Context, s dispatch.Status, retryAt time.Time, reason string) error {
	return o.change(ctx, "failed", s, func(r *memRow) {
		r.Tries++
		r.due = retryAt
		if retryAt.IsZero() {
			o.remove(r)
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
	return len(o.waiting)
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
