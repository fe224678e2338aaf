package definition

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"switchyard/asl"
	"switchyard/asl/value"
	"switchyard/internal/yamldoc"
)

// Bounds of what a file of aliases can grow to.
const (
	maxNodes   = 100_000
	maxNesting = 500
)

// yamlError says what of a file has no place in a definition.
type yamlError struct {
	at  position
	msg string
}

func (e *yamlError) Error() string { return e.msg }

func readYAML(text string, substitutions map[string]string) *Definition {
	root, failed := yamldoc.Parse([]byte(text))
	if failed != nil {
		return &Definition{Findings: []asl.Diagnostic{notRead(position{failed.Line, failed.Column}, failed.Msg)}}
	}
	if root == nil {
		return readJSON("", substitutions)
	}
	c := converter{anchors: yamldoc.Anchors(root), substitutions: substitutions, places: map[position]position{}, at: position{1, 1}}
	if err := c.node(root, 0); err != nil {
		return &Definition{Findings: []asl.Diagnostic{notRead(err.at, err.msg)}}
	}
	d := &Definition{JSON: c.out.String()}
	d.validate(func(at position) position {
		if place, ok := c.places[at]; ok {
			return place
		}
		return position{}
	}, c.unfilled)
	return d
}

func notRead(at position, msg string) asl.Diagnostic {
	return asl.Diagnostic{Severity: asl.SeverityError, Code: asl.CodeInvalidJSON, Message: msg, Line: at.line, Column: at.column}
}

// converter writes a tree of YAML as indented JSON, and notes where each key
// and value comes from.
type converter struct {
	anchors       map[string]ast.Node
	substitutions map[string]string

	out      strings.Builder
	at       position              // of what is written next
	places   map[position]position // from those in out to those in the file
	unfilled []placeholder
	nodes    int
}

// write adds what holds no line break.
func (c *converter) write(s string) {
	c.out.WriteString(s)
	for range s {
		c.at.column++
	}
}

func (c *converter) newline(depth int) {
	c.out.WriteByte('\n')
	c.at = position{c.at.line + 1, 1}
	c.write(strings.Repeat("  ", depth))
}

func placeOf(n ast.Node) position {
	start := yamldoc.Start(n)
	return position{start.Line, start.Column}
}

// node writes n, which stands inside depth others.
func (c *converter) node(n ast.Node, depth int) *yamlError {
	at := placeOf(n)
	c.places[c.at] = at
	n, tag, err := c.resolve(n)
	if err != nil {
		return err
	}
	if c.nodes++; depth > maxNesting || c.nodes > maxNodes {
		return &yamlError{at, "nested too deep, or too large once aliases are filled in"}
	}
	switch t := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return c.mapping(t, depth)
	case *ast.SequenceNode:
		return c.sequence(t, depth)
	default:
		text, err := c.scalar(n, tag, at)
		if err == nil {
			c.write(text)
		}
		return err
	}
}

// resolve follows anchors and aliases; tag is the last tag on the way.
func (c *converter) resolve(n ast.Node) (_ ast.Node, tag string, _ *yamlError) {
	at := placeOf(n)
	for range maxNesting {
		switch t := n.(type) {
		case *ast.AnchorNode:
			n = t.Value
		case *ast.AliasNode:
			name := t.Value.GetToken().Value
			target, ok := c.anchors[name]
			if !ok {
				return nil, "", &yamlError{at, "there is no anchor &" + name}
			}
			n = target
		case *ast.TagNode:
			if tag = t.Start.Value; tag != "!!str" {
				return nil, "", &yamlError{at, "tags such as " + tag + " are for templates; write the value that it stands for, or a placeholder such as ${Name}"}
			}
			n = t.Value
		default:
			return n, tag, nil
		}
	}
	return nil, "", &yamlError{at, "an alias that names itself"}
}

func (c *converter) mapping(n ast.Node, depth int) *yamlError {
	entries, err := c.entries(n, 0)
	if err != nil {
		return err
	}
	c.write("{")
	for i, e := range entries {
		if i > 0 {
			c.write(",")
		}
		c.newline(depth + 1)
		key, err := c.key(e.Key)
		if err != nil {
			return err
		}
		c.places[c.at] = placeOf(e.Key)
		c.write(value.OfString(key).JSON())
		c.write(": ")
		if err := c.node(e.Value, depth+1); err != nil {
			return err
		}
	}
	if len(entries) > 0 {
		c.newline(depth)
	}
	c.write("}")
	return nil
}

// entries are those of a mapping. What a merge key (<<) brings gives way to the
// mapping's own keys.
func (c *converter) entries(n ast.Node, depth int) ([]*ast.MappingValueNode, *yamlError) {
	var own []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		own = m.Values
	case *ast.MappingValueNode:
		own = []*ast.MappingValueNode{m}
	default:
		return nil, &yamlError{placeOf(n), "a merge key (<<) needs an alias of keys with values"}
	}
	names := map[string]bool{}
	for _, e := range own {
		names[e.Key.GetToken().Value] = true
	}
	var all []*ast.MappingValueNode
	for _, e := range own {
		if _, merge := e.Key.(*ast.MergeKeyNode); !merge {
			all = append(all, e)
			continue
		}
		merged, err := c.merged(e.Value, depth)
		if err != nil {
			return nil, err
		}
		for _, m := range merged {
			if name := m.Key.GetToken().Value; !names[name] {
				names[name] = true
				all = append(all, m)
			}
		}
	}
	return all, nil
}

// merged are the entries that a merge key's value stands for.
func (c *converter) merged(n ast.Node, depth int) ([]*ast.MappingValueNode, *yamlError) {
	n, _, err := c.resolve(n)
	if err != nil {
		return nil, err
	}
	if c.nodes++; depth > maxNesting || c.nodes > maxNodes {
		return nil, &yamlError{placeOf(n), "merge keys (<<) are nested too deep"}
	}
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		return c.entries(n, depth+1)
	}
	var all []*ast.MappingValueNode
	for _, v := range list.Values {
		more, err := c.merged(v, depth+1)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

func (c *converter) key(n ast.MapKeyNode) (string, *yamlError) {
	at := placeOf(n)
	switch k := n.(type) {
	case *ast.StringNode:
		return c.fill(yamldoc.Text(k.Value), at), nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return k.GetToken().Value, nil
	default:
		return "", &yamlError{at, "a key must be a plain text"}
	}
}

func (c *converter) sequence(n *ast.SequenceNode, depth int) *yamlError {
	c.write("[")
	for i, v := range n.Values {
		if i > 0 {
			c.write(",")
		}
		c.newline(depth + 1)
		if err := c.node(v, depth+1); err != nil {
			return err
		}
	}
	if len(n.Values) > 0 {
		c.newline(depth)
	}
	c.write("]")
	return nil
}

func (c *converter) fill(text string, at position) string {
	return fill(text, c.substitutions, func(name string) {
		if len(c.unfilled) < maxUnfilled {
			c.unfilled = append(c.unfilled, placeholder{name: name, at: at})
		}
	})
}

// scalar is a scalar in JSON.
func (c *converter) scalar(n ast.Node, tag string, at position) (string, *yamlError) {
	if tag == "!!str" {
		if s, ok := n.(*ast.StringNode); ok {
			return value.OfString(c.fill(yamldoc.Text(s.Value), at)).JSON(), nil
		}
		return value.OfString(n.GetToken().Value).JSON(), nil
	}
	switch t := n.(type) {
	case *ast.StringNode:
		return c.text(t, at), nil
	case *ast.LiteralNode:
		return value.OfString(c.fill(yamldoc.Text(t.Value.Value), at)).JSON(), nil
	case *ast.IntegerNode:
		return number(t.GetToken().Value, fmt.Sprint(t.Value)), nil
	case *ast.FloatNode:
		return number(t.GetToken().Value, strconv.FormatFloat(t.Value, 'g', -1, 64)), nil
	case *ast.BoolNode:
		return strconv.FormatBool(t.Value), nil
	case *ast.NullNode:
		return "null", nil
	default:
		return "", &yamlError{at, fmt.Sprintf("%q has no counterpart in JSON", n.GetToken().Value)}
	}
}

// text is a text in JSON. A placeholder that is all of it, and stands without
// quotes, may give a number or true or false.
func (c *converter) text(n *ast.StringNode, at position) string {
	written := yamldoc.Text(n.Value)
	filled := c.fill(written, at)
	kind := n.GetToken().Type
	if kind != token.SingleQuoteType && kind != token.DoubleQuoteType && filled != written && reference.FindString(written) == written {
		if v, err := value.ParseString(filled); err == nil && (v.Kind() == value.Number || v.Kind() == value.Bool) {
			return v.JSON()
		}
	}
	return value.OfString(filled).JSON()
}

// number is a number as it is written, where JSON writes it like that too.
func number(written, decimal string) string {
	if v, err := value.ParseString(written); err == nil && v.Kind() == value.Number {
		return written
	}
	return decimal
}
