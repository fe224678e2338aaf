package router

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

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
func sha(n int) string { return fmt.Sprintf("%08x%032x", n*2654435761&0xffffffff, n+1) }

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

var (
	idRule    = regexp.MustCompile(`^[0-9A-Za-z_-]{1,74}$`)
	printable = regexp.MustCompile(`^[^\x00-\x1f\x7f\x{202a}-\x{202e}]+$`)
)

// checkPlan holds a plan to what is true of every plan.
func checkPlan(t *testing.T, ev *event.Event, plan event.Plan) {
	t.Helper()
	ids := map[string]bool{}
	for i := range plan.Requests {
		q := &plan.Requests[i]
		switch {
		case !idRule.MatchString(q.ID):
			t.Errorf("ID %q", q.ID)
		case ids[q.ID]:
			t.Errorf("ID %q is there twice", q.ID)
		case len(q.Input) > event.MaxInput:
			t.Errorf("%s: input of %d bytes", q.ID, len(q.Input))
		case !utf8.Valid(q.Input):
			t.Errorf("%s: input is not UTF-8", q.ID)
		case q.Environment != "" && !validEnvironment(q.Environment):
			t.Errorf("%s: environment %q", q.ID, q.Environment)
		case q.Teardown != (q.Kind == event.Delete || ev.Action == "closed" && q.Kind == event.PullRequest):
			t.Errorf("%s: teardown %v", q.ID, q.Teardown)
		case q.Former != nil && (!idRule.MatchString(q.Former.ID) || ids[q.Former.ID]):
			t.Errorf("%s: formerly %q", q.ID, q.Former.ID)
		case q.Source != ev.Source || q.Repository != ev.Repository.FullName || q.Ref != ev.Ref || q.Kind != ev.Kind:
			t.Errorf("%s: not of this event: %+v", q.ID, q)
		}
		ids[q.ID] = true
		var in struct {
			Environment *string
			Commit      struct{ SHA, Head string }
			Source      struct{ Provider, Repository, Ref, Event string }
		}
		if err := json.Unmarshal(q.Input, &in); err != nil {
			t.Errorf("%s: input: %v\n%q", q.ID, err, q.Input)
			continue
		}
		if in.Commit.Head != "" && in.Commit.SHA == ev.PullRequest.Merge {
			in.Commit.SHA = in.Commit.Head // what it would be merged to is built
		}
		if in.Environment == nil || *in.Environment != q.Environment || in.Commit.SHA != q.Commit.SHA || in.Source.Event != string(q.Kind) {
			t.Errorf("%s: input is of another request: %s", q.ID, q.Input)
		}
		if !printable.MatchString(q.Reason) {
			t.Errorf("%s: reason %q", q.ID, q.Reason)
		}
	}
	for _, ig := range plan.Ignored {
		if !printable.MatchString(ig.Reason) {
			t.Errorf("ignored: reason %q", ig.Reason)
		}
		if ig.Commit != "" && !validSHA(ig.Commit) {
			t.Errorf("ignored: commit %q", ig.Commit)
		}
	}
	for _, l := range plan.Lacks {
		if !validSHA(l.Commit) || !named(plan, l.Route, l.Commit) || !l.Message && !l.Paths || plan.Requests != nil && plan.Requests[0].Teardown {
			t.Errorf("lack %+v", l)
		}
	}
	if len(plan.Requests) == 0 && len(plan.Ignored) == 0 {
		t.Error("nothing starts, and there is no reason")
	}
}

func TestPlanIsTheSameEveryTime(t *testing.T) {
	cfg := Config{
		Components: map[string]Component{},
		Routes:     []Route{basicRoute(), {Name: "other", StateMachine: "s", Input: map[string]any{"a": 1, "b": map[string]any{"z": 1, "y": 2}, "c": nil}}},
	}
	for i := range 20 {
		cfg.Components[fmt.Sprintf("c%02d", i)] = Component{Paths: []string{fmt.Sprintf("c%02d/**", i)}}
	}
	ev := pushOf("feature/x", 20)
	want := mustNew(t, cfg).Plan(ev)
	if len(want.Requests) != 40 {
		t.Fatalf("%d requests", len(want.Requests))
	}
	r := mustNew(t, cfg)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				if got := r.Plan(ev); !reflect.DeepEqual(want, got) {
					t.Errorf("another plan (-first +later):\n%s", cmp.Diff(want, got))
				}
			}
		})
	}
	wg.Wait()
}

func TestPlanIgnoresDeliveryAndSender(t *testing.T) {
	r := mustNew(t, Config{Routes: []Route{basicRoute()}})
	ev := pushOf("feature/x", 3)
	want := r.Plan(ev)
	ev.DeliveryID, ev.Sender, ev.Forced, ev.Before = "another", "eve", true, sha(99)
	if diff := cmp.Diff(want, r.Plan(ev)); diff != "" {
		t.Errorf("a later delivery of the same commits plans otherwise:\n%s", diff)
	}
}

func TestPlanOf2048CommitsKeepsEachInOrder(t *testing.T) {
	r := mustNew(t, Config{Routes: []Route{basicRoute()}})
	ev := pushOf("feature/x", 2048)
	plan := r.Plan(ev)
	checkPlan(t, &ev, plan)
	if len(plan.Requests) != 2048 || len(plan.Ignored) != 0 {
		t.Fatalf("%d requests, %d ignored", len(plan.Requests), len(plan.Ignored))
	}
	for i, q := range plan.Requests {
		if q.Commit.SHA != sha(i) {
			t.Fatalf("request %d is for %s", i, q.Commit.SHA)
		}
	}
	ev.Commits = append(ev.Commits, ev.Commits[7])
	if plan = r.Plan(ev); len(plan.Requests) != 2048 || len(plan.Ignored) != 1 || plan.Ignored[0].Commit != sha(7) {
		t.Errorf("with a commit listed twice: %d requests, ignored %v", len(plan.Requests), plan.Ignored)
	}
}

func TestRequestIDsTellApartWhatMustBe(t *testing.T) {
	route := basicRoute()
	route.On = []string{"push", "pull_request", "delete"}
	route.Branches = nil
	route.Repositories = nil
	route.Actions = []string{"opened", "closed"}
	route.Environment = "{{ if eq .BaseBranch \"release\" }}staging{{ else }}dev{{ end }}"
	other := route
	other.Name = "branches!" // the same slug
	r := mustNew(t, Config{Routes: []Route{route, other}})

	idOf := func(change func(ev *event.Event)) string {
		t.Helper()
		ev := pushOf("feature/x", 1)
		change(&ev)
		plan := r.Plan(ev)
		if len(plan.Requests) != 2 {
			t.Fatalf("%d requests; ignored %v", len(plan.Requests), plan.Ignored)
		}
		if plan.Requests[0].ID == plan.Requests[1].ID {
			t.Errorf("two routes, one ID %s", plan.Requests[0].ID)
		}
		return plan.Requests[0].ID
	}
	pull := func(action string, number int) func(*event.Event) {
		return func(ev *event.Event) {
			ev.Kind, ev.Action = event.PullRequest, action
			ev.PullRequest = &event.PullReq{Number: number, Base: "main"}
		}
	}
	push := idOf(func(*event.Event) {})
	if !strings.HasPrefix(push, "acme-api-v2-"+sha(0)[:12]+"-branches-") {
		t.Errorf("ID %s", push)
	}
	for name, same := range map[string]func(*event.Event){
		"pull request": pull("opened", 12),
		"other branch": func(ev *event.Event) { ev.Ref = "refs/heads/other" },
		"message":      func(ev *event.Event) { ev.Commits[0].Message = "amended" },
	} {
		if id := idOf(same); id != push {
			t.Errorf("%s: ID %s, the push has %s", name, id, push)
		}
	}
	ids := map[string]string{push: "push"}
	for name, change := range map[string]func(*event.Event){
		"commit": func(ev *event.Event) { ev.After = sha(0)[:39] + "f"; ev.Commits[0].SHA = ev.After },
		"environment": func(ev *event.Event) {
			pull("opened", 12)(ev)
			ev.PullRequest.Base = "release"
		},
		"repository":        func(ev *event.Event) { ev.Repository.FullName = "acme/api_v2" },
		"repository split":  func(ev *event.Event) { ev.Repository.FullName = "acme-api/v2" },
		"source":            func(ev *event.Event) { ev.Source = "gitea" },
		"source and name":   func(ev *event.Event) { ev.Source, ev.Repository.FullName = "githuba", "cme/api-v2" },
		"closed":            pull("closed", 12),
		"closed other":      pull("closed", 13),
		"delete":            func(ev *event.Event) { ev.Kind = event.Delete },
		"delete other ref":  func(ev *event.Event) { ev.Kind, ev.Ref = event.Delete, "refs/heads/y" },
		"delete looks like": func(ev *event.Event) { ev.Kind, ev.Ref = event.Delete, "refs/heads/feature/x " },
	} {
		id := idOf(change)
		if before, taken := ids[id]; taken {
			t.Errorf("%s and %s have the ID %s", name, before, id)
		}
		ids[id] = name
	}
}

// IDs are stored and seen by people; a change of the rule would start every
// commit once more. The former ones are in journals of versions before the
// environment was part of the ID, and never change either.
func TestRequestIDIsPinned(t *testing.T) {
	r := mustNew(t, Config{Routes: []Route{basicRoute()}})
	ev := pushOf("feature/x", 1)
	q := r.Plan(ev).Requests[0]
	if want := "acme-api-v2-000000000000-branches-a8356546c71f7c01"; q.ID != want {
		t.Errorf("ID %s, want %s", q.ID, want)
	}
	want := event.FormerIdentity{ID: "acme-api-v2-000000000000-branches-7e2de5e8436eb6e2", Environment: "dev-feature-x"}
	if q.Former == nil || *q.Former != want {
		t.Errorf("formerly %v, want %v", q.Former, want)
	}
}

func TestInputIsWhatStepFunctionsGets(t *testing.T) {
	route := basicRoute()
	route.Input = map[string]any{"skip_console": true, "extra": "<&>"}
	r := mustNew(t, Config{Routes: []Route{route}, Components: map[string]Component{
		"api_v1": {Paths: []string{"api/v1/**"}}, "API v2": {Paths: []string{"api/v2/**"}}, "console": {Paths: []string{"**"}},
	}})
	ev := pushOf("hotfix/important_patch", 1)
	ev.Commits[0].SHA = strings.Repeat("ab", 20)
	ev.Commits[0].URL = ""
	want := `{"environment":"dev-hotfix-important-patch-521f301","skip_api_v2":true,"skip_api_v1":false,` +
		`"override_branches":[{"project":"project-api-v2","branch":"hotfix/important_patch","commit":"abababababababababababababababababababab"}],` +
		`"commit":{"sha":"abababababababababababababababababababab","message":"Change 0\n\nMore about it.","author":"ada","url":""},` +
		`"source":{"provider":"github","repository":"acme/api-v2","clone_url":"https://git.example.com/acme/api-v2.git","ref":"refs/heads/hotfix/important_patch","event":"push"},` +
		`"extra":"<&>","skip_console":true}`
	if diff := cmp.Diff(want, string(r.Plan(ev).Requests[0].Input)); diff != "" {
		t.Errorf("input (-want +got):\n%s", diff)
	}
}

// The router has written its answer before anybody changes the config's maps.
func TestNewKeepsNothingOfTheConfig(t *testing.T) {
	route := basicRoute()
	route.Input = map[string]any{"a": []any{"kept"}}
	r := mustNew(t, Config{Routes: []Route{route}})
	ev := pushOf("feature/x", 1)
	want := r.Plan(ev)
	route.Input["a"].([]any)[0] = "changed"
	route.Branches[0] = "nothing"
	if diff := cmp.Diff(want, r.Plan(ev)); diff != "" {
		t.Errorf("the plan changed with the config (-before +after):\n%s", diff)
	}
}

// Of an event that does not tell which commit it is about, the routes are known
// that would take it, and nothing starts.
func TestUnnamedCommitStartsNothing(t *testing.T) {
	pulls, pushes := basicRoute(), basicRoute()
	pulls.Name, pulls.On = "pulls", []string{"pull_request"}
	pushes.Name = "pushes"
	r := mustNew(t, Config{Routes: []Route{pulls, pushes}})
	ev := event.Event{
		Source: "bitbucket", Kind: event.PullRequest, Action: "opened", Repository: event.Repository{FullName: "acme/api-v2"},
		Ref: "refs/heads/feature/x", Head: "930cbdc6323f", Truncated: true, PullRequest: &event.PullReq{Number: 1, Base: "main"},
	}
	plan := r.Plan(ev)
	if len(plan.Requests) > 0 || !plan.Unlisted || len(plan.Ignored) != 2 {
		t.Errorf("%+v", plan)
	}
	ev.Ref = "refs/heads/other"
	if plan := r.Plan(ev); plan.Unlisted || len(plan.Requests) > 0 {
		t.Errorf("%+v", plan)
	}
}

func FuzzPlan(f *testing.F) {
	f.Add("push", "", "refs/heads/feature/$(touch x)", "acme/api", "[skip ci]\x1b[31m\xff", "ada", "api/v1/x", sha(1), sha(1), "github", 0, true)
	f.Add("push", "", "refs/heads/feature/x", "acme/api", "m", "ada", "api/v1/x", sha(1), sha(9), "github", 0, true)
	f.Add("pull_request", "opened", "refs/heads/feature/../../x", "a", "", "", "", sha(2), "", "git", 12, false)
	f.Add("pull_request", "labeled", "refs/heads/main", "a/b/c", "x", "e[bot]", "", sha(2), sha(2), "git", -1, true)
	f.Add("pull_request", "edited", "refs/heads/main", "main", "x", "ada", "", sha(2), sha(2), "git", 7, false)
	f.Add("delete", "", "refs/heads/\u65e5\u672c", "\u65e5", "", "", "", "", "", "", 0, false)
	f.Add("push", "", "refs/tags/v1", "a/b", "", "", "", "zz", sha(3), "x", 0, false)
	f.Add("delete", "", "refs/tags/v1/x", "a/b", "", "", "", sha(1), "", "x", 0, false)
	cfg := Config{
		Components: map[string]Component{"api": {Paths: []string{"api/**", "!**.md"}}},
		Routes: []Route{
			{Name: "all", On: []string{"push", "pull_request", "delete"}, Actions: []string{"opened", "closed"}, StateMachine: "s", Environment: "dev-{{ .Branch | slug }}", Project: "p", SkipMarkers: true},
			{Name: "author", On: []string{"push", "pull_request"}, StateMachine: "s", Environment: "{{ .Author }}/{{ .ShortSHA }}", Forks: "labeled", Project: "p", OverrideShape: "object"},
			{Name: "raw", StateMachine: "s", Environment: "{{ .Branch }}", Branches: []string{"*", "feature/?", "!x"}, Authors: []string{"*"}, Paths: []string{"*/*"}, Commits: "head", Revisit: "run"},
			{Name: "tags", On: []string{"push", "delete"}, StateMachine: "s", Environment: "{{ .Tag | slug 20 }}", Tags: []string{"**", "!v1/**"}},
			{Name: "base", On: []string{"pull_request"}, BaseBranches: []string{"main"}, StateMachine: "s", Environment: "{{ .BaseBranch | slug }}", Actions: []string{"edited"}},
		},
	}
	r := mustNew(f, cfg)
	f.Fuzz(func(t *testing.T, kind, action, ref, repo, message, author, path, sha1, after, source string, number int, flag bool) {
		ev := event.Event{
			Source: source, Kind: event.Kind(kind), Action: action, Ref: ref, Repository: event.Repository{FullName: repo, CloneURL: path},
			Truncated: flag, Total: number, Before: sha1, After: after, Forced: !flag,
			Commits: []event.Commit{
				{SHA: sha1, Message: message, Author: author, Paths: []string{path}, PathsKnown: flag, URL: message},
				{SHA: sha(3), Message: author + message, Author: repo, Distinct: true},
			},
		}
		if number != 0 {
			ev.PullRequest = &event.PullReq{Number: number, Base: repo, OldBase: message, Author: author, Labels: []string{message}, Label: message, Fork: flag, HeadRepo: path}
		}
		plan := r.Plan(ev)
		checkPlan(t, &ev, plan)
		if again := r.Plan(ev); !reflect.DeepEqual(plan, again) {
			t.Errorf("another plan for the same event:\n%s", cmp.Diff(plan, again))
		}
		for _, q := range plan.Requests {
			if ev.Kind == event.PullRequest && ev.PullRequest.Fork && q.Route == "all" {
				t.Errorf("a fork started %s", q.ID)
			}
			if q.Route == "raw" && after != "" && q.Commit.SHA != after {
				t.Errorf("commits: head started %s, and the branch is at %s", q.Commit.SHA, after)
			}
			if (q.Route == "tags") != (ev.Tag() != "") {
				t.Errorf("route %s started %s for %s", q.Route, q.ID, ref)
			}
			if q.Route == "base" && ev.PullRequest.OldBase == "" {
				t.Errorf("%s started, and the base stayed as it was", q.ID)
			}
		}
		if ev.Kind == event.Push && ev.Branch() != "" && validSHA(after) && repo != "" && !named(plan, "all", after) {
			t.Errorf("nothing is said of %s, where the branch is", after)
		}
	})
}

// named reports whether a plan starts a commit by a route, or says why not.
func named(plan event.Plan, route, sha string) bool {
	return slices.ContainsFunc(plan.Requests, func(q event.Request) bool { return q.Route == route && q.Commit.SHA == sha }) ||
		slices.ContainsFunc(plan.Ignored, func(g event.Ignored) bool { return g.Route == route && (g.Commit == sha || g.Commit == "") })
}

// Two pushes of the same commits, and any of them alone, give each commit the
// request it had: what else is in the delivery does not matter.
func TestPlanOfEachCommitIsItsOwn(t *testing.T) {
	r := mustNew(t, Config{Routes: []Route{basicRoute()}, Components: map[string]Component{"api": {Paths: []string{"api/**"}}}})
	ev := pushOf("feature/x", 40)
	whole := r.Plan(ev).Requests
	for i := range ev.Commits {
		one := ev
		one.Commits = slices.Clone(ev.Commits[i : i+1])
		one.After = one.Commits[0].SHA
		if diff := cmp.Diff(whole[i], r.Plan(one).Requests[0]); diff != "" {
			t.Fatalf("commit %d alone (-in the push +alone):\n%s", i, diff)
		}
	}
}

func BenchmarkPlan(b *testing.B) {
	run := func(name string, cfg Config, n, want int) {
		b.Run(name, func(b *testing.B) {
			r := mustNew(b, cfg)
			ev := pushOf("feature/x", n)
			b.ReportAllocs()
			for b.Loop() {
				if got := len(r.Plan(ev).Requests); got != want {
					b.Fatalf("%d requests", got)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/commit")
		})
	}
	one := Config{Routes: []Route{basicRoute()}}
	for _, n := range []int{1, 20, 2048} {
		run(fmt.Sprintf("commits=%d", n), one, n, n)
	}
	filtered := basicRoute()
	filtered.Paths = []string{"**/*.go", "!**_test.go"}
	components := Config{Routes: []Route{filtered}, Components: map[string]Component{}}
	for i := range 8 {
		components.Components[fmt.Sprintf("c%d", i)] = Component{Paths: []string{fmt.Sprintf("c%d/**", i)}}
	}
	run("commits=20,components=8", components, 20, 20)
	var many Config
	for i := range 50 {
		r := basicRoute()
		r.Name, r.Repositories = fmt.Sprintf("r%d", i), []string{fmt.Sprintf("acme/other-%d", i)}
		many.Routes = append(many.Routes, r)
	}
	many.Routes[49].Repositories = nil
	run("commits=20,routes=50", many, 20, 20)
}
