package router

import (
	"fmt"
	"strconv"
	"strings"
)

// subject is what a filter's patterns are held against.
type subject uint8

const (
	ofSource subject = iota
	ofRepository
	ofBranch
	ofTag
	ofBaseBranch
	ofLabel
	ofAuthor
	ofPath
)

// subjects gives each subject its word and its key in the config. Hosts take
// repository names and logins in any case, so their filters do too.
var subjects = [...]struct {
	noun, key string
	fold      bool
}{
	ofSource:     {"source", "sources", false},
	ofRepository: {"repository", "repositories", true},
	ofBranch:     {"branch", "branches", false},
	ofTag:        {"tag", "tags", false},
	ofBaseBranch: {"base branch", "base_branches", false},
	ofLabel:      {"label", "labels", true},
	ofAuthor:     {"author", "authors", true},
	ofPath:       {"path", "paths", false},
}

// filter is an ordered list of patterns: the last one that matches decides, so
// that ! takes out of what came before it and a later pattern can put back. An
// empty list matches everything.
type filter struct {
	of    subject
	rules []rule
	// notes are what was odd about the list; they are said again when it
	// turns an event down.
	notes []string
}

type rule struct {
	*Pattern
	text   string // as written, with its !
	negate bool
	// nears are patterns the writer may have meant.
	nears []near
}

// near is a pattern close to one in the config.
type near struct {
	*Pattern
	text string // to suggest; empty when there is none
	why  string // the one in the config does not match
	fold bool   // held against the subject in lower case
}

// decide returns the rule that settled s, or nil when none matched or there
// are none, and whether s passes.
func (f *filter) decide(s string) (*rule, bool) {
	if len(f.rules) == 0 {
		return nil, true
	}
	if subjects[f.of].fold {
		s = lower(s)
	}
	for i := len(f.rules) - 1; i >= 0; i-- {
		if f.rules[i].Match(s) {
			return &f.rules[i], !f.rules[i].negate
		}
	}
	return nil, false
}

// explain says why s does not pass.
func (f *filter) explain(s string) string {
	noun := subjects[f.of].noun
	r, _ := f.decide(s)
	why := f.nearMiss(s)
	switch {
	case r != nil:
		why = fmt.Sprintf("%s %s is taken out by %s", noun, quote(s), quote(r.text))
	case why == "" && len(f.rules) == 1:
		why = fmt.Sprintf("%s %s does not match %s", noun, quote(s), f.list())
	case why == "":
		why = fmt.Sprintf("%s %s matches none of %s", noun, quote(s), f.list())
	}
	for _, n := range f.notes {
		why += "; " + n
	}
	return why
}

// nearMiss finds the pattern that was probably meant for s, or returns "". It
// does not suggest one that a later ! would take out again.
func (f *filter) nearMiss(s string) string {
	folded := lower(s)
	for i := range f.rules {
		r := &f.rules[i]
		for _, n := range r.nears {
			held := s
			if n.fold {
				held = folded
			}
			if !n.Match(held) || f.takenOut(i, s) {
				continue
			}
			why := fmt.Sprintf("%s %s does not match %s: %s", subjects[f.of].noun, quote(s), quote(r.text), n.why)
			if n.text != "" {
				why += "; " + quote(n.text) + " would match"
			}
			return why
		}
	}
	return ""
}

// takenOut reports whether a rule after i takes s out.
func (f *filter) takenOut(i int, s string) bool {
	for _, r := range f.rules[i+1:] {
		if r.negate && r.Match(s) {
			return true
		}
	}
	return false
}

func (f *filter) list() string {
	const shown = 5
	var b strings.Builder
	for i, r := range f.rules {
		if i == shown {
			fmt.Fprintf(&b, " and %d more", len(f.rules)-shown)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quote(r.text))
	}
	return b.String()
}

// quote shows a string from the outside: quoted, control and invisible
// characters escaped, and cut when it is long.
func quote(s string) string {
	const limit = 120
	if len(s) <= limit {
		return strconv.Quote(s)
	}
	return strconv.Quote(clip(s, limit))
}

// lower lower-cases ASCII letters only: what git hosts fold in names.
func lower(s string) string {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if c := b[i]; 'A' <= c && c <= 'Z' {
					b[i] = c + ('a' - 'A')
				}
			}
			return string(b)
		}
	}
	return s
}
