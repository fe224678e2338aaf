package router

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// say writes a gate for a table: its route, and what is the matter with it.
func (g Gate) say() string {
	parts := []string{g.Route}
	if g.Never != "" {
		parts = append(parts, "never: "+g.Never)
	}
	parts = append(parts, g.Unless...)
	if g.Forks != "" {
		parts = append(parts, g.Forks)
	}
	return strings.Join(parts, "; ")
}

func TestGates(t *testing.T) {
	for name, c := range map[string]struct {
		route Route
		want  string // "" where it is none
	}{
		"pulls":              {Route{On: []string{"pull_request"}, Forks: "allow"}, "r"},
		"pulls, no forks":    {Route{On: []string{"pull_request"}}, "r; not for pull requests from forks (forks: never)"},
		"pulls, labeled":     {Route{On: []string{"pull_request"}, Forks: "labeled"}, `r; for pull requests from forks only once labeled "safe to test", after each push anew`},
		"pushes":             {Route{}, "r; not for pull requests from forks: on does not name pull_request, and pushes to a fork are not told of"},
		"pushes to the base": {Route{Branches: []string{"main"}}, `r; never: it runs on pushes to "main" itself, which come after the merge`},
		"pushes to several":  {Route{Branches: []string{"main", "dev"}, On: []string{"push", "pull_request"}, Forks: "allow"}, `r; the head's branch does not match branches: "main", "dev"`},
		"all but the base":   {Route{Branches: []string{"**", "!main"}, On: []string{"pull_request", "push"}, Forks: "allow"}, `r; the head's branch does not match branches: "**", "!main"`},
		"paths":              {Route{On: []string{"pull_request"}, Paths: []string{"api/**"}, Forks: "allow"}, `r; the newest commit changes nothing of paths: "api/**"`},
		"authors":            {Route{On: []string{"pull_request"}, Authors: []string{"ada"}, Forks: "allow"}, `r; its author does not match authors: "ada"`},
		"markers":            {Route{On: []string{"pull_request"}, SkipMarkers: true, Forks: "allow"}, "r; the newest commit's message has a marker such as [skip ci] (skip_markers)"},
		"no new commits":     {Route{On: []string{"pull_request"}, Actions: []string{"opened"}, Forks: "allow"}, "r; a commit was pushed after the pull request was opened (actions lacks synchronize)"},
		"only when ready":    {Route{On: []string{"pull_request"}, Actions: []string{"ready_for_review"}, Forks: "allow"}, "r; a commit was pushed after the pull request was opened (actions lacks synchronize); the pull request was opened with its newest commit (actions lacks opened)"},
		"labels":             {Route{On: []string{"pull_request"}, Labels: []string{"ready"}, Forks: "allow"}, `r; its labels do not match labels: "ready"`},
		"no drafts":          {Route{On: []string{"pull_request"}, NoDrafts: true, Forks: "allow"}, "r"}, // nobody merges a draft
		"queue alone":        {Route{On: []string{"merge_group"}}, "r; never: it runs in the merge queue alone, which a pull request enters once it has what is required"},
		"queue of another":   {Route{On: []string{"merge_group"}, BaseBranches: []string{"dev"}}, ""},
		"but pushes":         {Route{On: []string{"pull_request", "push"}, Actions: []string{"opened"}, Forks: "allow"}, "r"},
		"into this one":      {Route{On: []string{"pull_request"}, BaseBranches: []string{"ma*"}, Forks: "allow"}, "r"},
		"into another":       {Route{On: []string{"pull_request"}, BaseBranches: []string{"release/*"}}, ""},
		"another repository": {Route{Repositories: []string{"acme/web"}}, ""},
		"another source":     {Route{Sources: []string{"gitlab"}}, ""},
		"deletions":          {Route{On: []string{"delete"}}, ""},
		"tags":               {Route{Tags: []string{"v*"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.route.Name, c.route.StateMachine = "r", "m"
			r, err := New(Config{Routes: []Route{c.route}})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, g := range r.Gates("github", "acme/api", "main") {
				got += g.say()
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// Where one route takes merge groups, what another gives is missing in the queue.
func TestGatesOfAMergeQueue(t *testing.T) {
	pull := Route{Name: "pull", On: []string{"pull_request"}, StateMachine: "m", Forks: "allow"}
	both := Route{Name: "both", On: []string{"pull_request", "merge_group"}, StateMachine: "m", Forks: "allow", BaseBranches: []string{"main"}}
	r, err := New(Config{Routes: []Route{pull, both}})
	if err != nil {
		t.Fatal(err)
	}
	for base, want := range map[string]string{"main": "pull; the commit is the merge queue's (on lacks merge_group)\nboth\n", "dev": "pull\n"} {
		got := ""
		for _, g := range r.Gates("github", "acme/api", base) {
			got += g.say() + "\n"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", base, got, want)
		}
	}
}

func TestBaseBranches(t *testing.T) {
	pull := func(name, repositories string, bases ...string) Route {
		return Route{Name: name, On: []string{"pull_request"}, StateMachine: "m", Repositories: []string{repositories}, BaseBranches: bases}
	}
	r, err := New(Config{Routes: []Route{
		pull("a", "acme/api", "main", "release/*", "!release/0"), pull("b", "acme/*", "dev", "main"), pull("c", "acme/web", "web"), {Name: "d", StateMachine: "m"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for repository, want := range map[string][]string{
		"acme/api": {"main", "release/1", "dev"}, "acme/web": {"dev", "main", "web"}, "other/x": nil,
	} {
		got := r.BaseBranches("github", repository, []string{"feature/x", "release/0", "release/1"})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", repository, diff)
		}
	}
	if slices.Contains(r.BaseBranches("github", "acme/api", nil), "release/*") {
		t.Error("a pattern is the name of no branch")
	}
}
