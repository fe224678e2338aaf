package graph

import (
	"cmp"
	"slices"
)

// Distances in the gaps, in pixels.
const (
	trackGap   = 12
	trackSpace = 10 // between what may share a track
	gapAbove   = 12 // before the first track
	gapBelow   = 12 // behind the last one
	gapArrow   = 20 // the same, with room for the head of an arrow
	gapPlain   = 26 // without a track
	gapSmall   = 14 // without a track and without an arrow
)

// gap is the space below a rank. Lines that do not run straight through it have
// a track there.
type gap struct {
	nets   []*net
	byPort map[port]*net
	y      int
	height int
}

// port is where the lines of a net meet: where they end, and for those to labels
// where they begin.
type port struct {
	item *item
	x    int
}

// net is lines that share a track.
type net struct {
	upper, lower []int // where lines come in from above and below
	bent         bool  // not all of them run straight
	lo, hi       int
	track        int
	y            int
}

// hop is a line's way through one gap.
type hop struct {
	net      *net
	from, to int
	straight bool
}

// route gives all items their heights and all lines their corners.
func (l *level) route() {
	l.gaps = make([]gap, len(l.ranks))
	for i := range l.gaps {
		l.gaps[i].byPort = map[port]*net{}
	}
	hops := make([][]hop, len(l.edges))
	for i, e := range l.edges {
		hops[i] = l.hops(e)
	}
	y := 0
	for i, rank := range l.ranks {
		height := 0
		for _, it := range rank {
			height = max(height, it.height)
		}
		for _, it := range rank {
			it.y = y + (height-it.height)/2
		}
		y += height
		l.height = y
		g := &l.gaps[i]
		g.y = y
		tracks := g.assign()
		arrow := i+1 < len(l.ranks) && slices.ContainsFunc(l.ranks[i+1], func(it *item) bool { return it.kind == kindState || it.kind == kindEnd })
		g.height = gapHeight(tracks, arrow)
		for _, n := range g.nets {
			n.y = y + gapAbove + n.track*trackGap
		}
		if tracks > 0 {
			l.height = y + gapAbove + (tracks-1)*trackGap
		}
		y += g.height
	}
	for i, e := range l.edges {
		e.points = append(e.points, point{hops[i][0].from, e.from.bottom()})
		for _, h := range hops[i] {
			if !h.straight {
				e.points = append(e.points, point{h.from, h.net.y}, point{h.to, h.net.y})
			}
		}
		e.points = append(e.points, point{e.to.x + e.enters.inPort, e.to.y})
	}
	l.fit()
}

func gapHeight(tracks int, arrow bool) int {
	switch {
	case tracks > 0 && arrow:
		return gapAbove + (tracks-1)*trackGap + gapArrow
	case tracks > 0:
		return gapAbove + (tracks-1)*trackGap + gapBelow
	case arrow:
		return gapPlain
	default:
		return gapSmall
	}
}

// fit moves the level so that its upper left corner is 0, 0.
func (l *level) fit() {
	left, right := l.items[0].left(), l.items[0].right()
	for _, it := range l.items {
		left, right = min(left, it.left()), max(right, it.right())
		for _, inner := range it.inner {
			inner.moveTo(inner.x+it.x, inner.y+it.y)
		}
	}
	l.x, l.width = left, even(right-left)
	l.moveTo(0, 0)
}

// hops are the gaps that a line passes, from its beginning to its end.
func (l *level) hops(e *edge) []hop {
	var all []hop
	at, x := e.from, e.from.x+e.leaves.outPort
	through := func(to *item, inPort, rank int, up, turn bool) {
		toX := to.x + inPort
		key := port{to, toX}
		if to.kind == kindLabel {
			key = port{at, x}
		}
		all = append(all, l.gaps[rank].hop(key, x, toX, up, turn))
		at, x = to, to.x
	}
	if e.label != nil {
		through(e.label, 0, at.rank, false, false)
	}
	if !e.back {
		for _, b := range e.bends {
			through(b, 0, at.rank, false, false)
		}
		through(e.to, e.enters.inPort, at.rank, false, false)
		return all
	}
	through(e.bends[0], 0, at.rank, false, true)
	for _, b := range e.bends[1:] {
		through(b, 0, b.rank, true, false)
	}
	through(e.to, e.enters.inPort, at.rank-1, true, true)
	return all
}

// hop adds a line to the net of a port. The line runs down through the gap, or
// up, or turns around in it: from the rank above where it came down.
func (g *gap) hop(key port, from, to int, up, turn bool) hop {
	n := g.byPort[key]
	if n == nil {
		n = &net{lo: from, hi: from}
		g.byPort[key] = n
		g.nets = append(g.nets, n)
	}
	n.lo, n.hi = min(n.lo, from, to), max(n.hi, from, to)
	straight := from == to && !turn
	n.bent = n.bent || !straight
	pin := func(list *[]int, x int) {
		if !slices.Contains(*list, x) {
			*list = append(*list, x)
		}
	}
	switch {
	case turn && up:
		pin(&n.lower, from)
		pin(&n.lower, to)
	case turn:
		pin(&n.upper, from)
		pin(&n.upper, to)
	case up:
		pin(&n.lower, from)
		pin(&n.upper, to)
	default:
		pin(&n.upper, from)
		pin(&n.lower, to)
	}
	return hop{n, from, to, straight}
}

// assign gives every bent net a track and returns how many there are.
func (g *gap) assign() int {
	g.nets = slices.DeleteFunc(g.nets, func(n *net) bool { return !n.bent })
	slices.SortStableFunc(g.nets, func(a, b *net) int { return cmp.Compare(a.lo, b.lo) })
	for range len(g.nets) {
		better := false
		for i := range len(g.nets) - 1 {
			a, b := g.nets[i], g.nets[i+1]
			if b.above(a) < a.above(b) {
				g.nets[i], g.nets[i+1] = b, a
				better = true
			}
		}
		if !better {
			break
		}
	}
	tracks := 0
	for i, n := range g.nets {
		for _, m := range g.nets[:i] {
			if n.beside(m) {
				n.track = max(n.track, m.track+1)
			}
		}
		tracks = max(tracks, n.track+1)
	}
	return tracks
}

// beside tells whether two nets need tracks of their own.
func (n *net) beside(m *net) bool { return n.lo < m.hi+trackSpace && m.lo < n.hi+trackSpace }

// above is how bad it is for n to have a track above m's: the number of
// crossings, and much more for lines that would lie on one another.
func (n *net) above(m *net) int {
	if !n.beside(m) {
		return 0
	}
	bad := 0
	for _, x := range n.lower {
		if x >= m.lo && x <= m.hi {
			bad++
		}
		for _, u := range m.upper {
			if d := x - u; d > -5 && d < 5 {
				bad += 1000
			}
		}
	}
	for _, u := range m.upper {
		if u >= n.lo && u <= n.hi {
			bad++
		}
	}
	return bad
}
