package router

import (
	"fmt"
	"slices"
	"strings"

	"switchyard/internal/event"
)

// Sample shows what a route's environment template makes of a branch or tag.
type Sample struct {
	Route string `json:"route"`
	// Event is the kind of event it is worked out for; one of Branch and Tag is
	// empty.
	Event       string `json:"event"`
	Branch      string `json:"branch,omitempty"`
	Tag         string `json:"tag,omitempty"`
	Environment string `json:"environment"`
	// Note says why the name has a hash, empty when it has none.
	Note string `json:"note,omitempty"`
}

// Samples returns for each route with an environment template what it makes of
// a branch, and of a tag where the route takes tags.
func (r *Router) Samples() []Sample {
	var samples []Sample
	for i := range r.routes {
		rt := &r.routes[i]
		if rt.environment.tmpl == nil {
			continue
		}
		branch, tag := false, false
		for _, on := range rt.On {
			kind := event.Kind(on)
			if !branch && rt.takesBranches(kind) {
				branch = true
				samples = append(samples, rt.sample(kind, sampleName(&rt.branches, "feature/Login_2"), ""))
			}
			if !tag && rt.takesTags(kind) {
				tag = true
				samples = append(samples, rt.sample(kind, "", sampleName(&rt.tags, "v1.2.0")))
			}
		}
	}
	return slices.DeleteFunc(samples, func(s Sample) bool { return s.Environment == "" })
}

func (rt *route) sample(kind event.Kind, branch, tag string) Sample {
	s := Sample{Route: rt.Name, Event: string(kind), Branch: branch, Tag: tag}
	fields := rt.sampleFields(kind, branch, tag)
	s.Environment, s.Note = rt.environment.explain(&fields)
	return s
}

// sampleName is a name that the filter lets pass: the usual one, or else one
// made of the first pattern that it can be made of.
func sampleName(f *filter, usual string) string {
	if _, ok := f.decide(usual); ok {
		return usual
	}
	last := usual[strings.LastIndexByte(usual, '/')+1:]
	for _, r := range f.rules {
		name := strings.ReplaceAll(strings.ReplaceAll(r.text, "**", "*"), "*", last)
		if _, ok := f.decide(name); ok {
			return name
		}
	}
	return usual
}

// sampleFields are plausible fields of an event.
func (rt *route) sampleFields(kind event.Kind, branch, tag string) envFields {
	sha := strings.Repeat("0123456789", 4)
	fields := envFields{
		Branch: branch, Tag: tag, Repository: "acme/sample", Owner: "acme", Name: "sample",
		Route: rt.Name, Event: string(kind), SHA: sha, ShortSHA: sha[:shaInID], Author: "octocat",
	}
	if kind == event.PullRequest {
		fields.PullRequest, fields.BaseBranch = 1, "main"
	}
	return fields
}

// EnvironmentNote says in one line which name in a request's environment got a
// hash, and why. It is empty when none did. ev is the event that q was planned
// from.
func (r *Router) EnvironmentNote(ev event.Event, q *event.Request) string {
	i := slices.IndexFunc(r.routes, func(rt route) bool { return rt.Name == q.Route })
	if i < 0 {
		return ""
	}
	p := planning{ev: &ev, branch: ev.Branch(), tag: ev.Tag()}
	fields := p.fields(&r.routes[i])
	fields.of(&q.Commit)
	_, note := r.routes[i].environment.explain(&fields)
	return note
}

// explain evaluates the template and says which names got a hash, and why. The
// name is empty when the template gives none.
func (env *environment) explain(fields *envFields) (name, note string) {
	if env.tmpl == nil {
		return env.text, ""
	}
	var notes []string
	e := newEvaluator(env.tmpl)
	e.note = func(original, name string, limit int) {
		if text := lossOf(original, name, limit); !slices.Contains(notes, text) {
			notes = append(notes, text)
		}
	}
	name, err := e.evaluate(env.text, fields)
	if err != nil {
		return "", ""
	}
	return name, strings.Join(notes, "; ")
}

// lossOf says why slug gave a name a hash.
func lossOf(original, name string, limit int) string {
	if original == "" {
		return fmt.Sprintf("slug was given an empty name and made %s of it", quote(name))
	}
	hash := name[strings.LastIndexByte(name, '-')+1:]
	return fmt.Sprintf("slug cannot keep %s of %s; the hash %s keeps it apart from names that look alike", lost(original, limit), quote(original), hash)
}

// lost lists what a slug of at most limit bytes cannot show of s.
func lost(s string, limit int) string {
	const shown = 4
	var parts []string
	upper, dashes := false, strings.HasPrefix(s, "-") || strings.HasSuffix(s, "-") || strings.Contains(s, "--")
	var others []string
	for _, c := range s {
		switch {
		case 'A' <= c && c <= 'Z':
			upper = true
		case c == '-' || c < 128 && alphanumeric(byte(c)):
		default:
			if q := quote(string(c)); !slices.Contains(others, q) {
				others = append(others, q)
			}
		}
	}
	if upper {
		parts = append(parts, "upper case")
	}
	if len(others) > shown {
		others = append(others[:shown], "other characters")
	}
	parts = append(parts, others...)
	if dashes {
		parts = append(parts, "dashes at an end or beside each other")
	}
	if len(s) > limit {
		parts = append(parts, fmt.Sprintf("more than %d characters", limit))
	}
	if n := len(parts); n > 1 {
		return strings.Join(parts[:n-1], ", ") + " and " + parts[n-1]
	}
	return strings.Join(parts, "")
}
