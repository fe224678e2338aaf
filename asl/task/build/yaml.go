//go:build unix

package build

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// A buildspec is read from the syntax tree, not decoded into a struct: values
// keep their text (1.10 is not 1.1), and errors have a line and a path. An
// alias is followed where it is met, and the tree is only read to a fixed
// depth, so that no document of aliases can grow.

const (
	maxBuildspec = 256 << 10
	// maxNesting keeps hostile nesting from the parser, which recurses.
	maxNesting = 64
)

// node is a place in a buildspec.
type node struct {
	file    string
	path    string
	n       ast.Node
	anchors map[string]ast.Node
}

type field struct {
	key   string
	value node
}

func (n node) errorf(format string, args ...any) error {
	place := n.file
	if n.n != nil {
		if t := n.n.GetToken(); t != nil && t.Position != nil {
			place = fmt.Sprintf("%s:%d", n.file, t.Position.Line)
		}
	}
	text := fmt.Sprintf(format, args...)
	if n.path != "" {
		text = n.path + ": " + text
	}
	return errors.New(place + ": " + text)
}

// parseYAML reads one document. The parser is a library and its input is
// hostile: a panic of it becomes an error.
func parseYAML(file string, text []byte) (root node, err error) {
	root = node{file: file}
	if len(text) > maxBuildspec {
		return root, fmt.Errorf("%s: has %d bytes, at most %d are read", file, len(text), maxBuildspec)
	}
	if line := nestsAt(text); line > 0 {
		return root, fmt.Errorf("%s:%d: nested deeper than %d", file, line, maxNesting)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: not valid YAML", file)
		}
	}()
	f, err := parser.ParseBytes(text, 0)
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
	if len(docs) != 1 {
		return root, fmt.Errorf("%s: has %d YAML documents, must have one", file, len(docs))
	}
	root.n = docs[0]
	root.anchors = make(map[string]ast.Node)
	ast.Walk(collector{root.anchors}, root.n)
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
			target, ok := n.anchors[name]
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
	return node{file: n.file, path: path, n: value, anchors: n.anchors}
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
	var fields []field
	seen := make(map[string]bool)
	for _, v := range values {
		if _, merge := v.Key.(*ast.MergeKeyNode); merge {
			return nil, n.errorf("merge keys (<<) are not supported")
		}
		key, err := n.child("", v.Key).text()
		if err != nil {
			return nil, err
		}
		if seen[key] {
			return nil, n.child(key, v.Key).errorf("is there twice")
		}
		seen[key] = true
		value := n.child(key, v.Value)
		if v.Value == nil {
			value.n = v.Key
		}
		fields = append(fields, field{key: key, value: value})
	}
	return fields, nil
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
		s, err := n.child(fmt.Sprintf("%d", i+1), v).text()
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
	case "yes", "true":
		return true, nil
	case "no", "false":
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
		at, err := f.value.plain()
		if err != nil {
			return nil, err
		}
		if _, null := at.(*ast.NullNode); !null {
			if value, err = f.value.text(); err != nil {
				return nil, err
			}
		}
		if err := checkVariable(f.key, value); err != nil {
			return nil, f.value.errorf("%v", err)
		}
		vars = append(vars, variable{Name: f.key, Value: value, Type: kind})
	}
	return vars, nil
}
