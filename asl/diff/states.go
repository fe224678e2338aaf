package diff

import (
	"strconv"

	"switchyard/asl/value"
)

// state is a state of one definition.
type state struct {
	name string
	body value.Value
	// within is the Parallel or Map that it belongs to, "" for none, and branch is
	// which branch of it.
	within string
	branch int
}

func (s *state) kind() string { return text(s.body, "Type") }

// place is where the state is, for people.
func (s *state) place() string {
	if s.within == "" {
		return "outside of other states"
	}
	return "in branch " + strconv.Itoa(s.branch+1) + " of " + strconv.Quote(s.within)
}

func (s *state) distributed() bool {
	config, _ := s.processor().Get("ProcessorConfig")
	return text(config, "Mode") == "DISTRIBUTED"
}

// processor is what a Map does with an item, under either of its names.
func (s *state) processor() value.Value {
	p, ok := s.body.Get("ItemProcessor")
	if !ok {
		p, _ = s.body.Get("Iterator")
	}
	return p
}

// definition is all states of one definition.
type definition struct {
	states []*state
	byName map[string]*state
	// into are the ways that lead to a state, by its name.
	into map[string][]way
}

// way leads to a state: from another one, or, where that is "", from the start of
// a branch of within.
type way struct {
	from, within string
	by           string // which transition, or which branch
}

// maxNesting bounds how deep states are looked for.
const maxNesting = 100

func collect(v value.Value) *definition {
	d := &definition{byName: map[string]*state{}, into: map[string][]way{}}
	d.graph(v, "", 0, 0)
	return d
}

func (d *definition) graph(g value.Value, within string, branch, depth int) {
	if depth > maxNesting {
		return
	}
	d.lead(way{within: within, by: strconv.Itoa(branch)}, text(g, "StartAt"))
	states, _ := g.Get("States")
	for name, body := range states.Fields() {
		if d.byName[name] != nil {
			continue
		}
		s := &state{name: name, body: body, within: within, branch: branch}
		d.states = append(d.states, s)
		d.byName[name] = s
		d.ways(s)
		branches, _ := body.Get("Branches")
		for i, inner := range branches.Elems() {
			d.graph(inner, name, i, depth+1)
		}
		if p := s.processor(); p.Kind() == value.Object {
			d.graph(p, name, 0, depth+1)
		}
	}
}

// ways notes where a state leads.
func (d *definition) ways(s *state) {
	d.lead(way{from: s.name, by: "Next"}, text(s.body, "Next"))
	d.lead(way{from: s.name, by: "Default"}, text(s.body, "Default"))
	for _, l := range lists {
		list, _ := s.body.Get(l.field)
		for _, entry := range list.Elems() {
			d.lead(way{from: s.name, by: l.field + l.key(entry)}, text(entry, "Next"))
		}
	}
}

func (d *definition) lead(w way, to string) {
	if to != "" {
		d.into[to] = append(d.into[to], w)
	}
}

// text is a field that holds a text, "" for others.
func text(v value.Value, field string) string {
	f, _ := v.Get(field)
	s, _ := f.Str()
	return s
}
