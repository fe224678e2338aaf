package esregexp

// op is what an instruction does.
type op uint8

const (
	opMatch op = iota
	opSet      // steps over one character of set
	opRun      // steps over as many of set as there are, gives back one by one
	opSplit    // goes on at x, and at y if that fails
	opJump
	opSave  // notes the position in slot x
	opReset // forgets slots x up to y
	opCheck // fails if nothing was matched since slot x was noted
	opStart // assertions
	opEnd
	opWord
	opNotWord
	opBackref
	opLook // goes on at x if what comes next, up to its opMatch, matches
)

type inst struct {
	op       op
	back     bool // matches towards the start of the text
	negative bool
	set      *charSet
	x, y     int
	min      int // of opRun
}

// maxProgram bounds the instructions of a pattern.
const maxProgram = 20000

type compiler struct {
	prog  []inst
	slots int
	large bool
}

func (c *compiler) emit(i inst) int {
	if len(c.prog) >= maxProgram {
		c.large = true
		return 0
	}
	c.prog = append(c.prog, i)
	return len(c.prog) - 1
}

// compile adds the instructions of n; those behind a position go backwards.
func (c *compiler) compile(n *node, back bool) {
	if c.large {
		return
	}
	switch n.kind {
	case kindSeq:
		for i := range n.subs {
			if back {
				i = len(n.subs) - 1 - i
			}
			c.compile(n.subs[i], back)
		}
	case kindAlt:
		c.alternatives(n, back)
	case kindSet:
		c.emit(inst{op: opSet, set: n.set, back: back})
	case kindStart:
		c.emit(inst{op: opStart})
	case kindEnd:
		c.emit(inst{op: opEnd})
	case kindWord:
		c.emit(inst{op: opWord})
	case kindNotWord:
		c.emit(inst{op: opNotWord})
	case kindGroup:
		first, last := 2*n.n, 2*n.n+1
		if back {
			first, last = last, first
		}
		c.emit(inst{op: opSave, x: first})
		c.compile(n.subs[0], back)
		c.emit(inst{op: opSave, x: last})
	case kindBackref:
		c.emit(inst{op: opBackref, x: 2 * n.n, back: back})
	case kindLook:
		at := c.emit(inst{op: opLook, negative: n.negative})
		c.compile(n.subs[0], n.behind)
		c.emit(inst{op: opMatch})
		c.prog[at].x = len(c.prog)
	case kindRepeat:
		c.repeat(n, back)
	}
}

func (c *compiler) alternatives(n *node, back bool) {
	var jumps []int
	for i, sub := range n.subs {
		if i == len(n.subs)-1 {
			c.compile(sub, back)
			break
		}
		split := c.emit(inst{op: opSplit})
		c.prog[split].x = len(c.prog)
		c.compile(sub, back)
		jumps = append(jumps, c.emit(inst{op: opJump}))
		c.prog[split].y = len(c.prog)
	}
	for _, j := range jumps {
		c.prog[j].x = len(c.prog)
	}
}

func (c *compiler) repeat(n *node, back bool) {
	sub := n.subs[0]
	if sub.kind == kindSet && n.max < 0 && !n.lazy && !back {
		c.emit(inst{op: opRun, set: sub.set, min: n.min})
		return
	}
	for range n.min {
		c.once(n, back)
	}
	if n.max < 0 {
		split := c.branch()
		c.checked(n, back)
		c.emit(inst{op: opJump, x: split})
		c.leave(split, n.lazy)
		return
	}
	var splits []int
	for range n.max - n.min {
		splits = append(splits, c.branch())
		c.checked(n, back)
	}
	for _, split := range splits {
		c.leave(split, n.lazy)
	}
}

// branch begins what may be left out; leave says where to go then.
func (c *compiler) branch() int {
	split := c.emit(inst{op: opSplit})
	c.prog[split].x, c.prog[split].y = len(c.prog), len(c.prog)
	return split
}

func (c *compiler) leave(split int, lazy bool) {
	if lazy {
		c.prog[split].x = len(c.prog)
	} else {
		c.prog[split].y = len(c.prog)
	}
}

// once is one round of a repeat, in which its groups begin anew.
func (c *compiler) once(n *node, back bool) {
	if n.first < n.last {
		c.emit(inst{op: opReset, x: 2 * n.first, y: 2 * n.last})
	}
	c.compile(n.subs[0], back)
}

// checked is a round that must match something.
func (c *compiler) checked(n *node, back bool) {
	if !n.subs[0].empty() {
		c.once(n, back)
		return
	}
	slot := c.slots
	c.slots++
	c.emit(inst{op: opSave, x: slot})
	c.once(n, back)
	c.emit(inst{op: opCheck, x: slot})
}

// empty reports whether n can match nothing.
func (n *node) empty() bool {
	switch n.kind {
	case kindSet:
		return false
	case kindRepeat:
		return n.min == 0 || n.subs[0].empty()
	case kindGroup:
		return n.subs[0].empty()
	case kindSeq:
		for _, s := range n.subs {
			if !s.empty() {
				return false
			}
		}
	case kindAlt:
		for _, s := range n.subs {
			if s.empty() {
				return true
			}
		}
		return false
	default:
	}
	return true
}
