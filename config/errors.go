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

// nearest returns the known name most like key, or "" when none is close.
func nearest(key string, known []string) string {
	best, distance := "", 1+max(1, len(key)/3)
	for _, k := range known {
		if strings.EqualFold(k, key) || strings.ReplaceAll(k, "_", "") == strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(key), "-", ""), "_", "") {
			return k
		}
		if n := editDistance(key, k); n < distance {
			best, distance = k, n
		}
	}
	return best
}

// editDistance counts insertions, deletions, substitutions and swaps of
// neighbours that turn a into b, byte by byte.
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b))
	}
	var before, last, row [65]int
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
