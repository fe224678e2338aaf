package router

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"

	"switchyard/internal/event"
)

// envFields is what an environment template can name.
type envFields struct {
	Branch, Repository, Owner, Name, Route, Event string
	PullRequest                                   int
	BaseBranch, SHA, ShortSHA, Author             string
}

const (
	envFieldList = ".Author, .BaseBranch, .Branch, .Event, .Name, .Owner, .PullRequest, .Repository, .Route, .SHA, .ShortSHA"
	envFuncList  = "slug, lower, upper, replace, trimPrefix, default, and, or, not, eq, ne"
	envNameRule  = `1 to 128 ASCII letters, digits and any of "._-/", each part between slashes beginning with a letter or digit`

	maxEnvironment = 128
)

// environment works out where a request deploys.
type environment struct {
	text string
	// tmpl is nil when text is the name itself.
	tmpl *template.Template
	// perCommit is true when the name differs between the commits of a push.
	perCommit bool
}

func compileEnvironment(text string) (environment, error) {
	env := environment{text: text}
	if !strings.Contains(text, "{{") {
		if text != "" && !validEnvironment(text) {
			return env, fmt.Errorf("not an environment's name: %s", envNameRule)
		}
		return env, nil
	}
	tmpl, err := template.New("environment").Option("missingkey=error").Funcs(template.FuncMap{
		"slug":       templateSlug,
		"lower":      strings.ToLower,
		"upper":      strings.ToUpper,
		"replace":    func(old, repl, s string) string { return strings.ReplaceAll(s, old, repl) },
		"trimPrefix": func(prefix, s string) string { return strings.TrimPrefix(s, prefix) },
		"default": func(fallback, s string) string {
			if s == "" {
				return fallback
			}
			return s
		},
	}).Parse(text)
	if err != nil {
		return env, fmt.Errorf("%s; functions are %s", strings.TrimPrefix(err.Error(), "template: environment:"), envFuncList)
	}
	if len(tmpl.Templates()) != 1 {
		return env, errors.New("define and block are not available here")
	}
	if err := env.check(tmpl.Root); err != nil {
		return env, err
	}
	env.tmpl = tmpl
	return env, nil
}

// check holds the template to a language without loops, variables or methods:
// whatever it is given, it ends soon and writes little.
func (env *environment) check(n parse.Node) error {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		for _, sub := range n.Nodes {
			if err := env.check(sub); err != nil {
				return err
			}
		}
	case *parse.ActionNode:
		return env.check(n.Pipe)
	case *parse.IfNode:
		for _, sub := range []parse.Node{n.Pipe, n.List, n.ElseList} {
			if err := env.check(sub); err != nil {
				return err
			}
		}
	case *parse.PipeNode:
		if len(n.Decl) > 0 {
			return fmt.Errorf("%s: variables are not available here", n)
		}
		for _, cmd := range n.Cmds {
			for _, arg := range cmd.Args {
				if err := env.check(arg); err != nil {
					return err
				}
			}
		}
	case *parse.FieldNode:
		switch name := n.String(); {
		case !slices.Contains(strings.Split(envFieldList, ", "), name):
			return fmt.Errorf("%s is not a field; fields are %s", name, envFieldList)
		case name == ".SHA", name == ".ShortSHA", name == ".Author":
			env.perCommit = true
		}
	case *parse.IdentifierNode:
		if !slices.Contains(strings.Split(envFuncList, ", "), n.Ident) {
			return fmt.Errorf("%s is not available here; functions are %s", n.Ident, envFuncList)
		}
	case *parse.TextNode, *parse.StringNode, *parse.NumberNode, *parse.BoolNode, *parse.CommentNode:
	default:
		return fmt.Errorf("%s is not available here: a template is text, fields, functions, if and else", n)
	}
	return nil
}

// templateSlug is slug in a template: the name comes last, its greatest length
// may come first.
func templateSlug(args ...any) (string, error) {
	limit := maxSlug
	if len(args) == 2 {
		n, ok := args[0].(int)
		if !ok || n < 1 || n > maxSlug {
			return "", fmt.Errorf("the greatest length is a number from 1 to %d, not %v", maxSlug, args[0])
		}
		limit, args = n, args[1:]
	}
	if len(args) != 1 {
		return "", errors.New("slug takes a greatest length, or none, and a name")
	}
	s, ok := args[0].(string)
	if !ok {
		s = fmt.Sprint(args[0])
	}
	return slug(s, limit), nil
}

// name evaluates the template. An error is fit to be shown as a reason.
func (env *environment) name(fields *envFields) (string, error) {
	if env.tmpl == nil {
		return env.text, nil
	}
	var b strings.Builder
	if err := env.tmpl.Execute(&b, fields); err != nil {
		return "", fmt.Errorf("environment %s: %v", quote(env.text), err)
	}
	name := b.String()
	if !validEnvironment(name) {
		return "", fmt.Errorf("environment %s from %s is not a name (%s); slug makes one", quote(name), quote(env.text), envNameRule)
	}
	return name, nil
}

// try evaluates the template as it would be for a kind of event. It fails when
// no plausible branch gives a name.
func (env *environment) try(route string, kind event.Kind) error {
	var last error
	for _, branch := range []string{"main", "feature/sample-1"} {
		sha := strings.Repeat("0123456789", 4)
		fields := envFields{
			Branch: branch, Repository: "acme/sample", Owner: "acme", Name: "sample",
			Route: route, Event: string(kind), SHA: sha, ShortSHA: sha[:shaInID], Author: "octocat",
		}
		if kind == event.PullRequest {
			fields.PullRequest, fields.BaseBranch = 1, "main"
		}
		if _, last = env.name(&fields); last == nil {
			return nil
		}
	}
	return fmt.Errorf("for on: [%s] it gives no name: %v", kind, last)
}

// validEnvironment reports whether s keeps to envNameRule.
func validEnvironment(s string) bool {
	if s == "" || len(s) > maxEnvironment {
		return false
	}
	first := true
	for i := range len(s) {
		switch c := s[i]; {
		case alphanumeric(c):
			first = false
		case c == '/' && !first:
			first = true
		case (c == '.' || c == '_' || c == '-') && !first:
		default:
			return false
		}
	}
	return !first
}
