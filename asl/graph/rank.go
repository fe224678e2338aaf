package graph

import "slices"

// link joins two items in neighbouring ranks.
type link struct {
	upper, lower *item
	class        class
	// outPort and inPort are where the line meets the items, from their middles.
	outPort, inPort int
	// weight is how much it matters that the line is straight.
	weight int
}

// rank gives each item the rank below all that lead to it. Transitions that
// close a loop do not count. A label has a rank between the two of its states.
func (l *level) rank() {
	sorted := l.unloop()
	for _, it := range sorted {
		for _, e := range it.out {
			rank := it.rank + 1
			if e.label != nil {
				e.label.rank = rank
				rank++
			}
			if !e.back {
				e.to.rank = max(e.to.rank, rank)
			}
		}
	}
	last := 0
	for _, it := range l.items {
		last = max(last, it.rank)
	}
	for _, it := range l.items {
		if it.kind == kindEnd {
			it.rank = last
		}
	}
}

// unloop finds the transitions that close loops, by walking from the start as
// the machine does, and returns start, states and end such that all others lead
// forwards.
func (l *level) unloop() []*item {
	const open, done = 1, 2
	seen := map[*item]int{}
	var sorted []*item
	var walk func(*item)
	walk = func(it *item) {
		seen[it] = open
		for _, e := range it.out {
			switch seen[e.to] {
			case open:
				e.back = true
			case done:
			default:
				walk(e.to)
			}
		}
		seen[it] = done
		sorted = append(sorted, it)
	}
	walk(l.items[0])
	slices.Reverse(sorted)
	return sorted
}

// way is what lines must have in common to share their bends.
type way struct {
	to    *item
	class class
	back  bool
	turn  bool
	rank  int
}

// addBends lays the lines through the ranks between their ends, and links what
// they meet in neighbouring ranks.
func (l *level) addBends() {
	bends := map[way]*item{}
	at := func(e *edge, rank int, turn bool) *item {
		w := way{e.to, e.class, e.back, turn, rank}
		if bends[w] == nil {
			bends[w] = &item{kind: kindBend, rank: rank}
			if turn {
				bends[w].kind = kindTurn
			}
			l.items = append(l.items, bends[w])
		}
		return bends[w]
	}
	known := map[[2]*item]*link{}
	join := func(upper, lower *item, c class, weight int) *link {
		pair := [2]*item{upper, lower}
		k := known[pair]
		if k == nil {
			k = &link{upper: upper, lower: lower, class: c}
			known[pair] = k
			upper.down = append(upper.down, k)
			lower.up = append(lower.up, k)
		}
		k.weight += weight
		return k
	}
	for _, e := range l.edges {
		weight := 4
		if e.label != nil {
			weight = 3
			e.leaves = join(e.from, e.label, e.class, 2-int(e.class))
		}
		before := e.last()
		first := func(k *link) {
			if e.leaves == nil {
				e.leaves = k
			}
		}
		if !e.back {
			for r := before.rank + 1; r < e.to.rank; r++ {
				b := at(e, r, false)
				e.bends = append(e.bends, b)
				first(join(before, b, e.class, straightness(before, b, weight)))
				before = b
			}
			e.enters = join(before, e.to, e.class, weight)
			first(e.enters)
			continue
		}
		turn := at(e, before.rank+1, true)
		first(join(before, turn, e.class, 1))
		for r := before.rank; r >= e.to.rank; r-- {
			b := at(e, r, false)
			if len(e.bends) == 0 {
				join(b, turn, e.class, 1)
			} else {
				join(b, before, e.class, straightness(before, b, 1))
			}
			e.bends = append(e.bends, b)
			before = b
		}
		turn = at(e, e.to.rank-1, true)
		join(turn, before, e.class, 1)
		e.enters = join(turn, e.to, e.class, 1)
	}
}

// straightness is higher the less there is at a line's ends to hide a corner.
func straightness(a, b *item, weight int) int {
	if a.kind == kindBend && b.kind == kindBend {
		return 8
	}
	return weight
}
