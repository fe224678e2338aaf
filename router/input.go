package router

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"switchyard/internal/event"
)

const (
	// maxMessage is how much of a commit message the input holds, in bytes.
	maxMessage = 4096
)

// inputShape is what a route adds to every input, made once.
type inputShape struct {
	project string
	object  bool // override_branches is an object
	flags   []skipFlag
	// extra is the route's own input: `,"key":value` for each key, sorted.
	extra []byte
}

// skipFlag is a skip_* key that depends on what the commit changed.
type skipFlag struct {
	json  string // `,"skip_api_v1":`
	paths *filter
}

// newInputShape merges a route's fixed input with what components add to it.
func newInputShape(cfg *Route, components []component, p *problems) inputShape {
	s := inputShape{project: cfg.Project, object: cfg.OverrideShape == "object"}
	for _, key := range slices.Sorted(maps.Keys(cfg.Input)) {
		if key == "environment" || key == "commit" || key == "source" {
			p.errorf("input."+key, "Switchyard sets this key itself; use another")
			continue
		}
		var value bytes.Buffer
		enc := json.NewEncoder(&value)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(cfg.Input[key]); err != nil {
			p.errorf("input."+key, "cannot be written as JSON: %v", err)
			continue
		}
		s.extra = append(s.extra, ',')
		s.extra = appendString(s.extra, key)
		s.extra = append(s.extra, ':')
		s.extra = append(s.extra, bytes.TrimSuffix(value.Bytes(), []byte("\n"))...)
	}
	if len(s.extra) > event.MaxInput/2 {
		p.errorf("input", "%d bytes of JSON; Step Functions takes %d in all, so keep it under half", len(s.extra), event.MaxInput)
	}
	if _, fixed := cfg.Input["override_branches"]; fixed {
		s.project = ""
	}
	for i := range components {
		if _, fixed := cfg.Input[components[i].key]; !fixed {
			s.flags = append(s.flags, skipFlag{json: `,"` + components[i].key + `":`, paths: &components[i].paths})
		}
	}
	return s
}

// appendEnvironment opens the input.
func appendEnvironment(dst []byte, environment string) []byte {
	dst = append(dst, `{"environment":`...)
	return appendString(dst, environment)
}

// appendCommit writes what differs between the commits of an event. ref is the
// short name of the branch or tag, skip false when nothing may be skipped. What is
// built is the commit itself, or else merge.
func (s *inputShape) appendCommit(dst []byte, ref string, c *event.Commit, merge string, skip bool) []byte {
	built := c.SHA
	if merge != "" {
		built = merge
	}
	for i := range s.flags {
		dst = append(dst, s.flags[i].json...)
		dst = strconv.AppendBool(dst, skip && untouched(s.flags[i].paths, c))
	}
	switch {
	case s.project == "":
	case s.object:
		dst = append(dst, `,"override_branches":{`...)
		dst = appendString(dst, s.project)
		dst = append(dst, ':')
		dst = appendString(dst, ref)
		dst = append(dst, '}')
	default:
		dst = append(dst, `,"override_branches":[{"project":`...)
		dst = appendString(dst, s.project)
		dst = append(dst, `,"branch":`...)
		dst = appendString(dst, ref)
		dst = append(dst, `,"commit":`...)
		dst = append(dst, '"')
		dst = append(dst, built...) // hex, checked before
		dst = append(dst, `"}]`...)
	}
	dst = append(dst, `,"commit":{"sha":"`...)
	dst = append(dst, built...)
	if merge != "" {
		dst = append(dst, `","head":"`...)
		dst = append(dst, c.SHA...)
	}
	dst = append(dst, `","message":`...)
	dst = appendString(dst, clip(c.Message, maxMessage))
	dst = append(dst, `,"author":`...)
	dst = appendString(dst, c.Author)
	dst = append(dst, `,"url":`...)
	dst = appendString(dst, c.URL)
	return append(dst, '}')
}

// appendSource writes where the event came from and closes the input.
func (s *inputShape) appendSource(dst []byte, ev *event.Event) []byte {
	dst = append(dst, `,"source":{"provider":`...)
	dst = appendString(dst, ev.Source)
	dst = append(dst, `,"repository":`...)
	dst = appendString(dst, ev.Repository.FullName)
	dst = append(dst, `,"clone_url":`...)
	dst = appendString(dst, ev.Repository.CloneURL)
	dst = append(dst, `,"ref":`...)
	dst = appendString(dst, ev.Ref)
	dst = append(dst, `,"event":`...)
	dst = appendString(dst, string(ev.Kind))
	if ev.Kind == event.PullRequest {
		dst = append(dst, `,"pull_request":`...)
		dst = strconv.AppendInt(dst, int64(ev.PullRequest.Number), 10)
		if ev.PullRequest.Fork {
			dst = append(dst, `,"fork":true`...)
			if from := ev.PullRequest.HeadRepo; from != "" {
				dst = append(dst, `,"head_repository":`...)
				dst = appendString(dst, from)
			}
		}
	}
	dst = append(dst, '}')
	dst = append(dst, s.extra...)
	return append(dst, '}')
}

// untouched reports whether a commit is known to change nothing under paths.
func untouched(paths *filter, c *event.Commit) bool {
	if !c.PathsKnown {
		return false
	}
	_, touched := firstMatch(paths, c.Paths)
	return !touched
}

// firstMatch returns the first path that passes.
func firstMatch(f *filter, paths []string) (path string, ok bool) {
	for _, path := range paths {
		if _, ok := f.decide(path); ok {
			return path, true
		}
	}
	return "", false
}

// component is one of the config's components, compiled.
type component struct {
	key   string
	paths filter
}

func compileComponents(cfg map[string]Component, p *problems) []component {
	var out []component
	owner := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(cfg)) {
		p.path = "components." + name
		p.owner = "components." + quoteKey(name)
		c := component{key: componentKey(name)}
		switch other, taken := owner[c.key]; {
		case name == "":
			p.errorf("", "a component needs a name")
		case taken:
			p.errorf("", "becomes the input key %s, as components.%s does; rename one", c.key, quoteKey(other))
		case len(cfg[name].Paths) == 0:
			p.errorf("paths", "none given, so it could never be skipped; list the patterns of its files")
		}
		owner[c.key] = name
		c.paths = compileFilter(ofPath, cfg[name].Paths, p)
		out = append(out, c)
	}
	return out
}

// componentKey is the input key that skips a component.
func componentKey(name string) string {
	return "skip_" + strings.Map(func(r rune) rune {
		if r < 128 && alphanumeric(byte(r)) {
			return r
		}
		return '_'
	}, lower(name))
}

// quoteKey shows a config key, quoted only where it needs to be.
func quoteKey(name string) string {
	if q := fmt.Sprintf("%q", name); q[1:len(q)-1] != name || strings.ContainsAny(name, " .") || name == "" {
		return q
	}
	return name
}
