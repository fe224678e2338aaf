package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"switchyard/internal/safetext"
)

// Error is one thing that is wrong with a config, and where.
type Error struct {
	File string
	// Line and Column count from 1; 0 when there is no place in the file.
	Line, Column int
	// Path is the key, for example routes[0].state_machine; empty when the
	// whole file is meant.
	Path    string
	Message string
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	b.WriteString(": ")
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Message)
	return safetext.Line(b.String())
}

// Errors is all that is wrong with a config, in the order of the file.
type Errors []*Error

// maxShown is how many errors a person is shown at once.
const maxShown = 100

// Error puts each on a line of its own; of very many it shows the first.
func (e Errors) Error() string {
	var lines []string
	for _, one := range e[:min(len(e), maxShown)] {
		lines = append(lines, one.Error())
	}
	if more := len(e) - maxShown; more > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find each [Error].
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i := range e {
		all[i] = e[i]
	}
	return all
}

func (e Errors) sort() {
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
