package asltest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"switchyard/asl"
	"switchyard/asl/trace"
)

// Kind is what of a definition is covered.
type Kind string

// The kinds, in the order in which they are reported.
const (
	States      Kind = "states"
	Transitions Kind = "transitions" // Next and End
	Choices     Kind = "choices"     // rules and defaults
	Catchers    Kind = "catchers"
	Retriers    Kind = "retriers"
)

// Kinds are all kinds.
var Kinds = []Kind{States, Transitions, Choices, Catchers, Retriers}

// Point is something that a test can cover.
type Point struct {
	Kind  Kind
	State string
	// Text says what it is: "rule 2 ($.n < 3) → Build".
	Text    string
	Covered bool
}

// Coverage is what the executions of a definition have come by.
type Coverage struct {
	points []*Point
	states map[string]*statePoints
	// definition is the one that runs: where several rules of a Choice lead to the
	// same state, a Pass before it, a marker, tells which it was.
	definition string
	markers    map[string]*Point
}

// statePoints are what there is to a state.
type statePoints struct {
	state               *asl.State
	entered, next       *Point
	rules, catch, retry []*Point
	defaultRule         *Point
}

// NewCoverage is that of a test file's definition, before any test.
func (f *File) NewCoverage() *Coverage {
	c := &Coverage{states: map[string]*statePoints{}, definition: f.definition, markers: map[string]*Point{}}
	c.list(&f.machine.Graph)
	c.mark(f.definition)
	return c
}

func (c *Coverage) point(k Kind, s *asl.State, format string, args ...any) *Point {
	p := &Point{Kind: k, State: s.Name, Text: fmt.Sprintf(format, args...)}
	c.points = append(c.points, p)
	return p
}

func (c *Coverage) list(g *asl.Graph) {
	for _, s := range g.States {
		sp := &statePoints{state: s, entered: c.point(States, s, "entered")}
		c.states[s.Name] = sp
		if s.Next != nil {
			sp.next = c.point(Transitions, s, "→ %s", s.Next.Name)
		} else if s.End {
			sp.next = c.point(Transitions, s, "→ end")
		}
		if s.Choice != nil {
			for i := range s.Choice.Rules {
				r := &s.Choice.Rules[i]
				sp.rules = append(sp.rules, c.point(Choices, s, "rule %d (%s) → %s", i+1, r, r.Next.Name))
			}
			if s.Choice.Default != nil {
				sp.defaultRule = c.point(Choices, s, "Default → %s", s.Choice.Default.Name)
			}
		}
		for i := range s.Catch {
			sp.catch = append(sp.catch, c.point(Catchers, s, "Catch %s → %s", strings.Join(s.Catch[i].ErrorEquals, ", "), s.Catch[i].Next.Name))
		}
		for i := range s.Retry {
			sp.retry = append(sp.retry, c.point(Retriers, s, "Retry %s", strings.Join(s.Retry[i].ErrorEquals, ", ")))
		}
		for _, inner := range s.Graphs() {
			c.list(inner)
		}
	}
}

// add notes what an execution came by.
func (c *Coverage) add(t *trace.Trace) {
	t.All(func(v *trace.Visit) {
		if p := c.markers[v.Name]; p != nil {
			p.Covered = true
			return
		}
		sp := c.states[v.Name]
		if sp == nil {
			return
		}
		sp.entered.Covered = true
		switch {
		case sp.state.Choice != nil:
			sp.chose(v.After())
		case v.Result == trace.OK && sp.next != nil:
			sp.next.Covered = true
		}
		sp.failures(v)
	})
}

// chose notes the rule that led to the visit after a Choice's.
func (sp *statePoints) chose(next *trace.Visit) {
	if next == nil {
		return
	}
	for i, p := range sp.rules {
		if sp.state.Choice.Rules[i].Next.Name == next.Name {
			p.Covered = true
			return
		}
	}
	if sp.defaultRule != nil && sp.state.Choice.Default.Name == next.Name {
		sp.defaultRule.Covered = true
	}
}

// failures notes what was tried again and what was caught.
func (sp *statePoints) failures(v *trace.Visit) {
	names := failureNames(v)
	for i, name := range names {
		again := i+1 < len(names) || v.Result == trace.OK
		for j := range sp.state.Retry {
			r := &sp.state.Retry[j]
			if name != "" && r.Matches(name) {
				sp.retry[j].Covered = sp.retry[j].Covered || again || r.MaxAttempts == 0
				break
			}
		}
	}
	if v.Result != trace.Caught {
		return
	}
	last, next := "", v.After()
	if len(names) > 0 {
		last = names[len(names)-1]
	}
	for i := range sp.state.Catch {
		catcher := &sp.state.Catch[i]
		if last != "" && catcher.Matches(last) || last == "" && next != nil && catcher.Next.Name == next.Name {
			sp.catch[i].Covered = true
			return
		}
	}
}

// failureNames are the errors with which a state's attempts ended, "" for those
// whose name the history does not tell.
func failureNames(v *trace.Visit) []string {
	var names []string
	inner := innerFailures(v)
	for _, t := range v.Tries {
		if !t.Failed {
			continue
		}
		name := t.Error
		if name == "" && len(inner) > 0 {
			name, inner = inner[0], inner[1:]
		}
		names = append(names, name)
	}
	return names
}

// innerFailures are the errors that ended the branches and iterations of a
// visit.
func innerFailures(v *trace.Visit) []string {
	var names []string
	for _, c := range v.Children {
		if c.Name == "" {
			names = append(names, innerFailures(c)...)
			continue
		}
		if c.Left == 0 || c.Result == trace.Failed {
			names = append(names, failureNames(c)...)
		}
	}
	return names
}

// Count is how many points of a kind there are, and how many are covered.
func (c *Coverage) Count(k Kind) (covered, all int) {
	for _, p := range c.points {
		if p.Kind != k {
			continue
		}
		all++
		if p.Covered {
			covered++
		}
	}
	return covered, all
}

// Percent is the share of all points that are covered, rounded down, so that
// 100 means all.
func (c *Coverage) Percent() int {
	covered := len(c.points) - len(c.Missing())
	return covered * 100 / len(c.points)
}

// Missing are the points that no test came by, in the order of the definition.
func (c *Coverage) Missing() []*Point {
	var missing []*Point
	for _, p := range c.points {
		if !p.Covered {
			missing = append(missing, p)
		}
	}
	return missing
}

// mark puts markers where the next state does not tell which rule was chosen.
func (c *Coverage) mark(definition string) {
	machine, ok := decoded([]byte(definition)).(map[string]any)
	if !ok {
		return
	}
	c.markGraph(machine)
	if len(c.markers) == 0 {
		return
	}
	if text, err := json.Marshal(machine); err == nil {
		c.definition = string(text)
	}
}

func (c *Coverage) markGraph(graph map[string]any) {
	states, _ := graph["States"].(map[string]any)
	added := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(states)) {
		state, _ := states[name].(map[string]any)
		for _, field := range []string{"ItemProcessor", "Iterator"} {
			if inner, ok := state[field].(map[string]any); ok {
				c.markGraph(inner)
			}
		}
		branches, _ := state["Branches"].([]any)
		for _, b := range branches {
			if inner, ok := b.(map[string]any); ok {
				c.markGraph(inner)
			}
		}
		if sp := c.states[name]; sp != nil && sp.state.Choice != nil && sp.ambiguous() {
			c.markChoice(sp, state, added)
		}
	}
	maps.Copy(states, added)
}

func (sp *statePoints) ambiguous() bool {
	seen := map[*asl.State]bool{sp.state.Choice.Default: true}
	for i := range sp.state.Choice.Rules {
		next := sp.state.Choice.Rules[i].Next
		if seen[next] {
			return true
		}
		seen[next] = true
	}
	return false
}

func (c *Coverage) markChoice(sp *statePoints, state, added map[string]any) {
	lead := func(from map[string]any, field string, p *Point) {
		name := "rule " + strconv.Itoa(len(c.markers)+1)
		for c.states[name] != nil {
			name += "'"
		}
		added[name] = map[string]any{"Type": "Pass", "Next": from[field]}
		from[field] = name
		c.markers[name] = p
	}
	choices, _ := state["Choices"].([]any)
	for i, r := range choices {
		if rule, ok := r.(map[string]any); ok && i < len(sp.rules) {
			lead(rule, "Next", sp.rules[i])
		}
	}
	if sp.defaultRule != nil {
		lead(state, "Default", sp.defaultRule)
	}
}
