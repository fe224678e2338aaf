package dispatch

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"

	"switchyard/internal/event"
)

// outlook says, when a delivery is answered, which of its executions nobody has
// asked for before. Most deliveries bring commits that nobody has heard of, and
// are answered without a look at the journal: seen tells that.
//
// What it holds is for answers alone. Expansion decides by the journal.
type outlook struct {
	seed maphash.Seed

	mu sync.Mutex
	// seen holds the IDs of the requests in the journal, all of them once
	// complete is set.
	seen     bloom
	complete bool
	// planned are the requests of deliveries that were accepted and are not
	// expanded yet, and the refs that pushes among these have moved. Hashes
	// stand for the names of both.
	planned map[uint64]planned
	tips    map[uint64]tip
	// entries are what was entered there, by delivery.
	entries map[string][]*entry
}

// entry is what one delivery has entered, to be taken out as it was: the routes
// may say something else by then.
type entry struct {
	delivery string
	requests []uint64
	move     *Move // nil where it was not entered
}

// planned is how many deliveries ask for a request, and which ref the last of
// them to move one brought it to, 0 for none; pull is true for that of a pull
// request.
type planned struct {
	deliveries int
	ref        uint64
	pull       bool
}

// tip is where the newest of some pushes will leave a ref, and that push, where
// there is room for it.
type tip struct {
	sha    string
	pushes int
	newest *event.Event
}

// maxPlanned bounds what is kept of deliveries that wait. Where there are more,
// an answer may call new what two of them bring.
const maxPlanned = 100_000

// maxPushes bounds the pushes that are kept until they are expanded, so that the
// answer to a pull request's event can tell what its push said.
const maxPushes = 1000

func (o *outlook) init() {
	o.seed = maphash.MakeSeed()
	o.planned, o.tips, o.entries = map[uint64]planned{}, map[uint64]tip{}, map[string][]*entry{}
	o.seen = make(bloom, bloomBits/64)
}

func (o *outlook) hash(id string) uint64 { return maphash.String(o.seed, id) }

// ref is the hash of a move's ref, 0 for none.
func (o *outlook) ref(m *Move) uint64 {
	if m == nil {
		return 0
	}
	return maphash.Comparable(o.seed, [3]string{m.Source, m.Repository, m.Ref})
}

// prospect is what one delivery will come to.
type prospect struct {
	// executions are as they look without the journal.
	executions []Foreseen
	// ask are the requests that the journal has to be asked for, by index, and
	// tip is where their ref will be by then, nil for where the journal has it.
	ask []int
	tip *string
	// entered is for [outlook.drop] and [outlook.rename].
	entered *entry
}

// plan enters what a delivery asks for; it counts as asked for from now on, and
// until [outlook.drop] or [outlook.expanded] is called.
func (o *outlook) plan(delivery string, requests []event.Request, m *Move, push *event.Event) prospect {
	p := prospect{executions: make([]Foreseen, len(requests)), entered: &entry{delivery: delivery}}
	at := o.ref(m)
	o.mu.Lock()
	defer o.mu.Unlock()
	if t, ok := o.tips[at]; ok {
		p.tip = &t.sha
	}
	for i := range requests {
		r := &requests[i]
		id := o.hash(r.ID)
		known, waits := o.planned[id]
		p.executions[i] = Foreseen{ID: r.ID, New: true}
		if waits {
			p.executions[i] = again(r, m, known.ref == at || m != nil && m.Forced && !known.pull, p.tip)
		}
		if !o.complete || o.seen.mayHave(id) || r.Former != nil && o.seen.mayHave(o.hash(r.Former.ID)) {
			p.ask = append(p.ask, i)
		}
		if waits || len(o.planned) < maxPlanned {
			if known.deliveries++; m != nil && m.After != "" {
				known.ref, known.pull = at, m.PullRequest != 0
			}
			o.planned[id] = known
			p.entered.requests = append(p.entered.requests, id)
		}
	}
	if t, ok := o.tips[at]; m != nil && (ok || len(o.tips) < maxPlanned) {
		t = tip{m.After, t.pushes + 1, nil}
		if push != nil && push.Kind == event.Push && len(o.tips) < maxPushes {
			t.newest = push
		}
		o.tips[at] = t
		p.entered.move = m
	}
	if len(p.entered.requests) > 0 || p.entered.move != nil {
		o.entries[delivery] = append(o.entries[delivery], p.entered)
	}
	return p
}

// waiting is the newest push to the branch of a pull request in the same
// repository, nil when there is none that waits to be expanded.
func (o *outlook) waiting(pull *event.Event) *event.Event {
	at := o.ref(&Move{Source: pull.Source, Repository: pull.Repository.FullName, Ref: pull.Ref})
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.tips[at].newest
}

// again foresees a request that a waiting delivery has asked for: one that its
// branch comes back to runs again.
func again(r *event.Request, m *Move, landed bool, tip *string) Foreseen {
	if m == nil || tip == nil || !landed || !r.Revisit || r.Commit.SHA != m.After || !m.Leads(*tip) {
		return Foreseen{ID: r.ID}
	}
	return Foreseen{ID: AttemptID(r.ID, 2), New: true}
}

// drop takes out what was entered for a delivery that was never taken, unless
// it is out already.
func (o *outlook) drop(e *entry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.remove(e) {
		o.release(e)
	}
}

// rename is called before a delivery is taken under another ID.
func (o *outlook) rename(e *entry, delivery string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.remove(e) {
		e.delivery = delivery
		o.entries[delivery] = append(o.entries[delivery], e)
	}
}

// remove reports whether e was still there.
func (o *outlook) remove(e *entry) bool {
	all := o.entries[e.delivery]
	at := slices.Index(all, e)
	if at < 0 {
		return false
	}
	if all = slices.Delete(all, at, at+1); len(all) == 0 {
		delete(o.entries, e.delivery)
	} else {
		o.entries[e.delivery] = all
	}
	return true
}

// expanded takes out what was entered for a delivery, which has come to the
// requests with these IDs.
func (o *outlook) expanded(delivery string, ids []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range ids {
		o.seen.add(o.hash(id))
	}
	for _, e := range o.entries[delivery] {
		o.release(e)
	}
	delete(o.entries, delivery)
}

func (o *outlook) release(e *entry) {
	for _, id := range e.requests {
		if known := o.planned[id]; known.deliveries > 1 {
			known.deliveries--
			o.planned[id] = known
		} else {
			delete(o.planned, id)
		}
	}
	if e.move == nil {
		return
	}
	at := o.ref(e.move)
	if t := o.tips[at]; t.pushes > 1 {
		t.pushes--
		o.tips[at] = t
	} else {
		delete(o.tips, at)
	}
}

// learn enters IDs that the journal holds; last is set with the last of them.
func (o *outlook) learn(ids []string, last bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range ids {
		o.seen.add(o.hash(id))
	}
	o.complete = o.complete || last
}

// recallIDs reads the IDs of all requests, so that answers need not ask for
// those that are new. Until it is through, they do.
func (d *Dispatcher) recallIDs(ctx context.Context) {
	const page = 2000
	for after := int64(0); ; {
		var ids []string
		var err error
		ok := d.yield.do(ctx, func() {
			err = d.persist(ctx, "read the IDs of requests", func() (err error) {
				ids, after, err = d.journal.RequestIDs(ctx, after, page)
				return err
			})
		})
		if !ok || err != nil {
			return
		}
		last := len(ids) < page
		if d.outlook.learn(ids, last); last {
			return
		}
	}
}

func idsOf(requests []event.Request) []string {
	ids := make([]string, len(requests))
	for i := range requests {
		ids[i] = requests[i].ID
	}
	return ids
}

// foresee says what the requests of a delivery that makes a move come to. The
// caller enters them with [outlook.plan] by this, and calls [outlook.drop] if
// the delivery is not taken.
//
// On an error, those of which the journal would know count as known.
func (d *Dispatcher) foresee(ctx context.Context, delivery string, requests []event.Request, m *Move, push *event.Event) ([]Foreseen, *entry, error) {
	p := d.outlook.plan(delivery, requests, m, push)
	if len(p.ask) == 0 {
		return p.executions, p.entered, nil
	}
	ask := make([]*event.Request, len(p.ask))
	for i, at := range p.ask {
		ask[i] = &requests[at]
	}
	found, err := d.journal.Foresee(ctx, ask, m, p.tip)
	for i, at := range p.ask {
		switch id := ask[i].ID; {
		case err != nil:
			p.executions[at] = Foreseen{ID: id}
		case found[i] != Foreseen{ID: id, New: true}: // the journal has it
			p.executions[at] = found[i]
		}
	}
	return p.executions, p.entered, err
}

// bloom is a set of hashes that may say yes wrongly, and never no: wrongly in
// one of ten thousand cases with 200,000 entries, in one of forty with a
// million.
type bloom []uint64

const (
	bloomBits   = 1 << 23 // 1 MiB
	bloomProbes = 4
)

func (b bloom) add(hash uint64) {
	for i := range uint64(bloomProbes) {
		at := probe(hash, i)
		b[at/64] |= 1 << (at % 64)
	}
}

func (b bloom) mayHave(hash uint64) bool {
	for i := range uint64(bloomProbes) {
		if at := probe(hash, i); b[at/64]&(1<<(at%64)) == 0 {
			return false
		}
	}
	return true
}

// probe is the i-th bit for a hash, by double hashing.
func probe(hash, i uint64) uint64 { return (hash + i*(hash>>32|1)) % bloomBits }
