package router

import (
	"fmt"
	"strings"
	"testing"

	"switchyard/internal/event"
)

func mustNew(t testing.TB, cfg Config) *Router {
	t.Helper()
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sha returns a distinct object name for n.
func sha(n int) string { return fmt.Sprintf("%040x", n+1) }

func pushOf(branch string, n int) event.Event {
	ev := event.Event{
		Source: "github", DeliveryID: "d-1", Kind: event.Push, Ref: "refs/heads/" + branch,
		Repository: event.Repository{FullName: "acme/api-v2", CloneURL: "https://git.example.com/acme/api-v2.git"},
		Sender:     "ada",
	}
	for i := range n {
		ev.Commits = append(ev.Commits, event.Commit{
			SHA: sha(i), Message: fmt.Sprintf("Change %d\n\nMore about it.", i), Author: "ada", AuthorEmail: "ada@example.com",
			URL: "https://git.example.com/acme/api-v2/commit/" + sha(i), Distinct: true,
			Paths: []string{"api/v1/a.go", "docs/b.md"}, PathsKnown: true,
		})
		ev.After = sha(i)
	}
	return ev
}

func basicRoute() Route {
	return Route{
		Name: "branches", Repositories: []string{"acme/api-v2"}, Branches: []string{"feature/**", "hotfix/**"},
		StateMachine: "deploy", Environment: "dev-{{ .Branch | slug }}", Project: "project-api-v2",
	}
}

func TestSmoke(t *testing.T) {
	r := mustNew(t, Config{Routes: []Route{basicRoute()}, Components: map[string]Component{"api_v1": {Paths: []string{"api/v1/**"}}, "console": {Paths: []string{"console/**"}}}})
	plan := r.Plan(pushOf("feature/x", 2))
	for _, q := range plan.Requests {
		t.Log(q.ID, q.Reason, string(q.Input))
	}
	t.Log(r.Plan(pushOf("main", 2)).Ignored)
	_, err := New(Config{Routes: []Route{{Name: "x", Branches: []string{"refs/heads/main", "", "!", "a//b", "feature/.*", "x/", "[a", "[z-a]", "?x"}, Environment: "{{ .Foo }}", Commits: "all", Paths: []string{"!docs/**"}}}})
	t.Log(strings.ReplaceAll(err.Error(), "\n", "\n   "))
}

func BenchmarkPlan(b *testing.B) {
	for _, n := range []int{1, 20, 2048} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := mustNew(b, Config{Routes: []Route{basicRoute()}})
			ev := pushOf("feature/x", n)
			b.ReportAllocs()
			for b.Loop() {
				if len(r.Plan(ev).Requests) != n {
					b.Fatal("not all planned")
				}
			}
		})
	}
}
