package router

import (
	"fmt"
	"strings"
)

// compileFilter builds the filter of one list. What is certainly wrong is an
// error, what is probably not meant a warning; both name the pattern's place.
func compileFilter(of subject, texts []string, p *problems) filter {
	f := filter{of: of}
	key := subjects[of].key
	positives, failed := 0, false
	for i, text := range texts {
		at := fmt.Sprintf("%s[%d]", key, i)
		r, err := compileRule(of, text)
		if err != nil {
			p.errorf(at, "%s: %v", quote(text), err)
			failed = true
			continue
		}
		if !r.negate {
			positives++
		}
		for _, note := range oddities(of, &r, positives) {
			f.note(p, at, text, note)
		}
		f.rules = append(f.rules, r)
	}
	switch {
	case failed || len(f.rules) == 0 || of == ofLabel: // whose order means nothing
		return f
	case positives == 0:
		p.errorf(key, `only "!" patterns, so nothing is left to match; put "**" first`)
		return f
	}
	dead, settled := f.dead()
	switch {
	case !settled:
	case len(dead) == positives:
		p.errorf(key, `the "!" patterns take out everything that the others match; put them before what they should not take out, or narrow them`)
	default:
		for _, i := range dead {
			f.note(p, fmt.Sprintf("%s[%d]", key, i), f.rules[i].text, `a later "!" takes out everything it matches`)
		}
	}
	return f
}

// note warns of a pattern, now and when it turns an event down.
func (f *filter) note(p *problems, at, text, message string) {
	message = quote(text) + ": " + message
	p.warn(at, message)
	f.notes = append(f.notes, at+" "+message)
}

func compileRule(of subject, text string) (rule, error) {
	r := rule{text: text}
	body, negate := strings.CutPrefix(text, "!")
	r.negate = negate
	if negate && body == "" {
		return r, fmt.Errorf(`"!" alone takes out nothing; name a pattern after it`)
	}
	if of == ofAuthor || of == ofLabel {
		// Hosts name their robots like dependabot[bot]; a class is never meant.
		if name, ok := strings.CutSuffix(body, "[bot]"); ok {
			body = name + `\[bot\]`
		}
	}
	tokens, err := parsePattern(body)
	if err == nil {
		err = impossible(of, body, tokens)
	}
	if err != nil {
		return r, err
	}
	if !subjects[of].fold {
		r.Pattern = assemble(body, tokens)
	} else if r.Pattern, err = CompilePattern(lower(body)); err != nil {
		return r, err
	}
	if !negate {
		r.nears = nearsOf(of, body, tokens)
	}
	return r, nil
}

// nearsOf lists what the writer of a pattern may have meant instead, the
// likeliest first.
func nearsOf(of subject, body string, tokens []token) []near {
	var nears []near
	add := func(text, why string) {
		matched := text
		if subjects[of].fold {
			matched = lower(text)
		}
		if p, err := CompilePattern(matched); err == nil {
			nears = append(nears, near{Pattern: p, text: text, why: why, fold: subjects[of].fold})
		}
	}
	const (
		maxAlone = 8 // stars to be tried alone, before all together

		stops  = `"*" stops at "/"`
		single = `"?" makes the character before it optional and stands for none itself`
	)
	var allStars, allSingles strings.Builder
	star, query, last := 0, 0, 0
	for _, t := range tokens {
		switch {
		case t.op == opStar:
			if star++; star <= maxAlone {
				add(body[:t.at]+"**"+body[t.end:], stops)
			}
			allStars.WriteString(body[last:t.at] + "**")
			allSingles.WriteString(body[last:t.end])
		case t.quant == '?':
			query++
			allStars.WriteString(body[last:t.end])
			allSingles.WriteString(body[last:t.end-1] + "*")
		default:
			allStars.WriteString(body[last:t.end])
			allSingles.WriteString(body[last:t.end])
		}
		last = t.end
	}
	if star > 1 {
		add(allStars.String(), stops)
	}
	if query > 0 {
		add(allSingles.String(), single)
	}
	switch end := tokens[len(tokens)-1]; {
	case of == ofRepository && !strings.Contains(body, "/"):
		add("*/"+body, "the owner is part of the name")
	case (of == ofBranch || of == ofTag || of == ofBaseBranch || of == ofPath) && end.op < opStar:
		add(body+"/**", "a pattern must match the whole name")
	}
	if !subjects[of].fold {
		if p, err := CompilePattern(lower(body)); err == nil {
			nears = append(nears, near{Pattern: p, why: "upper and lower case differ", fold: true})
		}
	}
	return nears
}
