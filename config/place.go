package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// fail records an error at a place in the file; nil means the whole file.
func (d *decoder) fail(at *token.Position, path, format string, args ...any) {
	e := &Error{File: d.name, Path: path, Message: d.asWritten(path, fmt.Sprintf(format, args...))}
	if at != nil {
		e.Line, e.Column = at.Line, at.Column
	}
	d.failed = append(d.failed, e)
}

// asWritten is a message about the value of path with the value's references as
// they stand in the file.
func (d *decoder) asWritten(path, message string) string {
	if whole, ok := d.expanded[path]; ok {
		return strings.ReplaceAll(message, strconv.Quote(whole), strconv.Quote(d.written[path]))
	}
	return message
}

// failValue records an error at the value of path, or, where the file has
// none, at the nearest key around it.
func (d *decoder) failValue(path, format string, args ...any) {
	d.fail(d.place(path), path, format, args...)
}

func (d *decoder) place(path string) *token.Position {
	for {
		if at, ok := d.places[path]; ok {
			return at
		}
		if path == "" {
			return nil
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
}

// item is the path of a list's element; where one value stands for a list of
// one it is the path of that.
func (d *decoder) item(path string, i int) string {
	if at := fmt.Sprintf("%s[%d]", path, i); d.has(at) {
		return at
	}
	return path
}

func (d *decoder) wrongType(n ast.Node, path, want string) {
	var got string
	switch n.(type) {
	case *ast.NullNode:
		got = "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		got = "keys with values"
	case *ast.SequenceNode:
		got = "a list"
	default:
		got = "a single value"
	}
	if want == "a text" && gluedKey(n) {
		got += "; a text with a colon needs quotes here"
	}
	d.failValue(path, "expected %s, got %s", want, got)
}

// gluedKey recognises a text such as file:/path that stands in a list in
// brackets: the parser takes it for a key and its value.
func gluedKey(n ast.Node) bool {
	m, ok := n.(*ast.MappingNode)
	if !ok || len(m.Values) != 1 {
		return false
	}
	colon, value := m.Values[0].Start, m.Values[0].Value.GetToken()
	return colon != nil && value != nil && colon.Position.Line == value.Position.Line && colon.Position.Column+1 == value.Position.Column
}

// errors returns all that is wrong, or nil.
func (d *decoder) errors() error {
	if len(d.failed) == 0 {
		return nil
	}
	d.failed.sort()
	return d.failed
}

// join writes the path of key below path.
func join(path, key string) string {
	if strings.ContainsFunc(key, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '_' && r != '-'
	}) || key == "" {
		return path + "[" + strconv.Quote(key) + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func isNull(n ast.Node) bool {
	_, ok := n.(*ast.NullNode)
	return ok
}
