package graph

// What is left free beside an item.
func spacing(a, b *item) int {
	switch {
	case a.kind == kindTurn || b.kind == kindTurn:
		return 4
	case a.kind == kindBend && b.kind == kindBend:
		return 14
	case a.kind == kindBend || b.kind == kindBend:
		return 18
	case a.kind == kindLabel && b.kind == kindLabel:
		return 14
	}
	return 28
}

// place finds how far right each item stands: so that lines are straight and
// short, and nothing overlaps.
func (l *level) place() {
	index := make(map[*item]int, len(l.items))
	p := &program{}
	for _, it := range l.items {
		index[it] = p.variable()
	}
	for _, rank := range l.ranks {
		x := 0
		for i, it := range rank {
			if i > 0 {
				before := rank[i-1]
				apart := (before.width+it.width)/2 + spacing(before, it)
				p.atLeast(index[before], index[it], apart, 0)
				x += apart
			}
			p.start[index[it]] = x
		}
	}
	for _, it := range l.items {
		setPorts(it)
	}
	for _, it := range l.items {
		for _, k := range it.down {
			p.near(index[k.upper], index[k.lower], k.outPort-k.inPort, k.weight)
		}
	}
	p.solve()
	for it, i := range index {
		it.x = p.at[i]
	}
}

// setPorts decides where lines meet the state: success in the middle, errors
// beside it on the side where they go to or come from.
func setPorts(it *item) {
	if it.kind != kindState {
		return
	}
	main := -1.0
	n, sum := 0, 0
	for _, k := range it.down {
		if k.class == flow {
			sum, n = sum+k.lower.order, n+1
		}
	}
	if n > 0 {
		main = float64(sum) / float64(n)
	}
	aside := min(it.width/4, 48)
	for _, k := range it.down {
		if k.class == caught && n > 0 {
			k.outPort = aside
			if float64(k.lower.order) < main {
				k.outPort = -aside
			}
		}
	}
	mainIn, otherIn, nIn, nOther := 0, 0, 0, 0
	for _, k := range it.up {
		if k.class == flow {
			mainIn, nIn = mainIn+k.upper.order, nIn+1
		} else {
			otherIn, nOther = otherIn+k.upper.order, nOther+1
		}
	}
	if nIn == 0 || nOther == 0 {
		return
	}
	port := aside
	if otherIn*nIn < mainIn*nOther {
		port = -aside
	}
	for _, k := range it.up {
		if k.class == caught {
			k.inPort = port
		}
	}
}
