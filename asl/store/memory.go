package store

import (
	"context"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// Memory is a store without durability: for trying a state machine out, and as
// the baseline that durability is measured against.
type Memory struct {
	mu     sync.RWMutex
	closed bool
	docs   map[string]map[string][]byte
	execs  map[int64]*memExec
	names  map[execName]int64
	// byMachine holds execution IDs in ascending order.
	byMachine map[string][]int64
	lastID    int64
}

type execName struct{ machine, name string }

type memExec struct {
	Execution
	segments []Segment
	records  map[int64][]byte
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{
		docs:      map[string]map[string][]byte{},
		execs:     map[int64]*memExec{},
		names:     map[execName]int64{},
		byMachine: map[string][]int64{},
	}
}

// Apply implements [Store]; it calls w.Done before it returns.
func (m *Memory) Apply(w *Write) {
	m.mu.Lock()
	err := m.apply(w)
	m.mu.Unlock()
	w.Done(err)
}

func (m *Memory) apply(w *Write) error {
	if m.closed {
		return ErrClosed
	}
	if c := w.Create; c != nil {
		switch id, taken := m.names[execName{c.Machine, c.Name}]; {
		case !taken:
			m.create(c)
		case id != c.ID:
			return ErrExists
		}
	}
	if e := m.execs[w.Exec]; e != nil {
		e.apply(w)
	}
	for _, d := range w.Docs {
		kind := m.docs[d.Kind]
		if kind == nil {
			kind = map[string][]byte{}
			m.docs[d.Kind] = kind
		}
		if d.Body == nil {
			delete(kind, d.Key)
		} else {
			kind[d.Key] = slices.Clone(d.Body)
		}
	}
	return nil
}

func (m *Memory) create(c *Execution) {
	m.names[execName{c.Machine, c.Name}] = c.ID
	m.execs[c.ID] = &memExec{Execution: *c}
	ids := m.byMachine[c.Machine]
	// IDs are given out before the writes are queued, so two may swap.
	at := len(ids)
	for at > 0 && ids[at-1] > c.ID {
		at--
	}
	m.byMachine[c.Machine] = slices.Insert(ids, at, c.ID)
	m.lastID = max(m.lastID, c.ID)
}

func (e *memExec) apply(w *Write) {
	if s := w.History; s != nil {
		seg := Segment{First: s.First, Last: s.Last, Body: slices.Clone(s.Body)}
		if n := len(e.segments); n > 0 && e.segments[n-1].First == s.First {
			e.segments[n-1] = seg
		} else {
			e.segments = append(e.segments, seg)
		}
	}
	for _, r := range w.Put {
		if e.records == nil {
			e.records = map[int64][]byte{}
		}
		e.records[r.ID] = slices.Clone(r.Body)
	}
	for _, id := range w.Drop {
		delete(e.records, id)
	}
	if w.Wake != nil {
		e.Wake = *w.Wake
	}
	if r := w.Reopen; r != nil {
		e.Status, e.Stopped, e.Wake = Running, 0, 0
		e.Output, e.Error, e.Cause = nil, "", ""
		e.Attrs = slices.Clone(r.Attrs)
	}
	if end := w.End; end != nil {
		e.Status, e.Stopped = end.Status, end.Stopped
		e.Output, e.Error, e.Cause = slices.Clone(end.Output), end.Error, end.Cause
		e.records = nil
	}
}

// Doc implements [Reader].
func (m *Memory) Doc(_ context.Context, kind, key string) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	body, ok := m.docs[kind][key]
	if !ok {
		return nil, ErrNotFound
	}
	return slices.Clone(body), nil
}

// Docs implements [Reader].
func (m *Memory) Docs(_ context.Context, kind, after string, limit int) ([]Doc, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var keys []string
	for key := range m.docs[kind] {
		if key > after {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	docs := make([]Doc, 0, min(limit, len(keys)))
	for _, key := range keys[:min(limit, len(keys))] {
		docs = append(docs, Doc{Kind: kind, Key: key, Body: slices.Clone(m.docs[kind][key])})
	}
	return docs, nil
}

// Execution implements [Reader].
func (m *Memory) Execution(ctx context.Context, machine, name string) (*Execution, error) {
	m.mu.RLock()
	id, ok := m.names[execName{machine, name}]
	m.mu.RUnlock()
	if !ok {
		return nil, ErrNotFound
	}
	return m.ExecutionByID(ctx, id)
}

// ExecutionByID implements [Reader].
func (m *Memory) ExecutionByID(_ context.Context, id int64) (*Execution, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	e, ok := m.execs[id]
	if !ok {
		return nil, ErrNotFound
	}
	found := e.Execution
	return &found, nil
}

// Executions implements [Reader].
func (m *Memory) Executions(_ context.Context, q Query) ([]*Execution, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var found []*Execution
	ids := m.byMachine[q.Machine]
	for i := len(ids) - 1; i >= 0 && len(found) < q.Limit; i-- {
		e := m.execs[ids[i]]
		if q.Before != 0 && e.ID >= q.Before || q.Status != nil && e.Status != *q.Status {
			continue
		}
		found = append(found, &Execution{
			ID: e.ID, Machine: e.Machine, Name: e.Name, Revision: e.Revision, Status: e.Status,
			Started: e.Started, Stopped: e.Stopped, Wake: e.Wake, Attrs: e.Attrs,
		})
	}
	return found, nil
}

// Revisions implements [Reader].
func (m *Memory) Revisions(_ context.Context, machine string) ([]string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	keys := map[string]struct{}{}
	for name, ids := range m.byMachine {
		if name != machine && !strings.HasPrefix(name, machine+"/") {
			continue
		}
		for _, id := range ids {
			keys[m.execs[id].Revision] = struct{}{}
		}
	}
	return slices.Collect(maps.Keys(keys)), nil
}

// Segments implements [Reader].
func (m *Memory) Segments(_ context.Context, exec, from int64, reverse bool, limit int) ([]Segment, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	e := m.execs[exec]
	if e == nil {
		return nil, nil
	}
	// at is the segment that holds the event, or would.
	at := sort.Search(len(e.segments), func(i int) bool { return e.segments[i].First > from }) - 1
	var found []Segment
	if reverse {
		for ; at >= 0 && len(found) < limit; at-- {
			found = append(found, e.segments[at])
		}
		return found, nil
	}
	for at = max(at, 0); at < len(e.segments) && len(found) < limit; at++ {
		if e.segments[at].Last >= from {
			found = append(found, e.segments[at])
		}
	}
	return found, nil
}

// Records implements [Reader].
func (m *Memory) Records(_ context.Context, exec int64) ([]Record, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	e := m.execs[exec]
	if e == nil {
		return nil, nil
	}
	found := make([]Record, 0, len(e.records))
	for id, body := range e.records {
		found = append(found, Record{ID: id, Body: body})
	}
	slices.SortFunc(found, func(a, b Record) int { return int(a.ID - b.ID) })
	return found, nil
}

// Running implements [Reader].
func (m *Memory) Running(_ context.Context, f func(id, wake int64) error) error {
	m.mu.RLock()
	type open struct{ id, wake int64 }
	var found []open
	for id, e := range m.execs {
		if e.Status == Running {
			found = append(found, open{id, e.Wake})
		}
	}
	m.mu.RUnlock()
	slices.SortFunc(found, func(a, b open) int { return int(a.id - b.id) })
	for _, o := range found {
		if err := f(o.id, o.wake); err != nil {
			return err
		}
	}
	return nil
}

// LastID implements [Reader].
func (m *Memory) LastID(context.Context) (int64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.lastID, nil
}

// Prune implements [Store].
func (m *Memory) Prune(_ context.Context, before time.Time, limit int) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	limitMS, pruned := before.UnixMilli(), map[string]bool{}
	n := 0
	for id, e := range m.execs {
		if n == limit {
			break
		}
		if e.Status == Running || e.Stopped >= limitMS {
			continue
		}
		delete(m.execs, id)
		delete(m.names, execName{e.Machine, e.Name})
		pruned[e.Machine] = true
		n++
	}
	for machine := range pruned {
		m.byMachine[machine] = slices.DeleteFunc(m.byMachine[machine], func(id int64) bool { return m.execs[id] == nil })
	}
	return n, nil
}

// Close implements [Store].
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}
