package dispatch

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/internal/event"
)

func TestTheHeadOfACompletedPushComesLast(t *testing.T) {
	list := func(shas ...string) (all []event.Commit) {
		for _, sha := range shas {
			all = append(all, event.Commit{SHA: sha})
		}
		return all
	}
	for name, row := range map[string]struct{ host, payload, want []event.Commit }{
		"the payload is the end":          {list("a", "b", "c", "d"), list("c", "d"), list("a", "b", "c", "d")},
		"the payload is newest first":     {list("a", "b", "c", "d"), list("d", "c"), list("a", "b", "c", "d")},
		"the host lists no head":          {list("a", "b"), list("c", "d"), list("c", "a", "b", "d")},
		"the host lists the head first":   {list("d", "a"), list("d"), list("a", "d")},
		"the host lists nothing":          {nil, list("c", "d"), list("c", "d")},
		"the payload has what was forced": {list("a", "d"), list("x", "d"), list("x", "a", "d")},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(row.want, joined(row.host, row.payload, "d")); d != "" {
				t.Error(d)
			}
		})
	}
	told := joined([]event.Commit{{SHA: "d", Message: "from the host", Author: "ada", Paths: []string{"x"}, PathsKnown: true}},
		[]event.Commit{{SHA: "d", Message: "from the payload", Distinct: true}}, "d")
	want := []event.Commit{{SHA: "d", Message: "from the payload", Author: "ada", Distinct: true, Paths: []string{"x"}, PathsKnown: true}}
	if d := cmp.Diff(want, told); d != "" {
		t.Error(d)
	}
}
