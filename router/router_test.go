package router

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"switchyard/internal/event"

	"github.com/google/go-cmp/cmp"
)

// with returns a config of one good route, changed.
func with(change func(r *Route)) Config {
	r := Route{Name: "all", StateMachine: "deploy"}
	change(&r)
	return Config{Routes: []Route{r}}
}

func TestNewNamesRouteKeyAndFix(t *testing.T) {
	environment := func(text string) Config { return with(func(r *Route) { r.Environment = text }) }
	branches := func(texts ...string) Config { return with(func(r *Route) { r.Branches = texts }) }
	paths := func(texts ...string) Config { return with(func(r *Route) { r.Paths = texts }) }
	for name, row := range map[string]struct {
		cfg  Config
		path string // of the first error
		want []string
	}{
		"no name":        {with(func(r *Route) { r.Name = "" }), "routes[0].name", []string{"routes[0]: name", "1 to 64 characters"}},
		"long name":      {with(func(r *Route) { r.Name = strings.Repeat("é", 65) }), "routes[0].name", []string{"1 to 64"}},
		"control name":   {with(func(r *Route) { r.Name = "a\x1b[2J" }), "routes[0].name", []string{`\x1b`}},
		"spaced name":    {with(func(r *Route) { r.Name = "a " }), "routes[0].name", []string{"space around"}},
		"same name":      {Config{Routes: []Route{{Name: "a", StateMachine: "s"}, {Name: "a", StateMachine: "s"}}}, "routes[1].name", []string{`"a" is the name of routes[0] too`}},
		"machine":        {with(func(r *Route) { r.StateMachine = "" }), "routes[0].state_machine", []string{`routes[0] "all": state_machine: missing; name one of state_machines`}},
		"on":             {with(func(r *Route) { r.On = []string{"push", "tag"} }), "routes[0].on[1]", []string{`on[1] "tag" is not one of push, pull_request, delete`}},
		"action":         {with(func(r *Route) { r.On, r.Actions = []string{"pull_request"}, []string{"renamed"} }), "routes[0].actions[0]", []string{"is not one of opened"}},
		"commits":        {with(func(r *Route) { r.Commits = "newest" }), "routes[0].commits", []string{"every, distinct, head"}},
		"shape":          {with(func(r *Route) { r.OverrideShape = "map" }), "routes[0].override_shape", []string{"list, object"}},
		"forks":          {with(func(r *Route) { r.On, r.Forks = []string{"pull_request"}, "yes" }), "routes[0].forks", []string{"never, labeled, allow"}},
		"revisit":        {with(func(r *Route) { r.Revisit = "always" }), "routes[0].revisit", []string{"ignore, run"}},
		"tag refs":       {with(func(r *Route) { r.Tags = []string{"refs/tags/v*"} }), "routes[0].tags[0]", []string{"short tag name", `write "v*"`}},
		"tag branch":     {with(func(r *Route) { r.Tags = []string{"refs/heads/v*"} }), "routes[0].tags[0]", []string{`name it under branches, as "v*"`}},
		"tag negative":   {with(func(r *Route) { r.Tags = []string{"!v1"} }), "routes[0].tags", []string{`only "!" patterns`}},
		"tag caret":      {with(func(r *Route) { r.Tags = []string{"^v1"} }), "routes[0].tags[0]", []string{`no '^' in a tag`}},
		"on_new_commit":  {with(func(r *Route) { r.OnNewCommit = "cancel" }), "routes[0].on_new_commit", []string{"cancel_superseded"}},
		"input key":      {with(func(r *Route) { r.Input = map[string]any{"commit": 1} }), "routes[0].input.commit", []string{"sets this key itself"}},
		"input value":    {with(func(r *Route) { r.Input = map[string]any{"a": math.NaN()} }), "routes[0].input.a", []string{"cannot be written as JSON"}},
		"input size":     {with(func(r *Route) { r.Input = map[string]any{"a": strings.Repeat("x", event.MaxInput)} }), "routes[0].input", []string{"262144"}},
		"empty pattern":  {branches("main", ""), "routes[0].branches[1]", []string{`branches[1] ""`, "leave it out"}},
		"bang":           {branches("main", "!"), "routes[0].branches[1]", []string{`"!" alone`}},
		"refs/heads":     {branches("refs/heads/main"), "routes[0].branches[0]", []string{`write "main"`}},
		"not refs/heads": {branches("**", "!refs/heads/main"), "routes[0].branches[1]", []string{`write "main"`}},
		"refs/tags":      {branches("refs/tags/v*"), "routes[0].branches[0]", []string{`name it under tags, as "v*"`}},
		"leading slash":  {branches("/feature/*"), "routes[0].branches[0]", []string{`write "feature/*"`}},
		"trailing slash": {branches("feature/"), "routes[0].branches[0]", []string{`write "feature/**"`}},
		"trailing space": {branches("main "), "routes[0].branches[0]", []string{"leave them out"}},
		"double slash":   {branches("a//b"), "routes[0].branches[0]", []string{`"//"`}},
		"dots":           {branches("a..b"), "routes[0].branches[0]", []string{`".."`}},
		"regexp":         {branches("feature/.*"), "routes[0].branches[0]", []string{"not regular expressions"}},
		"caret":          {branches("^main$"), "routes[0].branches[0]", []string{`no '^' in a branch`}},
		"dash":           {branches("-x"), "routes[0].branches[0]", []string{`starts with "-"`}},
		"only negative":  {branches("!main", "!x"), "routes[0].branches", []string{`branches: only "!" patterns`, `put "**" first`}},
		"all taken out":  {branches("feature/**", "main", "!**"), "routes[0].branches", []string{"take out everything"}},
		"taken out one":  {branches("feature/*", "!feature/**"), "routes[0].branches", []string{"take out everything"}},
		"base branch":    {with(func(r *Route) { r.On, r.BaseBranches = []string{"pull_request"}, []string{"refs/heads/x"} }), "routes[0].base_branches[0]", []string{"short branch name"}},
		"repository URL": {with(func(r *Route) { r.Repositories = []string{"https://github.com/a/b"} }), "routes[0].repositories[0]", []string{`"owner/name"`}},
		"path slash":     {paths("/src/**"), "routes[0].paths[0]", []string{`write "src/**"`}},
		"path directory": {paths("src/"), "routes[0].paths[0]", []string{`write "src/**"`}},
		"path dot":       {paths("./src/**"), "routes[0].paths[0]", []string{"repository's root"}},
		"path backslash": {paths(`src\main`), "routes[0].paths[0]", []string{`separated by "/"`}},
		"author":         {with(func(r *Route) { r.Authors = []string{"a[x-]"} }), "routes[0].authors[0]", []string{"only letters, digits"}},
		"source":         {with(func(r *Route) { r.Sources = []string{"*?"} }), "routes[0].sources[0]", []string{"no character before it"}},
		"component name": {Config{Components: map[string]Component{"": {Paths: []string{"a"}}}}, "components.", []string{"needs a name"}},
		"component none": {Config{Components: map[string]Component{"a": {}}}, "components.a.paths", []string{"components.a: paths: none given"}},
		"component same": {Config{Components: map[string]Component{"a-b": {Paths: []string{"a"}}, "a_b": {Paths: []string{"a"}}}}, "components.a_b", []string{"skip_a_b, as components.a-b does"}},
		"component path": {Config{Components: map[string]Component{"a": {Paths: []string{"!x"}}}}, "components.a.paths", []string{`only "!"`}},

		"environment name":      {environment("dev env"), "routes[0].environment", []string{"not an environment's name: 1 to 128"}},
		"environment syntax":    {environment("dev-{{ .Branch "), "routes[0].environment", []string{"unclosed action"}},
		"environment field":     {environment("{{ .Brnach }}"), "routes[0].environment", []string{".Brnach is not a field; fields are .Author"}},
		"environment hidden":    {environment("{{ if .PullRequest }}{{ .Nope }}{{ end }}x"), "routes[0].environment", []string{".Nope is not a field"}},
		"environment nested":    {environment("{{ .Branch.X }}"), "routes[0].environment", []string{".Branch.X is not a field"}},
		"environment function":  {environment("{{ .Branch | slugg }}"), "routes[0].environment", []string{`"slugg" not defined`, "functions are slug"}},
		"environment builtin":   {environment(`{{ printf "%1000000d" 1 }}`), "routes[0].environment", []string{"printf is not available"}},
		"environment loop":      {environment("{{ range 1000000000 }}x{{ end }}"), "routes[0].environment", []string{"not available here"}},
		"environment variable":  {environment("{{ $x := .Branch }}{{ $x }}"), "routes[0].environment", []string{"variables are not available"}},
		"environment define":    {environment(`{{ define "x" }}{{ end }}x`), "routes[0].environment", []string{"define and block"}},
		"environment dot":       {environment("{{ . }}"), "routes[0].environment", []string{"not available here"}},
		"environment arguments": {environment("{{ slug 99 .Branch }}"), "routes[0].environment", []string{"from 1 to 63"}},
		"environment empty":     {environment("{{ .BaseBranch }}"), "routes[0].environment", []string{"for on: [push] it gives no name"}},
		"environment space":     {environment("dev {{ .Branch | slug }}"), "routes[0].environment", []string{"it gives no name", "slug makes one"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := New(row.cfg)
			if err == nil {
				t.Fatalf("New accepts it; warnings %q", r.Warnings())
			}
			var key *KeyError
			if !errors.As(err, &key) || key.Path != row.path {
				t.Errorf("Path = %+v, want %s", key, row.path)
			}
			for _, want := range row.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestNewReportsEverythingAtOnce(t *testing.T) {
	_, err := New(Config{
		Components: map[string]Component{"a": {}},
		Routes:     []Route{{Name: "a", Branches: []string{"", "["}}, {Commits: "x", StateMachine: "s"}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	var paths []string
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		keyed := new(KeyError)
		if !errors.As(e, &keyed) {
			t.Fatalf("%v names no key", e)
		}
		paths = append(paths, keyed.Path)
	}
	want := []string{"components.a.paths", "routes[0].state_machine", "routes[0].branches[0]", "routes[0].branches[1]", "routes[1].name", "routes[1].commits"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestWarnings(t *testing.T) {
	r := mustNew(t, Config{Routes: []Route{
		{Name: "a", StateMachine: "s", Branches: []string{"!x", "feature/a", "main", "{b,c}/x", "!feature/**"}, Actions: []string{"opened"}, BaseBranches: []string{"main"}, Forks: "allow", ForkLabel: "x"},
		{Name: "b", StateMachine: "s", On: []string{"delete"}, Commits: "head", Revisit: "ignore", Authors: []string{"ada@example.com"}, Repositories: []string{"acme/x.git"}, Paths: []string{"a "}},
		{Name: "c", StateMachine: "s", On: []string{"pull_request"}, Tags: []string{"v*"}, Revisit: "run"},
		{Name: "d", StateMachine: "s", Commits: "distinct", Revisit: "run"},
		{Name: "fine", StateMachine: "s", Tags: []string{"v*"}, Revisit: "run", Branches: []string{"feature/**", "!feature/a", "feature/a", "main"}, Paths: []string{"**", "!docs/**"}},
	}})
	want := []string{
		`routes[0] "a": actions: does nothing, since on does not name pull_request`,
		`routes[0] "a": base_branches: does nothing, since on does not name pull_request`,
		`routes[0] "a": forks: does nothing, since on does not name pull_request`,
		`routes[0] "a": fork_label: does nothing without forks: labeled`,
		`routes[0] "a": branches[0] "!x": "!" takes out of the patterns before it, and there are none; move it after them`,
		`routes[0] "a": branches[3] "{b,c}/x": braces stand for themselves; write one pattern for each alternative`,
		`routes[0] "a": branches[1] "feature/a": a later "!" takes out everything it matches`,
		`routes[1] "b": commits: does nothing, since on names neither push nor pull_request`,
		`routes[1] "b": revisit: does nothing, since on does not name push`,
		`routes[1] "b": repositories[0] "acme/x.git": hosts leave ".git" out of a repository's name`,
		`routes[1] "b": authors[0] "ada@example.com": authors are logins or names, not e-mail addresses`,
		`routes[1] "b": paths[0] "a ": spaces around it are part of the pattern`,
		`routes[2] "c": revisit: does nothing, since on does not name push`,
		`routes[2] "c": tags: does nothing, since on names neither push nor delete`,
		`routes[3] "d": revisit: does nothing with commits: distinct, which leaves out what the host had before`,
	}
	got := r.Warnings()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	got[0] = "changed"
	if slices.Contains(r.Warnings(), "changed") {
		t.Error("Warnings gives its own slice away")
	}
}

func TestDefaults(t *testing.T) {
	r := mustNew(t, with(func(r *Route) {}))
	got := r.routes[0]
	if got.Forks != "never" || got.Commits != "every" || got.Revisit != "ignore" || got.OverrideShape != "list" || !slices.Equal(got.On, []string{"push"}) {
		t.Errorf("defaults: %+v", got.Route)
	}
	if want := []string{"opened", "synchronize", "reopened", "ready_for_review"}; !slices.Equal(got.Actions, want) {
		t.Errorf("actions %q, want %q", got.Actions, want)
	}
	// Only who looks at the base has to do with its change.
	r = mustNew(t, with(func(r *Route) { r.On, r.BaseBranches = []string{"pull_request"}, []string{"main"} }))
	if want := []string{"opened", "synchronize", "reopened", "ready_for_review", "edited"}; !slices.Equal(r.routes[0].Actions, want) {
		t.Errorf("actions with base_branches %q, want %q", r.routes[0].Actions, want)
	}
}
