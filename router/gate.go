package router

import (
	"fmt"
	"slices"
	"strings"

	"switchyard/internal/event"
)

// Gate says whether a merge can wait for the status of a route.
type Gate struct {
	Route string
	// Never says why no commit has the status before it is merged; empty where
	// there can be one.
	Never string
	// Unless lists in which cases there is none, so that a merge which waits for
	// it waits for ever.
	Unless []string
	// Forks says when a pull request from a fork has it, if it does not always.
	Forks string
}

// Gates returns one for each route that concerns pull requests into a branch of a
// repository: by the pull request, or by the push to its head branch.
func (r *Router) Gates(source, repository, base string) []Gate {
	var gates []Gate
	// A route that takes merge groups tells that there is a merge queue.
	groups := func(rt *route) bool { return rt.into(base, event.MergeGroup) }
	queue := slices.ContainsFunc(r.routes, func(rt route) bool { return rt.of(source, repository) && groups(&rt) })
	for i := range r.routes {
		rt := &r.routes[i]
		if !rt.of(source, repository) {
			continue
		}
		pulls := rt.into(base, event.PullRequest)
		pushes := slices.Contains(rt.On, string(event.Push)) && rt.takesBranches(event.Push)
		switch {
		case pulls || pushes:
			g := rt.gate(base, pulls, pushes)
			if queue && !groups(rt) && g.Never == "" {
				g.Unless = append(g.Unless, "the commit is the merge queue's (on lacks merge_group)")
			}
			gates = append(gates, g)
		case groups(rt):
			gates = append(gates, Gate{Route: rt.Name, Never: "it runs in the merge queue alone, which a pull request enters once it has what is required"})
		}
	}
	return gates
}

// of reports whether a route takes events of a repository.
func (rt *route) of(source, repository string) bool {
	_, its := rt.sources.decide(source)
	_, ok := rt.repositories.decide(repository)
	return its && ok
}

// into reports whether a route takes events of a kind that are about a merge into
// a branch.
func (rt *route) into(base string, kind event.Kind) bool {
	_, ok := rt.baseBranches.decide(base)
	return ok && slices.Contains(rt.On, string(kind))
}

func (rt *route) gate(base string, pulls, pushes bool) Gate {
	g := Gate{Route: rt.Name}
	if !pulls && rt.branches.only(base) {
		g.Never = fmt.Sprintf("it runs on pushes to %s itself, which come after the merge", quote(base))
		return g
	}
	unless := func(format string, args ...any) { g.Unless = append(g.Unless, fmt.Sprintf(format, args...)) }
	if len(rt.branches.rules) > 0 {
		unless("the head's branch does not match branches: %s", rt.branches.list())
	}
	if len(rt.paths.rules) > 0 {
		unless("the newest commit changes nothing of paths: %s", rt.paths.list())
	}
	if len(rt.authors.rules) > 0 {
		unless("its author does not match authors: %s", rt.authors.list())
	}
	if rt.SkipMarkers {
		unless("the newest commit's message has a marker such as [skip ci] (skip_markers)")
	}
	if !pushes {
		if len(rt.labels.rules) > 0 {
			unless("its labels do not match labels: %s", rt.labels.list())
		}
		for action, when := range map[string]string{"opened": "the pull request was opened with its newest commit", "synchronize": "a commit was pushed after the pull request was opened"} {
			if !slices.Contains(rt.Actions, action) {
				unless("%s (actions lacks %s)", when, action)
			}
		}
		slices.Sort(g.Unless)
	}
	switch {
	case !pulls:
		g.Forks = "not for pull requests from forks: on does not name pull_request, and pushes to a fork are not told of"
	case rt.Forks == "labeled":
		g.Forks = fmt.Sprintf("for pull requests from forks only once labeled %s, after each push anew", quote(rt.ForkLabel))
	case rt.Forks != "allow":
		g.Forks = "not for pull requests from forks (forks: never)"
	}
	return g
}

// only reports whether a filter lets nothing but one name pass.
func (f *filter) only(name string) bool {
	if _, ok := f.decide(name); !ok || len(f.rules) == 0 {
		return false
	}
	for _, r := range f.rules {
		if !r.negate && (r.text != name || strings.ContainsAny(r.text, `*?[]{}\`)) {
			return false
		}
	}
	return true
}

// BaseBranches are the branches that routes of a repository name as those that
// pull requests are merged into, in the order of the config. of are the branches
// that there are: patterns stand for those of them that they match; names stand for
// themselves.
func (r *Router) BaseBranches(source, repository string, of []string) []string {
	var names []string
	add := func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for i := range r.routes {
		rt := &r.routes[i]
		if !rt.of(source, repository) || len(rt.baseBranches.rules) == 0 {
			continue
		}
		for _, rule := range rt.baseBranches.rules {
			if !rule.negate && !strings.ContainsAny(rule.text, `*?[]{}\`) {
				add(rule.text)
			}
		}
		for _, name := range of {
			if _, ok := rt.baseBranches.decide(name); ok {
				add(name)
			}
		}
	}
	return names
}
