package codecommit

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"slices"

	"switchyard/dispatch"
)

const (
	// slop is how many further steps the walk takes behind where the dates say
	// that it could end, since clocks differ. As in git's own.
	slop = 5
	// maxBehind is how many commits that are not new may be looked at, beside
	// two for each that is. Without more of them a commit may count as new that
	// is not: its execution has the name of the one before.
	maxBehind = 5000
	// maxBases is for how many merges of a push the API is asked where they
	// come from.
	maxBases = 20
	// step is how many commits are looked at in one step, at most.
	step = 400
)

// source is what a walk asks.
type source interface {
	// commits returns those of the commits that exist.
	commits(ctx context.Context, shas []string) (map[string]*node, error)
	// mergeBase returns a best common ancestor of two commits, or "" where there
	// is none or nobody says.
	mergeBase(ctx context.Context, a, b string) (string, error)
}

// walk finds what a commit has and others have not.
//
// It goes back from both sides at once, newest commits first, as git does: what
// the other side reaches is not new, nor is anything behind it. There is no call
// of the API that lists a history, only one that tells the parents of up to 100
// commits: a straight line of commits costs a call each.
type walk struct {
	from source
	max  int

	known map[string]*node
	// old are the commits that are not new; the others that were reached are.
	old   map[string]bool
	found []*node // reached from the head; some have turned out old since
	// newer and older are reached, and their parents are not; of either the
	// newest is first.
	newer, older dateHeap
	// fresh and behind count what is new and what is not.
	fresh, behind int
	// bases are the answers about merges: a commit, and where what it has comes
	// from the tip.
	bases [][2]string
	// floor is down to which date a new commit may be followed without the other
	// side keeping up: that of the base of a merge that it came with.
	floor map[string]int64
}

type dateHeap []*node

func (h dateHeap) Len() int           { return len(h) }
func (h dateHeap) Less(i, j int) bool { return h[i].date > h[j].date }
func (h dateHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dateHeap) Push(x any)        { *h = append(*h, x.(*node)) }
func (h *dateHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// missingError says that a repository does not have a commit.
type missingError struct{ sha string }

func (e *missingError) Error() string {
	return fmt.Sprintf("the repository has no commit %.12s", e.sha)
}

// between returns what head has and none of the tips has, in no order. Tips that
// do not exist are passed over.
func between(ctx context.Context, from source, head string, tips []string, most int) ([]*node, error) {
	w := &walk{from: from, max: most, known: map[string]*node{}, old: map[string]bool{}, floor: map[string]int64{}}
	if err := w.load(ctx, append([]string{head}, tips...)); err != nil {
		return nil, err
	}
	if w.known[head] == nil {
		return nil, &missingError{head}
	}
	tips = slices.DeleteFunc(slices.Clone(tips), func(sha string) bool { return w.known[sha] == nil })
	for _, sha := range tips {
		w.reach(w.known[sha], true)
	}
	w.reach(w.known[head], false)
	if err := w.spread(ctx, tips); err != nil {
		return nil, err
	}
	if err := w.settle(ctx, tips); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(w.found, func(n *node) bool { return w.old[n.sha] }), nil
}

// load makes commits known, as far as they exist.
func (w *walk) load(ctx context.Context, shas []string) error {
	var ask []string
	asked := map[string]bool{}
	for _, sha := range shas {
		if w.known[sha] == nil && !asked[sha] {
			asked[sha] = true
			ask = append(ask, sha)
		}
	}
	if len(ask) == 0 {
		return nil
	}
	got, err := w.from.commits(ctx, ask)
	for sha, n := range got {
		w.known[sha] = n
	}
	return err
}

// reach notes that a side has come to a commit.
func (w *walk) reach(n *node, old bool) {
	was, seen := w.old[n.sha]
	switch {
	case !seen:
		w.old[n.sha] = old
		if old {
			w.behind++
			heap.Push(&w.older, n)
			return
		}
		w.fresh++
		w.found = append(w.found, n)
		heap.Push(&w.newer, n)
	case old && !was:
		// All that was reached through it is not new either.
		for todo := []*node{n}; len(todo) > 0; {
			at := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if w.old[at.sha] {
				continue
			}
			w.old[at.sha] = true
			w.fresh--
			w.behind++
			heap.Push(&w.older, at)
			for _, p := range at.parents {
				if was, seen := w.old[p]; seen && !was {
					todo = append(todo, w.known[p])
				}
			}
		}
	}
}

// spread goes back until nothing new is left to go back from.
func (w *walk) spread(ctx context.Context, tips []string) error {
	for {
		w.newer = w.drop()
		if len(w.newer) == 0 {
			return nil
		}
		if w.fresh > w.max {
			return &dispatch.PermanentError{Err: fmt.Errorf("the push has more than %d commits, which is for how many the API is asked", w.max)}
		}
		take := w.step()
		if err := w.expand(ctx, take); err != nil {
			return err
		}
		if err := w.askBases(ctx, take, tips); err != nil {
			return err
		}
	}
}

// step takes the commits from which to go back next: the newer ones first.
func (w *walk) step() []*node {
	behind := len(w.older) > 0 && w.mayGoBehind()
	var take []*node
	top := w.newer[0].date
	for len(w.newer) > 0 && len(take) < step && (!behind || w.newer[0].date >= w.older[0].date || w.mayFollow(w.newer[0])) {
		take = append(take, heap.Pop(&w.newer).(*node))
	}
	asks := slices.ContainsFunc(take, func(n *node) bool {
		return slices.ContainsFunc(n.parents, func(p string) bool { return w.known[p] == nil })
	})
	if !behind || len(take) > 0 && !asks {
		return take
	}
	// One of the other side comes along with a call that is made anyway: a date
	// that is far too old must not hide what is behind it.
	for first := true; len(w.older) > 0 && len(take) < 2*step && (first || w.older[0].date >= top); first = false {
		take = append(take, heap.Pop(&w.older).(*node))
	}
	return take
}

// drop is newer without what has turned out old.
func (w *walk) drop() dateHeap {
	if !slices.ContainsFunc(w.newer, func(n *node) bool { return w.old[n.sha] }) {
		return w.newer
	}
	left := slices.DeleteFunc(w.newer, func(n *node) bool { return w.old[n.sha] })
	heap.Init(&left)
	return left
}

// mayFollow reports whether a merge's base lies before the commit.
func (w *walk) mayFollow(n *node) bool {
	floor, ok := w.floor[n.sha]
	return ok && n.date >= floor
}

func (w *walk) mayGoBehind() bool { return w.behind < 2*len(w.found)+maxBehind }

// expand reaches the parents of commits.
func (w *walk) expand(ctx context.Context, take []*node) error {
	var parents []string
	for _, n := range take {
		parents = append(parents, n.parents...)
	}
	if err := w.load(ctx, parents); err != nil {
		return err
	}
	for _, n := range take {
		for _, sha := range n.parents {
			p := w.known[sha]
			if p == nil {
				return &missingError{sha}
			}
			if floor, ok := w.floor[n.sha]; ok {
				w.floor[sha] = floor
			}
			w.reach(p, w.old[n.sha])
		}
	}
	return nil
}

// askBases asks where the new merges among commits come from, where that is one
// call against many: a branch may have been away for years.
func (w *walk) askBases(ctx context.Context, take []*node, tips []string) error {
	if len(tips) != 1 {
		return nil
	}
	for _, n := range take {
		if len(n.parents) < 2 || w.old[n.sha] {
			continue
		}
		for _, p := range n.parents {
			if w.old[p] || len(w.bases) >= maxBases {
				continue
			}
			base, err := w.from.mergeBase(ctx, p, tips[0])
			if err != nil {
				return err
			}
			w.bases = append(w.bases, [2]string{p, base})
			if base == "" {
				continue
			}
			if err := w.load(ctx, []string{base}); err != nil {
				return err
			}
			if b := w.known[base]; b != nil {
				w.reach(b, true)
				w.floor[p] = b.date
			}
		}
	}
	return nil
}

// settle goes on from the other side as long as it may come to what counts as
// new by now. The dates say how long that is, but for clocks that differ.
func (w *walk) settle(ctx context.Context, tips []string) error {
	doubtful := w.doubtful(tips)
	for left := slop; left > 0 && len(w.older) > 0 && w.mayGoBehind(); {
		doubtful = slices.DeleteFunc(doubtful, func(n *node) bool { return w.old[n.sha] })
		if len(doubtful) == 0 {
			return nil
		}
		oldest := slices.MinFunc(doubtful, func(a, b *node) int { return cmp.Compare(a.date, b.date) }).date
		if w.older[0].date >= oldest {
			left = slop
		} else {
			left--
		}
		var take []*node
		for len(w.older) > 0 && len(take) < maxBatch {
			take = append(take, heap.Pop(&w.older).(*node))
		}
		if err := w.expand(ctx, take); err != nil {
			return err
		}
	}
	return nil
}

// doubtful are the commits that may be reached from a tip all the same. What is
// known to have a tip is not, nor is what comes after the best common ancestor
// of a commit and the tip, on the way to that commit.
func (w *walk) doubtful(tips []string) []*node {
	sure := map[string]bool{}
	if len(tips) == 1 && len(w.found) > 0 {
		for _, b := range append([][2]string{{w.found[0].sha, tips[0]}}, w.bases...) {
			w.above(b[0], b[1], sure)
		}
	}
	var doubtful []*node
	for _, n := range w.found {
		if !w.old[n.sha] && !sure[n.sha] {
			doubtful = append(doubtful, n)
		}
	}
	return doubtful
}

// above adds to a set what is new, reached from a commit, and has base.
func (w *walk) above(sha, base string, set map[string]bool) {
	if base == "" || w.known[sha] == nil {
		return
	}
	has := map[string]bool{base: true}
	next := map[string]int{}
	for todo := []string{sha}; len(todo) > 0; {
		at := todo[len(todo)-1]
		n := w.known[at]
		if old, seen := w.old[at]; !seen || old || next[at] == len(n.parents) {
			todo = todo[:len(todo)-1]
			for _, p := range n.parents {
				if seen && !old && has[p] {
					has[at], set[at] = true, true
				}
			}
			continue
		}
		p := n.parents[next[at]]
		next[at]++
		if _, begun := next[p]; !begun && !has[p] && w.known[p] != nil {
			next[p] = 0
			todo = append(todo, p)
		}
	}
}

// oldestFirst orders what between found of a head: as git rev-list
// --topo-order --reverse does, so that a side branch stands in one piece, after
// what the branch itself had before.
func oldestFirst(found []*node, head string) []*node {
	at := make(map[string]*node, len(found))
	children := make(map[string]int, len(found))
	for _, n := range found {
		at[n.sha] = n
		for _, p := range n.parents {
			children[p]++
		}
	}
	sorted := make([]*node, 0, len(found))
	var ready []string
	if at[head] != nil {
		ready = append(ready, head)
	}
	for len(ready) > 0 {
		n := at[ready[len(ready)-1]]
		ready = ready[:len(ready)-1]
		sorted = append(sorted, n)
		for _, p := range n.parents {
			if children[p]--; children[p] == 0 && at[p] != nil {
				ready = append(ready, p)
			}
		}
	}
	slices.Reverse(sorted)
	return sorted
}
