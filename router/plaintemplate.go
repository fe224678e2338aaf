package router

import (
	"strconv"
	"text/template/parse"
)

// plainTemplate is an environment template of nothing but text, fields and
// slugs of fields, as nearly all are. It is put together without the template
// engine, and both the name and the former one at once.
type plainTemplate []plainPart

type plainPart struct {
	text  string
	field func(*envFields) string // nil for text
	limit int                     // of the slug, 0 for the field as it is
}

// plainOf returns the template as a plain one, nil when it is more than that.
func plainOf(root *parse.ListNode) plainTemplate {
	var t plainTemplate
	for _, n := range root.Nodes {
		switch n := n.(type) {
		case *parse.TextNode:
			t = append(t, plainPart{text: string(n.Text)})
		case *parse.CommentNode:
		case *parse.ActionNode:
			part, ok := plainAction(n.Pipe)
			if !ok {
				return nil
			}
			t = append(t, part)
		default:
			return nil
		}
	}
	return t
}

// plainAction understands {{ .Field }}, {{ .Field | slug }}, {{ .Field | slug 20 }},
// {{ slug .Field }} and {{ slug 20 .Field }}.
func plainAction(pipe *parse.PipeNode) (part plainPart, ok bool) {
	var args []parse.Node
	switch cmds := pipe.Cmds; {
	case len(cmds) == 1:
		args = cmds[0].Args
	case len(cmds) == 2 && len(cmds[0].Args) == 1:
		args = append(append(args, cmds[1].Args...), cmds[0].Args[0])
	default:
		return part, false
	}
	name, ok := args[len(args)-1].(*parse.FieldNode)
	if !ok {
		return part, false
	}
	part.field = plainFields[name.String()]
	if len(args) == 1 {
		return part, part.field != nil
	}
	part.limit = maxSlug
	if len(args) == 3 {
		part.limit, ok = number(args[1:2])
	}
	fn, isFunc := args[0].(*parse.IdentifierNode)
	return part, ok && isFunc && fn.Ident == "slug" && len(args) <= 3 && part.field != nil &&
		part.limit >= 1 && part.limit <= maxSlug
}

var plainFields = map[string]func(*envFields) string{
	".Author":      func(f *envFields) string { return f.Author },
	".BaseBranch":  func(f *envFields) string { return f.BaseBranch },
	".Branch":      func(f *envFields) string { return f.Branch },
	".Event":       func(f *envFields) string { return f.Event },
	".Name":        func(f *envFields) string { return f.Name },
	".Owner":       func(f *envFields) string { return f.Owner },
	".PullRequest": func(f *envFields) string { return strconv.Itoa(f.PullRequest) },
	".Repository":  func(f *envFields) string { return f.Repository },
	".Route":       func(f *envFields) string { return f.Route },
	".SHA":         func(f *envFields) string { return f.SHA },
	".ShortSHA":    func(f *envFields) string { return f.ShortSHA },
	".Tag":         func(f *envFields) string { return f.Tag },
}

// name puts the names together. ok is false when the name would not be an
// environment's; the template engine says what is wrong with it.
func (t plainTemplate) name(fields *envFields) (n environmentName, ok bool) {
	var nameRoom, formerRoom [maxEnvironment]byte
	name, former := nameRoom[:0], formerRoom[:0]
	differ := false
	for i := range t {
		switch part := &t[i]; {
		case part.field == nil:
			name, former = append(name, part.text...), append(former, part.text...)
		case part.limit == 0:
			s := part.field(fields)
			name, former = append(name, s...), append(former, s...)
		default:
			s := part.field(fields)
			unique, lost := uniqueSlug(s, part.limit)
			name = append(name, unique...)
			if lost {
				differ = true
				former = append(former, slug(s, part.limit)...)
			} else {
				former = append(former, unique...)
			}
		}
	}
	n.name = string(name)
	n.former, n.known = n.name, true
	if differ {
		n.former = string(former)
		if n.known = validEnvironment(n.former); !n.known {
			n.former = ""
		}
	}
	return n, validEnvironment(n.name)
}
