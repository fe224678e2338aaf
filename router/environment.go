package router

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"text/template"
	"text/template/parse"

	"switchyard/internal/event"
)

// envFields is what an environment template can name.
type envFields struct {
	// One of Branch and Tag is empty.
	Branch, Tag, Repository, Owner, Name, Route, Event string
	PullRequest                                        int
	BaseBranch, SHA, ShortSHA, Author                  string
}

// of fills in what the commits of an event differ in.
func (f *envFields) of(c *event.Commit) {
	f.SHA, f.ShortSHA, f.Author = c.SHA, c.SHA[:shaInID], c.Author
}

const (
	envFieldList = ".Author, .BaseBranch, .Branch, .Event, .Name, .Owner, .PullRequest, .Repository, .Route, .SHA, .ShortSHA, .Tag"
	envFuncList  = "slug, lower, upper, replace, trimPrefix, default, and, or, not, eq, ne"
	envNameRule  = `1 to 128 ASCII letters, digits and any of "._-/", each part between slashes beginning with a letter or digit`

	maxEnvironment = 128
)

// environment works out where a request deploys.
type environment struct {
	text string
	// tmpl is nil when text is the name itself.
	tmpl *template.Template
	// plain is tmpl where it needs no template engine.
	plain plainTemplate
	// evaluators holds what tmpl is executed with; a template's functions are
	// its own, and slug has something to tell.
	evaluators *sync.Pool
	// perCommit is true when the name differs between the commits of a push.
	perCommit bool
	// perBase is true when the name may differ with the branch to merge into.
	perBase bool
}

// environmentName is where one request deploys.
type environmentName struct {
	name string
	// former is the name that a version without a hash in slugs gave; known is
	// false when it gave none.
	former string
	known  bool
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
		"slug":       (&evaluator{}).slug, // each evaluator puts its own here
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
	env.tmpl, env.plain = tmpl, plainOf(tmpl.Root)
	env.evaluators = &sync.Pool{New: func() any { return newEvaluator(tmpl) }}
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
		case name == ".BaseBranch":
			env.perBase = true
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

// name evaluates the template. An error is fit to be shown as a reason.
func (env *environment) name(fields *envFields) (environmentName, error) {
	if env.tmpl == nil {
		return environmentName{env.text, env.text, true}, nil
	}
	if env.plain != nil {
		if name, ok := env.plain.name(fields); ok {
			return name, nil
		}
	}
	e := env.evaluators.Get().(*evaluator)
	defer env.evaluators.Put(e)
	name, err := e.evaluate(env.text, fields)
	if err != nil {
		return environmentName{}, err
	}
	if !e.lost {
		return environmentName{name, name, true}, nil
	}
	e.former = true
	former, err := e.evaluate(env.text, fields)
	e.former = false
	return environmentName{name, former, err == nil}, nil
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
