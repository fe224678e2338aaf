package router

import (
	"errors"
	"fmt"
	"strings"
	"text/template"
)

// evaluator executes one environment template, for one caller at a time.
type evaluator struct {
	tmpl *template.Template
	out  strings.Builder
	// former makes slug leave out the hash, as it did before it had one.
	former bool
	// lost is set when slug gave a hash, hollow when it was given nothing.
	lost, hollow bool
	// note, when it is set, is told of every name that slug gave a hash.
	note func(original, name string, limit int)
}

func newEvaluator(of *template.Template) *evaluator {
	e := &evaluator{}
	// Clone fails only for templates of html/template that were executed.
	e.tmpl = template.Must(of.Clone()).Funcs(template.FuncMap{"slug": e.slug})
	return e
}

// evaluate gives the name for fields, or an error that is fit to be shown.
func (e *evaluator) evaluate(text string, fields *envFields) (string, error) {
	e.out.Reset()
	e.lost, e.hollow = false, false
	if err := e.tmpl.Execute(&e.out, fields); err != nil {
		return "", fmt.Errorf("environment %s: %v", quote(text), err)
	}
	name := e.out.String()
	if !validEnvironment(name) {
		return "", fmt.Errorf("environment %s from %s is not a name (%s); slug makes one", quote(name), quote(text), envNameRule)
	}
	return name, nil
}

// slug is the template's function: the name comes last, its greatest length may
// come first.
func (e *evaluator) slug(args ...any) (string, error) {
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
	e.hollow = e.hollow || s == ""
	if e.former {
		return slug(s, limit), nil
	}
	name, lost := uniqueSlug(s, limit)
	e.lost = e.lost || lost
	if lost && e.note != nil {
		e.note(s, name, limit)
	}
	return name, nil
}
