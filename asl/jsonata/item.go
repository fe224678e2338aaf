package jsonata

import "switchyard/asl/value"

// kind is the type of an item. Undefined is what JSONata calls nothing.
type kind uint8

const (
	undefined kind = iota
	null
	boolean
	number
	text
	array
	object
	function
	tuple // a step's item together with the variables bound on the way to it
)

// flags are the marks that JSONata puts on arrays, and that decide what
// becomes of them in a path.
type flags uint8

const (
	sequence flags = 1 << iota // the result of a step: one item stands for itself
	keep                       // a sequence that stays an array with one item
	cons                       // made by [] in a path: not flattened
	outer                      // the wrapper around an input that is an array
	tuples                     // a sequence of tuples
)

// item is what expressions compute with: a JSON value, nothing, or a function.
// The zero item is nothing.
type item struct {
	kind  kind
	flags flags
	num   float64 // a number; a boolean as 0 or 1
	str   string  // a text; the digits of an integer that num does not hold
	node  *node   // of arrays, objects, functions and tuples
}

// node is the shared body of an item. It belongs to one evaluation.
type node struct {
	elems   []item
	*fields // of objects and tuples
	*origin // while lazy or ranged
	fn      *fn
	lazy    bool // elems and keys are still to be read from src
	ranged  bool // elems are still to be counted
	open    bool // nobody has appended behind elems yet
}

// fields are the keys of an object or a tuple, parallel to the elems.
type fields struct {
	keys  []string
	index map[string]int
}

// origin is what a node stands for that has no elems yet: a JSON value, or so
// many consecutive integers.
type origin struct {
	src  value.Value
	from float64
	size int
}

// maxLinear is the size up to which an object is searched key by key.
const maxLinear = 12

var (
	nothing   item
	nullItem  = item{kind: null}
	trueItem  = item{kind: boolean, num: 1}
	falseItem = item{kind: boolean}
)

func ofBool(b bool) item {
	if b {
		return trueItem
	}
	return falseItem
}

func ofNumber(f float64) item  { return item{kind: number, num: f} }
func ofString(s string) item   { return item{kind: text, str: s} }
func ofFunction(f *fn) item    { return item{kind: function, node: &node{fn: f}} }
func ofArray(e []item) item    { return item{kind: array, node: &node{elems: e}} }
func ofSequence(e []item) item { return item{kind: array, flags: sequence, node: &node{elems: e}} }

// ofOne is ofSequence of a single item.
func ofOne(x item) item {
	n := &struct {
		node
		one [1]item
	}{one: [1]item{x}}
	n.elems = n.one[:]
	return item{kind: array, flags: sequence, node: &n.node}
}

func (x item) isArray() bool    { return x.kind == array }
func (x item) has(f flags) bool { return x.kind == array && x.flags&f != 0 }

// len is the number of an array's elements.
func (x item) len() int {
	switch {
	case x.kind != array:
		return 0
	case x.node.ranged:
		return x.node.size
	case x.node.lazy:
		return x.node.src.Len()
	}
	return len(x.node.elems)
}

// at is element i of an array.
func (x item) at(i int) item {
	switch {
	case x.node.ranged:
		return ofNumber(x.node.from + float64(i))
	case x.node.lazy:
		x.node.expand()
	}
	return x.node.elems[i]
}

// elems are the elements of an array, none of anything else. The caller must
// not write to them.
func (x item) elems() []item {
	if x.kind != array {
		return nil
	}
	n := x.node
	switch {
	case n.lazy:
		n.expand()
	case n.ranged:
		n.elems = make([]item, n.size)
		for i := range n.elems {
			n.elems[i] = ofNumber(n.from + float64(i))
		}
		n.ranged, n.origin = false, nil
	}
	return n.elems
}

// get looks a field of an object up.
func (x item) get(key string) (item, bool) {
	if x.kind != object && x.kind != tuple {
		return nothing, false
	}
	n := x.node
	if n.lazy {
		v, ok := n.src.Get(key)
		if !ok {
			return nothing, false
		}
		if k := v.Kind(); k != value.Array && k != value.Object {
			return fromValue(v), true
		}
		n.expand() // so that the field is the same node every time
	}
	if i := n.find(key); i >= 0 {
		return n.elems[i], true
	}
	return nothing, false
}

// members are the keys and values of an object. The caller must not write to
// them.
func (x item) members() ([]string, []item) {
	if x.node.lazy {
		x.node.expand()
	}
	return x.node.keys, x.node.elems
}

func (n *node) find(key string) int {
	if n.index != nil {
		if i, ok := n.index[key]; ok {
			return i
		}
		return -1
	}
	for i, k := range n.keys {
		if k == key {
			return i
		}
	}
	return -1
}

// set puts a field into an object that is being made or changed.
func (n *node) set(key string, x item) {
	if i := n.find(key); i >= 0 {
		n.elems[i] = x
		return
	}
	n.keys = append(n.keys, key)
	n.elems = append(n.elems, x)
	switch {
	case n.index != nil:
		n.index[key] = len(n.keys) - 1
	case len(n.keys) > maxLinear:
		n.reindex()
	}
}

func (n *node) reindex() {
	n.index = make(map[string]int, 2*len(n.keys))
	for i, k := range n.keys {
		n.index[k] = i
	}
}

// remove takes a field out.
func (n *node) remove(key string) {
	i := n.find(key)
	if i < 0 {
		return
	}
	n.keys = append(append([]string(nil), n.keys[:i]...), n.keys[i+1:]...)
	n.elems = append(append([]item(nil), n.elems[:i]...), n.elems[i+1:]...)
	if n.index != nil {
		n.reindex()
	}
}

// newObject is an object without fields, with room for size.
func newObject(size int) *node {
	return &node{fields: &fields{keys: make([]string, 0, size)}, elems: make([]item, 0, size)}
}

// object ends the making of an object: keys that are array indexes come first
// and in their order, as in JavaScript.
func (n *node) object() item {
	n.order()
	return item{kind: object, node: n}
}

func (n *node) order() {
	if !indexed(n.keys) {
		return
	}
	keys, elems := indexOrder(n.keys, n.elems)
	n.keys, n.elems = keys, elems
	if n.index != nil {
		n.reindex()
	}
}

// same reports JavaScript's ===.
func same(a, b item) bool {
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case boolean, number:
		return a.num == b.num
	case text:
		return a.str == b.str
	case array, object, tuple:
		return a.node == b.node
	case function:
		return a.node.fn == b.node.fn
	default:
	}
	return true
}

// equal reports whether two items are the same JSON, in JSONata's sense.
func (ev *evaluator) equal(a, b item) (bool, error) {
	if same(a, b) {
		return true, nil
	}
	if a.kind != b.kind || a.kind != array && a.kind != object {
		return false, nil
	}
	if ev.depth++; ev.depth > ev.limits.Depth {
		return false, ev.deeper()
	}
	defer func() { ev.depth-- }()
	if a.kind == array {
		if a.len() != b.len() {
			return false, nil
		}
		for i := range a.len() {
			if ok, err := ev.equal(a.at(i), b.at(i)); !ok || err != nil {
				return false, err
			}
		}
		return true, ev.step(a.len())
	}
	keys, elems := a.members()
	if other, _ := b.members(); len(other) != len(keys) {
		return false, nil
	}
	for i, k := range keys {
		x, found := b.get(k)
		if !found {
			return false, nil
		}
		if ok, err := ev.equal(elems[i], x); !ok || err != nil {
			return false, err
		}
	}
	return true, ev.step(len(keys))
}
