package config

import (
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// A reference in a flow sequence or mapping, [${NAME}], is no YAML: the brace
// opens a mapping. Its braces are hidden from the parser as private-use runes,
// one for one, so that columns stay true.
const (
	hiddenOpen  = "\ue000"
	hiddenClose = "\ue001"
)

var (
	reference = regexp.MustCompile(`\$\{[^{}\n]*\}`)
	// quotedText is what the parser repeats of the file, which has secrets.
	quotedText = regexp.MustCompile(":? *(\".{3,}\"|'.{3,}'|`.{3,}`)")
	unhide     = strings.NewReplacer(hiddenOpen, "{", hiddenClose, "}")
)

func hide(data []byte) []byte {
	return reference.ReplaceAllFunc(data, func(m []byte) []byte {
		return []byte("$" + hiddenOpen + string(m[2:len(m)-1]) + hiddenClose)
	})
}

// parse returns the document's root, nil when it is empty or no YAML.
func (d *decoder) parse(data []byte) ast.Node {
	text := string(data)
	switch {
	case len(data) > maxFile:
		d.fail(nil, "", "the file is larger than %v", Size(maxFile))
		return nil
	case !utf8.Valid(data):
		d.fail(nil, "", "the file is not UTF-8")
		return nil
	case strings.ContainsAny(text, hiddenOpen+hiddenClose):
		d.fail(nil, "", "the file holds the private-use characters U+E000 or U+E001")
		return nil
	case strings.Count(text, "\n") > maxLines:
		d.fail(nil, "", "the file has more than %d lines", maxLines)
		return nil
	case nesting(text) > maxDepth:
		d.fail(nil, "", "the file is nested deeper than %d", maxDepth)
		return nil
	}
	file, err := parser.ParseBytes(hide(data), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var at yaml.Error
		if errors.As(err, &at) && at.GetToken() != nil {
			d.fail(at.GetToken().Position, "", "no valid YAML: %s", quotedText.ReplaceAllString(unhide.Replace(at.GetMessage()), ""))
		} else {
			d.fail(nil, "", "no valid YAML")
		}
		return nil
	}
	var root ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if root != nil {
			d.fail(start(doc.Body), "", "a config is one document; remove the second")
			break
		}
		root = doc.Body
	}
	if root == nil {
		return nil
	}
	ast.Walk(anchorVisitor{d}, root)
	return root
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

type anchorVisitor struct{ d *decoder }

func (v anchorVisitor) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok {
		v.d.anchors[a.Name.GetToken().Value] = a.Value
	}
	return v
}
