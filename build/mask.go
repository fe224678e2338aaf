//go:build unix

package build

import (
	"slices"
	"sort"
)

// masked stands where a secret was, as in CodeBuild's logs.
const masked = "***"

// MinMasked is how many bytes a secret must have to be masked: of a shorter one
// a log would be full by chance.
const MinMasked = 4

// The masker's other bounds, in bytes.
const (
	// minCut is how much of a secret that the stream ends in is masked too.
	minCut = 8
	// maxBreak is how many line breaks may stand within a secret at one place.
	maxBreak = 4
)

// masker replaces secrets in a stream, also where one is split over writes, or
// over lines. All that is part of a secret, or of its forms (see [forms]), goes:
// of secrets that overlap each is gone, and the place has one mark.
type masker struct {
	texts map[string]bool
	// found is nil when texts have been added since it was made.
	found *automaton
	state int32

	// held is the end of the stream that could be the beginning of a secret,
	// and base is how many bytes of the stream came before it.
	held []byte
	base int
	// spans are parts of the stream that are secret and not yet shown as such.
	// shown is the end of the last that was.
	spans []span
	shown int

	// count is how many bytes of the stream are no line breaks, breaks has for
	// each line break how many came before it, but for the first ones, of which
	// there were forgotten. Together they tell where the byte number n is.
	count     int
	breaks    []int
	forgotten int
	// broken is how many line breaks the stream ends in.
	broken int
	// let is how much of the stream was let go of before it was known whether
	// it begins a secret.
	let int
}

// span is a part of a stream.
type span struct{ from, to int }

// add masks a secret in what comes from now on.
func (m *masker) add(secret string) {
	if m.texts == nil {
		m.texts = make(map[string]bool)
	}
	for _, text := range forms(secret) {
		m.texts[text] = true
	}
	m.found = nil
}

// ready makes the automaton. What is held is looked at anew.
func (m *masker) ready() {
	if m.found != nil {
		return
	}
	texts := make([]string, 0, len(m.texts))
	for text := range m.texts {
		texts = append(texts, text)
	}
	slices.Sort(texts) // near in the stream is then near in memory
	m.found = newAutomaton(texts)
	held := m.held
	m.restart(m.base)
	m.held = held
	m.scan(held, m.base)
}

// restart begins anew at a place of the stream.
func (m *masker) restart(at int) {
	m.state, m.held, m.base, m.spans = 0, nil, at, nil
	m.count, m.breaks, m.forgotten, m.broken, m.let = at, nil, 0, 0, at
}

// write takes the next bytes and returns those that can be shown by now.
func (m *masker) write(p []byte) []byte {
	if len(m.texts) == 0 {
		m.base += len(p)
		return p
	}
	m.ready()
	from := m.base + len(m.held)
	m.scan(p, from)
	end := from + len(p)
	if depth := int(m.found.depth[m.state]); depth > 0 {
		end = max(m.place(m.count-depth), m.let)
	}
	return m.show(p, end)
}

// flush returns what is held: no more will come that could complete it. What
// looks like a secret that was cut off is masked.
func (m *masker) flush() []byte {
	if len(m.texts) == 0 {
		return nil
	}
	m.ready()
	end := m.base + len(m.held)
	if depth := int(m.found.depth[m.state]); depth >= minCut {
		m.mark(m.place(m.count-depth), m.place(m.count-1)+1)
	}
	out := m.show(nil, end)
	m.restart(end)
	return out
}

// all masks a whole text.
func (m *masker) all(s string) string {
	if len(m.texts) == 0 {
		return s
	}
	m.ready()
	whole := masker{texts: m.texts, found: m.found}
	out := whole.write([]byte(s))
	return string(append(out, whole.flush()...))
}

// scan finds the secrets in p, which begins at a place of the stream.
func (m *masker) scan(p []byte, from int) {
	a, state, count := m.found, m.state, m.count
	for i, b := range p {
		if b == '\n' || b == '\r' {
			m.breaks = append(m.breaks, count)
			if m.broken++; m.broken > maxBreak {
				state = 0
			}
			// Nearly every line ends in what could begin some secret's form.
			// Whoever follows the log is not to wait for the rest of it.
			if a.depth[state] < MinMasked {
				m.let = from + i + 1
			}
			continue
		}
		m.broken = 0
		count++
		state = a.next(state, b)
		if n := int(a.match[state]); n > 0 {
			m.mark(m.place(count-n), from+i+1)
		}
	}
	for state != 0 && a.child[state] == 0 {
		state = a.fail[state] // nothing longer can come of it
	}
	m.state, m.count = state, count
}

// mark notes a secret. Ends never go back.
func (m *masker) mark(from, to int) {
	for n := len(m.spans); n > 0 && m.spans[n-1].to > from; n-- {
		from = min(from, m.spans[n-1].from)
		m.spans = m.spans[:n-1]
	}
	m.spans = append(m.spans, span{from, to})
}

// place is where in the stream the byte number n is, of those that are no line
// breaks.
func (m *masker) place(n int) int {
	return n + m.forgotten + sort.Search(len(m.breaks), func(i int) bool { return m.breaks[i] > n })
}

// show returns the stream from base on, of which p is the last part, up to end
// and with marks for the secrets that begin there, and holds the rest.
func (m *masker) show(p []byte, end int) []byte {
	buf := p
	if len(m.held) > 0 {
		buf = slices.Concat(m.held, p)
	}
	out := make([]byte, 0, end-m.base)
	at := max(m.base, m.shown)
	spans := m.spans
	for len(spans) > 0 && spans[0].from < end {
		s := spans[0]
		spans = spans[1:]
		if s.from >= m.shown { // else its mark is there already
			if s.from > at {
				out = append(out, buf[at-m.base:s.from-m.base]...)
			}
			out = append(out, masked...)
		}
		at = max(at, s.to)
		m.shown = at
	}
	if at < end {
		out = append(out, buf[at-m.base:end-m.base]...)
	}
	m.held = append([]byte(nil), buf[end-m.base:]...)
	m.spans = append([]span(nil), spans...)
	m.base = end
	first := m.count - int(m.found.depth[m.state])
	forget := sort.Search(len(m.breaks), func(i int) bool { return m.breaks[i] > first })
	m.forgotten += forget
	m.breaks = append(m.breaks[:0], m.breaks[forget:]...)
	return out
}
