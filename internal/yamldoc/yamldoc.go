// Package yamldoc reads a YAML file that a person wrote into a syntax tree, so
// that whoever decodes it can say where each mistake stands.
//
// Files are bounded in size and nesting, since the parser recurses and takes
// quadratic time for a long mapping. References such as ${NAME} may stand
// unquoted anywhere, also where YAML would take their braces for a mapping.
package yamldoc

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a file. They are far above any that a person writes.
const (
	MaxBytes = 1 << 20
	MaxDepth = 64 // of brackets and list markers; indentation is bounded by MaxBytes
	maxLines = 20_000
)

// Error says why a file is not read.
type Error struct {
	// Line and Column count from 1, columns in characters; 0 for the whole file.
	Line, Column int
	Msg          string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Msg
	}
	return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Msg)
}

// A reference in a flow sequence or mapping, [${NAME}], is not YAML: the brace
// opens a mapping. Its braces are hidden from the parser as private-use runes,
// one for one, so that columns stay true.
const (
	hiddenOpen  = "\ue000"
	hiddenClose = "\ue001"
)

var (
	reference = regexp.MustCompile(`\$\{[^{}\n]*\}`)
	// quotedText is what the parser repeats of the file, which may hold secrets.
	quotedText = regexp.MustCompile(":? *(\".{3,}\"|'.{3,}'|`.{3,}`)")
	unhide     = strings.NewReplacer(hiddenOpen, "{", hiddenClose, "}")
)

// Text is a text of the tree as it stands in the file.
func Text(s string) string { return unhide.Replace(s) }

// Parse reads the only document of a file. The root is nil when it is empty.
// The texts of the tree go through [Text].
func Parse(data []byte) (root ast.Node, failed *Error) {
	text := string(data)
	switch {
	case len(data) > MaxBytes:
		return nil, &Error{Msg: fmt.Sprintf("the file is larger than %dMB", MaxBytes>>20)}
	case !utf8.Valid(data):
		return nil, &Error{Msg: "the file is not UTF-8"}
	case strings.ContainsAny(text, hiddenOpen+hiddenClose):
		return nil, &Error{Msg: "the file holds the private-use characters U+E000 or U+E001"}
	case strings.Count(text, "\n") > maxLines:
		return nil, &Error{Msg: fmt.Sprintf("the file has more than %d lines", maxLines)}
	case nesting(text) > MaxDepth:
		return nil, &Error{Msg: fmt.Sprintf("the file is nested deeper than %d", MaxDepth)}
	}
	defer func() {
		if p := recover(); p != nil { // the input is hostile, and the parser a library
			root, failed = nil, &Error{Msg: "no valid YAML"}
		}
	}()
	file, err := parser.ParseBytes(hide(data), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxError(err)
	}
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case root != nil:
			at := Start(doc.Body)
			return nil, &Error{Line: at.Line, Column: at.Column, Msg: "only one document is read; remove the second"}
		default:
			root = doc.Body
		}
	}
	return root, nil
}

func hide(data []byte) []byte {
	return reference.ReplaceAllFunc(data, func(m []byte) []byte {
		return []byte("$" + hiddenOpen + string(m[2:len(m)-1]) + hiddenClose)
	})
}

func syntaxError(err error) *Error {
	var at yaml.Error
	if !errors.As(err, &at) || at.GetToken() == nil {
		return &Error{Msg: "no valid YAML"}
	}
	where := at.GetToken().Position
	return &Error{Line: where.Line, Column: where.Column, Msg: "no valid YAML: " + quotedText.ReplaceAllString(Text(at.GetMessage()), "")}
}

// nesting is an upper bound of how deep text is nested, for a parser that
// recurses: brackets that are open at once, or indicators that begin a line.
func nesting(text string) int {
	deepest, open := 0, 0
	for line := range strings.Lines(text) {
		for i := range len(line) {
			switch line[i] {
			case '[', '{':
				open++
				deepest = max(deepest, open)
			case ']', '}':
				open = max(open-1, 0)
			}
		}
		begin := 0
		for rest := strings.TrimLeft(line, " "); len(rest) > 1 && strings.IndexByte("-?:", rest[0]) >= 0 && strings.IndexByte(" \r\n", rest[1]) >= 0; begin++ {
			rest = strings.TrimLeft(rest[1:], " ")
		}
		deepest = max(deepest, begin)
	}
	return deepest
}

// Start is where n begins: a block mapping's own token is its first colon.
func Start(n ast.Node) *token.Position {
	switch t := n.(type) {
	case *ast.MappingNode:
		if len(t.Values) > 0 && !t.IsFlowStyle {
			return t.Values[0].Key.GetToken().Position
		}
	case *ast.MappingValueNode:
		return t.Key.GetToken().Position
	}
	return n.GetToken().Position
}

// Anchors are the nodes that aliases stand for, by name.
func Anchors(root ast.Node) map[string]ast.Node {
	found := anchors{}
	ast.Walk(found, root)
	return found
}

type anchors map[string]ast.Node

// Visit implements [ast.Visitor].
func (a anchors) Visit(n ast.Node) ast.Visitor {
	if anchor, ok := n.(*ast.AnchorNode); ok {
		a[anchor.Name.GetToken().Value] = anchor.Value
	}
	return a
}
