package engine

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"switchyard/asl/run"
	"switchyard/asl/task"
)

type handler struct {
	pattern string
	h       task.Handler
}

// sortHandlers puts what wins first: exact patterns, then longer ones.
func sortHandlers(list []handler) error {
	slices.SortStableFunc(list, func(a, b handler) int {
		if c := cmp.Compare(strings.Count(a.pattern, "*"), strings.Count(b.pattern, "*")); c != 0 && (a.exact() || b.exact()) {
			return c
		}
		return cmp.Compare(len(b.pattern), len(a.pattern))
	})
	for i, h := range list {
		if h.pattern == "" || h.h == nil {
			return fmt.Errorf("engine: task handler %q has no pattern or no handler", h.pattern)
		}
		if i > 0 && list[i-1].pattern == h.pattern {
			return fmt.Errorf("engine: two task handlers for %s", h.pattern)
		}
	}
	return nil
}

func (h handler) exact() bool { return !strings.Contains(h.pattern, "*") }

// handlerFor finds the handler of a resource; nil when there is none.
func (e *Engine) handlerFor(resource string) task.Handler {
	for _, h := range e.handlers {
		if globMatch(h.pattern, resource) {
			return h.h
		}
	}
	// With a token the same work is done; only its end is told differently.
	if plain, ok := strings.CutSuffix(resource, run.TokenSuffix); ok {
		return e.handlerFor(plain)
	}
	return nil
}

// globMatch reports whether s is what pattern says; * is any text.
func globMatch(pattern, s string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, first)
	if !ok {
		return false
	}
	for {
		part, next, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(s, part)
		}
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(part):], next
	}
}

func randomFloat() float64 { return rand.Float64() }
