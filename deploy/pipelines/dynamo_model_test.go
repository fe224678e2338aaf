//go:build unix && !race

package pipelines_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// attribute is a value as DynamoDB's API writes it: {"S": "x"}, {"N": "1"},
// {"L": […]}, {"M": {…}}.
type attribute = map[string]any

// updateInput is the input of dynamodb:updateItem, as far as the semaphore uses it.
type updateInput struct {
	UpdateExpression, ConditionExpression string
	ExpressionAttributeNames              map[string]string
	ExpressionAttributeValues             map[string]attribute
}

// apply gives the item after the update, and whether the condition held. It knows
// what DynamoDB's expressions mean that the semaphore writes, and panics at others.
func (u *updateInput) apply(item attribute) (attribute, bool) {
	e := &expression{u: u, item: item}
	e.lex(u.ConditionExpression)
	if held := e.any(); !held {
		return item, false
	}
	e.end()
	after := item
	var removed []path
	e.lex(u.UpdateExpression)
	for !e.done() {
		switch section := e.next(); section {
		case "SET":
			for {
				p := e.path()
				e.expect("=")
				after = p.set(after, e.sum()) // what it is set to follows from the item before
				if !e.take(",") {
					break
				}
			}
		case "REMOVE":
			for {
				removed = append(removed, e.path())
				if !e.take(",") {
					break
				}
			}
		default:
			panic("an update expression with " + section)
		}
	}
	for _, p := range removed {
		after = p.remove(after)
	}
	return after, true
}

// expression reads one expression and evaluates it as it goes.
type expression struct {
	u     *updateInput
	item  attribute
	words []string
}

func (e *expression) lex(text string) {
	for _, sign := range []string{"(", ")", ",", "[", "]", ".", "+"} {
		text = strings.ReplaceAll(text, sign, " "+sign+" ")
	}
	e.words = strings.Fields(text)
}

func (e *expression) done() bool { return len(e.words) == 0 }

func (e *expression) next() string {
	if e.done() {
		panic("the expression ends too early")
	}
	word := e.words[0]
	e.words = e.words[1:]
	return word
}

func (e *expression) take(word string) bool {
	if e.done() || e.words[0] != word {
		return false
	}
	e.words = e.words[1:]
	return true
}

func (e *expression) expect(word string) {
	if !e.take(word) {
		panic(fmt.Sprintf("%q where %s is expected", e.words, word))
	}
}

func (e *expression) end() {
	if !e.done() {
		panic(fmt.Sprintf("%q is left", e.words))
	}
}

// any is one or several conditions with OR between them, all those with AND.
func (e *expression) any() bool {
	held := e.all()
	for e.take("OR") {
		held = e.all() || held
	}
	return held
}

func (e *expression) all() bool {
	held := e.condition()
	for e.take("AND") {
		held = e.condition() && held
	}
	return held
}

func (e *expression) condition() bool {
	switch {
	case e.take("NOT"):
		return !e.condition()
	case e.take("("):
		held := e.any()
		e.expect(")")
		return held
	case e.take("attribute_not_exists"):
		e.expect("(")
		v := e.path().get(e.item)
		e.expect(")")
		return v == nil
	case e.take("contains"):
		e.expect("(")
		list := e.operand()
		e.expect(",")
		one := e.operand()
		e.expect(")")
		all, _ := list["L"].([]any)
		return slices.ContainsFunc(all, func(v any) bool { return same(v.(attribute), one) })
	}
	left := e.operand()
	sign := e.next()
	right := e.operand()
	if left == nil || right == nil {
		return false // a comparison with what is not there
	}
	switch sign {
	case "=":
		return same(left, right)
	case "<>":
		return !same(left, right)
	case "<":
		return number(left) < number(right)
	}
	panic("a condition with " + sign)
}

func (e *expression) sum() attribute {
	total := e.operand()
	for e.take("+") {
		total = attribute{"N": strconv.Itoa(number(total) + number(e.operand()))}
	}
	return total
}

// operand is nil for what is not there.
func (e *expression) operand() attribute {
	word := e.words[0]
	switch {
	case strings.HasPrefix(word, ":"):
		e.next()
		v, ok := e.u.ExpressionAttributeValues[word]
		if !ok {
			panic("no value " + word)
		}
		return v
	case e.take("size"):
		e.expect("(")
		v := e.path().get(e.item)
		e.expect(")")
		return attribute{"N": strconv.Itoa(len(v["M"].(attribute)))}
	case e.take("if_not_exists"):
		e.expect("(")
		v := e.path().get(e.item)
		e.expect(",")
		other := e.operand()
		e.expect(")")
		if v == nil {
			return other
		}
		return v
	case e.take("list_append"):
		e.expect("(")
		first := e.operand()
		e.expect(",")
		second := e.operand()
		e.expect(")")
		return attribute{"L": slices.Concat(first["L"].([]any), second["L"].([]any))}
	}
	return e.path().get(e.item)
}

// path is a name of the item, then perhaps one of a map there, or a place in a
// list.
type path struct {
	name, key string
	index     int // -1 for none
}

func (e *expression) path() path {
	name := func() string {
		word := e.next()
		n, ok := e.u.ExpressionAttributeNames[word]
		if !ok {
			panic("no name " + word)
		}
		return n
	}
	p := path{name: name(), index: -1}
	switch {
	case e.take("."):
		p.key = name()
	case e.take("["):
		var err error
		if p.index, err = strconv.Atoi(e.next()); err != nil {
			panic(err)
		}
		e.expect("]")
	}
	return p
}

func (p path) get(item attribute) attribute {
	v, _ := item[p.name].(attribute)
	switch {
	case v == nil:
		return nil
	case p.key != "":
		v, _ = v["M"].(attribute)[p.key].(attribute)
	case p.index >= 0:
		list := v["L"].([]any)
		if p.index >= len(list) {
			return nil
		}
		v = list[p.index].(attribute)
	}
	return v
}

func (p path) set(item, v attribute) attribute {
	item = maps.Clone(item)
	if item == nil {
		item = attribute{}
	}
	if p.key == "" {
		item[p.name] = v
		return item
	}
	inner := maps.Clone(item[p.name].(attribute)["M"].(attribute))
	inner[p.key] = v
	item[p.name] = attribute{"M": inner}
	return item
}

func (p path) remove(item attribute) attribute {
	item = maps.Clone(item)
	if p.key != "" {
		inner := maps.Clone(item[p.name].(attribute)["M"].(attribute))
		delete(inner, p.key)
		item[p.name] = attribute{"M": inner}
		return item
	}
	item[p.name] = attribute{"L": slices.Delete(slices.Clone(item[p.name].(attribute)["L"].([]any)), p.index, p.index+1)}
	return item
}

func same(a, b attribute) bool { return text(a) == text(b) }

func number(v attribute) int {
	n, err := strconv.Atoi(v["N"].(string))
	if err != nil {
		panic(err)
	}
	return n
}

// text is a value as JSON, with its keys in order.
func text(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}
