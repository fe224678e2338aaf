// Package status tells git hosts how the executions of a commit fare.
//
// What is to be told lies in the journal's outbox, one row for each commit and
// route with the newest state only. The [Worker] takes rows from there, newest
// commits first, and posts them through the [Poster] of their source, never
// faster than the host allows. A row leaves the outbox when the host has it or
// has refused it for good; everything else is told again later, also after a
// crash.
package status

import (
	"context"
	"strings"
	"unicode"

	"switchyard/dispatch"
)

// Poster tells one source's host. It is safe for concurrent use.
type Poster interface {
	// Post makes s the state that the host shows for the commit and context,
	// with a link to targetURL unless that is empty. It returns when ctx ends.
	// Posting the same again must do no harm: after a crash it is posted again.
	//
	// Errors: a [*dispatch.PermanentError] cannot be repaired by trying again,
	// such as a commit that the host does not have; a [*RefusedError] can only
	// be repaired by a person; an [*UnauthorizedError] and a
	// [*dispatch.ThrottledError], by which the host asks for fewer calls, hold
	// back everything for the source; anything else is tried again with backoff.
	Post(ctx context.Context, s dispatch.Status, targetURL string) error
	// Limits says how fast the host may be told. It is asked before each post.
	Limits() Limits
}

// Limits bound how fast a source's host is told. A zero field sets no limit,
// but for Concurrent, where it means 1.
type Limits struct {
	// PerMinute and PerHour bound the posts in any 60 seconds and any 60
	// minutes of this process.
	PerMinute int
	PerHour   int
	// Concurrent bounds the posts under way at once.
	Concurrent int
}

// share is a part of the limits, of each that is set at least one post.
func (l Limits) share(part, of int) Limits {
	for _, n := range []*int{&l.PerMinute, &l.PerHour} {
		if *n > 0 {
			*n = max(*n*part/of, 1)
		}
	}
	return l
}

// Line returns s as a single line of at most limit characters: control
// characters, which could steer a terminal, become spaces, and what is cut off
// is marked by an ellipsis. Invalid UTF-8 becomes U+FFFD.
func Line(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
	seen, keep := 0, len(s)
	for i := range s {
		switch seen++; seen {
		case limit:
			keep = i
		case limit + 1:
			return s[:keep] + "…"
		}
	}
	return s
}

// Markdown returns s as [Line] does, in Markdown that shows it as it is: each
// ASCII punctuation character may stand behind a backslash, and a mention of
// somebody, which hosts make of plain text too, is broken by a character without
// width.
func Markdown(s string, limit int) string {
	var b strings.Builder
	for _, r := range Line(s, limit) {
		if r < 0x80 && strings.ContainsRune("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
		if r == '@' {
			b.WriteRune('\u200b')
		}
	}
	return b.String()
}
