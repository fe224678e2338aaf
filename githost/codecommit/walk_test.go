package codecommit

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// memory is a history without an API before it.
type memory struct {
	nodes map[string]*node
	// noBases makes it tell of no merge bases.
	noBases bool
}

func (m *memory) commits(_ context.Context, shas []string) (map[string]*node, error) {
	found := map[string]*node{}
	for _, sha := range shas {
		if n := m.nodes[sha]; n != nil {
			found[sha] = n
		}
	}
	return found, nil
}

// mergeBase finds the common ancestor that was made last: none is better.
func (m *memory) mergeBase(_ context.Context, a, b string) (string, error) {
	if m.noBases {
		return "", nil
	}
	ours, best := m.reachable(a), ""
	for sha := range m.reachable(b) {
		if ours[sha] && sha > best {
			best = sha
		}
	}
	return best, nil
}

func (m *memory) reachable(from ...string) map[string]bool {
	seen := map[string]bool{}
	for todo := slices.Clone(from); len(todo) > 0; {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !seen[at] {
			seen[at] = true
			todo = append(todo, m.nodes[at].parents...)
		}
	}
	return seen
}

func commitName(i int) string { return fmt.Sprintf("%040d", i) }

func inMemory(d dag) *memory {
	m := &memory{nodes: map[string]*node{}}
	for i, parents := range d.parents {
		n := &node{sha: commitName(i), date: d.dates[i]}
		for _, p := range parents {
			n.parents = append(n.parents, commitName(p))
		}
		m.nodes[n.sha] = n
	}
	return m
}

// What is new is found whole, whatever the clocks say; and nothing else as long
// as they are wrong by less than some commits take.
func TestBetweenFindsWhatIsNew(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for i := range 3000 {
		n := 2 + r.IntN(80)
		skew := []int64{0, 0, 60, 180, 1_000_000}[i%5]
		m := inMemory(randomDAG(r, n, skew))
		m.noBases = i%3 == 0
		head := commitName(r.IntN(n))
		var tips []string
		for range []int{1, 1, 1, 0, 2, 9}[r.IntN(6)] {
			tips = append(tips, commitName(r.IntN(n)))
		}
		found, err := between(t.Context(), m, head, tips, n)
		if err != nil {
			t.Fatal(err)
		}
		want := m.reachable(head)
		maps.DeleteFunc(want, func(sha string, _ bool) bool { return m.reachable(tips...)[sha] })
		got := map[string]bool{}
		for _, n := range found {
			got[n.sha] = true
		}
		for sha := range want {
			if !got[sha] {
				t.Fatalf("case %d: %s is missing", i, sha)
			}
		}
		if skew < 1000 && len(got) > len(want) {
			t.Fatalf("case %d, skew %d: %s", i, skew, cmp.Diff(want, got))
		}
		order := oldestFirst(found, head)
		if len(order) != len(found) {
			t.Fatalf("case %d: %d of %d commits are in order", i, len(order), len(found))
		}
		at := map[string]int{}
		for i, n := range order {
			at[n.sha] = i + 1
		}
		for _, n := range order {
			for _, p := range n.parents {
				if at[p] > at[n.sha] {
					t.Fatalf("case %d: %s comes before its parent", i, n.sha)
				}
			}
		}
	}
}

func TestBetweenSaysWhichCommitIsMissing(t *testing.T) {
	m := inMemory(dag{parents: [][]int{nil, {0}, {1}}, dates: []int64{1, 2, 3}})
	delete(m.nodes, commitName(0))
	if _, err := between(t.Context(), m, commitName(2), nil, 10); err == nil {
		t.Error("a parent that does not exist was passed over")
	}
	if _, err := between(t.Context(), m, commitName(7), nil, 10); err == nil {
		t.Error("a head that does not exist was passed over")
	}
	if found, err := between(t.Context(), m, commitName(2), []string{commitName(1), commitName(8)}, 10); err != nil || len(found) != 1 {
		t.Errorf("a tip that does not exist: %v, %v", found, err)
	}
}

func TestCacheForgetsWhatWasLongUnused(t *testing.T) {
	c := newCommitCache(40 * (&node{}).bytes())
	for i := range 100 {
		c.put("api", &node{sha: commitName(i)})
		if c.get("api", commitName(0)) == nil {
			t.Fatalf("what is looked at all the time was forgotten after %d", i)
		}
	}
	kept := 0
	for i := range 100 {
		if c.get("api", commitName(i)) != nil {
			kept++
		}
	}
	if kept > 40 || c.get("other", commitName(0)) != nil {
		t.Errorf("%d of 100 are kept, of at most 40", kept)
	}
}

// A long history is walked from the start by each call that goes on with it, out
// of the cache.
func BenchmarkBetween(b *testing.B) {
	const n = 100_000
	line := dag{parents: make([][]int, n), dates: make([]int64, n)}
	for i := 1; i < n; i++ {
		line.parents[i], line.dates[i] = []int{i - 1}, int64(i)
	}
	m := inMemory(line)
	b.ReportAllocs()
	for b.Loop() {
		found, err := between(b.Context(), m, commitName(n-1), []string{commitName(0)}, n)
		if err != nil || len(oldestFirst(found, commitName(n-1))) != n-1 {
			b.Fatal(len(found), err)
		}
	}
}
