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

func TestTheFirstAuditTakesWhatThereIsAsKnown(t *testing.T) {
	r := newRig(t, rules{})
	r.push("main", "a", "b")
	r.open(1, "main", "main")
	if s := r.want("first", audit.Query{Heal: true}); !s.First || s.Branches != 1 || s.PullRequests != 1 || s.Error != "" {
		t.Errorf("%+v", s)
	}
	// What comes later is not.
	r.push("main", "c")
	r.push("feature/x", "x1", "x2")
	r.want("second", audit.Query{}, "x1-all", "x2-all", "c-all")
	r.want("found again", audit.Query{}, "x1-all", "x2-all", "c-all")
	if s := r.want("healed", audit.Query{Heal: true}, "x1-all", "x2-all", "c-all"); s.Healed != 3 {
		t.Errorf("%+v", s)
	}
	r.want("nothing left", audit.Query{Heal: true})
	if want := []string{"refs", "pulls"}; !slices.Equal(r.calls, want) {
		t.Errorf("an audit where nothing changed makes the calls %v, expected %v", r.calls, want)
	}
}

// What the journal knows of a branch counts, also before the first audit.
func TestTheFirstAuditGoesOnFromTheJournal(t *testing.T) {
	r := newRig(t, rules{})
	r.take(r.push("main", "a"))
	r.push("main", "b", "c") // the service was down
	r.want("first", audit.Query{Heal: true}, "b-all", "c-all")
}

func TestWhatDeliveriesToldIsNotAskedFor(t *testing.T) {
	r := newRig(t, rules{})
	r.take(r.push("main", "a"))
	r.audit(audit.Query{})
	for _, sha := range []string{"b", "c", "d"} {
		r.take(r.push("main", sha))
	}
	r.take(r.push("feature/y", "y1"))
	r.want("all told", audit.Query{})
	if want := []string{"refs", "pulls"}; !slices.Equal(r.calls, want) {
		t.Errorf("calls %v, expected %v", r.calls, want)
	}
}

func TestAGapBetweenDeliveriesIsFound(t *testing.T) {
	r := newRig(t, rules{})
	r.take(r.push("main", "a"))
	r.audit(audit.Query{})
	r.push("main", "b", "c") // lost
	r.take(r.push("main", "d"))
	r.push("main", "e") // lost
	r.want("gaps", audit.Query{Heal: true}, "b-all", "c-all", "e-all")
	var late []bool
	for _, ev := range r.taken {
		if strings.HasPrefix(ev.DeliveryID, "audit-") {
			late = append(late, ev.Late)
			if ev.After != ev.Commits[len(ev.Commits)-1].SHA {
				t.Errorf("an event leads to %s, and its last commit is %s", ev.After, ev.Commits[len(ev.Commits)-1].SHA)
			}
		}
	}
	if !slices.Equal(late, []bool{true, false}) {
		t.Errorf("late %v: only what came before a delivery is", late)
	}
	r.want("after", audit.Query{Heal: true})
}

func TestForcedPushesAndDeletions(t *testing.T) {
	r := newRig(t, rules{})
	r.take(r.push("main", "a"), r.push("feature/x", "x1", "x2"), r.push("feature/y", "y1"))
	r.audit(audit.Query{})
	// x is rewritten, and its former commits are gone; y is deleted.
	delete(r.parents, "x1")
	delete(r.parents, "x2")
	r.commit("a", "x3", "x4")
	r.branches["refs/heads/feature/x"] = "x4"
	delete(r.branches, "refs/heads/feature/y")
	s := r.want("rewritten", audit.Query{Heal: true}, "x3-all", "x4-all", "y1-all-end")
	if s.Error != "" {
		t.Error(s.Error)
	}
	r.want("after", audit.Query{Heal: true})

	// A deletion that was told is not missing.
	gone := event.Event{Source: "host", DeliveryID: "gone", Kind: event.Delete, Ref: "refs/heads/feature/x", Before: "x4", Repository: event.Repository{FullName: "acme/api"}}
	delete(r.branches, "refs/heads/feature/x")
	r.take(gone)
	r.want("told", audit.Query{})
}

// Where the journal knows a branch by a later push alone, what came before that
// is looked for.
func TestABranchThatWasHeardOfLate(t *testing.T) {
	r := newRig(t, rules{})
	r.take(r.push("main", "a"))
	r.audit(audit.Query{})
	r.push("x", "x1", "x2")         // lost
	r.take(r.push("x", "x3", "x4")) // told
	r.want("late", audit.Query{Heal: true}, "x1-all", "x2-all")
	r.want("after", audit.Query{Heal: true})
}

// Branches that are new together leave what they share to one another, as hosts
// tell it; what none of the former branches had is new all the same.
func TestBranchesThatAreNewTogether(t *testing.T) {
	r := newRig(t, rules{})
	r.take(r.push("main", "a"))
	r.push("develop", "old1", "old2") // before the first audit, and told to nobody
	r.audit(audit.Query{})
	r.commit("old2", "s1", "s2")
	r.commit("s2", "x1")
	r.commit("s1", "y1")
	r.branches["refs/heads/x"], r.branches["refs/heads/y"], r.branches["refs/heads/z"] = "x1", "y1", "s2"
	r.want("together", audit.Query{Heal: true}, "s1-all", "s2-all", "x1-all", "y1-all")
	r.want("after", audit.Query{Heal: true})
}

// An error that may pass says nothing of what is new.
func TestAnErrorIsNoForcedPush(t *testing.T) {
	r := newRig(t, rules{})
	r.take(r.push("main", "a"), r.push("x", "x1"))
	r.audit(audit.Query{})
	r.push("x", "x2")
	r.fail = func(call string) error {
		if call == "commits refs/heads/x" {
			r.fail = nil
			return errors.New("broken")
		}
		return nil
	}
	if _, s := r.audit(audit.Query{Heal: true}); !strings.Contains(s.Error, "broken") {
		t.Errorf("%+v", s)
	}
	r.want("again", audit.Query{Heal: true}, "x2-all")
}

// A host that lists nothing any more is not believed: everything would be torn
// down.
func TestAHostWithoutBranchesIsNotBelieved(t *testing.T) {
	r := newRig(t, rules{})
	r.take(r.push("main", "a"))
	r.audit(audit.Query{})
	branches := r.branches
	r.branches = map[string]string{}
	if s := r.want("empty", audit.Query{Heal: true}); !strings.Contains(s.Error, "not believed") {
		t.Errorf("%+v", s)
	}
	r.branches = branches
	r.want("back", audit.Query{Heal: true})
}

func TestBranchesThatNoRouteTakesAreNotAskedFor(t *testing.T) {
	r := newRig(t, rules{})
	r.audit(audit.Query{})
	r.push("ignored/x", "i1", "i2")
	r.want("ignored", audit.Query{})
	if want := []string{"refs", "pulls"}; !slices.Equal(r.calls, want) {
		t.Errorf("calls %v, expected %v", r.calls, want)
	}
}

func TestRoutesThatNeedToKnowACommitAreTold(t *testing.T) {
	r := newRig(t, rules{lacking: true})
	r.audit(audit.Query{})
	r.push("main", "docs1", "b", "docs2")
	r.want("by paths", audit.Query{Heal: true}, "b-all")
	r.want("after", audit.Query{Heal: true})
}

func TestPullRequests(t *testing.T) {
	r := newRig(t, rules{})
	r.take(r.push("main", "a"))
	r.audit(audit.Query{})
	heard := func(action string, ev event.Event) event.Event {
		ev.Source, ev.Repository.FullName, ev.Action, ev.DeliveryID = "host", "acme/api", action, action+ev.After+ev.PullRequest.Base
		return ev
	}
	r.take(r.push("feature/x", "x1", "x2"))
	r.open(1, "feature/x", "main")
	r.want("lost: opened", audit.Query{Heal: true}, "x1-pulls-main", "x2-pulls-main")
	r.want("after", audit.Query{Heal: true})

	r.take(r.push("feature/x", "x3"))
	r.take(heard("synchronize", r.open(1, "feature/x", "main")))
	r.want("told", audit.Query{})

	// Retargeted, and only the push to the new base's branch was told of.
	r.take(r.push("release", "r1"))
	r.open(1, "feature/x", "release")
	r.want("lost: edited", audit.Query{Heal: true}, "x1-pulls-release", "x2-pulls-release", "x3-pulls-release")

	draft := r.open(2, "feature/x", "other")
	pr := *draft.PullRequest
	pr.Draft = true
	draft.PullRequest = &pr
	r.pulls[2] = draft
	r.take(heard("opened", draft))
	r.want("a draft", audit.Query{Heal: true})
	ready := *draft.PullRequest
	ready.Draft = false
	draft.PullRequest = &ready
	r.pulls[2] = draft
	r.want("lost: ready", audit.Query{Heal: true}, "a-pulls-other", "x1-pulls-other", "x2-pulls-other", "x3-pulls-other")

	delete(r.pulls, 1)
	delete(r.pulls, 2)
	r.want("lost: closed", audit.Query{Heal: true}, "x3-pulls-release-end", "x3-pulls-other-end")
	r.want("after", audit.Query{Heal: true})
}

func TestDeliveriesOnTheirWayAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, rules{})
		r.grace = 30 * time.Second
		r.take(r.push("main", "a"))
		r.audit(audit.Query{})
		slow := r.push("main", "b")
		go func() {
			time.Sleep(20 * time.Second)
			r.take(slow)
		}()
		began := time.Now()
		r.want("it arrives", audit.Query{Heal: true})
		if waited := time.Since(began); waited != r.grace {
			t.Errorf("waited %v", waited)
		}
		// What the host could not deliver, it is asked to send again.
		lost := r.push("main", "c")
		r.redeliver = func() int {
			go r.take(lost)
			return 1
		}
		if s := r.want("sent again", audit.Query{Heal: true}); s.Redelivered != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAnAuditGoesOnWhereTheHostHeldItUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, rules{})
		r.take(r.push("main", "a"))
		r.audit(audit.Query{})
		for _, branch := range []string{"b1", "b2", "b3", "b4"} {
			r.push(branch, branch+"x")
		}
		calls := 0
		r.fail = func(call string) error {
			if calls++; strings.HasPrefix(call, "commits") && calls%3 == 0 {
				return throttledError{after: time.Minute}
			}
			if call == "commits refs/heads/b3" {
				return errors.New("broken")
			}
			return nil
		}
		s := r.want("held up", audit.Query{Heal: true}, "b1x-all", "b2x-all", "b4x-all")
		if !strings.Contains(s.Error, "b3") {
			t.Errorf("%+v", s)
		}
		r.fail = nil
		r.want("the rest", audit.Query{Heal: true}, "b3x-all")
		for id, n := range r.started {
			if n != 1 {
				t.Errorf("%s was started %d times", id, n)
			}
		}
	})
}

func TestNarrowQueriesConcludeNothing(t *testing.T) {
	r := newRig(t, rules{})
	r.take(r.push("main", "a"))
	r.audit(audit.Query{})
	r.push("main", "b")
	r.push("x", "x1")
	r.want("a branch", audit.Query{Branch: "x"}, "x1-all")
	r.want("another route", audit.Query{Route: "pulls"})
	r.want("all", audit.Query{}, "b-all", "x1-all")
	if err := r.a.Audit(t.Context(), audit.Query{Repository: "acme/other"}, audit.Report{}); !errors.Is(err, audit.ErrUnknownRepository) {
		t.Error(err)
	}
	if err := r.a.Audit(t.Context(), audit.Query{Route: "al"}, audit.Report{}); !errors.Is(err, audit.ErrUnknownRoute) {
		t.Errorf("a route that there is not: %v", err)
	}
	r.want("by source", audit.Query{Repository: "host:acme/api"}, "b-all", "x1-all")
}

// A branch whose name is mistyped lacks nothing; one that is gone is still one.
func TestABranchThatNobodyHas(t *testing.T) {
	r := newRig(t, rules{})
	r.take(r.push("main", "a"))
	r.take(r.push("x", "x1"))
	r.audit(audit.Query{})
	ask := func(branch string) error {
		return r.a.Audit(t.Context(), audit.Query{Branch: branch}, audit.Report{Finding: func(audit.Finding) {}, Summary: func(audit.Summary) {}})
	}
	if err := ask("mian"); !errors.Is(err, audit.ErrUnknownBranch) {
		t.Errorf("%v", err)
	}
	delete(r.branches, "refs/heads/x")
	for _, branch := range []string{"main", "x"} {
		if err := ask(branch); err != nil {
			t.Errorf("%s: %v", branch, err)
		}
	}
}

func TestSinceLooksFurtherBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, rules{})
		r.push("main", "old")
		time.Sleep(24 * time.Hour)
		since := time.Now()
		r.push("main", "a", "b")
		r.take(r.push("main", "c"))
		r.audit(audit.Query{})
		r.want("since", audit.Query{Since: since, Heal: true}, "a-all", "b-all")
		r.want("again", audit.Query{Since: since, Heal: true})
	})
}

func TestARefusedHealingIsTriedAgain(t *testing.T) {
	r := newRig(t, rules{})
	r.take(r.push("main", "a"))
	r.audit(audit.Query{})
	r.push("main", "b")
	r.refuse = errors.New("the journal cannot write")
	if _, s := r.audit(audit.Query{Heal: true}); !strings.Contains(s.Error, "cannot write") || s.Healed != 0 {
		t.Errorf("%+v", s)
	}
	r.refuse = nil
	r.want("again", audit.Query{Heal: true}, "b-all")
}

func TestRunAuditsAtOnceAndOnSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, rules{})
		r.take(r.push("main", "a"))
		r.push("main", "b") // while the service was down
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); r.a.Run(ctx) }()
		time.Sleep(time.Second)
		synctest.Wait()
		if r.starts("b-all") != 1 || !slices.Contains(r.made(), "redeliver") {
			t.Errorf("at the start: calls %v", r.made())
		}
		r.push("main", "c")
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		if r.starts("c-all") != 0 {
			t.Error("too early")
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if r.starts("c-all") != 1 {
			t.Error("not on schedule")
		}
		cancel()
		<-done
	})
}
