package router

import (
	"errors"
	"fmt"
	"strings"
)

// impossible returns an error when no subject of its kind can match the
// pattern, with what to write instead.
func impossible(of subject, body string, tokens []token) error {
	if of == ofSource || of == ofAuthor || of == ofLabel {
		return nil
	}
	if strings.TrimSpace(body) != body && of != ofPath {
		return errors.New("spaces around it, which no " + subjects[of].noun + " has; leave them out")
	}
	if of == ofRepository && (strings.Contains(body, "://") || strings.HasPrefix(body, "git@")) {
		return errors.New(`a URL; write the repository's name as its host has it, such as "owner/name"`)
	}
	if body[0] == '/' {
		return fmt.Errorf(`no %s starts with "/"; write %s`, subjects[of].noun, quote(strings.TrimLeft(body, "/")))
	}
	plain := plainText(tokens)
	if strings.Contains(plain, "//") {
		return fmt.Errorf(`no %s has "//" in it`, subjects[of].noun)
	}
	switch of {
	case ofPath:
		return impossiblePath(body, plain)
	case ofBranch, ofTag, ofBaseBranch:
		return impossibleRef(of, body, plain)
	default:
		return nil
	}
}

func impossiblePath(body, plain string) error {
	switch {
	case strings.HasPrefix(plain, "./"), strings.HasPrefix(plain, "../"), strings.Contains(plain, "/./"), strings.Contains(plain, "/../"):
		return errors.New(`paths start at the repository's root and hold no "." or ".."; write "dir/file"`)
	case strings.HasSuffix(plain, "/"):
		return fmt.Errorf("changed paths are files, never directories; write %s", quote(body+"**"))
	}
	return nil
}

// impossibleRef knows the rules of git check-ref-format(1).
func impossibleRef(of subject, body, plain string) error {
	noun := subjects[ofBranch].noun
	own, other, otherKey := []string{"refs/heads/", "refs/remotes/origin/"}, "refs/tags/", subjects[ofTag].key
	if of == ofTag {
		noun = subjects[ofTag].noun
		own, other, otherKey = []string{"refs/tags/"}, "refs/heads/", subjects[ofBranch].key
	}
	for _, prefix := range own {
		if name, ok := strings.CutPrefix(body, prefix); ok {
			return fmt.Errorf("matched against the short %s name; write %s", noun, quote(name))
		}
	}
	if name, ok := strings.CutPrefix(body, other); ok {
		return fmt.Errorf("this is not a %s; name it under %s, as %s", noun, otherKey, quote(name))
	}
	switch {
	case strings.HasSuffix(plain, "/"):
		return fmt.Errorf(`no %s ends in "/"; write %s`, noun, quote(body+"**"))
	case strings.HasPrefix(plain, "-"):
		return fmt.Errorf(`no %s starts with "-"`, noun)
	case strings.HasPrefix(plain, "."), strings.Contains(plain, "/."):
		return fmt.Errorf(`no part of a %s starts with "."; these are not regular expressions: "*" alone stands for any characters`, noun)
	case strings.HasSuffix(plain, "."), strings.Contains(plain, ".."), strings.Contains(plain, "@{"):
		return fmt.Errorf(`no %s ends in "." or has ".." or "@{" in it`, noun)
	}
	for _, c := range plain {
		if c <= ' ' || c == 0x7f || strings.ContainsRune(`~^:?*[\`, c) {
			return fmt.Errorf("git allows no %q in a %s", c, noun)
		}
	}
	return nil
}

// plainText is the pattern with everything that is not simply itself replaced
// by U+FFFD, so that what is certain about the subject can be read off.
func plainText(tokens []token) string {
	var b strings.Builder
	for _, t := range tokens {
		if t.op == opRune && t.quant != '?' {
			b.WriteRune(t.c)
		} else {
			b.WriteRune('\uFFFD')
		}
	}
	return b.String()
}

// oddities lists what is probably not meant by a rule. positives counts those
// up to it, itself included.
func oddities(of subject, r *rule, positives int) []string {
	var notes []string
	if r.negate && positives == 0 && of != ofLabel {
		notes = append(notes, `"!" takes out of the patterns before it, and there are none; move it after them`)
	}
	body := strings.TrimPrefix(r.text, "!")
	if open := strings.IndexByte(body, '{'); open >= 0 && of != ofAuthor && of != ofLabel {
		if end := strings.IndexByte(body[open:], '}'); end >= 0 && strings.Contains(body[open:open+end], ",") {
			notes = append(notes, `braces stand for themselves; write one pattern for each alternative`)
		}
	}
	switch {
	case of == ofAuthor && strings.Contains(body, "@"):
		notes = append(notes, "authors are logins or names, not e-mail addresses")
	case of == ofRepository && strings.HasSuffix(body, ".git"):
		notes = append(notes, `hosts leave ".git" out of a repository's name`)
	case of == ofPath && strings.TrimSpace(body) != body:
		notes = append(notes, "spaces around it are part of the pattern")
	}
	return notes
}

// maxSteps bounds the search for patterns that can never decide to a fraction
// of a second; past it nothing is claimed.
const maxSteps = 1 << 17

// dead returns the indices of positive rules that decide nothing because a
// later ! matches all that they match. It walks the automata of the whole list
// side by side over every subject that they can tell apart; settled is false
// when there were too many to be sure.
func (f *filter) dead() (dead []int, settled bool) {
	var full []*Pattern
	var tokens []token
	negated := false
	for _, r := range f.rules {
		ts, err := parsePattern(r.Pattern.text)
		if err != nil {
			return nil, false // not reached: the text was compiled before
		}
		p := &Pattern{}
		p.build(ts)
		full, tokens = append(full, p), append(tokens, ts...)
		negated = negated || r.negate
	}
	if !negated {
		return nil, true
	}
	alphabet := alphabetOf(tokens)

	start := make([]stateSet, len(full))
	for i, p := range full {
		start[i] = p.reach[0]
	}
	// alive are the rules that some subject owes its pass to.
	alive := make([]bool, len(full))
	seen := map[string]bool{}
	steps := 0
	for queue := [][]stateSet{start}; len(queue) > 0; queue = queue[1:] {
		for _, c := range alphabet {
			if steps += len(full); steps > maxSteps {
				return nil, false
			}
			next := make([]stateSet, len(full))
			going := false
			for i, p := range full {
				if p.step(&queue[0][i], &next[i], c) {
					going = true
				}
			}
			key := fingerprint(next)
			if !going || seen[key] {
				continue
			}
			seen[key] = true
			queue = append(queue, next)
			for i := len(full) - 1; i >= 0; i-- {
				if accepted := next[i].has(len(full[i].nodes)); accepted && f.rules[i].negate {
					break
				} else if accepted {
					alive[i] = true
				}
			}
		}
	}
	for i, r := range f.rules {
		if !r.negate && !alive[i] {
			dead = append(dead, i)
		}
	}
	return dead, true
}

// alphabetOf returns one character for each way in which the tokens can tell
// characters apart.
func alphabetOf(tokens []token) []rune {
	// The last is one that no pattern names.
	candidates := []rune{'/', '\U0010FFFD'}
	for c := range rune(128) {
		candidates = append(candidates, c)
	}
	for _, t := range tokens {
		if t.op == opRune && t.c >= 128 {
			candidates = append(candidates, t.c)
		}
	}
	var distinct []rune
	known := map[string]bool{}
	for _, c := range candidates {
		sig := []byte{0}
		if c == '/' {
			sig[0] = 1
		}
		for _, t := range tokens {
			n := node{op: t.op, c: t.c, class: t.class}
			if ok, _ := n.read(c); ok {
				sig = append(sig, 1)
			} else {
				sig = append(sig, 0)
			}
		}
		if !known[string(sig)] {
			known[string(sig)] = true
			distinct = append(distinct, c)
		}
	}
	return distinct
}

func fingerprint(states []stateSet) string {
	var b strings.Builder
	for i := range states {
		for _, w := range states[i] {
			for range 8 {
				b.WriteByte(byte(w))
				w >>= 8
			}
		}
	}
	return b.String()
}
