package config

import (
	"fmt"
	"reflect"

	"github.com/goccy/go-yaml/ast"

	"switchyard/internal/yamldoc"
)

func (d *decoder) bool(n ast.Node, v reflect.Value, path string) {
	text, ok := d.known(n, path)
	if !ok {
		return
	}
	switch text {
	case "true", "True", "TRUE":
		v.SetBool(true)
	case "false", "False", "FALSE":
		v.SetBool(false)
	default:
		d.failValue(path, "expected true or false, got %q", text)
	}
}

// scalar is the text of a text, number or boolean, as it is written.
func (d *decoder) scalar(n ast.Node) (string, bool) {
	switch s := n.(type) {
	case *ast.StringNode:
		return yamldoc.Text(s.Value), true
	case *ast.LiteralNode:
		return yamldoc.Text(s.Value.Value), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// text is a scalar with its references filled in.
func (d *decoder) text(n ast.Node, path string) (string, bool) {
	text, ok := d.scalar(n)
	if !ok {
		d.wrongType(n, path, "a text")
		return "", false
	}
	return d.expand(text, path, "${NAME:-default}", false)
}

// known is text, for values that must be read: offline, one whose reference is
// not set keeps its default.
func (d *decoder) known(n ast.Node, path string) (string, bool) {
	text, ok := d.text(n, path)
	return text, ok && !d.unresolved[path]
}

// anything decodes a value that is passed on as it is.
func (d *decoder) anything(n ast.Node, path string) any {
	if n = d.enter(n, path); n == nil {
		return nil
	}
	defer d.leave()
	switch t := n.(type) {
	case *ast.NullNode:
		return nil
	case *ast.BoolNode:
		return t.Value
	case *ast.IntegerNode:
		return t.Value
	case *ast.FloatNode:
		return t.Value
	case *ast.InfinityNode, *ast.NanNode:
		d.failValue(path, "JSON has no such number; quote it")
		return nil
	case *ast.SequenceNode:
		list := make([]any, len(t.Values))
		for i, item := range t.Values {
			list[i] = d.anything(item, fmt.Sprintf("%s[%d]", path, i))
		}
		return list
	case *ast.MappingNode, *ast.MappingValueNode:
		entries, _ := d.entries(t, path)
		return d.anyMap(entries, path)
	}
	text, ok := d.scalar(n)
	if !ok {
		d.wrongType(n, path, "a value")
	}
	return text
}

func (d *decoder) anyMap(entries []entry, path string) map[string]any {
	m := make(map[string]any, len(entries))
	for _, e := range entries {
		m[e.key] = d.anything(e.value, join(path, e.key))
	}
	return m
}
