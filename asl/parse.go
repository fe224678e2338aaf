package asl

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"switchyard/asl/value"
)

// The fields that AWS supports, by where they stand.
var (
	machineFields   = []string{"Comment", "StartAt", "States", "Version", "TimeoutSeconds", "QueryLanguage"}
	branchFields    = []string{"Comment", "StartAt", "States"}
	processorFields = []string{"Comment", "StartAt", "States", "ProcessorConfig", "TimeoutSeconds"}

	stateFields = []string{"Type", "Comment", "QueryLanguage"}
	nextFields  = []string{"Next", "End"}
	pathFields  = []string{"InputPath", "OutputPath"}
	retryFields = []string{"Retry", "Catch"}

	typeFields = map[Type][][]string{
		TypePass:     {stateFields, nextFields, pathFields, {"Result", "Parameters", "ResultPath", "Assign"}},
		TypeTask:     {stateFields, nextFields, pathFields, retryFields, {"Resource", "Parameters", "ResultSelector", "ResultPath", "Assign", "TimeoutSeconds", "TimeoutSecondsPath", "HeartbeatSeconds", "HeartbeatSecondsPath", "Credentials"}},
		TypeChoice:   {stateFields, pathFields, {"Choices", "Default", "Assign"}},
		TypeWait:     {stateFields, nextFields, pathFields, {"Seconds", "SecondsPath", "Timestamp", "TimestampPath", "Assign"}},
		TypeSucceed:  {stateFields, pathFields},
		TypeFail:     {stateFields, {"Error", "ErrorPath", "Cause", "CausePath"}},
		TypeParallel: {stateFields, nextFields, pathFields, retryFields, {"Branches", "Parameters", "ResultSelector", "ResultPath", "Assign"}},
		TypeMap: {stateFields, nextFields, pathFields, retryFields, {"ItemProcessor", "Iterator", "ItemsPath", "ItemSelector", "Parameters",
			"ItemReader", "ItemBatcher", "ResultWriter", "Label", "MaxConcurrency", "MaxConcurrencyPath",
			"ToleratedFailureCount", "ToleratedFailureCountPath", "ToleratedFailurePercentage", "ToleratedFailurePercentagePath",
			"ResultSelector", "ResultPath", "Assign"}},
	}
)

// maxStateName is the longest name of a state, in characters.
const maxStateName = 80

// parse reads a whole definition; stored is true for one that was accepted
// before. There is no machine when it has errors.
func parse(definition []byte, stored bool) (*Machine, *decoder) {
	d := newDecoder(stored)
	v, src, err := value.ParseSource(definition)
	d.src = src
	var syntax *value.SyntaxError
	switch {
	case len(strings.TrimSpace(string(definition))) == 0:
		d.add(SeverityError, CodeMissingDescription, "", -1, "", "The definition is empty")
		return nil, d
	case errors.As(err, &syntax):
		d.add(SeverityError, CodeInvalidJSON, "", syntax.Offset, "", syntax.Msg)
		return nil, d
	case v.Kind() != value.Object:
		d.add(SeverityError, CodeInvalidJSON, "", src.Root(), "", "The definition must be a JSON object, not "+v.Kind().String())
		return nil, d
	}
	for _, at := range src.Duplicates {
		d.add(SeverityWarning, CodeDuplicateKey, "", at, "", "The key is repeated; only the last one counts")
	}
	o := &object{decoder: d, v: v, offset: src.Root()}
	d.machine = d.language(o, JSONPath)
	m := &Machine{QueryLanguage: d.machine}
	o.allow(machineFields)
	m.Version = o.str("Version")
	if o.has("Version") && m.Version != "1.0" {
		o.failAt("Version", "Value is not one of the allowed values: [1.0]", "")
	}
	m.Timeout = o.duration("TimeoutSeconds")
	d.graph(o, &m.Graph)
	if !d.failed() {
		d.connect()
	}
	if d.failed() {
		return nil, d
	}
	m.VariableReferences = d.variableReferences()
	return m, d
}

// ParseState compiles the definition of one state, as TestState takes it. The
// states that it leads to are known by name only. The error is a
// [*DefinitionError].
func ParseState(definition []byte) (*State, error) {
	// Read as the only state of a machine, it gets AWS's locations but for the
	// prefix, and its transitions stay unchecked.
	d := newDecoder(false)
	v, src, err := value.ParseSource(definition)
	d.src = src
	var syntax *value.SyntaxError
	if errors.As(err, &syntax) {
		d.add(SeverityError, CodeInvalidJSON, "", syntax.Offset, "", syntax.Msg)
		return nil, d.err()
	}
	g := &Graph{byName: map[string]*State{}}
	s := d.readState(&object{decoder: d, v: v, offset: src.Root()}, g, "State")
	for _, l := range d.links {
		if l.graph != g {
			continue
		}
		if g.byName[l.target] == nil {
			g.byName[l.target] = &State{Name: l.target}
		}
	}
	if !d.failed() {
		d.connect()
	}
	return s, d.err()
}

// err is the error that the errors among the diagnostics make which are not
// tolerated; nil for none.
func (d *decoder) err() error {
	diags := slices.DeleteFunc(slices.Clone(d.diags), func(x Diagnostic) bool { return !x.Refuses() })
	if len(diags) == 0 {
		return nil
	}
	return &DefinitionError{Diagnostics: diags}
}

func (d *decoder) failed() bool { return d.errors > 0 }

// language reads QueryLanguage.
func (d *decoder) language(o *object, inherited QueryLanguage) QueryLanguage {
	if lang := QueryLanguage(o.oneOf("QueryLanguage", string(JSONPath), string(JSONata))); lang != "" {
		return lang
	}
	return inherited
}

// graph reads StartAt and States.
func (d *decoder) graph(o *object, g *Graph) {
	if d.depth++; d.depth > maxGraphDepth {
		o.add(SeverityError, CodeTooDeeplyNested, o.location(), o.offset, "", fmt.Sprintf("States are nested deeper than %d", maxGraphDepth))
		return
	}
	defer func() { d.depth-- }()
	g.Comment = o.str("Comment")
	if !o.require("StartAt", "States") {
		return
	}
	startAt := o.str("StartAt")
	o.empty("StartAt")
	states, ok := o.child("States")
	if !ok {
		return
	}
	if states.v.Len() == 0 {
		states.fail("At least one state is required")
		return
	}
	g.byName = make(map[string]*State, states.v.Len())
	source := graphSource{graph: g, at: o.at, offset: o.offset}
	outer := d.state
	for i := range states.v.Len() {
		name := states.v.Key(i)
		so := &object{decoder: d, v: states.v.Elem(i), at: states.at + "/" + name, offset: d.src.KeyOffset(states.v, i)}
		d.state = name
		if s := d.readState(so, g, name); s != nil {
			g.States = append(g.States, s)
			g.byName[name] = s
			source.offsets = append(source.offsets, so.offset)
		}
	}
	d.state = outer
	d.links = append(d.links, link{graph: g, target: startAt, set: func(s *State) { g.Start = s }, at: o.at + "/StartAt", offset: o.valueOffset("StartAt")})
	d.graphs = append(d.graphs, source)
}

// readState reads one state; nil when it is not even one of a known type.
func (d *decoder) readState(o *object, g *Graph, name string) *State {
	if name == "" || utf8.RuneCountInString(name) > maxStateName {
		o.add(SeverityError, CodeInvalidStateName, o.at, o.offset, "", fmt.Sprintf("The name of a state has 1 to %d characters", maxStateName))
	}
	if d.names[name] {
		o.add(SeverityError, CodeDuplicateStateName, o.at, o.offset, "names are unique over the whole state machine", "Duplicate state name: "+name)
	}
	d.names[name] = true
	if o.v.Kind() != value.Object {
		o.fail("Expected value of type Object")
		return nil
	}
	lang := d.language(o, d.machine)
	if d.machine == JSONata && lang == JSONPath {
		o.fail("'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine")
		return nil
	}
	if !o.require("Type") {
		return nil
	}
	t := Type(o.str("Type"))
	if typeFields[t] == nil {
		if v, _ := o.v.Get("Type"); v.Kind() == value.String {
			o.failAt("Type", "Value is not one of the allowed values: [Choice, Fail, Map, Parallel, Pass, Succeed, Task, Wait]", "")
		}
		return nil
	}
	o.allowState(t, lang)
	s := &State{Name: name, Type: t, QueryLanguage: lang, Comment: o.str("Comment")}
	if lang == JSONata {
		d.readJSONata(o, g, s)
	} else {
		d.readJSONPath(o, g, s)
	}
	return s
}

// readJSONPath reads what s has in its fields.
func (d *decoder) readJSONPath(o *object, g *Graph, s *State) {
	s.Fields = jsonPath{s}
	t := s.Type
	s.InputPath, s.OutputPath = o.filter("InputPath"), o.filter("OutputPath")
	s.Assign = o.assignment()
	if t == TypePass || t == TypeTask || t == TypeParallel || t == TypeMap {
		s.ResultPath = o.placement()
		if t != TypeMap {
			s.Parameters = o.template("Parameters")
		}
		if t != TypePass {
			s.ResultSelector = o.template("ResultSelector")
			s.Retry = d.retriers(o)
			s.Catch = d.catchers(o, g, s)
		}
	}
	d.transition(o, g, s)
	switch t {
	case TypePass:
		s.Pass = &Pass{}
		s.Pass.Result, s.Pass.HasResult = o.v.Get("Result")
		if text, ok := s.Pass.Result.Str(); ok && looksComputed(text) {
			o.add(SeverityWarning, CodePassResultIsStatic, o.at+"/Result", o.valueOffset("Result"), "", "Result stands as it is; a path in it selects nothing")
		}
	case TypeTask:
		s.Task = d.task(o)
	case TypeChoice:
		s.Choice = d.choice(o, g, s)
	case TypeWait:
		s.Wait = d.wait(o)
	case TypeFail:
		s.Fail = d.failState(o)
	case TypeParallel:
		s.Parallel = d.parallel(o)
	case TypeMap:
		s.Map = d.mapState(o)
	case TypeSucceed:
	}
}

// transition reads Next and End, of the types of states that have them.
func (d *decoder) transition(o *object, g *Graph, s *State) {
	if s.Type == TypeChoice || s.Type == TypeSucceed || s.Type == TypeFail {
		return
	}
	s.End = o.boolean("End")
	switch {
	case o.has("Next") && s.End:
		o.fail("Only one of these fields is allowed: [Next, End]")
	case o.has("Next"):
		d.link(o, "Next", g, s, func(to *State) { s.Next = to })
	case !s.End:
		o.fail("These fields are required: [Next] or [End]")
	}
}

// link notes a transition in a field.
func (d *decoder) link(o *object, field string, g *Graph, from *State, set func(*State)) {
	if v, ok := o.typed(field, value.String, "String"); ok && !o.empty(field) {
		target, _ := v.Str()
		d.links = append(d.links, link{graph: g, target: target, set: set, from: from, at: o.at + "/" + field, offset: o.valueOffset(field)})
	}
}

// connect resolves all transitions and looks for states that cannot be
// reached and graphs that cannot end. The rules and their order are AWS's: a
// graph without a terminal state is said to be just that.
func (d *decoder) connect() {
	next := map[*State][]*State{}
	for _, l := range d.links {
		to := l.graph.byName[l.target]
		if to == nil {
			d.state = ""
			if l.from != nil {
				d.state = l.from.Name
			}
			d.add(SeverityError, CodeMissingTransitionTarget, l.at, l.offset, "", "Missing 'Next' target: "+l.target)
			continue
		}
		l.set(to)
		if l.from != nil {
			next[l.from] = append(next[l.from], to)
		}
	}
	d.state = ""
	for _, src := range d.graphs {
		if !slices.ContainsFunc(src.graph.States, terminal) {
			d.add(SeverityError, CodeMissingEndState, "", src.offset, "a state with \"End\": true, a Succeed or a Fail is needed", "Workflow has no terminal state")
			continue
		}
		reached := map[*State]bool{}
		queue := []*State{src.graph.Start}
		for len(queue) > 0 {
			s := queue[len(queue)-1]
			queue = queue[:len(queue)-1]
			if s == nil || reached[s] {
				continue
			}
			reached[s] = true
			queue = append(queue, next[s]...)
		}
		for i, s := range src.graph.States {
			if !reached[s] {
				d.state = s.Name
				d.add(SeverityError, CodeMissingTransitionTarget, src.at+"/States/"+s.Name, src.offsets[i], "", fmt.Sprintf("State \"%s\" is not reachable.", s.Name))
			}
		}
		d.state = ""
	}
}

func terminal(s *State) bool {
	return s.End || s.Type == TypeSucceed || s.Type == TypeFail
}
