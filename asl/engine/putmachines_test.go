package engine_test

import (
	"errors"
	"strings"
	"testing"

	"switchyard/asl/catalog"
	"switchyard/asl/engine"
	"switchyard/asl/store"
)

// oneWrite fails the next write: unapplied, or applied but reported failed.
type oneWrite struct {
	store.Store
	fail, applied bool
}

func (f *oneWrite) Apply(w *store.Write) {
	if !f.fail {
		f.Store.Apply(w)
		return
	}
	f.fail = false
	if !f.applied {
		w.Done(errDisk)
		return
	}
	reported := *w
	reported.Done = func(error) { w.Done(errDisk) }
	f.Store.Apply(&reported)
}

func wants(definitions ...string) []catalog.NewMachine {
	var all []catalog.NewMachine
	for i, d := range definitions {
		all = append(all, catalog.NewMachine{Name: string(rune('a' + i)), Definition: d, RoleARN: "arn:aws:iam::123456789012:role/r"})
	}
	return all
}

func definitionOf(next string) string {
	return `{"StartAt":"` + next + `","States":{"` + next + `":{"Type":"Succeed"}}}`
}

// revisions are where each machine stands, by name.
func revisions(t *testing.T, e *engine.Engine) map[string]string {
	t.Helper()
	all, err := e.Catalog().ListMachines(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, m := range all {
		found[m.Name] = m.RevisionKey + " " + m.Revision.ID + " " + m.Revision.Definition
	}
	return found
}

func same(a, b map[string]string) bool {
	for name := range a {
		if a[name] != b[name] {
			return false
		}
	}
	return len(a) == len(b)
}

func TestPutMachinesIsAllOrNothing(t *testing.T) {
	one, two := definitionOf("One"), definitionOf("Two")
	for name, row := range map[string]struct {
		wanted        []catalog.NewMachine
		fail, applied bool
		refused       string
	}{
		"third refused":               {wanted: wants(two, two, `{"StartAt":"Nowhere","States":{}}`), refused: "c: "},
		"third of another name":       {wanted: append(wants(two, two), catalog.NewMachine{Name: "no good", Definition: two}), refused: "no good: "},
		"third new and refused":       {wanted: append(wants(two, two, one), catalog.NewMachine{Name: "z", Definition: "{"}), refused: "z: "},
		"not stored":                  {wanted: wants(two, two, two), fail: true, refused: "disk full"},
		"stored, but reported failed": {wanted: wants(two, two, two), fail: true, applied: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := &oneWrite{Store: store.NewMemory()}
			e := newEngine(t, s)
			if _, err := e.Catalog().PutMachines(t.Context(), wants(one, one, one)); err != nil {
				t.Fatal(err)
			}
			before := revisions(t, e)
			s.fail, s.applied = row.fail, row.applied
			_, err := e.Catalog().PutMachines(t.Context(), row.wanted)
			if row.refused == "" {
				if err != nil {
					t.Fatalf("it was stored: %v", err)
				}
				for name, at := range revisions(t, e) {
					if at == before[name] || !strings.HasSuffix(at, two) {
						t.Errorf("%s is at %s", name, at)
					}
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), row.refused) && !errors.Is(err, errDisk) {
				t.Errorf("%v lacks %q", err, row.refused)
			}
			if after := revisions(t, e); !same(before, after) {
				t.Errorf("before %v\nafter  %v", before, after)
			}
		})
	}
}

func TestPutMachinesLeavesWhatIsTheSame(t *testing.T) {
	e := newEngine(t, store.NewMemory())
	one, two := definitionOf("One"), definitionOf("Two")
	first, err := e.Catalog().PutMachines(t.Context(), wants(one, one))
	if err != nil {
		t.Fatal(err)
	}
	if first[0].ARN != "arn:aws:states:us-east-1:123456789012:stateMachine:a" || first[0].Revision.ID != "" {
		t.Errorf("made %+v", first[0])
	}
	second, err := e.Catalog().PutMachines(t.Context(), wants(one, two))
	if err != nil {
		t.Fatal(err)
	}
	if second[0].RevisionKey != first[0].RevisionKey || second[1].RevisionKey == first[1].RevisionKey || second[1].Revision.ID == "" {
		t.Errorf("first %+v %+v, then %+v %+v", first[0], first[1], second[0], second[1])
	}
}
