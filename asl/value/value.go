// Package value holds the JSON values that flow through state machines.
//
// A [Value] is immutable: states, history events and concurrent branches share
// it without copying. Changes go through copy-on-write ([Value.With],
// [Value.WithElem]), which shares everything that did not change. Arrays and
// objects remember their JSON text, so passing a value on costs nothing and
// writing it down a second time costs a copy of bytes.
//
// Values behave as Step Functions' do, whose JSON is Java's Jackson: objects
// keep the order of their keys, of duplicate keys the last value wins in the
// place of the first, integers of any size are exact and stay apart from
// decimals (1 is not 1.0), and decimals are IEEE doubles, written as Java
// writes them.
package value

import (
	"iter"
	"slices"
	"strings"
	"sync/atomic"
)

// Kind is the type of a JSON value.
type Kind uint8

// The kinds. The zero Value is Null.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

// String gives the name that JSON uses for the kind: null, boolean, number,
// string, array, object.
func (k Kind) String() string {
	switch k {
	case Null:
		return "null"
	case Bool:
		return "boolean"
	case Number:
		return "number"
	case String:
		return "string"
	case Array:
		return "array"
	case Object:
		return "object"
	default:
		return "invalid"
	}
}

// Value is one JSON value. The zero Value is null. Values are safe for
// concurrent use and must not be compared with ==; see [Equal].
type Value struct {
	kind    Kind
	truth   bool
	decimal bool   // a Number with a fraction or an exponent
	str     string // a String's text, a Number's literal
	node    *node  // an Array or an Object, never nil for these
}

// node is the shared body of an array or object. Everything but text is fixed
// once the node is reachable from a Value.
type node struct {
	keys  []string // an object's keys, parallel to elems
	elems []Value
	index map[string]int // for objects of more than maxLinear keys
	src   string         // JSON text known from parsing, "" when not known
	text  atomic.Pointer[string]
}

// maxLinear is the size up to which an object is searched key by key.
const maxLinear = 12

// Field is one member of an object.
type Field struct {
	Key   string
	Value Value
}

// Kind tells which type v has.
func (v Value) Kind() Kind { return v.kind }

// IsNull reports whether v is null.
func (v Value) IsNull() bool { return v.kind == Null }

// OfBool returns the boolean b.
func OfBool(b bool) Value { return Value{kind: Bool, truth: b} }

// OfString returns the string s, which should be valid UTF-8; what is not is
// written as U+FFFD.
func OfString(s string) Value { return Value{kind: String, str: s} }

// OfArray returns an array of elems, which it keeps: the caller must not write
// to the slice again.
func OfArray(elems []Value) Value {
	return Value{kind: Array, node: &node{elems: elems}}
}

// OfObject returns an object of fields in their order. Of equal keys the last
// value wins in the place of the first.
func OfObject(fields ...Field) Value {
	b := NewBuilder(len(fields))
	for _, f := range fields {
		b.Set(f.Key, f.Value)
	}
	return b.Object()
}

// EmptyObject is {}.
var EmptyObject = Value{kind: Object, node: &node{src: "{}"}}

// EmptyArray is [].
var EmptyArray = Value{kind: Array, node: &node{src: "[]"}}

// Bool returns the boolean, and whether v is one.
func (v Value) Bool() (b, ok bool) { return v.truth, v.kind == Bool }

// Str returns the string's text, and whether v is a string.
func (v Value) Str() (s string, ok bool) {
	if v.kind != String {
		return "", false
	}
	return v.str, true
}

// Len is the number of elements or fields; 0 for what is neither an array nor
// an object.
func (v Value) Len() int {
	if v.node == nil {
		return 0
	}
	return len(v.node.elems)
}

// Elem returns element i of an array, or the value of field i of an object.
// It panics when i is out of range.
func (v Value) Elem(i int) Value { return v.node.elems[i] }

// Key returns the key of field i of an object. It panics when i is out of
// range or v is not an object.
func (v Value) Key(i int) string { return v.node.keys[i] }

// Keys returns an object's keys in order, nil for anything else. The caller must
// not write to the slice.
func (v Value) Keys() []string {
	if v.kind != Object {
		return nil
	}
	return v.node.keys
}

// Get returns the value of an object's field, and whether v is an object that
// has it.
func (v Value) Get(key string) (Value, bool) {
	if v.kind != Object {
		return Value{}, false
	}
	i := v.node.find(key)
	if i < 0 {
		return Value{}, false
	}
	return v.node.elems[i], true
}

// Find returns the index of an object's field, -1 when v is not an object or
// lacks it.
func (v Value) Find(key string) int {
	if v.kind != Object {
		return -1
	}
	return v.node.find(key)
}

// Fields iterates over an object's members in order; over nothing when v is
// not an object.
func (v Value) Fields() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		if v.kind != Object {
			return
		}
		for i, k := range v.node.keys {
			if !yield(k, v.node.elems[i]) {
				return
			}
		}
	}
}

// Elems iterates over an array's elements; over nothing when v is not an
// array.
func (v Value) Elems() iter.Seq2[int, Value] {
	return func(yield func(int, Value) bool) {
		if v.kind != Array {
			return
		}
		for i, e := range v.node.elems {
			if !yield(i, e) {
				return
			}
		}
	}
}

// Slice returns the elements of an array, nil for anything else. The caller
// must not write to it.
func (v Value) Slice() []Value {
	if v.kind != Array {
		return nil
	}
	return v.node.elems
}

func (n *node) find(key string) int { return find(n.keys, n.index, key) }

// find looks a key up, by the index when there is one; -1 when it is not
// there.
func find(keys []string, index map[string]int, key string) int {
	if index != nil {
		if i, ok := index[key]; ok {
			return i
		}
		return -1
	}
	for i, k := range keys {
		if k == key {
			return i
		}
	}
	return -1
}

// indexOf makes the index of a large object's keys, nil for a small one.
func indexOf(keys []string) map[string]int {
	if len(keys) < maxLinear {
		return nil
	}
	index := make(map[string]int, 2*len(keys))
	for i, k := range keys {
		index[k] = i
	}
	return index
}

// With returns v with the field key set to val, at its old place or at the
// end. A v that is not an object counts as {}. v itself does not change.
func (v Value) With(key string, val Value) Value {
	if v.kind != Object {
		return OfObject(Field{key, val})
	}
	n := v.node
	elems := make([]Value, len(n.elems), len(n.elems)+1)
	copy(elems, n.elems)
	if i := n.find(key); i >= 0 {
		elems[i] = val
		return Value{kind: Object, node: &node{keys: n.keys, elems: elems, index: n.index}}
	}
	keys := make([]string, len(n.keys), len(n.keys)+1)
	copy(keys, n.keys)
	out := &node{keys: append(keys, key), elems: append(elems, val)}
	out.index = indexOf(out.keys)
	return Value{kind: Object, node: out}
}

// WithElem returns the array v with element i replaced. It panics when i is
// out of range.
func (v Value) WithElem(i int, val Value) Value {
	elems := make([]Value, len(v.node.elems))
	copy(elems, v.node.elems)
	elems[i] = val
	return OfArray(elems)
}

// Builder makes an object field by field. It is not safe for concurrent use.
type Builder struct{ n *node }

// NewBuilder returns a builder with room for n fields.
func NewBuilder(n int) *Builder {
	return &Builder{n: &node{keys: make([]string, 0, n), elems: make([]Value, 0, n)}}
}

// Set adds a field, or replaces the value of the field with the same key.
func (b *Builder) Set(key string, v Value) {
	if b.n.index == nil {
		b.n.index = indexOf(b.n.keys)
	}
	if i := b.n.find(key); i >= 0 {
		b.n.elems[i] = v
		return
	}
	b.add(key, v)
}

// add appends a field whose key is known to be new.
func (b *Builder) add(key string, v Value) {
	if b.n.index != nil {
		b.n.index[key] = len(b.n.keys)
	}
	b.n.keys = append(b.n.keys, key)
	b.n.elems = append(b.n.elems, v)
}

// Object ends the building and returns the object. The builder must not be
// used again.
func (b *Builder) Object() Value {
	n := b.n
	b.n = nil
	if n.index == nil {
		n.index = indexOf(n.keys)
	}
	return Value{kind: Object, node: n}
}

// Shape is the keys of objects that are made many times over. Safe for
// concurrent use.
type Shape struct {
	keys  []string
	index map[string]int
}

// NewShape returns the shape with these keys; nil when one is repeated.
func NewShape(keys []string) *Shape {
	index := indexOf(keys)
	if index != nil {
		if len(index) < len(keys) {
			return nil
		}
		return &Shape{keys: keys, index: index}
	}
	for i, k := range keys {
		if slices.Contains(keys[:i], k) {
			return nil
		}
	}
	return &Shape{keys: keys}
}

// Object returns an object of the shape with elems as its values, in order,
// which it keeps: the caller must not write to the slice again.
func (s *Shape) Object(elems []Value) Value {
	return Value{kind: Object, node: &node{keys: s.keys, elems: elems, index: s.index}}
}

// Equal reports whether a and b are the same JSON: objects regardless of the
// order of their keys, numbers with an integer different from a decimal, as
// Java's equals has it.
func Equal(a, b Value) bool {
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case Null:
		return true
	case Bool:
		return a.truth == b.truth
	case Number:
		return a.decimal == b.decimal && a.str == b.str
	case String:
		return a.str == b.str
	default:
		return a.node == b.node || equalNodes(a, b)
	}
}

func equalNodes(a, b Value) bool {
	if len(a.node.elems) != len(b.node.elems) {
		return false
	}
	if a.kind == Array {
		for i, e := range a.node.elems {
			if !Equal(e, b.node.elems[i]) {
				return false
			}
		}
		return true
	}
	for i, k := range a.node.keys {
		j := b.node.find(k)
		if j < 0 || !Equal(a.node.elems[i], b.node.elems[j]) {
			return false
		}
	}
	return true
}

// CompareStrings orders two strings as Step Functions does, by their UTF-16 code
// units; the result is negative, 0 or positive.
func CompareStrings(a, b string) int {
	// UTF-8 and UTF-16 order the same but for surrogates, which sort below
	// U+E000–U+FFFF in UTF-16.
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	if i == len(a) || i == len(b) {
		return len(a) - len(b)
	}
	ca, cb := a[i], b[i]
	if ca >= 0xEE && cb >= 0xEE && (ca >= 0xF0) != (cb >= 0xF0) {
		if ca >= 0xF0 {
			return -1
		}
		return 1
	}
	return strings.Compare(a[i:i+1], b[i:i+1])
}
