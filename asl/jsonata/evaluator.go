package jsonata

import (
	"math/rand/v2"
	"sync"
	"time"

	"switchyard/asl/value"
)

// evaluator is one evaluation.
type evaluator struct {
	limits Limits
	steps  int
	memory int
	depth  int
	// started is when the evaluation began, zero until somebody asks.
	started  time.Time
	randomly func(n uint64) uint64
	bindings Bindings
	// args are the arguments of the calls that are under way.
	args []item
	// root is the outermost frame; rootVars is room for its variables.
	root     frame
	rootVars [4]binding
	// nodes are room for the first values from outside.
	nodes  [3]lazyNode
	filled int
}

// evaluators are used again, by one evaluation at a time.
var evaluators = sync.Pool{New: func() any { return new(evaluator) }}

// maxKept is the room for arguments that an evaluator keeps.
const maxKept = 64

func newEvaluator(sc *Scope) *evaluator {
	ev := evaluators.Get().(*evaluator)
	ev.limits, ev.started, ev.randomly, ev.bindings = sc.Limits.orDefaults(), sc.Now, sc.Random, sc.Bindings
	ev.root.outermost = ev
	ev.root.vars = ev.rootVars[:0]
	return ev
}

// release gives the evaluator back. Nobody may hold an item of its evaluation.
func (ev *evaluator) release() {
	if ev.args = ev.args[:cap(ev.args)]; len(ev.args) > maxKept {
		ev.args = nil
	}
	clear(ev.args)
	ev.args = ev.args[:0]
	clear(ev.rootVars[:min(len(ev.root.vars), len(ev.rootVars))])
	clear(ev.nodes[:ev.filled])
	ev.root = frame{}
	ev.steps, ev.memory, ev.depth, ev.filled = 0, 0, 0, 0
	ev.randomly, ev.bindings = nil, nil
	evaluators.Put(ev)
}

// outside is fromValue for a value that the evaluation begins with.
func (ev *evaluator) outside(v value.Value) item {
	k := v.Kind()
	if k != value.Array && k != value.Object || ev.filled == len(ev.nodes) {
		return fromValue(v)
	}
	n := &ev.nodes[ev.filled]
	ev.filled++
	return n.item(v)
}

// now is the time of the evaluation, the same each time.
func (ev *evaluator) now() time.Time {
	if ev.started.IsZero() {
		ev.started = time.Now()
	}
	return ev.started
}

// random gives a number from 0 up to, not including, n.
func (ev *evaluator) random(n uint64) uint64 {
	if ev.randomly == nil {
		return rand.Uint64N(n)
	}
	return ev.randomly(n)
}

// chance is a number from 0 up to, not including, 1.
func (ev *evaluator) chance() float64 { return float64(ev.random(1<<53)) / (1 << 53) }
