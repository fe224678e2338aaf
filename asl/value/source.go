package value

import "unicode/utf8"

// Source remembers where in its text each part of a parsed value stood, for
// messages that point into a file.
type Source struct {
	// Duplicates are the offsets of keys that repeat an earlier key of their
	// object.
	Duplicates []int

	text  string
	root  int
	nodes map[*node][]span
}

// span is where one member or element stands: its key (an element's own start
// in an array) and its value.
type span struct{ key, value int }

// ParseSource is [Parse] that also records positions.
func ParseSource(data []byte) (Value, *Source, error) {
	src := &Source{text: string(data), nodes: map[*node][]span{}}
	p := parser{s: src.text, src: src, maxDepth: MaxDepth}
	p.space()
	src.root = p.i
	v, err := p.document()
	return v, src, err
}

// Root is the offset of the outermost value.
func (s *Source) Root() int { return s.root }

// KeyOffset is the offset of the key of field i of the object v, or of element
// i of the array v; -1 when v is not of this source.
func (s *Source) KeyOffset(v Value, i int) int {
	if sp := s.nodes[v.node]; i < len(sp) {
		return sp[i].key
	}
	return -1
}

// ValueOffset is the offset of the value of field or element i of v; -1 when v
// is not of this source.
func (s *Source) ValueOffset(v Value, i int) int {
	if sp := s.nodes[v.node]; i < len(sp) {
		return sp[i].value
	}
	return -1
}

// Position turns an offset into a line and a column, both counted from 1;
// columns count characters.
func (s *Source) Position(offset int) (line, column int) {
	return Position(s.text, offset)
}

// Position turns a byte offset in text into a line and a column, both counted
// from 1; columns count characters.
func Position(text string, offset int) (line, column int) {
	if offset > len(text) {
		offset = len(text)
	}
	line, start := 1, 0
	for i := range offset {
		if text[i] == '\n' {
			line++
			start = i + 1
		}
	}
	return line, utf8.RuneCountInString(text[start:offset]) + 1
}
