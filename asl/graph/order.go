package graph

import (
	"cmp"
	"slices"
)

// sweeps is how often the ranks are ordered anew before the best order is
// taken.
const sweeps = 24

// order puts the items of each rank in an order in which few lines cross.
func (l *level) order() {
	last := 0
	for _, it := range l.items {
		last = max(last, it.rank)
	}
	l.ranks = make([][]*item, last+1)
	l.firstOrder()
	best, fewest := l.orders(), l.crossings()
	for i := 0; i < sweeps && fewest > 0; i++ {
		l.sweep(i%2 == 0)
		l.exchange()
		if n := l.crossings(); n < fewest {
			best, fewest = l.orders(), n
		}
	}
	for i, it := range l.items {
		it.order = best[i]
	}
	for _, rank := range l.ranks {
		slices.SortFunc(rank, func(a, b *item) int { return cmp.Compare(a.order, b.order) })
	}
}

// firstOrder is the order in which a walk from the start meets the items, so
// that what the definition has first stands left.
func (l *level) firstOrder() {
	seen := make(map[*item]bool, len(l.items))
	var walk func(*item)
	walk = func(it *item) {
		if seen[it] {
			return
		}
		seen[it] = true
		it.order = len(l.ranks[it.rank])
		l.ranks[it.rank] = append(l.ranks[it.rank], it)
		for _, k := range it.down {
			walk(k.lower)
		}
		for _, k := range it.up { // bends of loops hang on what they lead to
			if k.upper.kind == kindBend {
				walk(k.upper)
			}
		}
	}
	for _, it := range l.items {
		walk(it)
	}
}

func (l *level) orders() []int {
	all := make([]int, len(l.items))
	for i, it := range l.items {
		all[i] = it.order
	}
	return all
}

// sweep orders each rank by where the neighbours in the rank before it stand.
func (l *level) sweep(down bool) {
	wish := make(map[*item]float64, len(l.items))
	for i := range l.ranks {
		rank := l.ranks[i]
		if !down {
			rank = l.ranks[len(l.ranks)-1-i]
		}
		for _, it := range rank {
			wish[it] = it.wish(down)
		}
		slices.SortStableFunc(rank, func(a, b *item) int { return cmp.Compare(wish[a], wish[b]) })
		for j, it := range rank {
			it.order = j
		}
	}
}

// wish is the median of the neighbours' places, and where there are none the
// item's own.
func (it *item) wish(down bool) float64 {
	var places []int
	if down {
		for _, k := range it.up {
			places = append(places, k.upper.order)
		}
	} else {
		for _, k := range it.down {
			places = append(places, k.lower.order)
		}
	}
	n := len(places)
	if n == 0 {
		return float64(it.order)
	}
	slices.Sort(places)
	if n%2 == 1 {
		return float64(places[n/2])
	}
	return float64(places[n/2-1]+places[n/2]) / 2
}

// exchange swaps neighbours in a rank while that saves crossings.
func (l *level) exchange() {
	for range 8 {
		better := false
		for _, rank := range l.ranks {
			for i := range len(rank) - 1 {
				a, b := rank[i], rank[i+1]
				if a.crossed(b) > b.crossed(a) {
					rank[i], rank[i+1] = b, a
					a.order, b.order = b.order, a.order
					better = true
				}
			}
		}
		if !better {
			return
		}
	}
}

// crossed counts the crossings of a's lines with b's, if a stands left of b.
func (it *item) crossed(b *item) int {
	n := 0
	for _, k := range it.up {
		for _, m := range b.up {
			if k.upper.order > m.upper.order {
				n++
			}
		}
	}
	for _, k := range it.down {
		for _, m := range b.down {
			if k.lower.order > m.lower.order {
				n++
			}
		}
	}
	return n
}

// crossings counts the lines that cross, with a tree of sums (Barth, Mutzel and
// Jünger, "Simple and Efficient Bilayer Cross Counting", 2004).
func (l *level) crossings() int {
	n := 0
	for i := range len(l.ranks) - 1 {
		tree := make([]int, len(l.ranks[i+1])+1)
		drawn := 0
		for _, it := range l.ranks[i] {
			for _, k := range it.down {
				n += drawn
				for at := k.lower.order + 1; at > 0; at -= at & -at {
					n -= tree[at]
				}
			}
			for _, k := range it.down {
				drawn++
				for at := k.lower.order + 1; at < len(tree); at += at & -at {
					tree[at]++
				}
			}
		}
	}
	return n
}
