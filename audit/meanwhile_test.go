package audit_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/audit"
	"switchyard/internal/event"
)

// A first audit that heals nothing leaves what it found to be found again, and no
// more.
func TestAFirstAuditThatHealsNothing(t *testing.T) {
	r := newRig(t, rules{})
	r.push("main", "old1", "old2")
	r.take(r.push("main", "a"))
	r.push("main", "b")
	r.want("first", audit.Query{}, "b-all")
	r.want("second", audit.Query{Heal: true}, "b-all")
	r.want("third", audit.Query{Heal: true})
}

// That pull requests cannot be listed keeps no branch from being audited.
func TestBranchesAreAuditedWherePullRequestsCannotBe(t *testing.T) {
	r := newRig(t, rules{})
	r.push("main", "a")
	r.fail = func(call string) error {
		if call == "pulls" {
			return errors.New("may not")
		}
		return nil
	}
	if _, s := r.audit(audit.Query{Heal: true}); s.Error == "" {
		t.Error("no error")
	}
	r.push("x", "x1")
	r.fail = nil
	r.want("then", audit.Query{Heal: true}, "x1-all")
}

// What others push, reopen or close while an audit waits is believed.
func TestWhatHappensWhileAnAuditWaits(t *testing.T) {
	meanwhile := func(t *testing.T, during func(r *rig), want ...string) *rig {
		r := newRig(t, rules{})
		synctest.Test(t, func(t *testing.T) {
			r.T, r.grace = t, time.Minute
			r.take(r.push("main", "a"), r.push("x", "x1"))
			r.audit(audit.Query{})
			delete(r.branches, "refs/heads/x")
			r.push("main", "b") // lost
			go func() {
				time.Sleep(30 * time.Second)
				during(r)
			}()
			r.want("meanwhile", audit.Query{Heal: true}, want...)
		})
		return r
	}
	// A branch that is back is not torn down.
	meanwhile(t, func(r *rig) { r.branches["refs/heads/x"] = "x1" }, "b-all")
	r := meanwhile(t, func(r *rig) {
		r.branches["refs/heads/x"] = "x1"
		r.take(r.push("x", "x2"))
	}, "b-all")
	if slices.ContainsFunc(r.taken, func(ev event.Event) bool { return ev.Kind == event.Delete }) {
		t.Error("a deletion came after the branch was back")
	}
	// A newer commit that was told of meanwhile is superseded by nothing.
	r = meanwhile(t, func(r *rig) { r.take(r.push("main", "c")) }, "b-all", "x1-all-end")
	for _, ev := range r.taken {
		if ev.Ref == "refs/heads/main" && strings.HasPrefix(ev.DeliveryID, "audit-") && !ev.Late {
			t.Errorf("%+v is not late", ev)
		}
	}
}

// A new branch has not brought what another had before, whatever its host lists.
func TestANewBranchOfALongLivedOne(t *testing.T) {
	r := newRig(t, rules{})
	r.take(r.push("main", "a"))
	r.push("develop", "old1", "old2", "old3")
	r.audit(audit.Query{})
	r.commit("old3", "x1")
	r.branches["refs/heads/x"] = "x1"
	r.byDefault = true
	r.want("lost", audit.Query{Heal: true}, "x1-all")
}

// open tells whether a pull request is.
func (g *graph) PullRequest(_ context.Context, _ string, number int) (event.Event, error) {
	if err := g.call("pull"); err != nil {
		return event.Event{}, err
	}
	if ev, open := g.pulls[number]; open {
		return ev, nil
	}
	return event.Event{}, errNoCommit
}

// A list that lacks a pull request does not close it.
func TestAListThatLacksAPullRequest(t *testing.T) {
	r := newRig(t, rules{})
	r.take(r.push("main", "a"), r.push("x", "x1"))
	r.open(1, "x", "main")
	r.audit(audit.Query{})
	r.lacks = 1
	r.want("lacking", audit.Query{Heal: true})
	r.lacks = 0
	delete(r.pulls, 1)
	r.want("closed", audit.Query{Heal: true}, "x1-pulls-main-end")
}

// Who gave the labels of a pull request that was not heard of, nobody tells.
func TestLabelsThatAnAuditFindsAreNotVouched(t *testing.T) {
	r := newRig(t, rules{})
	r.take(r.push("main", "a"))
	r.audit(audit.Query{})
	r.push("x", "x1")
	ev := r.open(1, "x", "main")
	ev.PullRequest.LabelsVouched = true
	r.audit(audit.Query{Heal: true})
	for _, ev := range r.taken {
		if ev.PullRequest != nil && ev.PullRequest.LabelsVouched {
			t.Errorf("%+v", ev)
		}
	}
}

func TestNothingOlderThanTheJournalIsAudited(t *testing.T) {
	a := audit.New(newLedger(rules{}), func(context.Context) ([]audit.Repository, error) { return nil, nil },
		func() (audit.Planner, audit.Config) { return rules{}, audit.Config{Retention: time.Hour} })
	if err := a.Audit(t.Context(), audit.Query{Since: time.Now().Add(-2 * time.Hour)}, audit.Report{}); err == nil || !strings.Contains(err.Error(), "1h0m0s") {
		t.Error(err)
	}
}
