package audit_test

import (
	"fmt"
	"testing"

	"switchyard/audit"
	"switchyard/internal/event"
)

// What came and went between two audits has something torn down, although the
// delivery of its end was lost.
func TestWhatCameAndWentBetweenAudits(t *testing.T) {
	r := newRig(t, rules{})
	r.take(r.push("main", "a"))
	r.audit(audit.Query{})
	told := func(action, id string, ev event.Event) event.Event {
		ev.Source, ev.Repository.FullName, ev.Action, ev.DeliveryID = "host", "acme/api", action, id
		return ev
	}
	gone := func(branch, last string) event.Event {
		return event.Event{Source: "host", DeliveryID: "gone-" + branch, Kind: event.Delete, Ref: "refs/heads/" + branch, Before: last, Repository: event.Repository{FullName: "acme/api"}}
	}
	r.take(r.push("lost", "l1"), r.push("lost", "l2"), r.push("told", "t1"), r.push("ignored/x", "i1"), r.push("stays", "s1"))
	r.take(told("opened", "p1", r.open(1, "lost", "main")), told("opened", "p2", r.open(2, "told", "main")), told("closed", "p2-closed", r.open(2, "told", "main")))
	r.take(gone("told", "t1"))
	for _, branch := range []string{"lost", "told", "ignored/x"} {
		delete(r.branches, "refs/heads/"+branch)
	}
	clear(r.pulls)
	r.want("only looked at", audit.Query{}, "l2-all-end", "l2-pulls-main-end")
	r.want("another branch", audit.Query{Branch: "stays"})
	r.want("healed", audit.Query{Heal: true}, "l2-all-end", "l2-pulls-main-end")
	if s := r.want("after", audit.Query{Heal: true}); s.Changed != 0 {
		t.Errorf("looked at %d again", s.Changed)
	}
}

// What deliveries of before the first audit told of is known to it as gone.
func TestTheFirstAuditEndsNothing(t *testing.T) {
	r := newRig(t, rules{})
	r.take(r.push("main", "a"), r.push("old", "o1"))
	delete(r.branches, "refs/heads/old")
	r.want("first", audit.Query{Heal: true})
}

// A new branch is held against those of many that most likely have its commits.
func TestANewBranchOfOneOfMany(t *testing.T) {
	for name, prepare := range map[string]func(r *rig){
		"that ends on its way": func(*rig) {},
		"that has moved since": func(r *rig) { r.take(r.push("z", "z3", "z4")) },
	} {
		r := newRig(t, rules{})
		r.push("main", "a")
		for i := range 40 {
			r.commit("a", fmt.Sprint("b", i))
			r.branches[fmt.Sprintf("refs/heads/b%d", i)] = fmt.Sprint("b", i)
		}
		r.commit("a", "z1", "z2")
		r.branches["refs/heads/z"] = "z2"
		r.audit(audit.Query{})
		prepare(r)
		r.commit("z2", "n1")
		r.branches["refs/heads/new"] = "n1"
		r.commit("a", "other")
		r.branches["refs/heads/other"] = "other"
		if missing, s := r.audit(audit.Query{Heal: true}); len(missing) != 2 {
			t.Errorf("%s: %q, %+v", name, missing, s)
		}
	}
}
