//go:build unix

package build

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// A buildspec is read from the syntax tree, not decoded into a struct: values
// keep their text (1.10 is not 1.1), and errors have a line and a path. An
// alias is followed where it is met, and the tree is only read to a fixed
// depth, so that no document of aliases can grow.
//
// What is read is what CodeBuild reads, whose parser is lenient: of a key that
// is there twice the last counts, of several documents the first.

const (
	maxBuildspec = 256 << 10
	// maxNesting keeps hostile nesting from the parser, which recurses.
	maxNesting = 64
	// maxMerges bounds the merge keys (<<) that are followed in a document:
	// merges of merges could grow without an end.
	maxMerges = 1000
)

// document is what the places of one buildspec share.
type document struct {
	file    string
	anchors map[string]ast.Node
	merges  int
	// notes are lines for the log, each about something that is passed over.
	notes []string
}

// node is a place in a buildspec.
type node struct {
	doc  *document
	path string
	n    ast.Node
}

type field struct {
	key   string
	value node
}

// place is where n is written: the file, and the line where there is one.
func (n node) place() string {
	if n.n != nil {
		if t := n.n.GetToken(); t != nil && t.Position != nil {
			return fmt.Sprintf("%s:%d", n.doc.file, t.Position.Line)
		}
	}
	return n.doc.file
}

// located begins a text with its place.
func (n node) located(format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	if n.path != "" {
		text = n.path + ": " + text
	}
	return n.place() + ": " + text
}

func (n node) errorf(format string, args ...any) error {
	return errors.New(n.located(format, args...))
}

// notef tells the log about something at n that is passed over.
func (n node) notef(format string, args ...any) {
	n.doc.notes = append(n.doc.notes, n.located(format, args...))
}

// unknown passes over a key that means nothing here.
func (n node) unknown(known string) {
	n.notef("unknown key, passed over; known here are %s", known)
}

// plainText undoes what editors do to a file: a byte order mark, UTF-16, and
// carriage returns at the ends of lines, which would end up in the commands.
func plainText(text []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(text, []byte{0xFF, 0xFE}):
		order = binary.LittleEndian
	case bytes.HasPrefix(text, []byte{0xFE, 0xFF}):
		order = binary.BigEndian
	}
	if order != nil {
		units := make([]uint16, 0, len(text)/2)
		for rest := text[2:]; len(rest) >= 2; rest = rest[2:] {
			units = append(units, order.Uint16(rest))
		}
		text = []byte(string(utf16.Decode(units)))
	}
	text = bytes.TrimPrefix(text, []byte("\xEF\xBB\xBF"))
	return bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
}

// parseYAML reads the first document. The parser is a library and its input is
// hostile: a panic of it becomes an error.
func parseYAML(file string, text []byte) (root node, err error) {
	root = node{doc: &document{file: file, anchors: make(map[string]ast.Node)}}
	if len(text) > maxBuildspec {
		return root, fmt.Errorf("%s: has %d bytes, at most %d are read", file, len(text), maxBuildspec)
	}
	text = plainText(text)
	if line := nestsAt(text); line > 0 {
		return root, fmt.Errorf("%s:%d: nested deeper than %d", file, line, maxNesting)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: not valid YAML", file)
		}
	}()
	f, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var at interface{ GetToken() *token.Token }
		var msg interface{ GetMessage() string }
		if errors.As(err, &at) && errors.As(err, &msg) && at.GetToken() != nil && at.GetToken().Position != nil {
			return root, fmt.Errorf("%s:%d: %s", file, at.GetToken().Position.Line, msg.GetMessage())
		}
		return root, fmt.Errorf("%s: not valid YAML", file)
	}
	var docs []ast.Node
	for _, d := range f.Docs {
		if d.Body != nil {
			docs = append(docs, d.Body)
		}
	}
	if len(docs) == 0 {
		return root, fmt.Errorf("%s: is empty; a buildspec has at least version and phases", file)
	}
	root.n = docs[0]
	ast.Walk(collector{root.doc.anchors}, root.n)
	if len(docs) > 1 {
		root.notef("has %d YAML documents; only the first is read", len(docs))
	}
	return root, nil
}

// nestsAt gives the line where text nests too deep, 0 when it does not:
// brackets by their balance, blocks by the indicators that open one in a line
// and by indentation, which costs a byte a level.
func nestsAt(text []byte) int {
	brackets, line := 0, 0
	for l := range strings.Lines(string(text)) {
		line++
		indent, opened, leading := 0, 0, true
		for i := range len(l) {
			switch c := l[i]; {
			case c == '[' || c == '{':
				brackets++
				leading = false
			case c == ']' || c == '}':
				brackets = max(0, brackets-1)
				leading = false
			case leading && c == ' ':
				indent++
			case leading && (c == '-' || c == '?' || c == ':'):
				opened++
			default:
				leading = false
			}
		}
		if brackets > maxNesting || opened > maxNesting || indent > 8*maxNesting {
			return line
		}
	}
	return 0
}

type collector struct{ anchors map[string]ast.Node }

func (c collector) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok && a.Name != nil {
		c.anchors[a.Name.GetToken().Value] = a.Value
	}
	return c
}

// plain follows anchors, tags and aliases to what they stand for.
func (n node) plain() (ast.Node, error) {
	at := n.n
	for range 16 {
		switch v := at.(type) {
		case *ast.AnchorNode:
			at = v.Value
		case *ast.TagNode:
			at = v.Value
		case *ast.AliasNode:
			name := v.Value.GetToken().Value
			target, ok := n.doc.anchors[name]
			if !ok {
				return nil, n.errorf("alias *%s has no anchor", name)
			}
			at = target
		default:
			return at, nil
		}
	}
	return nil, n.errorf("too many aliases in a row")
}

func (n node) child(path string, value ast.Node) node {
	if n.path != "" {
		path = n.path + "/" + path
	}
	return node{doc: n.doc, path: path, n: value}
}

// fields lists a mapping's fields in order. Nothing at all is an empty one.
func (n node) fields() ([]field, error) {
	at, err := n.plain()
	if err != nil {
		return nil, err
	}
	var values []*ast.MappingValueNode
	switch v := at.(type) {
	case nil, *ast.NullNode:
	case *ast.MappingNode:
		values = v.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{v}
	default:
		return nil, n.errorf("must be a mapping (key: value)")
	}
	var own, merged []field
	index := make(map[string]int)
	for _, v := range values {
		if _, merge := v.Key.(*ast.MergeKeyNode); merge {
			more, err := n.merge(v.Value)
			if err != nil {
				return nil, err
			}
			merged = append(merged, more...)
			continue
		}
		key, err := n.child("", v.Key).text()
		if err != nil {
			return nil, err
		}
		value := n.child(key, v.Value)
		if v.Value == nil {
			value.n = v.Key
		}
		if i, twice := index[key]; twice {
			n.child(key, v.Key).notef("is there twice; the last one counts")
			own[i].value = value
			continue
		}
		index[key] = len(own)
		own = append(own, field{key: key, value: value})
	}
	for _, f := range merged {
		if _, known := index[f.key]; !known {
			index[f.key] = len(own)
			own = append(own, f)
		}
	}
	return own, nil
}

// given lists the fields that have a value: CodeBuild takes a key without one
// for a key that is not there.
func (n node) given() ([]field, error) {
	all, err := n.fields()
	return slices.DeleteFunc(all, func(f field) bool { return f.value.null() }), err
}

func (n node) null() bool {
	at, err := n.plain()
	if err != nil || at == nil {
		return err == nil
	}
	_, null := at.(*ast.NullNode)
	return null
}

// merge gives the fields that a merge key (<<) brings: those of a mapping, or
// of several, the earlier of which win.
func (n node) merge(value ast.Node) ([]field, error) {
	if n.doc.merges++; n.doc.merges > maxMerges {
		return nil, n.errorf("more than %d merge keys (<<) are followed", maxMerges)
	}
	from := n.child("<<", value)
	at, err := from.plain()
	if err != nil {
		return nil, err
	}
	seq, several := at.(*ast.SequenceNode)
	if !several {
		// The path of what is merged is that of the place it is merged into.
		return node{doc: n.doc, path: n.path, n: value}.fields()
	}
	var all []field
	for _, v := range seq.Values {
		more, err := node{doc: n.doc, path: n.path, n: v}.fields()
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// text gives a scalar as it is written.
func (n node) text() (string, error) {
	at, err := n.plain()
	if err != nil {
		return "", err
	}
	switch v := at.(type) {
	case *ast.StringNode:
		return v.Value, nil
	case *ast.LiteralNode:
		return v.Value.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return v.GetToken().Value, nil
	case *ast.MappingNode, *ast.MappingValueNode:
		return "", n.errorf("must be a text, but is a mapping; quote a text that has a colon followed by a space")
	case nil, *ast.NullNode:
		return "", n.errorf("is empty, must be a text")
	}
	return "", n.errorf("must be a text")
}

// texts gives a sequence of scalars; one scalar alone counts as one.
func (n node) texts() ([]string, error) {
	at, err := n.plain()
	if err != nil {
		return nil, err
	}
	seq, ok := at.(*ast.SequenceNode)
	if !ok {
		switch at.(type) {
		case nil, *ast.NullNode:
			return []string{}, nil
		case *ast.MappingNode, *ast.MappingValueNode:
			return nil, n.errorf("must be a list of texts")
		}
		s, err := n.text()
		return []string{s}, err
	}
	out := make([]string, 0, len(seq.Values))
	for i, v := range seq.Values {
		item := n.child(fmt.Sprintf("%d", i+1), v)
		if item.null() {
			item.notef("is empty, passed over")
			continue
		}
		s, err := item.text()
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (n node) yes() (bool, error) {
	s, err := n.text()
	if err != nil {
		return false, err
	}
	switch strings.ToLower(s) {
	case "yes", "true", "on":
		return true, nil
	case "no", "false", "off":
		return false, nil
	}
	return false, n.errorf("must be yes or no")
}

// variables reads a mapping of names to values.
func (n node) variables(kind string) ([]variable, error) {
	fields, err := n.fields()
	if err != nil {
		return nil, err
	}
	var vars []variable
	for _, f := range fields {
		var value string
		if !f.value.null() {
			if value, err = f.value.text(); err != nil {
				return nil, err
			}
		}
		if !isIdentifier(f.key) {
			f.value.notef("is not a name that a shell's variable can have, passed over: it must be letters, digits and _, not beginning with a digit")
			continue
		}
		if err := checkVariable(f.key, value); err != nil {
			return nil, f.value.errorf("%v", err)
		}
		vars = append(vars, variable{Name: f.key, Value: value, Type: kind})
	}
	return vars, nil
}
