package asl

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"switchyard/asl/jsonpath"
	"switchyard/asl/value"
	"switchyard/internal/nearest"
)

// maxDiagnostics bounds what one definition can make us say, of errors and of
// warnings each.
const maxDiagnostics = 100

// maxGraphDepth bounds the nesting of Parallel and Map states.
const maxGraphDepth = 100

// decoder turns a definition into a Machine and collects what is wrong.
type decoder struct {
	src      *value.Source
	diags    []Diagnostic
	errors   int // among diags, but for tolerated ones
	warnings int // among diags, tolerated errors included
	machine  QueryLanguage
	state    string // the innermost state being read
	depth    int
	// stored is true for a definition that was accepted before.
	stored bool

	names  map[string]bool     // states of the whole machine
	labels map[string]bool     // Map runs of the whole machine
	refers map[string][]string // variables, by the state that names them
	// reads are the names that expressions in JSONata read, by their states:
	// variables and functions, also those that they bind themselves. assigns are
	// the variables that states assign.
	reads   map[string][]string
	assigns map[string]bool
	links   []link
	graphs  []graphSource
}

// link is a transition to resolve once all states are known.
type link struct {
	graph  *Graph
	target string
	set    func(*State)
	from   *State // nil for StartAt
	at     string // location of the field
	offset int
}

// graphSource is where a graph and its states stand.
type graphSource struct {
	graph   *Graph
	at      string
	offset  int
	offsets []int // of the states' names
}

// object is an object of the definition.
type object struct {
	*decoder
	v      value.Value
	at     string // location; "" for the machine itself
	offset int    // of the object or the key that it stands under
}

func (d *decoder) add(severity Severity, code, location string, offset int, detail, message string) {
	count := &d.errors
	if severity != SeverityError {
		count = &d.warnings
	}
	if *count == maxDiagnostics {
		return
	}
	*count++
	diag := Diagnostic{Severity: severity, Code: code, Message: message, Location: location, Detail: detail, State: d.state}
	if severity == tolerated {
		diag.Severity, diag.Tolerated = SeverityError, true
	}
	if offset >= 0 {
		diag.Line, diag.Column = d.src.Position(offset)
	}
	d.diags = append(d.diags, diag)
}

// location is where the object stands, "/" for the machine.
func (o *object) location() string {
	if o.at == "" {
		return "/"
	}
	return o.at
}

// index finds a field's place, -1 when absent.
func (o *object) index(field string) int { return o.v.Find(field) }

// valueOffset is where a field's value stands, or the object when absent.
func (o *object) valueOffset(field string) int {
	if i := o.index(field); i >= 0 {
		return o.src.ValueOffset(o.v, i)
	}
	return o.offset
}

// fail reports an error of the object itself.
func (o *object) fail(format string, args ...any) {
	o.add(SeverityError, CodeSchema, o.location(), o.offset, "", fmt.Sprintf(format, args...))
}

// failAt reports an error of a field's value.
func (o *object) failAt(field, message, detail string) {
	o.add(SeverityError, CodeSchema, o.at+"/"+field, o.valueOffset(field), detail, message)
}

// allow reports fields that are not among the lists.
func (o *object) allow(lists ...[]string) {
	for i := range o.v.Len() {
		key := o.v.Key(i)
		known := slices.ContainsFunc(lists, func(l []string) bool { return slices.Contains(l, key) })
		if known || o.errors == maxDiagnostics {
			continue
		}
		detail := ""
		if near := nearest.Name(key, slices.Concat(lists...)); near != "" {
			detail = "did you mean " + near + "?"
		}
		o.add(SeverityError, CodeSchema, o.location(), o.src.KeyOffset(o.v, i), detail, "Field '"+key+"' is not supported")
	}
}

// require reports those fields that are absent, all in one.
func (o *object) require(fields ...string) bool {
	missing := slices.DeleteFunc(slices.Clone(fields), o.has)
	if len(missing) > 0 {
		o.fail("These fields are required: [%s]", strings.Join(missing, ", "))
	}
	return len(missing) == 0
}

func (o *object) has(field string) bool { return o.index(field) >= 0 }

// exclusive reports two or more of fields set together.
func (o *object) exclusive(fields ...string) {
	set := slices.DeleteFunc(slices.Clone(fields), func(f string) bool { return !o.has(f) })
	if len(set) > 1 {
		o.fail("Only one of these fields is allowed: [%s]", strings.Join(set, ", "))
	}
}

// typed gives a field's value when it has the wanted kind.
func (o *object) typed(field string, kind value.Kind, name string) (value.Value, bool) {
	v, ok := o.v.Get(field)
	if !ok {
		return v, false
	}
	if v.Kind() != kind {
		o.failAt(field, "Expected value of type "+name, "it is of type "+v.Kind().String())
		return v, false
	}
	return v, true
}

func (o *object) str(field string) string {
	v, _ := o.typed(field, value.String, "String")
	s, _ := v.Str()
	return s
}

// empty reports a text that has nothing in it, which AWS refuses where a name is
// needed.
func (o *object) empty(field string) bool {
	v, _ := o.v.Get(field)
	s, ok := v.Str()
	if ok && s == "" {
		o.failAt(field, "Value cannot be empty", "")
		return true
	}
	return false
}

func (o *object) boolean(field string) bool {
	v, _ := o.typed(field, value.Bool, "Boolean")
	b, _ := v.Bool()
	return b
}

// integer reads an integer within limits; ok is false when absent or wrong.
func (o *object) integer(field string, least, most int64) (int64, bool) {
	v, ok := o.typed(field, value.Number, "Integer")
	if !ok {
		return 0, false
	}
	n, ok := v.Int()
	switch {
	case !v.IsInteger():
		o.failAt(field, "Expected value of type Integer", "")
	case !ok && !strings.HasPrefix(v.JSON(), "-"), ok && n > most:
		o.failAt(field, fmt.Sprintf("Maximum value is %d", most), "")
	case !ok, n < least:
		o.failAt(field, fmt.Sprintf("Minimum value is %d", least), "")
	default:
		return n, true
	}
	return 0, false
}

func (o *object) number(field string, least float64) (float64, bool) {
	v, ok := o.typed(field, value.Number, "Number")
	if !ok {
		return 0, false
	}
	f, _ := v.Float()
	if f < least {
		o.failAt(field, "Minimum value is "+strconv.FormatFloat(least, 'f', -1, 64), "")
		return 0, false
	}
	return f, true
}

func (o *object) oneOf(field string, allowed ...string) string {
	s := o.str(field)
	if o.has(field) && !slices.Contains(allowed, s) {
		if v, _ := o.v.Get(field); v.Kind() == value.String {
			o.failAt(field, "Value is not one of the allowed values: ["+strings.Join(allowed, ", ")+"]", "")
		}
		return ""
	}
	return s
}

// child gives a field that is an object.
func (o *object) child(field string) (*object, bool) {
	v, ok := o.typed(field, value.Object, "Object")
	if !ok {
		return nil, false
	}
	return &object{decoder: o.decoder, v: v, at: o.at + "/" + field, offset: o.valueOffset(field)}, true
}

// children gives the objects of a field that is an array of objects.
func (o *object) children(field string) []*object {
	list, ok := o.typed(field, value.Array, "Array")
	if !ok {
		return nil
	}
	var out []*object
	for i, e := range list.Elems() {
		c := &object{decoder: o.decoder, v: e, at: fmt.Sprintf("%s/%s[%d]", o.at, field, i), offset: o.src.ValueOffset(list, i)}
		if e.Kind() != value.Object {
			c.fail("Expected value of type Object")
			continue
		}
		out = append(out, c)
	}
	return out
}

// strings gives a field that is an array of strings.
func (o *object) strings(field string) []string {
	list, ok := o.typed(field, value.Array, "Array")
	if !ok {
		return nil
	}
	out := make([]string, 0, list.Len())
	for i, e := range list.Elems() {
		s, ok := e.Str()
		if !ok {
			o.add(SeverityError, CodeSchema, fmt.Sprintf("%s/%s[%d]", o.at, field, i), o.src.ValueOffset(list, i), "", "Expected value of type String")
			continue
		}
		out = append(out, s)
	}
	return out
}

// path gives a field that is a path.
func (o *object) path(field string) *jsonpath.Path {
	v, ok := o.typed(field, value.String, "String")
	if !ok {
		return nil
	}
	s, _ := v.Str()
	p, err := jsonpath.Parse(s)
	if err != nil {
		o.failAt(field, "Value must be a valid JSONPath.", reason(err))
		return nil
	}
	o.refer(p.VariableName())
	return p
}

// newDecoder returns a decoder without a definition.
func newDecoder(stored bool) *decoder {
	return &decoder{
		stored: stored, names: map[string]bool{}, labels: map[string]bool{},
		refers: map[string][]string{}, reads: map[string][]string{}, assigns: map[string]bool{},
	}
}

// refer notes that the state being read refers to a variable; "" is none.
func (d *decoder) refer(name string) { note(d.refers, d.state, name) }

func note(by map[string][]string, state, name string) {
	if list := by[state]; name != "" && !slices.Contains(list, name) {
		by[state] = append(list, name)
	}
}

// variableReferences are the variables that states refer to. A name in JSONata is
// one when some state assigns it.
func (d *decoder) variableReferences() map[string][]string {
	for state, names := range d.reads {
		for _, name := range names {
			if d.assigns[name] {
				note(d.refers, state, name)
			}
		}
	}
	for _, names := range d.refers {
		slices.Sort(names)
	}
	return d.refers
}

// reason is the core of a syntax error.
func reason(err error) string {
	var syntax *jsonpath.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("%s, at character %d", syntax.Msg, syntax.Offset+1)
	}
	return err.Error()
}

// pathExpr gives a field that is a path, to evaluate, and what to say when it
// selects nothing.
func (o *object) pathExpr(field string, explain func(*jsonpath.Path, *jsonpath.NotFoundError) error) Expression {
	if p := o.path(field); p != nil {
		return &pathExpr{field: field, path: p, explain: explain}
	}
	return nil
}

// filter gives an InputPath, OutputPath or ItemsPath.
func (o *object) filter(field string) Filter {
	v, ok := o.v.Get(field)
	if !ok {
		return Filter{}
	}
	if v.IsNull() && field != "ItemsPath" {
		return Filter{discard: true}
	}
	p := o.path(field)
	if p != nil && p.IsRoot() && p.Root() == jsonpath.Input {
		p = nil
	}
	return Filter{path: p}
}

// placement gives a ResultPath.
func (o *object) placement() Placement {
	const field = "ResultPath"
	v, ok := o.v.Get(field)
	if !ok {
		return Placement{}
	}
	if v.IsNull() {
		return Placement{discard: true}
	}
	v, ok = o.typed(field, value.String, "String")
	if !ok {
		return Placement{}
	}
	s, _ := v.Str()
	ref, err := jsonpath.ParseReference(s)
	if err != nil {
		o.notReference(field, s, err)
		return Placement{}
	}
	if ref.IsRoot() {
		return Placement{}
	}
	return Placement{ref: ref}
}

func (o *object) notReference(field, s string, err error) {
	if !strings.HasPrefix(strings.TrimSpace(s), "$") {
		o.failAt(field, "Value is not a Reference Path: Reference path didn't start with '$'", "")
		return
	}
	o.failAt(field, "Value is not a Reference Path: "+reason(err), "")
}

// template gives a field that is a payload template, nil when absent.
func (o *object) template(field string) Expression {
	v, ok := o.v.Get(field)
	if !ok {
		return nil
	}
	if v.Kind() != value.Object && v.Kind() != value.Array {
		o.failAt(field, "Expected value of type Object", "it is of type "+v.Kind().String())
		return nil
	}
	e := compileTemplate(v, func(te templateError) {
		detail := ""
		if te.err != nil {
			detail = reason(te.err)
		}
		o.add(SeverityError, CodeSchema, o.at+"/"+field, o.src.ValueOffset(te.at, te.index), detail, te.msg)
	})
	o.warnNoDollar(field, v)
	variables(e, o.refer)
	return e
}

// warnNoDollar warns of values that look computed under keys without .$.
func (o *object) warnNoDollar(field string, v value.Value) {
	for i := range v.Len() {
		elem := v.Elem(i)
		s, ok := elem.Str()
		if !ok {
			o.warnNoDollar(field, elem)
			continue
		}
		if v.Kind() != value.Object || strings.HasSuffix(v.Key(i), ".$") || !looksComputed(s) {
			continue
		}
		o.add(SeverityWarning, CodeNoDollar, o.at+"/"+field, o.src.KeyOffset(v, i), "",
			fmt.Sprintf("Field '%s' looks like a JSONPath or intrinsic function; its key must end in .$ to be one", v.Key(i)))
	}
}

// looksComputed reports whether s is a path or a call, beyond "$" alone, which
// may well be a currency.
func looksComputed(s string) bool {
	if !strings.HasPrefix(s, "$.") && !strings.HasPrefix(s, "$$.") && !strings.HasPrefix(s, "States.") {
		return false
	}
	_, err := compileExpression("", s)
	return err == nil
}

// intField gives an integer, or the path to one in the field with Path after
// its name; nil when both are absent.
func (o *object) intField(name string, least, most int64) *intField {
	o.exclusive(name, name+"Path")
	if e := o.pathExpr(name+"Path", invalidPath); e != nil {
		return &intField{name: name, path: e}
	}
	if n, ok := o.integer(name, least, most); ok {
		return &intField{name: name, n: n}
	}
	return nil
}

// duration gives a field of seconds, 0 when absent.
func (o *object) duration(field string) time.Duration {
	n, _ := o.integer(field, 1, maxSeconds)
	return time.Duration(n) * time.Second
}
