package asl

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"switchyard/asl/jsonata"
	"switchyard/asl/jsonpath"
	"switchyard/asl/value"
)

// jsonataTypeFields are the fields of states in JSONata, as typeFields are
// those of states in JSONPath.
var jsonataTypeFields = map[Type][][]string{
	TypePass:     {stateFields, nextFields, {"Output", "Assign"}},
	TypeTask:     {stateFields, nextFields, retryFields, {"Resource", "Arguments", "Output", "Assign", "TimeoutSeconds", "HeartbeatSeconds", "Credentials"}},
	TypeChoice:   {stateFields, {"Choices", "Default", "Output", "Assign"}},
	TypeWait:     {stateFields, nextFields, {"Seconds", "Timestamp", "Output", "Assign"}},
	TypeSucceed:  {stateFields, {"Output"}},
	TypeFail:     {stateFields, {"Error", "Cause"}},
	TypeParallel: {stateFields, nextFields, retryFields, {"Branches", "Arguments", "Output", "Assign"}},
	TypeMap: {stateFields, nextFields, retryFields, {"ItemProcessor", "Iterator", "Items", "ItemSelector",
		"ItemReader", "ItemBatcher", "ResultWriter", "Label", "MaxConcurrency",
		"ToleratedFailureCount", "ToleratedFailurePercentage", "Output", "Assign"}},
}

// fieldsOf are the fields of a type of state in a query language.
func fieldsOf(t Type, lang QueryLanguage) [][]string {
	if lang == JSONata {
		return jsonataTypeFields[t]
	}
	return typeFields[t]
}

// allowState reports the fields that a state cannot have; those that it could
// have in the other query language are told as such.
func (o *object) allowState(t Type, lang QueryLanguage) {
	other := JSONata
	if lang == JSONata {
		other = JSONPath
	}
	own := fieldsOf(t, lang)
	in := func(lists [][]string, key string) bool {
		return slices.ContainsFunc(lists, func(l []string) bool { return slices.Contains(l, key) })
	}
	var foreign []string
	for i := range o.v.Len() {
		if key := o.v.Key(i); !in(own, key) && in(fieldsOf(t, other), key) {
			foreign = append(foreign, key)
			o.add(SeverityError, CodeSchema, o.location(), o.src.KeyOffset(o.v, i), "",
				"The QueryLanguage is set to '"+string(lang)+"', but field '"+key+"' is only supported for the '"+string(other)+"' QueryLanguage")
		}
	}
	o.allow(append([][]string{foreign}, own...)...)
}

// jsonataReader reads the fields of a state in JSONata.
type jsonataReader struct {
	*object // the state
	fields  *jsonataFields
}

// readJSONata reads what s has in its fields.
func (d *decoder) readJSONata(o *object, g *Graph, s *State) {
	r := &jsonataReader{object: o, fields: &jsonataFields{State: s}}
	f := r.fields
	s.Fields = f
	works := s.Type == TypeTask || s.Type == TypeParallel || s.Type == TypeMap
	extra := ""
	if works {
		extra = "result"
		f.arguments = r.query(o, "Arguments", "")
		s.Retry = d.retriers(o)
		r.catchers(g, s)
	}
	f.exits = r.exits(o, extra)
	d.transition(o, g, s)
	switch s.Type {
	case TypePass:
		s.Pass = &Pass{}
	case TypeTask:
		s.Task = &Task{Resource: o.resource()}
		f.timeout = r.integer("TimeoutSeconds", 1, maxSeconds)
		f.heartbeat = r.integer("HeartbeatSeconds", 1, maxSeconds)
		o.integration(s.Task.Resource, "Arguments", unevaluated)
		if q := r.query(o, "Credentials", ""); q != nil {
			s.Task.Credentials = q
		}
	case TypeChoice:
		s.Choice = r.choice(g, s)
	case TypeWait:
		s.Wait = r.wait()
	case TypeFail:
		s.Fail = r.fail()
	case TypeParallel:
		s.Parallel = d.parallel(o)
	case TypeMap:
		s.Map = r.mapState()
	case TypeSucceed:
	}
}

// unevaluated reads arguments in which expressions are yet to be computed.
func unevaluated(key string, v value.Value) (string, bool) {
	return key, isLiteral(v)
}

// isLiteral reports whether v is no expression as a whole.
func isLiteral(v value.Value) bool {
	s, _ := v.Str()
	_, computed := delimited(s)
	return !computed
}

// query reads a field of the state or of an object in it; extra is the member
// of $states that it can see beside input and context. It is nil when the field
// is absent.
func (r *jsonataReader) query(o *object, field, extra string) query {
	v, ok := o.v.Get(field)
	if !ok {
		return nil
	}
	return r.compile(v, o.at+"/"+field, o.valueOffset(field), extra)
}

func (r *jsonataReader) compile(v value.Value, at string, offset int, extra string) query {
	if s, ok := v.Str(); ok {
		if text, ok := delimited(s); ok {
			return r.expression(text, at, offset, extra)
		}
	}
	if v.Kind() != value.Array && v.Kind() != value.Object {
		return literal{constant{v}}
	}
	t := &jsonataTemplate{src: v, parts: make([]query, v.Len())}
	if v.Kind() == value.Object {
		t.keys = make([]string, v.Len())
	}
	computed := false
	for i := range t.parts {
		place := at + "[" + strconv.Itoa(i) + "]"
		if t.keys != nil {
			t.keys[i] = v.Key(i)
			place = at + "/" + t.keys[i]
		}
		t.parts[i] = r.compile(v.Elem(i), place, r.src.ValueOffset(v, i), extra)
		if _, ok := t.parts[i].(literal); !ok {
			computed = true
		}
	}
	if !computed {
		return literal{constant{v}}
	}
	return t
}

// expression compiles what stands between {% and %}.
func (r *jsonataReader) expression(text, at string, offset int, extra string) query {
	report := func(code, message, detail string) {
		r.add(SeverityError, code, at, offset, detail, message)
	}
	e, refs, err := newJSONataExpr(strings.TrimPrefix(at, r.at+"/"), text)
	if err != nil {
		message := err.Error()
		var syntax *jsonata.Error
		if errors.As(err, &syntax) {
			message = syntax.Message()
		}
		report(CodeInvalidJSONata, message, "")
		return literal{}
	}
	for _, name := range refs.Context {
		report(CodeUnsupportedJSONata, "Reference to '"+name+"' at the top level is not supported.", "the input is $states.input, a variable is $name")
	}
	if refs.Root {
		report(CodeUnsupportedJSONata, "Reference to '$$' is not supported.", "the input is $states.input")
	}
	for name := range refs.Fields {
		note(r.reads, r.state, name)
	}
	for _, field := range refs.Fields["states"] {
		if field != "" && field != "input" && field != "context" && field != extra {
			report(CodeUnsupportedJSONata, "Field '$states."+field+"' does not exist.", "")
		}
	}
	return e
}

// exits reads Output and Assign.
func (r *jsonataReader) exits(o *object, extra string) exits {
	x := exits{output: r.query(o, "Output", extra)}
	v, ok := o.typed("Assign", value.Object, "Object")
	if !ok {
		return x
	}
	for i := range v.Len() {
		name := v.Key(i)
		at := o.at + "/Assign"
		if p, err := jsonpath.Parse("$" + name); err != nil || p.VariableName() != name || name == "" || name == "states" {
			o.add(SeverityError, CodeSchema, at, o.src.KeyOffset(v, i), "", "Invalid variable name: "+name)
		}
		r.assigns[name] = true
		x.assign = append(x.assign, assigned{name, r.compile(v.Elem(i), at+"/"+name, o.src.ValueOffset(v, i), extra)})
	}
	return x
}

// computed gives a field that is an expression.
func (r *jsonataReader) computed(o *object, field string) query {
	if v, _ := o.v.Get(field); isLiteral(v) {
		return nil
	}
	return r.query(o, field, "")
}

// integer reads a whole number or an expression for one.
func (r *jsonataReader) integer(field string, least, most int64) query {
	return r.integerOf(r.object, field, least, most)
}

func (r *jsonataReader) integerOf(o *object, field string, least, most int64) query {
	if q := r.computed(o, field); q != nil {
		return q
	}
	if n, ok := o.integer(field, least, most); ok {
		return literal{constant{value.OfInt(n)}}
	}
	return nil
}

func (r *jsonataReader) text(field string) query {
	if q := r.computed(r.object, field); q != nil {
		return q
	}
	if v, ok := r.typed(field, value.String, "String"); ok {
		return literal{constant{v}}
	}
	return nil
}

func (r *jsonataReader) catchers(g *Graph, s *State) {
	list := r.children("Catch")
	s.Catch = make([]Catcher, len(list))
	for i, c := range list {
		c.allow([]string{"Comment", "ErrorEquals", "Next", "Output", "Assign"})
		catcher := &s.Catch[i]
		catcher.Comment = c.str("Comment")
		catcher.ErrorEquals = c.errorEquals()
		r.fields.catches = append(r.fields.catches, r.exits(c, "errorOutput"))
		if c.require("Next") {
			r.link(c, "Next", g, s, func(to *State) { catcher.Next = to })
		}
	}
}

func (r *jsonataReader) choice(g *Graph, s *State) *Choice {
	c := &Choice{}
	if r.has("Default") {
		r.link(r.object, "Default", g, s, func(to *State) { c.Default = to })
	}
	if !r.require("Choices") {
		return c
	}
	list := r.children("Choices")
	if v, _ := r.v.Get("Choices"); v.Kind() == value.Array && v.Len() == 0 {
		r.failAt("Choices", "At least one choice is required", "")
	}
	c.Rules = make([]Rule, len(list))
	for i, o := range list {
		o.allow([]string{"Condition", "Next", "Output", "Assign", "Comment"})
		rule := &c.Rules[i]
		rule.Comment = o.str("Comment")
		rule.Condition = jsonataCondition{r.condition(o)}
		r.fields.choices = append(r.fields.choices, r.exits(o, ""))
		if o.require("Condition", "Next") {
			r.link(o, "Next", g, s, func(to *State) { rule.Next = to })
		}
	}
	return c
}

func (r *jsonataReader) condition(o *object) query {
	if q := r.computed(o, "Condition"); q != nil {
		return q
	}
	return literal{constant{value.OfBool(o.boolean("Condition"))}}
}

func (r *jsonataReader) wait() *Wait {
	w := &Wait{}
	if r.has("Seconds") == r.has("Timestamp") {
		r.object.fail("Exactly one of these fields is required: [Seconds, Timestamp]")
		return w
	}
	f := r.fields
	if q := r.computed(r.object, "Seconds"); q != nil {
		f.seconds, w.secondsPath = q, q
	} else if n, ok := r.object.integer("Seconds", 0, maxSeconds); ok {
		f.seconds, w.seconds = literal{constant{value.OfInt(n)}}, time.Duration(n)*time.Second
	}
	if q := r.computed(r.object, "Timestamp"); q != nil {
		f.timestamp, w.timestampPath = q, q
	} else if r.has("Timestamp") {
		w.at = r.timestamp("Timestamp")
		v, _ := r.v.Get("Timestamp")
		f.timestamp = literal{constant{v}}
	}
	return w
}

func (r *jsonataReader) fail() *Fail {
	f := &Fail{}
	if r.fields.failError = r.text("Error"); r.fields.failError != nil {
		f.Error = r.fields.failError
	}
	if r.fields.cause = r.text("Cause"); r.fields.cause != nil {
		f.Cause = r.fields.cause
	}
	return f
}

func (r *jsonataReader) mapState() *Map {
	m, f := &Map{}, r.fields
	if v, ok := r.v.Get("Items"); ok {
		f.items = r.query(r.object, "Items", "")
		if _, ok := f.items.(*jsonataExpr); !ok && v.Kind() != value.Array {
			r.failAt("Items", "Expected value of type Array", "")
		}
	}
	f.selector = r.query(r.object, "ItemSelector", "")
	f.concurrency = r.integer("MaxConcurrency", 0, maxSeconds)
	f.toleratedCount = r.integer("ToleratedFailureCount", 0, maxCount)
	if f.percentage = r.computed(r.object, "ToleratedFailurePercentage"); f.percentage == nil {
		if p := r.percentage(); p != nil {
			v, _ := r.v.Get("ToleratedFailurePercentage")
			f.percentage = literal{constant{v}}
		}
	}
	r.mapProcessor(r.object, m)
	r.distributedFields(r.object, m, r)
	return m
}

// itemReader reads an ItemReader.
func (r *jsonataReader) itemReader(o *object) *ItemReader {
	o.allow([]string{"Resource", "Arguments", "ReaderConfig"})
	out := &ItemReader{Resource: o.resource()}
	r.fields.reader = r.query(o, "Arguments", "")
	if c, ok := o.child("ReaderConfig"); ok {
		c.allow(readerFields)
		out.Config = c.readerConfig()
		r.fields.maxItems = r.integerOf(c, "MaxItems", 0, maxReaderItems)
	}
	return out
}

// itemBatcher reads an ItemBatcher.
func (r *jsonataReader) itemBatcher(o *object) *ItemBatcher {
	o.allow([]string{"BatchInput", "MaxItemsPerBatch", "MaxInputBytesPerBatch"})
	f := r.fields
	f.hasBatcher = true
	f.batch = r.query(o, "BatchInput", "")
	f.maxBatch = r.integerOf(o, "MaxItemsPerBatch", 1, maxCount)
	f.maxBytes = r.integerOf(o, "MaxInputBytesPerBatch", 1, MaxData)
	if f.maxBatch == nil && f.maxBytes == nil && !o.has("MaxItemsPerBatch") && !o.has("MaxInputBytesPerBatch") {
		o.fail("At least one of these fields is required: [MaxItemsPerBatch, MaxInputBytesPerBatch]")
	}
	return &ItemBatcher{}
}

// resultWriter reads a ResultWriter.
func (r *jsonataReader) resultWriter(o *object) *ResultWriter {
	o.allow([]string{"Resource", "Arguments", "WriterConfig"})
	r.fields.writer = r.query(o, "Arguments", "")
	return o.resultWriter()
}
