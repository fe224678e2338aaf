package graph

import "slices"

// program is a linear program over whole numbers: variables that keep
// distances, such that a weighted sum of distances is least. It is solved by the
// network simplex method, as in Gansner, Koutsofios, North and Vo, "A Technique
// for Drawing Directed Graphs" (1993).
type program struct {
	arcs []arc
	// start is a solution that keeps all distances, at the one that solve found.
	start, at []int
}

// arc keeps head at least length right of tail. What is more costs weight.
type arc struct{ tail, head, length, weight int }

// maxPivots bounds what solve does. What it has by then is drawn: it keeps all
// distances, with lines that are longer than they need be.
const maxPivots = 20_000

func (p *program) variable() int {
	p.start = append(p.start, 0)
	return len(p.start) - 1
}

func (p *program) atLeast(a, b, length, weight int) {
	p.arcs = append(p.arcs, arc{a, b, length, weight})
}

// near makes a difference between b-a and distance cost.
func (p *program) near(a, b, distance, weight int) {
	v := p.variable()
	p.start[v] = min(p.start[a], p.start[b]-distance)
	p.atLeast(v, a, 0, weight)
	p.atLeast(v, b, distance, weight)
}

func (p *program) slack(i int) int {
	a := &p.arcs[i]
	return p.at[a.head] - p.at[a.tail] - a.length
}

// tree is a spanning tree of arcs without slack, hung up at variable 0.
type tree struct {
	*program
	arcs []int
	// incident and near are by variable all its arcs, and those of the tree.
	incident, near [][]int
	// parent is by variable the arc towards 0. A walk gives the variables the
	// numbers lim; those at and below v have low[v] to lim[v].
	parent, low, lim []int
	// cut is by arc of the tree what it would cost to make it longer by one.
	cut []int
	// next is where the search for an arc with a negative cut goes on.
	next int
}

// solve sets at.
func (p *program) solve() {
	p.at = append([]int(nil), p.start...)
	n := len(p.at)
	t := &tree{
		program: p, incident: make([][]int, n), near: make([][]int, n),
		parent: make([]int, n), low: make([]int, n), lim: make([]int, n), cut: make([]int, len(p.arcs)),
	}
	for i, a := range p.arcs {
		t.incident[a.tail] = append(t.incident[a.tail], i)
		t.incident[a.head] = append(t.incident[a.head], i)
	}
	if !t.span() {
		return
	}
	for _, i := range t.arcs {
		t.hang(i)
	}
	t.parent[0] = -1
	t.number(0, 1)
	t.firstCuts()
	for range maxPivots {
		leaving := t.leaving()
		if leaving < 0 {
			return
		}
		t.pivot(leaving)
	}
}

func (t *tree) hang(i int) {
	a := t.program.arcs[i]
	t.near[a.tail] = append(t.near[a.tail], i)
	t.near[a.head] = append(t.near[a.head], i)
}

// other is the end of an arc that is not v.
func (t *tree) other(i, v int) int { return t.program.arcs[i].tail + t.program.arcs[i].head - v }

// span moves variables until arcs without slack join all of them; false where
// the program falls apart.
func (t *tree) span() bool {
	n := len(t.at)
	in := make([]bool, n)
	members := []int{}
	var grow func(v int)
	grow = func(v int) {
		in[v] = true
		members = append(members, v)
		for _, i := range t.incident[v] {
			if other := t.other(i, v); !in[other] && t.slack(i) == 0 {
				t.arcs = append(t.arcs, i)
				grow(other)
			}
		}
	}
	grow(0)
	for len(members) < n {
		closest := -1
		for i, a := range t.program.arcs {
			if in[a.tail] != in[a.head] && (closest < 0 || t.slack(i) < t.slack(closest)) {
				closest = i
			}
		}
		if closest < 0 {
			return false
		}
		a, by := t.program.arcs[closest], t.slack(closest)
		outside := a.head
		if in[a.head] {
			by, outside = -by, a.tail
		}
		for _, v := range members {
			t.at[v] += by
		}
		t.arcs = append(t.arcs, closest)
		grow(outside)
	}
	return true
}

// number walks the tree below v and returns the next free number.
func (t *tree) number(v, from int) int {
	t.low[v] = from
	for _, i := range t.near[v] {
		if i != t.parent[v] {
			child := t.other(i, v)
			t.parent[child] = i
			from = t.number(child, from)
		}
	}
	t.lim[v] = from
	return from + 1
}

func (t *tree) below(v, top int) bool { return t.low[top] <= t.lim[v] && t.lim[v] <= t.lim[top] }

// firstCuts adds up, by arc of the tree, what leaves the part below it and what
// comes in.
func (t *tree) firstCuts() {
	sum := make([]int, len(t.at))
	for _, a := range t.program.arcs {
		sum[a.tail] += a.weight
		sum[a.head] -= a.weight
	}
	order := make([]int, len(t.at)+1)
	for v, n := range t.lim {
		order[n] = v
	}
	for _, v := range order[1:] { // what is below comes before
		i := t.parent[v]
		if i < 0 {
			continue
		}
		t.cut[i] = sum[v]
		if t.program.arcs[i].head == v {
			t.cut[i] = -sum[v]
		}
		sum[t.other(i, v)] += sum[v]
	}
}

// leaving is an arc that costs less when it is longer, as a place in arcs; -1
// when there is none and the sum is least.
func (t *tree) leaving() int {
	found, seen := -1, 0
	for range t.arcs {
		t.next = (t.next + 1) % len(t.arcs)
		if t.cut[t.arcs[t.next]] >= 0 {
			continue
		}
		if found < 0 || t.cut[t.arcs[t.next]] < t.cut[t.arcs[found]] {
			found = t.next
		}
		if seen++; seen == 30 {
			break
		}
	}
	return found
}

// pivot replaces an arc of the tree by the one that keeps it from being longer.
func (t *tree) pivot(place int) {
	leaving := t.arcs[place]
	a := t.program.arcs[leaving]
	top, headBelow := a.tail, false
	if t.lim[a.head] < t.lim[a.tail] {
		top, headBelow = a.head, true
	}
	part := []int{top}
	entering := -1
	for j := 0; j < len(part); j++ {
		v := part[j]
		for _, i := range t.near[v] {
			if i != t.parent[v] {
				part = append(part, t.other(i, v))
			}
		}
		for _, i := range t.incident[v] {
			b := t.program.arcs[i]
			if (b.tail == v) == headBelow && !t.below(t.other(i, v), top) && (entering < 0 || t.slack(i) < t.slack(entering)) {
				entering = i
			}
		}
	}
	if entering < 0 { // nothing holds it: no weight pulls on it either
		t.cut[leaving] = 0
		return
	}
	by := t.slack(entering)
	if !headBelow {
		by = -by
	}
	for _, v := range part {
		t.at[v] += by
	}
	b, cut := t.program.arcs[entering], t.cut[leaving]
	t.addCut(b.tail, b.head, cut)
	top = t.addCut(b.head, b.tail, -cut)
	t.cut[entering], t.cut[leaving] = -cut, 0
	t.arcs[place] = entering
	for _, v := range []int{a.tail, a.head} {
		t.near[v] = slices.DeleteFunc(t.near[v], func(i int) bool { return i == leaving })
	}
	t.hang(entering)
	t.number(top, t.low[top])
}

// addCut corrects the cuts on the way from v up to what is also above w, and
// returns that.
func (t *tree) addCut(v, w, cut int) int {
	for !t.below(w, v) {
		i := t.parent[v]
		if t.program.arcs[i].tail == v {
			t.cut[i] += cut
		} else {
			t.cut[i] -= cut
		}
		v = t.other(i, v)
	}
	return v
}
