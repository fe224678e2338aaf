package router

import (
	"strings"
	"testing"

	"switchyard/internal/event"
)

// The route of a request is found again by what its input says, with what was
// built in the place of the commit.
func TestRouteOfFindsMerges(t *testing.T) {
	r := mustNew(t, Config{Routes: []Route{
		{Name: "head", StateMachine: "s", On: []string{"pull_request"}, Environment: "pr"},
		{Name: "merged", StateMachine: "s", On: []string{"pull_request"}, Environment: "pr", Checkout: "merge"},
	}})
	sha, merge := strings.Repeat("a", 40), strings.Repeat("b", 40)
	plan := r.Plan(event.Event{Source: "github", Kind: event.PullRequest, Action: "opened", Ref: "refs/heads/x", After: sha,
		Repository: event.Repository{FullName: "acme/api"}, Commits: []event.Commit{{SHA: sha}}, PullRequest: &event.PullReq{Number: 1, Base: "main", Merge: merge}})
	if len(plan.Requests) != 2 {
		t.Fatalf("%+v", plan)
	}
	for i, of := range []string{"", merge} {
		q := &plan.Requests[i]
		is := func(id string) bool { return id == q.ID }
		if got := r.RouteOf(is, "github", "acme/api", sha, of, "pr"); got != q.Route {
			t.Errorf("%s: %q", q.ID, got)
		}
		for _, other := range []string{strings.Repeat("c", 40), map[bool]string{true: merge, false: ""}[of == ""]} {
			if got := r.RouteOf(is, "github", "acme/api", sha, other, "pr"); got != "" {
				t.Errorf("%s with the merge %q: %q", q.ID, other, got)
			}
		}
	}
}
