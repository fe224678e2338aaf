package asl

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"switchyard/asl/jsonpath"
	"switchyard/asl/value"
)

// Choose gives the first rule that matches, nil when none does.
func (c *Choice) Choose(sc *Scope) (*Rule, error) {
	for i := range c.Rules {
		ok, err := c.Rules[i].Match(sc)
		if err != nil {
			return nil, err
		}
		if ok {
			return &c.Rules[i], nil
		}
	}
	return nil, nil
}

type (
	andRule []Condition
	orRule  []Condition
	notRule struct{ of Condition }
)

func (r andRule) Match(sc *Scope) (bool, error) {
	for _, c := range r {
		if ok, err := c.Match(sc); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (r orRule) Match(sc *Scope) (bool, error) {
	for _, c := range r {
		if ok, err := c.Match(sc); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func (r notRule) Match(sc *Scope) (bool, error) {
	ok, err := r.of.Match(sc)
	return !ok && err == nil, err
}

// class is what a comparison compares.
type class uint8

const (
	classString class = iota
	classNumeric
	classBoolean
	classTimestamp
	classMatches
	classIs
)

// relation is how it compares.
type relation uint8

const (
	equals relation = iota
	less
	greater
	lessOrEqual
	greaterOrEqual
)

func (r relation) holds(c int) bool {
	switch r {
	case equals:
		return c == 0
	case less:
		return c < 0
	case greater:
		return c > 0
	case lessOrEqual:
		return c <= 0
	default:
		return c >= 0
	}
}

// comparison is a data test: a Variable and one operator.
type comparison struct {
	variable *jsonpath.Path
	class    class
	relation relation
	is       string         // the operator, for classIs
	with     value.Value    // the operator's value
	time     time.Time      // with, for classTimestamp
	path     *jsonpath.Path // instead of with
	pattern  pattern        // for classMatches
}

// operators are the operators of data tests, without their Path forms.
var operators = func() map[string]comparison {
	m := map[string]comparison{"StringMatches": {class: classMatches}}
	for name, c := range map[string]class{"String": classString, "Numeric": classNumeric, "Timestamp": classTimestamp} {
		m[name+"Equals"] = comparison{class: c, relation: equals}
		m[name+"LessThan"] = comparison{class: c, relation: less}
		m[name+"GreaterThan"] = comparison{class: c, relation: greater}
		m[name+"LessThanEquals"] = comparison{class: c, relation: lessOrEqual}
		m[name+"GreaterThanEquals"] = comparison{class: c, relation: greaterOrEqual}
	}
	m["BooleanEquals"] = comparison{class: classBoolean}
	for _, is := range []string{"IsNull", "IsPresent", "IsNumeric", "IsString", "IsBoolean", "IsTimestamp"} {
		m[is] = comparison{class: classIs, is: is}
	}
	return m
}()

// hasPathForm tells for which operators NamePath exists.
func hasPathForm(c class) bool { return c != classIs && c != classMatches }

// operatorFields are all fields that can hold an operator.
var operatorFields = func() []string {
	var names []string
	for name, c := range operators {
		names = append(names, name)
		if hasPathForm(c.class) {
			names = append(names, name+"Path")
		}
	}
	slices.Sort(names)
	return names
}()

func (c *comparison) Match(sc *Scope) (bool, error) {
	v, err := c.variable.Eval(&sc.Scope)
	if c.is == "IsPresent" {
		want, _ := c.with.Bool()
		return (err == nil) == want, nil
	}
	if err != nil {
		return false, invalidReference(c.variable)
	}
	if c.class == classIs {
		want, _ := c.with.Bool()
		return isA(c.is, v) == want, nil
	}
	with := c.with
	if c.path != nil {
		if with, err = c.path.Eval(&sc.Scope); err != nil {
			return false, invalidReference(c.path)
		}
	}
	switch c.class {
	case classNumeric:
		n, ok := value.CompareNumbers(v, with)
		return ok && c.relation.holds(n), nil
	case classBoolean:
		a, ok1 := v.Bool()
		b, ok2 := with.Bool()
		return ok1 && ok2 && a == b, nil
	default:
		a, ok1 := v.Str()
		b, ok2 := with.Str()
		return ok1 && ok2 && c.compareText(a, b), nil
	}
}

// compareText is for the classes whose values are strings.
func (c *comparison) compareText(a, b string) bool {
	switch c.class {
	case classString:
		return c.relation.holds(value.CompareStrings(a, b))
	case classMatches:
		return c.pattern.match(a)
	default:
		at := c.time
		t, ok := ParseTimestamp(a)
		if c.path != nil && ok {
			at, ok = ParseTimestamp(b)
		}
		return ok && c.relation.holds(t.Compare(at))
	}
}

func invalidReference(p *jsonpath.Path) error {
	return runtimeError("Invalid path '%s': The choice state's condition path references an invalid value.", p)
}

func isA(operator string, v value.Value) bool {
	switch operator {
	case "IsNull":
		return v.IsNull()
	case "IsNumeric":
		return v.Kind() == value.Number
	case "IsString":
		return v.Kind() == value.String
	case "IsBoolean":
		return v.Kind() == value.Bool
	default:
		s, _ := v.Str()
		_, ok := ParseTimestamp(s)
		return ok
	}
}

// pattern is a StringMatches pattern: its literal parts between the *s.
type pattern []string

// parsePattern splits at * unless a backslash protects it.
func parsePattern(s string) pattern {
	var parts pattern
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && (s[i+1] == '*' || s[i+1] == '\\'):
			i++
			b.WriteByte(s[i])
		case c == '*':
			parts = append(parts, b.String())
			b.Reset()
		default:
			b.WriteByte(c)
		}
	}
	return append(parts, b.String())
}

func (p pattern) match(s string) bool {
	first, last := p[0], p[len(p)-1]
	if len(p) == 1 {
		return s == first
	}
	if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range p[1 : len(p)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}

func (d *decoder) choice(o *object, g *Graph, s *State) *Choice {
	c := &Choice{}
	if o.has("Default") {
		d.link(o, "Default", g, s, func(to *State) { c.Default = to })
	}
	if !o.require("Choices") {
		return c
	}
	list := o.children("Choices")
	if v, _ := o.v.Get("Choices"); v.Kind() == value.Array && v.Len() == 0 {
		o.failAt("Choices", "At least one choice is required", "")
	}
	c.Rules = make([]Rule, len(list))
	for i, ro := range list {
		rule := &c.Rules[i]
		rule.Condition = d.condition(ro, 0)
		rule.Comment = ro.str("Comment")
		rule.Assign = ro.assignment()
		if ro.require("Next") {
			d.link(ro, "Next", g, s, func(to *State) { rule.Next = to })
		}
	}
	return c
}

// maxRuleDepth bounds the nesting of And, Or and Not.
const maxRuleDepth = 100

// condition reads a rule; only the outermost may have Next, Assign and
// Comment.
func (d *decoder) condition(o *object, depth int) Condition {
	if depth > maxRuleDepth {
		o.add(SeverityError, CodeTooDeeplyNested, o.location(), o.offset, "", fmt.Sprintf("Rules are nested deeper than %d", maxRuleDepth))
		return nil
	}
	own := []string{"Comment"}
	if depth == 0 {
		own = []string{"Next", "Assign", "Comment"}
	}
	bools := slices.DeleteFunc([]string{"And", "Or", "Not"}, func(f string) bool { return !o.has(f) })
	if len(bools) > 1 {
		o.exclusive("And", "Or", "Not")
		return nil
	}
	if len(bools) == 0 {
		o.allow(own, []string{"Variable"}, operatorFields)
		return d.comparison(o)
	}
	o.allow(own, bools)
	if bools[0] == "Not" {
		c, ok := o.child("Not")
		if !ok {
			return nil
		}
		return notRule{of: d.condition(c, depth+1)}
	}
	var list []Condition
	for _, c := range o.children(bools[0]) {
		list = append(list, d.condition(c, depth+1))
	}
	if v, _ := o.v.Get(bools[0]); v.Kind() == value.Array && v.Len() == 0 {
		o.failAt(bools[0], "At least one rule is required", "")
	}
	if bools[0] == "And" {
		return andRule(list)
	}
	return orRule(list)
}

func (d *decoder) comparison(o *object) Condition {
	if !o.require("Variable") {
		return nil
	}
	var found []string
	for _, f := range operatorFields {
		if o.has(f) {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		o.fail("Exactly one comparison operator is required, found [%s]", strings.Join(found, ", "))
		return nil
	}
	field := found[0]
	c, ok := operators[field]
	if !ok {
		c = operators[strings.TrimSuffix(field, "Path")]
		c.path = o.reference(field)
	}
	c.variable = o.reference("Variable")
	if c.variable == nil || !ok {
		return &c
	}
	switch c.class {
	case classNumeric:
		c.with, _ = o.typed(field, value.Number, "Number")
	case classBoolean, classIs:
		c.with, _ = o.typed(field, value.Bool, "Boolean")
	case classTimestamp:
		c.time = o.timestamp(field)
		c.with, _ = o.v.Get(field)
	case classMatches:
		c.with, _ = o.typed(field, value.String, "String")
		s, _ := c.with.Str()
		c.pattern = parsePattern(s)
	default:
		c.with, _ = o.typed(field, value.String, "String")
	}
	return &c
}

// reference gives a path that names one place; unlike a ResultPath it may
// start at the context object or a variable.
func (o *object) reference(field string) *jsonpath.Path {
	v, ok := o.typed(field, value.String, "String")
	if !ok {
		return nil
	}
	s, _ := v.Str()
	p, err := jsonpath.Parse(s)
	if err == nil {
		err = p.CheckReference()
	}
	if err != nil {
		o.notReference(field, s, err)
		return nil
	}
	o.refer(p.VariableName())
	return p
}
