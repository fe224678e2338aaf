package esregexp

import (
	"slices"
	"unicode/utf8"
)

// maxStack bounds the places that a match can come back to.
const maxStack = 1 << 20

// back is something to come back to: another way to go on, or a slot as it was.
type back struct {
	pc  int // -1 to put a slot back
	pos int // of the way; the slot's value
	low int // opRun may give back down to here; the slot
	run bool
}

type matcher struct {
	re     *Regexp
	s      string
	slots  []int
	stack  []back
	budget *int
}

func (m *matcher) push(b back) error {
	if len(m.stack) >= maxStack {
		return ErrBudget
	}
	m.stack = append(m.stack, b)
	return nil
}

// set changes a slot, to be put back when the way is left.
func (m *matcher) set(slot, pos int) error {
	if m.slots[slot] == pos {
		return nil
	}
	err := m.push(back{pc: -1, pos: m.slots[slot], low: slot})
	m.slots[slot] = pos
	return err
}

// pop goes back to the last way above base that is left.
func (m *matcher) pop(base int) (pc, pos int, ok bool) {
	for len(m.stack) > base {
		top := &m.stack[len(m.stack)-1]
		switch {
		case top.pc < 0:
			m.slots[top.low] = top.pos
		case top.run && top.pos > top.low:
			_, size := utf8.DecodeLastRuneInString(m.s[:top.pos])
			top.pos -= size
			return top.pc, top.pos, true
		case !top.run:
			pc, pos = top.pc, top.pos
			m.stack = m.stack[:len(m.stack)-1]
			return pc, pos, true
		}
		m.stack = m.stack[:len(m.stack)-1]
	}
	return 0, 0, false
}

// run matches from an instruction on up to its opMatch, and gives the position
// there.
func (m *matcher) run(pc, pos int) (int, bool, error) {
	base := len(m.stack)
	for {
		if *m.budget--; *m.budget < 0 {
			return 0, false, ErrBudget
		}
		i := &m.re.prog[pc]
		ok := true
		var err error
		switch i.op {
		case opMatch:
			return pos, true, nil
		case opSet:
			pos, ok = m.char(i, pos)
		case opRun:
			pos, ok, err = m.runOf(i, pc, pos)
		case opSplit:
			err = m.push(back{pc: i.y, pos: pos})
			pc = i.x - 1
		case opJump:
			pc = i.x - 1
		case opSave:
			err = m.set(i.x, pos)
		case opReset:
			for slot := i.x; err == nil && slot < i.y; slot++ {
				err = m.set(slot, -1)
			}
		case opCheck:
			ok = m.slots[i.x] != pos
		case opStart:
			ok = pos == 0 || m.re.multiline && m.lineEnd(m.before(pos))
		case opEnd:
			ok = pos == len(m.s) || m.re.multiline && m.lineEnd(m.at(pos))
		case opWord, opNotWord:
			ok = (m.word(pos) != m.wordBefore(pos)) == (i.op == opWord)
		case opBackref:
			pos, ok = m.backref(i, pos)
		case opLook:
			if ok, err = m.look(i, pc, pos); ok {
				pc = i.x - 1
			}
		}
		if err != nil {
			return 0, false, err
		}
		pc++
		if !ok {
			if pc, pos, ok = m.pop(base); !ok {
				return 0, false, nil
			}
		}
	}
}

func (m *matcher) at(pos int) rune {
	r, _ := utf8.DecodeRuneInString(m.s[pos:])
	return r
}

func (m *matcher) before(pos int) rune {
	r, _ := utf8.DecodeLastRuneInString(m.s[:pos])
	return r
}

func (m *matcher) lineEnd(r rune) bool { return !anyChar.has(r) }

func (m *matcher) word(pos int) bool { return pos < len(m.s) && words.has(m.at(pos)) }

func (m *matcher) wordBefore(pos int) bool { return pos > 0 && words.has(m.before(pos)) }

// char steps over one character.
func (m *matcher) char(i *inst, pos int) (int, bool) {
	if i.back {
		if pos == 0 {
			return pos, false
		}
		r, size := utf8.DecodeLastRuneInString(m.s[:pos])
		return pos - size, i.set.has(r)
	}
	if pos >= len(m.s) {
		return pos, false
	}
	r, size := rune(m.s[pos]), 1
	if r >= utf8.RuneSelf {
		r, size = utf8.DecodeRuneInString(m.s[pos:])
	}
	return pos + size, i.set.has(r)
}

// runOf steps over all characters of a set, and can go back to fewer.
func (m *matcher) runOf(i *inst, pc, pos int) (int, bool, error) {
	n, low := 0, pos
	for {
		next, ok := m.char(i, pos)
		if !ok {
			break
		}
		pos = next
		if n++; n == i.min {
			low = pos
		}
	}
	if *m.budget -= n; *m.budget < 0 {
		return 0, false, ErrBudget
	}
	if n < i.min {
		return pos, false, nil
	}
	if pos == low {
		return pos, true, nil
	}
	return pos, true, m.push(back{pc: pc + 1, pos: pos, low: low, run: true})
}

// backref steps over what a group holds.
func (m *matcher) backref(i *inst, pos int) (int, bool) {
	from, to := m.slots[i.x], m.slots[i.x+1]
	if from < 0 || to < 0 {
		return pos, true
	}
	held := m.s[from:to]
	rest, step := m.s[pos:], 1
	if i.back {
		rest, step = m.s[:pos], -1
	}
	size := 0
	for len(held) > 0 {
		var a, b rune
		var an, bn int
		if i.back {
			a, an = utf8.DecodeLastRuneInString(held)
			b, bn = utf8.DecodeLastRuneInString(rest)
			held, rest = held[:len(held)-an], rest[:len(rest)-bn]
		} else {
			a, an = utf8.DecodeRuneInString(held)
			b, bn = utf8.DecodeRuneInString(rest)
			held, rest = held[an:], rest[bn:]
		}
		if bn == 0 || m.re.canonical(a) != m.re.canonical(b) {
			return pos, false
		}
		size += bn
	}
	*m.budget -= size
	return pos + step*size, true
}

// look tries what is ahead or behind. What its groups hold stays, the ways that
// it left do not.
func (m *matcher) look(i *inst, pc, pos int) (bool, error) {
	base := len(m.stack)
	_, ok, err := m.run(pc+1, pos)
	if err != nil {
		return false, err
	}
	if !ok || i.negative {
		for len(m.stack) > base {
			if top := m.stack[len(m.stack)-1]; top.pc < 0 {
				m.slots[top.low] = top.pos
			}
			m.stack = m.stack[:len(m.stack)-1]
		}
		return ok != i.negative, nil
	}
	kept := slices.DeleteFunc(m.stack[base:], func(b back) bool { return b.pc >= 0 })
	m.stack = m.stack[:base+len(kept)]
	return true, nil
}
