package diff

import (
	"slices"
	"strconv"
	"strings"

	"switchyard/asl/value"
)

// match gives the new name of each state of a that is in b, too.
func match(a, b *definition) map[string]string {
	names := map[string]string{}
	for _, s := range a.states {
		if b.byName[s.name] != nil {
			names[s.name] = s.name
		}
	}
	// What is renamed leads to what comes after it, and holds what is in it.
	for renamed(a, b, names, does) || renamed(a, b, names, reached) {
	}
	return names
}

// renamed finds states that are left on both sides, in the same place, and have a
// mark that no other has; it reports whether there were any. A state with the
// mark "" is not looked for.
func renamed(a, b *definition, names map[string]string, mark func(d *definition, s *state, names map[string]string) string) bool {
	taken := map[string]bool{}
	for _, to := range names {
		taken[to] = true
	}
	type pair struct{ old, now []*state }
	pairs := map[string]*pair{}
	at := func(s *state, within, mark string) *pair {
		key := within + "\x00" + strconv.Itoa(s.branch) + "\x00" + s.kind() + "\x00" + mark
		if pairs[key] == nil {
			pairs[key] = &pair{}
		}
		return pairs[key]
	}
	for _, s := range a.states {
		_, known := names[s.name]
		within, has := names[s.within]
		if m := mark(a, s, names); !known && m != "" && (has || s.within == "") {
			p := at(s, within, m)
			p.old = append(p.old, s)
		}
	}
	for _, t := range b.states {
		if m := mark(b, t, nil); !taken[t.name] && m != "" {
			p := at(t, t.within, m)
			p.now = append(p.now, t)
		}
	}
	found := false
	for _, p := range pairs {
		if len(p.old) == 1 && len(p.now) == 1 {
			names[p.old[0].name] = p.now[0].name
			found = true
		}
	}
	return found
}

// does is what a state does, whatever comes after it and is in it, as a text; ""
// when that is nothing of its own.
func does(_ *definition, s *state, _ map[string]string) string {
	var fields []value.Field
	for key, v := range s.body.Fields() {
		switch key {
		case "Next", "End", "Default", "Comment", "Branches", "ItemProcessor", "Iterator":
			continue
		}
		for _, l := range lists {
			if key == l.field {
				v = withoutNext(v)
			}
		}
		fields = append(fields, value.Field{Key: key, Value: v})
	}
	if len(fields) < 2 { // its Type
		return ""
	}
	slices.SortFunc(fields, func(a, b value.Field) int { return strings.Compare(a.Key, b.Key) })
	return value.OfObject(fields...).JSON()
}

func withoutNext(list value.Value) value.Value {
	var entries []value.Value
	for _, entry := range list.Elems() {
		entries = append(entries, without(entry, "Next", "Comment"))
	}
	return value.OfArray(entries)
}

func without(v value.Value, keys ...string) value.Value {
	var fields []value.Field
	for key, x := range v.Fields() {
		if !slices.Contains(keys, key) {
			fields = append(fields, value.Field{Key: key, Value: x})
		}
	}
	return value.OfObject(fields...)
}

// reached is from where a state is reached, in the new names where there are
// some; "" for a state that is not.
func reached(d *definition, s *state, names map[string]string) string {
	var from []string
	for _, w := range d.into[s.name] {
		if to, ok := names[w.from]; ok {
			w.from = to
		}
		if to, ok := names[w.within]; ok {
			w.within = to
		}
		from = append(from, w.from+"\x00"+w.within+"\x00"+w.by)
	}
	slices.Sort(from)
	return strings.Join(from, "\x01")
}
