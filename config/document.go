package config

import (
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"switchyard/internal/yamldoc"
)

// parse returns the document's root, nil when it is empty or no YAML.
func (d *decoder) parse(data []byte) ast.Node {
	root, err := yamldoc.Parse(data)
	switch {
	case err == nil:
	case err.Line == 0:
		d.fail(nil, "", "%s", err.Msg)
	default:
		d.fail(&token.Position{Line: err.Line, Column: err.Column}, "", "%s", err.Msg)
	}
	if root != nil {
		d.anchors = yamldoc.Anchors(root)
	}
	return root
}
