// Package ancestry puts what hosts list of commits in order, by their parents.
package ancestry

import (
	"slices"
	"strings"
	"time"

	"switchyard/internal/event"
	"switchyard/internal/history"
)

// Commit is one as a host lists it.
type Commit struct {
	event.Commit
	Parents []string
	// At is when it was committed, zero where the host does not say.
	At time.Time
}

// OldestFirst are commits that the host has listed newest first. It changes found.
func OldestFirst(found []Commit) []event.Commit {
	slices.Reverse(found)
	history.ParentsFirst(found, func(i int) string { return found[i].SHA }, func(i int) []string { return found[i].Parents })
	all := make([]event.Commit, len(found))
	for i := range found {
		all[i] = found[i].Commit
	}
	return all
}

// UpTo are those of the commits found that head has, in their order. head is an ID
// or the first digits of one; where none or several begin so, there are none.
func UpTo(found []Commit, head string) []Commit {
	byID := make(map[string]*Commit, len(found))
	var next []string
	for i := range found {
		byID[found[i].SHA] = &found[i]
		if head != "" && strings.HasPrefix(found[i].SHA, head) {
			next = append(next, found[i].SHA)
		}
	}
	if len(next) != 1 {
		return nil
	}
	has := map[string]bool{}
	for len(next) > 0 {
		sha := next[len(next)-1]
		next = next[:len(next)-1]
		if c := byID[sha]; c != nil && !has[sha] {
			has[sha] = true
			next = append(next, c.Parents...)
		}
	}
	var some []Commit
	for i := range found {
		if has[found[i].SHA] {
			some = append(some, found[i])
		}
	}
	return some
}

// Lists reports whether every commit of a delivery is among those found.
func Lists(found, delivery []event.Commit) bool {
	at := make(map[string]bool, len(found))
	for i := range found {
		at[found[i].SHA] = true
	}
	return !slices.ContainsFunc(delivery, func(c event.Commit) bool { return !at[c.SHA] })
}
