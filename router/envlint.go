package router

import (
	"fmt"
	"slices"
	"strings"
	"text/template/parse"

	"switchyard/internal/event"
)

// tryEnvironment evaluates the template as it would be for each kind of event,
// with a branch and with a tag. It is an error when no plausible one gives a
// name, or when the name would be the same for all branches or tags because the
// template names the other of the two.
func (rt *route) tryEnvironment(p *problems) {
	for _, on := range rt.On {
		kind := event.Kind(on)
		if rt.takesBranches(kind) {
			if err := rt.tryNames(kind, "main", "feature/sample-1"); err != nil {
				p.errorf("environment", "%v", err)
			} else if err := rt.tryRef(kind, "main", ""); err != nil {
				p.errorf("environment", "%v", err)
			}
		}
		if rt.takesTags(kind) {
			if err := rt.tryRef(kind, "", "v1.2.0"); err != nil {
				p.errorf("environment", "%v", err)
			} else if _, err := rt.environment.name(new(rt.sampleFields(kind, "", "v1.2.0"))); err != nil {
				p.errorf("environment", "for a tag it gives no name: %v", err)
			}
		}
	}
}

// tryNames fails when no branch gives a name.
func (rt *route) tryNames(kind event.Kind, branches ...string) (err error) {
	for _, branch := range branches {
		fields := rt.sampleFields(kind, branch, "")
		if _, err = rt.environment.name(&fields); err == nil {
			return nil
		}
	}
	return fmt.Errorf("for on: [%s] it gives no name: %v", kind, err)
}

// tryRef fails when what the template says with .Branch or .Tag comes to
// nothing for a branch, or for a tag.
func (rt *route) tryRef(kind event.Kind, branch, tag string) error {
	fields := rt.sampleFields(kind, branch, tag)
	noun, missing, instead := "branch", ".Tag", ".Branch"
	if tag != "" {
		noun, missing, instead = "tag", ".Branch", ".Tag"
	}
	refuse := func(action *parse.ActionNode) error {
		fix := "write {{ .Branch | default .Tag | slug }}, or give tags a route of their own"
		if len(rt.Tags) == 0 {
			fix = "a tag comes only to a route with tags"
		}
		return fmt.Errorf("%s: for a %s, %s is empty; %s", action, noun, missing, fix)
	}
	said := false
	var silent *parse.ActionNode
	for _, action := range rt.environment.reached(rt.environment.tmpl.Root, &fields) {
		named := fieldsIn(action.Pipe)
		text, hollow := rt.environment.alone(action, &fields)
		switch {
		case slices.Contains(named, instead):
			said = said || text != ""
		case !slices.Contains(named, missing):
		case hollow: // a hash of nothing
			return refuse(action)
		case text == "" && silent == nil:
			silent = action
		}
	}
	if silent == nil || said {
		return nil
	}
	return refuse(silent)
}

// alone evaluates one action of the template. hollow is true when slug was
// given nothing in it.
func (env *environment) alone(action *parse.ActionNode, fields *envFields) (text string, hollow bool) {
	e := newEvaluator(env.tmpl)
	list := &parse.ListNode{NodeType: parse.NodeList, Nodes: []parse.Node{action}}
	e.tmpl.Tree = &parse.Tree{Name: env.tmpl.Name(), Root: list}
	if err := e.tmpl.Execute(&e.out, fields); err != nil {
		return "", false
	}
	return e.out.String(), e.hollow
}

// reached returns the actions that the template comes to for fields.
func (env *environment) reached(list *parse.ListNode, fields *envFields) (actions []*parse.ActionNode) {
	if list == nil {
		return nil
	}
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			actions = append(actions, n)
		case *parse.IfNode:
			branch := n.ElseList
			if env.holds(n, fields) {
				branch = n.List
			}
			actions = append(actions, env.reached(branch, fields)...)
		}
	}
	return actions
}

// holds evaluates the condition of an if.
func (env *environment) holds(n *parse.IfNode, fields *envFields) bool {
	yes := &parse.ListNode{NodeType: parse.NodeList, Nodes: []parse.Node{&parse.TextNode{NodeType: parse.NodeText, Text: []byte("yes")}}}
	probe := &parse.IfNode{BranchNode: parse.BranchNode{NodeType: parse.NodeIf, Pipe: n.Pipe, List: yes}}
	e := newEvaluator(env.tmpl)
	e.tmpl.Tree = &parse.Tree{Name: env.tmpl.Name(), Root: &parse.ListNode{NodeType: parse.NodeList, Nodes: []parse.Node{probe}}}
	return e.tmpl.Execute(&e.out, fields) == nil && e.out.Len() > 0
}

// fieldsIn lists the fields that a pipeline names.
func fieldsIn(n parse.Node) (fields []string) {
	switch n := n.(type) {
	case *parse.PipeNode:
		for _, cmd := range n.Cmds {
			for _, arg := range cmd.Args {
				fields = append(fields, fieldsIn(arg)...)
			}
		}
	case *parse.FieldNode:
		fields = append(fields, n.String())
	}
	return fields
}

// lintEnvironment warns of what in the template can give two branches, or two
// tags, one environment.
func (rt *route) lintEnvironment(p *problems) {
	l := envLint{route: rt}
	l.list(rt.environment.tmpl.Root, nil)
	for _, w := range l.warnings {
		p.warn("environment", w)
	}
}

type envLint struct {
	route    *route
	warnings []string
}

// refFields are the fields that tell branches and tags apart.
var refFields = []string{".Branch", ".Tag", ".BaseBranch"}

// flow is what has become of a value on its way through a pipeline.
type flow struct {
	// fields of refFields that it comes from.
	fields []string
	// slugged is true once slug has seen it whole.
	slugged bool
	// loss is the function that can make two values equal, if any; short is
	// set when that is a slug whose hash is cut.
	loss  string
	short int
}

// list goes through the nodes of a template or of a part of an if. told are
// the fields that the name shows whole elsewhere, so that here nothing is lost.
func (l *envLint) list(list *parse.ListNode, told []string) {
	if list == nil {
		return
	}
	flows := make([]flow, len(list.Nodes))
	for i, n := range list.Nodes {
		if action, ok := n.(*parse.ActionNode); ok {
			flows[i] = l.pipe(action.Pipe)
			if flows[i].loss == "" && len(flows[i].fields) == 1 {
				told = append(slices.Clip(told), flows[i].fields...)
			}
		}
	}
	for i, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			l.warn(n, flows[i], told)
		case *parse.IfNode:
			l.list(n.List, told)
			l.list(n.ElseList, told)
		}
	}
}

func (l *envLint) warn(n *parse.ActionNode, f flow, told []string) {
	untold := slices.DeleteFunc(slices.Clone(f.fields), func(field string) bool { return slices.Contains(told, field) })
	if f.loss == "" || len(untold) == 0 {
		return
	}
	what := "branches"
	if !slices.Contains(untold, ".Branch") && !slices.Contains(untold, ".BaseBranch") {
		what = "tags"
	}
	if f.short > 0 {
		l.warnings = append(l.warnings, fmt.Sprintf("%s: %d characters leave slug too little room to keep two %s apart; give it at least %d", n, f.short, what, hashInSlug+2))
		return
	}
	l.warnings = append(l.warnings, fmt.Sprintf("%s: %s can give two %s one environment; let slug see the name first: {{ %s | slug }}, which ends in a hash when it loses something",
		n, f.loss, what, strings.Join(untold, " | default ")))
}

// pipe follows the value of a pipeline.
func (l *envLint) pipe(pipe *parse.PipeNode) flow {
	var value flow
	for i, cmd := range pipe.Cmds {
		var args []flow
		for _, arg := range cmd.Args[1:] {
			args = append(args, l.arg(arg))
		}
		if i > 0 {
			args = append(args, value)
		}
		if fn, ok := cmd.Args[0].(*parse.IdentifierNode); ok {
			value = l.call(fn.Ident, cmd.Args[1:], args)
		} else {
			value = l.arg(cmd.Args[0])
		}
	}
	return value
}

func (l *envLint) arg(n parse.Node) flow {
	switch n := n.(type) {
	case *parse.PipeNode:
		return l.pipe(n)
	case *parse.FieldNode:
		if slices.Contains(refFields, n.String()) {
			return flow{fields: []string{n.String()}}
		}
	}
	return flow{}
}

// call follows a function. nodes are the arguments that are written out, args
// what all of them are.
func (l *envLint) call(fn string, nodes []parse.Node, args []flow) flow {
	if len(args) == 0 {
		return flow{}
	}
	value := args[len(args)-1] // every function takes the value last
	lose := func() flow {
		if len(value.fields) > 0 && value.loss == "" {
			value.loss = fn
		}
		return value
	}
	switch fn {
	case "slug":
		value.slugged = value.slugged || value.loss == ""
		if limit, ok := number(nodes); ok && limit < hashInSlug {
			value.short = limit
			return lose()
		}
		return value
	case "lower", "upper":
		if value.slugged { // all lower case
			return value
		}
		return lose()
	case "replace":
		old, repl := text(nodes, 0), text(nodes, 1)
		if value.slugged && old == "-" && (repl == "_" || repl == "." || repl == "/") {
			return value // no slug has those
		}
		return lose()
	case "trimPrefix":
		if !value.slugged && l.allBegin(value.fields, text(nodes, 0)) {
			return value
		}
		return lose()
	case "default", "and", "or":
		for _, other := range args[:len(args)-1] {
			for _, field := range other.fields {
				if !slices.Contains(value.fields, field) {
					value.fields = append(slices.Clip(value.fields), field)
				}
			}
			value.slugged = value.slugged && (other.slugged || len(other.fields) == 0)
			if value.loss == "" {
				value.loss, value.short = other.loss, other.short
			}
		}
		return value
	default:
		return flow{} // a yes or no
	}
}

// allBegin reports whether every branch and tag that the route takes begins
// with prefix, as far as its patterns say so.
func (l *envLint) allBegin(fields []string, prefix string) bool {
	for _, field := range fields {
		f := map[string]*filter{".Branch": &l.route.branches, ".Tag": &l.route.tags, ".BaseBranch": &l.route.baseBranches}[field]
		if len(f.rules) == 0 {
			return false
		}
		for _, r := range f.rules {
			rest, ok := strings.CutPrefix(r.text, prefix)
			if !r.negate && (!ok || rest != "" && strings.ContainsRune("?+", rune(rest[0]))) {
				return false
			}
		}
	}
	return prefix != "" && !strings.ContainsAny(prefix, `*?+[]\!`)
}

// text is an argument that is a string, "" when it is something else.
func text(nodes []parse.Node, i int) string {
	if i < len(nodes) {
		if s, ok := nodes[i].(*parse.StringNode); ok {
			return s.Text
		}
	}
	return ""
}

func number(nodes []parse.Node) (int, bool) {
	if len(nodes) == 0 {
		return 0, false
	}
	n, ok := nodes[0].(*parse.NumberNode)
	if !ok || !n.IsInt {
		return 0, false
	}
	return int(n.Int64), true
}
