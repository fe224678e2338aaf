// Package diff says what changed between two definitions of a state machine, and
// in which states a running execution would find no way on.
//
// States are matched by their names, which are unique in a definition, and those
// that are left by what they do and where they are reached from: they were
// renamed. Retriers, catchers and choices are matched by what they are for, so
// that one put in before others changes none of those.
//
// It is pure, and takes any JSON: what is no definition has no states.
package diff

import "switchyard/asl/value"

// Change is what became of a state.
type Change string

// The changes of states.
const (
	Added   Change = "added"
	Removed Change = "removed"
	Renamed Change = "renamed" // it may have changed, too
	Changed Change = "changed"
)

// Kind is what a part of a state is for.
type Kind string

// The kinds of parts.
const (
	Transition Kind = "transition" // where it goes on
	Choice     Kind = "choice"     // a rule of a Choice
	Retrier    Kind = "retrier"
	Catcher    Kind = "catcher"
	Field      Kind = "field"
	Order      Kind = "order" // the rules, retriers or catchers are tried in another order
)

// Part is a difference within a state, or of the state machine itself.
type Part struct {
	Kind Kind
	// Path leads to the part: Next, Parameters/ProjectName, Catch[1]/Next. The
	// index is that in the new definition, of what was removed in the old one.
	Path     string
	Old, New value.Value
	// Had and Has say whether Old and New are there.
	Had, Has bool
}

// State is a state that is not the same in both definitions.
type State struct {
	// Name is the state's in the old definition, in the new one of an added state.
	Name string
	// NewName is set when it was renamed.
	NewName string
	Type    string
	Change  Change
	Parts   []Part
	// Stranded says why an execution that is in the state could not go on by the
	// new definition, "" when it could.
	Stranded string
}

// Diff is what is different.
type Diff struct {
	// Machine is what changed outside of states.
	Machine []Part
	// States are in the order of the old definition, the added ones behind them in
	// that of the new one.
	States []State
}

// Same reports whether nothing is different.
func (d *Diff) Same() bool { return len(d.Machine) == 0 && len(d.States) == 0 }

// Stranded counts the states in which executions could not go on.
func (d *Diff) Stranded() int {
	n := 0
	for i := range d.States {
		if d.States[i].Stranded != "" {
			n++
		}
	}
	return n
}

// Count counts the states with a change.
func (d *Diff) Count(c Change) int {
	n := 0
	for i := range d.States {
		if d.States[i].Change == c {
			n++
		}
	}
	return n
}

// Compare compares two definitions in JSON.
func Compare(old, now value.Value) *Diff {
	a, b := collect(old), collect(now)
	names := match(a, b)
	d := &Diff{Machine: compareFields(old, now, machineFields, names)}
	for _, s := range a.states {
		to, ok := names[s.name]
		if !ok {
			d.States = append(d.States, State{Name: s.name, Type: s.kind(), Change: Removed, Stranded: "there is no such state any more"})
			continue
		}
		t := b.byName[to]
		out := State{Name: s.name, Type: t.kind(), Change: Changed, Parts: compareState(s, t, names), Stranded: stranded(s, t, names)}
		if to != s.name {
			out.Change, out.NewName = Renamed, to
		}
		if out.Change == Renamed || len(out.Parts) > 0 || out.Stranded != "" {
			d.States = append(d.States, out)
		}
	}
	matched := map[string]bool{}
	for _, to := range names {
		matched[to] = true
	}
	for _, t := range b.states {
		if !matched[t.name] {
			d.States = append(d.States, State{Name: t.name, Type: t.kind(), Change: Added})
		}
	}
	return d
}

// stranded says why an execution in s finds no way on in t, "" when it does.
func stranded(s, t *state, names map[string]string) string {
	if s.kind() != t.kind() {
		return "it is a " + t.kind() + " state now, and was a " + s.kind() + " state"
	}
	if in, ok := names[s.within]; s.within != "" && (!ok || in != t.within) || s.within == "" && t.within != "" {
		return "it is " + t.place() + " now, and was " + s.place()
	}
	if s.branch != t.branch {
		return "it is " + t.place() + " now, and was " + s.place()
	}
	if s.kind() == "Map" && s.distributed() != t.distributed() {
		if t.distributed() {
			return "its items are executions of their own now"
		}
		return "its items are no executions of their own any more"
	}
	return ""
}
