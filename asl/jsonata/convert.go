package jsonata

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"switchyard/asl/value"
)

// fromValue takes a JSON value in. Arrays and objects are read when they are
// looked into.
func fromValue(v value.Value) item {
	switch v.Kind() {
	case value.Null:
		return nullItem
	case value.Bool:
		b, _ := v.Bool()
		return ofBool(b)
	case value.Number:
		return fromNumber(v)
	case value.String:
		s, _ := v.Str()
		return ofString(s)
	default:
		return new(lazyNode).item(v)
	}
}

// lazyNode is a node for an array or object with all that it will need.
type lazyNode struct {
	node
	fields
	origin
}

// item makes the node stand for v.
func (n *lazyNode) item(v value.Value) item {
	n.src = v
	n.node.fields, n.node.origin, n.lazy = &n.fields, &n.origin, true
	x := item{kind: object, node: &n.node}
	if v.Kind() == value.Array {
		x.kind = array
	}
	return x
}

// exactly is the size from which doubles do not hold every integer.
const exactly = 1 << 53

// fromNumber takes a number in. An integer of 64 bits that a double does not
// hold is given out as it came, as by Step Functions.
func fromNumber(v value.Value) item {
	f, _ := v.Float()
	x := ofNumber(f)
	if math.Abs(f) >= exactly {
		if _, ok := v.Int(); ok {
			x.str = v.JSON()
		}
	}
	return x
}

// expand reads the elements of a lazy node.
func (n *node) expand() {
	v := n.src
	n.lazy, n.origin = false, nil
	n.elems = make([]item, v.Len())
	nested := 0
	for i := range n.elems {
		if k := v.Elem(i).Kind(); k == value.Array || k == value.Object {
			nested++
		}
	}
	nodes := make([]lazyNode, nested)
	for i := range n.elems {
		switch x := v.Elem(i); x.Kind() {
		case value.Array, value.Object:
			n.elems[i] = nodes[0].item(x)
			nodes = nodes[1:]
		default:
			n.elems[i] = fromValue(x)
		}
	}
	if v.Kind() != value.Object {
		return
	}
	n.keys = slices.Clip(v.Keys())
	n.order()
	if len(n.keys) > maxLinear {
		n.reindex()
	}
}

// toValue gives a result out: numbers as JavaScript writes them, those that
// JSON does not have as strings, as Step Functions gives them, functions as "".
func toValue(x item) value.Value {
	switch x.kind {
	case boolean:
		return value.OfBool(x.num != 0)
	case number:
		if x.str != "" {
			if n, err := strconv.ParseInt(x.str, 10, 64); err == nil {
				return value.OfInt(n)
			}
		}
		if math.IsInf(x.num, 0) || math.IsNaN(x.num) {
			return value.OfString(formatNumber(x.num))
		}
		return value.OfScriptNumber(x.num)
	case text:
		return value.OfString(x.str)
	case function:
		return value.OfString("")
	case array:
		if x.node.lazy && plain(x.node.src) {
			return x.node.src
		}
		out := make([]value.Value, x.len())
		for i := range out {
			out[i] = toValue(x.at(i))
		}
		return value.OfArray(out)
	case object:
		if x.node.lazy && plain(x.node.src) {
			return x.node.src
		}
		keys, elems := x.members()
		b := value.NewBuilder(len(keys))
		for i, k := range keys {
			if elems[i].kind != undefined {
				b.Set(k, toValue(elems[i]))
			}
		}
		return b.Object()
	default:
	}
	return value.Value{}
}

// plain reports whether a value from outside can be given out as it came: its
// numbers are written as JavaScript writes them, and its keys are in order.
func plain(v value.Value) bool {
	switch v.Kind() {
	case value.Number:
		// Integers of 64 bits stay, and of decimals Java and JavaScript write
		// those without an exponent alike, but for whole ones.
		lit := v.JSON()
		if v.IsInteger() {
			return len(lit) < 19
		}
		return !strings.HasSuffix(lit, ".0") && !strings.ContainsAny(lit, "eE")
	case value.Array, value.Object:
		for i := range v.Len() {
			if v.Kind() == value.Object {
				if _, ok := arrayIndex(v.Key(i)); ok {
					return false
				}
			}
			if !plain(v.Elem(i)) {
				return false
			}
		}
	default:
	}
	return true
}

// arrayIndex reads a key that JavaScript takes for an array index.
func arrayIndex(key string) (uint32, bool) {
	if key == "" || len(key) > 10 || key[0] < '0' || key[0] > '9' || key[0] == '0' && len(key) > 1 {
		return 0, false
	}
	n, err := strconv.ParseUint(key, 10, 32)
	return uint32(n), err == nil && n < math.MaxUint32
}

func indexed(keys []string) bool {
	for _, k := range keys {
		if _, ok := arrayIndex(k); ok {
			return true
		}
	}
	return false
}

// indexOrder gives the fields in JavaScript's order.
func indexOrder(keys []string, elems []item) ([]string, []item) {
	places := make([]int, len(keys))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, func(a, b int) int {
		x, xok := arrayIndex(keys[a])
		y, yok := arrayIndex(keys[b])
		switch {
		case xok && yok:
			return int(int64(x) - int64(y))
		case xok:
			return -1
		case yok:
			return 1
		}
		return 0
	})
	k, e := make([]string, len(keys)), make([]item, len(keys))
	for to, from := range places {
		k[to], e[to] = keys[from], elems[from]
	}
	return k, e
}
