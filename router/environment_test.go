package router

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/internal/event"
)

func nameOf(t *testing.T, text string, fields envFields) environmentName {
	t.Helper()
	env, err := compileEnvironment(text)
	if err != nil {
		t.Fatal(err)
	}
	name, err := env.name(&fields)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// The former name is what a version without a hash in slugs gave.
func TestEnvironmentRemembersItsFormerName(t *testing.T) {
	for _, row := range []struct {
		text   string
		fields envFields
		want   environmentName
	}{
		{"acceptance", envFields{Branch: "Feature/X"}, environmentName{"acceptance", "acceptance", true}},
		{"dev-{{ .Branch | slug }}", envFields{Branch: "main"}, environmentName{"dev-main", "dev-main", true}},
		{"dev-{{ .Branch | slug }}", envFields{Branch: "feature/Login_2"}, environmentName{"dev-feature-login-2-95324ef", "dev-feature-login-2", true}},
		{"dev-{{ .Branch | slug 12 }}", envFields{Branch: "feature/login"}, environmentName{"dev-feat-df7c7ae", "dev-feature-logi", true}},
		{"{{ .Owner }}/{{ .Branch | slug }}/{{ .Author | slug }}", envFields{Owner: "acme", Branch: "a.b", Author: "ada"}, environmentName{"acme/a-b-2e7336d/ada", "acme/a-b/ada", true}},
		{`dev-{{ .Branch | lower | replace "/" "-" }}`, envFields{Branch: "feature/X"}, environmentName{"dev-feature-x", "dev-feature-x", true}},
		{`{{ if eq (.Branch | slug) "feature-x" }}old{{ else }}new{{ end }}`, envFields{Branch: "feature/x"}, environmentName{"new", "old", true}},
		// Formerly it gave nothing that could be an environment.
		{`{{ if eq (.Branch | slug) "feature-x" }}-{{ else }}new{{ end }}`, envFields{Branch: "feature/x"}, environmentName{"new", "", false}},
	} {
		if got := nameOf(t, row.text, row.fields); got != row.want {
			t.Errorf("%s of %q: %+v, want %+v", row.text, row.fields.Branch, got, row.want)
		}
	}
}

// Plain templates are put together without the template engine, which must say
// the same.
func TestPlainTemplatesAreAsTheTemplateEngineHasThem(t *testing.T) {
	names := strings.Split(envFieldList, ", ")
	forms := []string{"%s", "%s | slug", "%s | slug 12", "slug %s", "slug 5 %s", "- %s -"}
	values := []string{"", "main", "feature/x", "Fix_7", "a.b", "-", "日本", strings.Repeat("long/", 30), "x/../y"}
	rng := rand.New(rand.NewPCG(5, 6))
	plain, named, changed := 0, 0, 0
	for range 5000 {
		var text strings.Builder
		for range 1 + rng.IntN(3) {
			text.WriteString([]string{"", "dev-", "/", "{{/* said */}}", " "}[rng.IntN(5)])
			text.WriteString("{{ " + strings.Replace(forms[rng.IntN(len(forms))], "%s", names[rng.IntN(len(names))], 1) + " }}")
		}
		env, err := compileEnvironment(text.String())
		if err != nil {
			continue // "{{ - .Branch - }}"
		}
		if env.plain != nil {
			plain++
		}
		value := func() string { return values[rng.IntN(len(values))] }
		fields := envFields{
			Branch: value(), Tag: value(), Repository: value(), Owner: value(), Name: value(), Route: value(), Event: value(),
			PullRequest: rng.IntN(3), BaseBranch: value(), SHA: value(), ShortSHA: value(), Author: value(),
		}
		got, gotErr := env.name(&fields)
		env.plain = nil
		want, wantErr := env.name(&fields)
		if got != want || (gotErr == nil) != (wantErr == nil) {
			t.Fatalf("%s of %+v: %+v, %v; the template engine has %+v, %v", text.String(), fields, got, gotErr, want, wantErr)
		}
		if wantErr == nil {
			named++
		}
		if want.former != want.name {
			changed++
		}
	}
	if plain < 2000 || named < 500 || changed < 100 {
		t.Errorf("only %d plain templates, %d names, %d that differ from the former", plain, named, changed)
	}
	for text, want := range map[string]bool{
		"dev-{{ .Branch | slug }}": true, "{{ .Owner }}/{{ slug 20 .Branch }}": true, "{{ .PullRequest }}": true,
		"{{ .Branch | lower }}": false, "{{ slug .Branch | slug }}": false, `{{ "a" | slug }}`: false, "{{ if .Tag }}a{{ end }}": false, "{{ slug (slug .Branch) }}": false,
	} {
		if env, err := compileEnvironment(text); err != nil || (env.plain != nil) != want {
			t.Errorf("%s: plain %v, %v, want %v", text, env.plain != nil, err, want)
		}
	}
}

func TestRequestWithoutFormerName(t *testing.T) {
	r := mustNew(t, with(func(r *Route) {
		r.Environment = `{{ if eq (.Branch | slug) "feature-x" }}-{{ else }}new{{ end }}`
	}))
	if q := r.Plan(pushOf("feature/x", 1)).Requests[0]; q.Former != nil || q.Environment != "new" {
		t.Errorf("environment %q, formerly %v", q.Environment, q.Former)
	}
}

// Two branches that were one environment are two, and each commit has one
// request in each.
func TestBranchesThatLookAlikeAreApart(t *testing.T) {
	r := mustNew(t, with(func(r *Route) { r.Environment = "dev-{{ .Branch | slug }}" }))
	ids, environments := map[string]string{}, map[string]string{}
	for _, branch := range []string{"feature/x", "feature-x", "Feature/x", "feature_x", "feature.x", "feature/ü", "feature/u\u0308", "feature/u", strings.Repeat("a", 100), strings.Repeat("a", 101)} {
		q := r.Plan(pushOf(branch, 1)).Requests[0]
		if other, taken := ids[q.ID]; taken {
			t.Errorf("%q and %q: one request %s", other, branch, q.ID)
		}
		if other, taken := environments[q.Environment]; taken {
			t.Errorf("%q and %q: one environment %s", other, branch, q.Environment)
		}
		ids[q.ID], environments[q.Environment] = branch, branch
	}
}

func TestEnvironmentTemplateForTags(t *testing.T) {
	for name, row := range map[string]struct {
		template string
		on, tags []string
		branches []string
		want     string // in the error; empty: there is none
	}{
		"default":                   {"{{ .Branch | default .Tag | slug }}", nil, []string{"v*"}, []string{"main"}, ""},
		"or":                        {"{{ or .Branch .Tag }}", nil, []string{"v*"}, []string{"main"}, ""},
		"both beside each other":    {"dev-{{ .Branch }}{{ .Tag }}", nil, []string{"v*"}, []string{"main"}, ""},
		"a text instead":            {`dev-{{ .Branch | default "release" }}`, nil, []string{"v*"}, []string{"main"}, ""},
		"if":                        {"{{ if .Branch }}dev-{{ .Branch | slug }}{{ else }}release{{ end }}", nil, []string{"v*"}, []string{"main"}, ""},
		"if tag":                    {"{{ if .Tag }}{{ .Tag | slug }}{{ else }}dev-{{ .Branch | slug }}{{ end }}", nil, []string{"v*"}, []string{"main"}, ""},
		"if not":                    {"{{ if not .Branch }}release{{ else }}dev-{{ .Branch | slug }}{{ end }}", nil, []string{"v*"}, []string{"main"}, ""},
		"fixed":                     {"{{ .Owner }}-production", nil, []string{"v*"}, nil, ""},
		"tags alone":                {"{{ .Tag | slug }}", nil, []string{"v*"}, nil, ""},
		"pull requests beside tags": {`{{ if eq .Event "pull_request" }}pr-{{ .PullRequest }}{{ else }}{{ .Tag | slug }}{{ end }}`, []string{"push", "pull_request"}, []string{"v*"}, nil, ""},
		"no tags":                   {"dev-{{ .Branch | slug }}", nil, nil, nil, ""},

		"branch alone":            {"dev-{{ .Branch | slug }}", nil, []string{"v*"}, []string{"main"}, "{{.Branch | slug}}: for a tag, .Branch is empty; write {{ .Branch | default .Tag | slug }}"},
		"branch as it is":         {"dev-{{ .Branch }}", nil, []string{"v*"}, nil, "for a tag, .Branch is empty"},
		"branch alone on delete":  {"dev-{{ .Branch }}", []string{"delete"}, []string{"v*"}, nil, "for a tag, .Branch is empty"},
		"slug of each":            {"{{ .Branch | slug }}-{{ .Tag | slug }}", nil, []string{"v*"}, []string{"main"}, "for a branch, .Tag is empty"},
		"tag alone":               {"dev-{{ .Tag | slug }}", nil, []string{"v*"}, []string{"main"}, "for a branch, .Tag is empty; write {{ .Branch | default .Tag | slug }}"},
		"tag without tags":        {"dev-{{ .Tag | slug }}", nil, nil, nil, "for a branch, .Tag is empty; a tag comes only to a route with tags"},
		"pull request, tag alone": {"dev-{{ .Tag }}", []string{"push", "pull_request"}, []string{"v*"}, nil, "for a branch, .Tag is empty"},
		"no name for a tag":       {"{{ if .Tag }}-{{ else }}dev{{ end }}", nil, []string{"v*"}, nil, "for a tag it gives no name"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(with(func(r *Route) {
				r.Environment, r.On, r.Tags, r.Branches = row.template, row.on, row.tags, row.branches
			}))
			switch {
			case row.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("error %v does not say %q", err, row.want)
			}
		})
	}
}

func TestWarningsOfTemplatesThatMakeBranchesEqual(t *testing.T) {
	const instead = "let slug see the name first: {{ .Branch | slug }}, which ends in a hash when it loses something"
	for name, row := range map[string]struct {
		change func(*Route)
		want   []string
	}{
		"slug":                 {environmentIs("dev-{{ .Branch | slug }}"), nil},
		"as it is":             {environmentIs("dev-{{ .Branch }}"), nil},
		"lower after slug":     {environmentIs("dev-{{ .Branch | slug | upper }}"), nil},
		"underscores for slug": {environmentIs(`dev_{{ .Branch | slug | replace "-" "_" }}`), nil},
		"of the repository":    {environmentIs(`{{ .Repository | lower | replace "/" "-" }}`), nil},
		"told elsewhere":       {environmentIs(`{{ .Branch | lower }}/{{ .Branch | slug }}`), nil},
		"told around an if":    {environmentIs(`{{ .Branch | slug }}{{ if .PullRequest }}-{{ .Branch | upper }}{{ end }}`), nil},
		"in a condition":       {environmentIs(`{{ if eq (.Branch | lower) "main" }}prod{{ else }}dev{{ end }}`), nil},
		"default":              {environmentIs(`dev-{{ .Branch | default "x" | slug }}`), nil},
		"prefix of all": {func(r *Route) {
			r.Branches, r.Environment = []string{"feature/**", "!feature/wip"}, `dev-{{ .Branch | trimPrefix "feature/" | slug }}`
		}, nil},

		"lower":         {environmentIs(`dev-{{ .Branch | lower | replace "/" "-" }}`), []string{`{{.Branch | lower | replace "/" "-"}}: lower can give two branches one environment; ` + instead}},
		"before slug":   {environmentIs("dev-{{ .Branch | upper | slug }}"), []string{"{{.Branch | upper | slug}}: upper can give two branches one environment; " + instead}},
		"in brackets":   {environmentIs("dev-{{ slug (lower .Branch) }}"), []string{"{{slug (lower .Branch)}}: lower can give two branches one environment; " + instead}},
		"after slug":    {environmentIs(`dev-{{ .Branch | slug | replace "-" "" }}`), []string{`{{.Branch | slug | replace "-" ""}}: replace can give two branches one environment; ` + instead}},
		"only in an if": {environmentIs(`{{ if .PullRequest }}{{ .Branch | slug }}{{ else }}{{ .Branch | lower }}{{ end }}`), []string{"{{.Branch | lower}}: lower can give two branches one environment; " + instead}},
		"prefix of one": {func(r *Route) {
			r.Branches, r.Environment = []string{"feature/**", "hotfix/**"}, `dev-{{ .Branch | trimPrefix "feature/" | slug }}`
		}, []string{`{{.Branch | trimPrefix "feature/" | slug}}: trimPrefix can give two branches one environment; ` + instead}},
		"prefix that may be left out": {func(r *Route) {
			r.Branches, r.Environment = []string{"feature/?x"}, `dev-{{ .Branch | trimPrefix "feature/" | slug }}`
		}, []string{`{{.Branch | trimPrefix "feature/" | slug}}: trimPrefix can give two branches one environment; ` + instead}},
		"base branch": {func(r *Route) {
			r.On, r.Environment = []string{"pull_request"}, `to-{{ .BaseBranch | lower }}`
		}, []string{`{{.BaseBranch | lower}}: lower can give two branches one environment; let slug see the name first: {{ .BaseBranch | slug }}, which ends in a hash when it loses something`}},
		"tag": {func(r *Route) {
			r.Tags, r.Environment = []string{"**"}, `{{ .Tag | trimPrefix "v" }}`
		}, []string{`{{.Tag | trimPrefix "v"}}: trimPrefix can give two tags one environment; let slug see the name first: {{ .Tag | slug }}, which ends in a hash when it loses something`}},
		"either": {func(r *Route) {
			r.Branches, r.Tags, r.Environment = []string{"main"}, []string{"v*"}, `{{ .Branch | default .Tag | lower }}`
		}, []string{`{{.Branch | default .Tag | lower}}: lower can give two branches one environment; let slug see the name first: {{ .Branch | default .Tag | slug }}, which ends in a hash when it loses something`}},
		"short": {environmentIs("dev-{{ .Branch | slug 4 }}"), []string{"{{.Branch | slug 4}}: 4 characters leave slug too little room to keep two branches apart; give it at least 9"}},
	} {
		t.Run(name, func(t *testing.T) {
			var want []string
			for _, w := range row.want {
				want = append(want, `routes[0] "all": environment: `+w)
			}
			if diff := cmp.Diff(want, mustNew(t, with(row.change)).Warnings()); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func environmentIs(text string) func(*Route) { return func(r *Route) { r.Environment = text } }

// What the warnings and errors suggest is itself without one.
func TestWarningsSuggestWhatIsFine(t *testing.T) {
	for text, tags := range map[string][]string{"{{ .Branch | slug }}": nil, "{{ .Branch | default .Tag | slug }}": {"**"}} {
		r := mustNew(t, with(func(r *Route) { r.Branches, r.Tags, r.Environment = []string{"**"}, tags, text }))
		if w := r.Warnings(); len(w) != 0 {
			t.Errorf("%s: %q", text, w)
		}
	}
}

func TestEnvironmentNoteSaysWhereTheHashComesFrom(t *testing.T) {
	r := mustNew(t, Config{Routes: []Route{
		{Name: "a", StateMachine: "s", Environment: "dev-{{ .Branch | slug }}"},
		{Name: "b", StateMachine: "s", Environment: "dev-{{ .Branch | slug 20 }}-{{ .Author | slug }}"},
		{Name: "c", StateMachine: "s", Environment: "acceptance"},
	}})
	for _, row := range []struct{ branch, author, route, want string }{
		{"feature-x", "ada", "a", ""},
		{"feature/x", "ada", "a", `slug cannot keep "/" of "feature/x"; the hash 217d2bf keeps it apart from names that look alike`},
		{"feature/Login_2", "ada", "a", `slug cannot keep upper case, "/" and "_" of "feature/Login_2"; the hash 95324ef keeps it apart from names that look alike`},
		{"a--b", "ada", "a", `slug cannot keep dashes at an end or beside each other of "a--b"; the hash 90827a2 keeps it apart from names that look alike`},
		{"feature-with-a-long-name", "ada", "b", `slug cannot keep more than 20 characters of "feature-with-a-long-name"; the hash 0618c10 keeps it apart from names that look alike`},
		{"x", "Ada", "b", `slug cannot keep upper case of "Ada"; the hash 99a563a keeps it apart from names that look alike`},
		{"x", "", "b", `slug was given an empty name and made "x-e3b0c44" of it`},
		{"a!b@c#d%e", "ada", "a", `slug cannot keep "!", "@", "#" and "%" of "a!b@c#d%e"; the hash 8c30579 keeps it apart from names that look alike`},
		{"a!b@c#d%e,\x1b", "ada", "a", `slug cannot keep "!", "@", "#", "%" and other characters of "a!b@c#d%e,\x1b"; the hash d2527cb keeps it apart from names that look alike`},
		{"feature/x", "Ada", "c", ""},
		{"feature/x", "Ada", "unknown", ""},
	} {
		ev := pushOf(row.branch, 1)
		ev.Commits[0].Author = row.author
		q := event.Request{Route: row.route, Commit: ev.Commits[0]}
		if got := r.EnvironmentNote(ev, &q); got != row.want {
			t.Errorf("route %s, %q by %q:\n got %s\nwant %s", row.route, row.branch, row.author, got, row.want)
		}
	}
}

func TestSamples(t *testing.T) {
	r := mustNew(t, Config{Routes: []Route{
		{Name: "all", StateMachine: "s", Environment: "dev-{{ .Branch | slug }}"},
		{Name: "fixed", StateMachine: "s", Environment: "acceptance"},
		{Name: "none", StateMachine: "s"},
		{Name: "one", StateMachine: "s", Branches: []string{"main"}, Environment: "{{ .Branch }}"},
		{Name: "hotfix", StateMachine: "s", On: []string{"delete", "push"}, Branches: []string{"hotfix/**"}, Environment: "dev-{{ .Branch | slug }}"},
		{Name: "tags", StateMachine: "s", Tags: []string{"release-*"}, Environment: "{{ .Tag }}"},
		{Name: "both", StateMachine: "s", On: []string{"pull_request", "push"}, Branches: []string{"**"}, Tags: []string{"v*"}, Environment: "{{ .Event }}/{{ .Branch | default .Tag | slug }}"},
	}})
	want := []Sample{
		{Route: "all", Event: "push", Branch: "feature/Login_2", Environment: "dev-feature-login-2-95324ef", Note: `slug cannot keep upper case, "/" and "_" of "feature/Login_2"; the hash 95324ef keeps it apart from names that look alike`},
		{Route: "one", Event: "push", Branch: "main", Environment: "main"},
		{Route: "hotfix", Event: "delete", Branch: "hotfix/Login_2", Environment: "dev-hotfix-login-2-a3ea475", Note: `slug cannot keep upper case, "/" and "_" of "hotfix/Login_2"; the hash a3ea475 keeps it apart from names that look alike`},
		{Route: "tags", Event: "push", Tag: "release-v1.2.0", Environment: "release-v1.2.0"},
		{Route: "both", Event: "pull_request", Branch: "feature/Login_2", Environment: "pull_request/feature-login-2-95324ef", Note: `slug cannot keep upper case, "/" and "_" of "feature/Login_2"; the hash 95324ef keeps it apart from names that look alike`},
		{Route: "both", Event: "push", Tag: "v1.2.0", Environment: "push/v1-2-0-34bd659", Note: `slug cannot keep "." of "v1.2.0"; the hash 34bd659 keeps it apart from names that look alike`},
	}
	if diff := cmp.Diff(want, r.Samples()); diff != "" {
		t.Errorf("samples (-want +got):\n%s", diff)
	}
}
