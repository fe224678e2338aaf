package codecommit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// Whatever the history is like, a push brings what git says, in git's order.
func TestCommitsArePushedOnesInGitsOrder(t *testing.T) {
	for _, row := range []struct {
		name string
		n    int
		skew int64
	}{{"small", 12, 0}, {"bushy", 60, 0}, {"long", 250, 0}, {"skewed clocks", 60, 180}} {
		t.Run(row.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(row.n), uint64(row.skew)))
			h := newHost(t, Config{})
			shas := h.load(t, randomDAG(r, row.n, row.skew))
			for range 20 {
				before, after := shas[r.IntN(len(shas))], shas[r.IntN(len(shas))]
				h.Client = connect(t, h.server, Config{})
				got := h.shas(t, push("main", before, after))
				if diff := cmp.Diff(h.revList(after, "^"+before), got); diff != "" {
					t.Fatalf("from %s to %s: %s", before, after, diff)
				}
			}
		})
	}
}

// A created branch brings what no other branch has.
func TestCommitsOfACreatedBranchEndAtOtherBranches(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	h := newHost(t, Config{})
	h.server.PageSize = 3
	shas := h.load(t, randomDAG(r, 80, 0))
	for range 15 {
		h.Client = connect(t, h.server, Config{})
		head := shas[r.IntN(len(shas))]
		args := []string{head, "--not"}
		for i := range 7 {
			tip := shas[r.IntN(len(shas))]
			h.branch(fmt.Sprint("other", i), tip)
			args = append(args, tip)
		}
		h.branch("new", head)
		if diff := cmp.Diff(h.revList(args...), h.shas(t, push("new", "", head))); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestCommitsOfTheFirstPushAreAll(t *testing.T) {
	h := newHost(t, Config{})
	shas := h.load(t, randomDAG(rand.New(rand.NewPCG(3, 4)), 30, 0))
	h.branch("main", shas[29])
	if diff := cmp.Diff(h.revList(shas[29]), h.shas(t, push("main", "", shas[29]))); diff != "" {
		t.Error(diff)
	}
}

// Where the commit before is gone, what no other branch has is new.
func TestCommitsAfterAForcedPushFromWhatIsGone(t *testing.T) {
	h := newHost(t, Config{})
	base := h.repo.Commit("main", "base", map[string]string{"a": "1"})
	one := h.repo.Commit("topic", "one", map[string]string{"a": "2"}, base)
	two := h.repo.Commit("topic", "two", map[string]string{"a": "3"})
	got := h.shas(t, push("topic", "0123456789012345678901234567890123456789", two))
	if want := []string{one, two}; !cmp.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Where it cannot be told what is new, a whole history is not taken for it.
func TestCommitsAreNotGuessed(t *testing.T) {
	h := newHost(t, Config{})
	h.repo.Commit("main", "one", map[string]string{"a": "1"})
	tip := h.repo.Commit("main", "two", map[string]string{"a": "2"})
	unknown := push("main", "", tip)
	unknown.BeforeUnknown = true
	for _, e := range []*event.Event{unknown, push("main", "0123456789012345678901234567890123456789", tip)} {
		all, err := h.Commits(t.Context(), e)
		if !errors.As(err, new(*dispatch.PermanentError)) || !strings.Contains(err.Error(), "which commits are new cannot be told") {
			t.Errorf("%+v, %v", all, err)
		}
	}
}

func TestCommitsOfAForcedPushAreThoseOfTheNewLine(t *testing.T) {
	h := newHost(t, Config{})
	base := h.repo.Commit("main", "base", map[string]string{"a": "1"})
	before := h.repo.Commit("topic", "before", map[string]string{"a": "2"}, base)
	after := h.repo.Commit("topic", "after", map[string]string{"a": "3"}, base)
	last := h.repo.Commit("topic", "last", map[string]string{"a": "4"})
	if got := h.shas(t, push("topic", before, last)); !cmp.Equal(got, []string{after, last}) {
		t.Errorf("got %v", got)
	}
	if got := h.shas(t, push("topic", last, base)); len(got) != 0 {
		t.Errorf("moved back: got %v", got)
	}
}

// Two new branches that come with one push: what they share is run for one.
func TestCommitsOfBranchesPushedTogetherAreNotLost(t *testing.T) {
	h := newHost(t, Config{})
	base := h.repo.Commit("main", "base", map[string]string{"a": "1"})
	shared := h.repo.Commit("a", "shared", map[string]string{"a": "2"}, base)
	h.branch("b", shared)
	onlyA := h.repo.Commit("a", "only a", map[string]string{"a": "3"})
	onlyB := h.repo.Commit("b", "only b", map[string]string{"a": "4"})
	got := append(h.shas(t, push("a", "", onlyA)), h.shas(t, push("b", "", onlyB))...)
	slices.Sort(got)
	want := []string{shared, onlyA, onlyB}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A branch that was away for long is merged: what it has in common with the
// branch lies far behind, and is not walked to.
func TestCommitsOfAnOldBranchCostFewCalls(t *testing.T) {
	const length = 400
	d := dag{}
	for i := range length {
		parents := []int{i - 1}
		if i == 0 {
			parents = nil
		}
		d.parents, d.dates = append(d.parents, parents), append(d.dates, int64(1_700_000_000+60*i))
	}
	// Three commits from the third on, and then their merge.
	for i := range 3 {
		d.parents = append(d.parents, []int{[]int{3, length, length + 1}[i]})
		d.dates = append(d.dates, int64(1_700_000_200+60*i))
	}
	d.parents, d.dates = append(d.parents, []int{length - 1, length + 2}), append(d.dates, 1_700_000_000+60*length)
	h := newHost(t, Config{})
	shas := h.load(t, d)
	head := shas[len(shas)-1]
	if diff := cmp.Diff(h.revList(head, "^"+shas[length-1]), h.shas(t, push("main", shas[length-1], head))); diff != "" {
		t.Error(diff)
	}
	if n := len(h.server.Calls()); n > 12 {
		t.Errorf("%d calls for 4 commits", n)
	}
}

// The usual push costs as few calls as can be.
func TestCommitsOfAPlainPushCostOneCallEach(t *testing.T) {
	h := newHost(t, Config{})
	before := h.repo.Commit("main", "base", map[string]string{"a": "1"})
	var after string
	for i := range 5 {
		after = h.repo.Commit("main", fmt.Sprint(i), map[string]string{"a": fmt.Sprint(i)})
	}
	if got := h.shas(t, push("main", before, after)); len(got) != 5 {
		t.Errorf("got %v", got)
	}
	if n := len(h.server.Calls()); n > 6 {
		t.Errorf("%d calls for 5 commits: %v", n, h.server.Calls())
	}
	calls := len(h.server.Calls())
	if got := h.shas(t, push("main", before, after)); len(got) != 5 || len(h.server.Calls()) != calls {
		t.Errorf("asked again for what is known: %v", h.server.Calls()[calls:])
	}
}

// A pull request has what its destination has not.
func TestCommitsOfAPullRequest(t *testing.T) {
	h := newHost(t, Config{})
	base := h.repo.Commit("main", "base", map[string]string{"a": "1"})
	one := h.repo.Commit("topic", "one", map[string]string{"a": "2"}, base)
	tip := h.repo.Commit("main", "two", map[string]string{"b": "1"})
	two := h.repo.Commit("topic", "three", map[string]string{"a": "3"})
	pull := func(base string) *event.Event {
		ev := push("topic", "", two)
		ev.Kind, ev.PullRequest = event.PullRequest, &event.PullReq{Number: 1, Base: "main", BaseSHA: base}
		return ev
	}
	if got := h.shas(t, pull(tip)); !cmp.Equal(got, []string{one, two}) {
		t.Errorf("got %v", got)
	}
	for _, unknown := range []string{"", "0123456789012345678901234567890123456789", "--help"} {
		if all, err := h.Commits(t.Context(), pull(unknown)); !errors.As(err, new(*dispatch.PermanentError)) {
			t.Errorf("%q: %v, %v", unknown, all, err)
		}
	}
}
