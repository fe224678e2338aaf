package diff

import (
	"fmt"
	"slices"

	"switchyard/asl/value"
)

// list is a field with entries that are tried in order.
type list struct {
	field string
	kind  Kind
	key   func(entry value.Value) string // what the entry is for
}

func errorsOf(entry value.Value) string {
	v, _ := entry.Get("ErrorEquals")
	return v.JSON()
}

func conditionOf(entry value.Value) string {
	return without(entry, "Next", "Comment", "Assign", "Output").JSON()
}

var lists = []list{{"Choices", Choice, conditionOf}, {"Retry", Retrier, errorsOf}, {"Catch", Catcher, errorsOf}}

// The fields that hold states are compared by these.
var (
	machineFields = []string{"States"}
	nesting       = []string{"Branches", "ItemProcessor", "Iterator", "Choices", "Retry", "Catch"}
)

// compareState lists what is different in a state, but for states within it.
func compareState(s, t *state, names map[string]string) []Part {
	parts := compareFields(s.body, t.body, nesting, names)
	for _, l := range lists {
		old, _ := s.body.Get(l.field)
		now, _ := t.body.Get(l.field)
		parts = append(parts, compareLists(l, old, now, names)...)
	}
	if s.kind() == "Map" || t.kind() == "Map" {
		within := compareFields(s.processor(), t.processor(), machineFields, names)
		parts = append(parts, under("ItemProcessor", within)...)
	}
	old, _ := s.body.Get("Branches")
	now, _ := t.body.Get("Branches")
	for i := range max(old.Len(), now.Len()) {
		path := fmt.Sprintf("Branches[%d]", i)
		switch {
		case old.Kind() == value.Array && i < old.Len() && now.Kind() == value.Array && i < now.Len():
			parts = append(parts, under(path, compareFields(old.Elem(i), now.Elem(i), machineFields, names))...)
		case old.Kind() == value.Array && i < old.Len():
			start, _ := old.Elem(i).Get("StartAt")
			parts = append(parts, Part{Kind: Field, Path: path + "/StartAt", Old: start, Had: true})
		case now.Kind() == value.Array && i < now.Len():
			start, _ := now.Elem(i).Get("StartAt")
			parts = append(parts, Part{Kind: Field, Path: path + "/StartAt", New: start, Has: true})
		}
	}
	return parts
}

func under(path string, parts []Part) []Part {
	for i := range parts {
		parts[i].Path = path + "/" + parts[i].Path
	}
	return parts
}

// compareFields lists what is different in two objects, but for some fields. A
// transition to a state that was renamed is the same.
func compareFields(old, now value.Value, but []string, names map[string]string) (parts []Part) {
	for _, key := range keysOf(old, now) {
		if slices.Contains(but, key) {
			continue
		}
		a, had := old.Get(key)
		b, has := now.Get(key)
		if leads(key) {
			to, _ := a.Str()
			was := names[to]
			if name, _ := b.Str(); had && has && was != "" && name == was {
				continue
			}
			if !had || !has || !value.Equal(a, b) {
				parts = append(parts, Part{Transition, key, a, b, had, has})
			}
			continue
		}
		parts = append(parts, compareValues(key, a, b, had, has)...)
	}
	return parts
}

// leads reports whether a field tells where to go on.
func leads(key string) bool {
	return key == "Next" || key == "Default" || key == "StartAt" || key == "End"
}

// compareValues goes into objects that are on both sides.
func compareValues(path string, a, b value.Value, had, has bool) (parts []Part) {
	switch {
	case had == has && value.Equal(a, b):
		return nil
	case had && has && a.Kind() == value.Object && b.Kind() == value.Object:
		for _, key := range keysOf(a, b) {
			x, had := a.Get(key)
			y, has := b.Get(key)
			parts = append(parts, compareValues(path+"/"+key, x, y, had, has)...)
		}
		return parts
	}
	return []Part{{Field, path, a, b, had, has}}
}

// keysOf are the keys of both objects, those of the old one first.
func keysOf(old, now value.Value) []string {
	keys := slices.Clone(old.Keys())
	for _, k := range now.Keys() {
		if old.Find(k) < 0 {
			keys = append(keys, k)
		}
	}
	return keys
}

// compareLists matches entries by what they are for.
func compareLists(l list, old, now value.Value, names map[string]string) (parts []Part) {
	from := make([]int, 0, now.Len()) // of each new entry the old one, -1 for none
	used := map[int]bool{}
	for _, entry := range now.Elems() {
		from = append(from, -1)
		for i, was := range old.Elems() {
			if !used[i] && l.key(was) == l.key(entry) {
				used[i] = true
				from[len(from)-1] = i
				break
			}
		}
	}
	for i, was := range old.Elems() {
		if !used[i] {
			parts = append(parts, Part{Kind: l.kind, Path: fmt.Sprintf("%s[%d]", l.field, i), Old: was, Had: true})
		}
	}
	last, ordered := -1, true
	for j, entry := range now.Elems() {
		path := fmt.Sprintf("%s[%d]", l.field, j)
		i := from[j]
		if i < 0 {
			parts = append(parts, Part{Kind: l.kind, Path: path, New: entry, Has: true})
			continue
		}
		ordered = ordered && i > last
		last = max(last, i)
		for _, p := range under(path, compareFields(old.Elem(i), entry, nil, names)) {
			if p.Kind == Field {
				p.Kind = l.kind
			}
			parts = append(parts, p)
		}
	}
	if !ordered {
		parts = append(parts, Part{Kind: Order, Path: l.field, Old: old, New: now, Had: true, Has: true})
	}
	return parts
}
