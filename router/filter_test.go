package router

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func filterOf(t testing.TB, of subject, texts ...string) filter {
	t.Helper()
	var p problems
	f := compileFilter(of, texts, &p)
	if err := p.err(); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFilterLastMatchDecides(t *testing.T) {
	// The lists of the cheat sheet's last two rows.
	for _, row := range []struct {
		of       subject
		texts    []string
		passes   []string
		declines []string
	}{
		{ofPath, []string{"*.md", "!README.md"}, []string{"hello.md"}, []string{"README.md", "docs/hello.md"}},
		{ofPath, []string{"*.md", "!README.md", "README*"}, []string{"hello.md", "README.md", "README.doc"}, []string{"docs/README.md"}},
		{ofBranch, []string{"releases/**", "!releases/**-alpha"}, []string{"releases/10", "releases/beta/mona"}, []string{"releases/10-alpha", "releases/beta/3-alpha"}},
		{ofBranch, nil, []string{"anything", ""}, nil},
		{ofBranch, []string{"Main"}, []string{"Main"}, []string{"main"}},
		{ofRepository, []string{"Acme/[A-C]*"}, []string{"ACME/api", "acme/Bpi"}, []string{"acme/dpi", "acme/a/b"}},
		{ofAuthor, []string{"dependabot[bot]", "*-ci"}, []string{"Dependabot[bot]", "x-CI"}, []string{"dependabotb", "dependabot"}},
	} {
		f := filterOf(t, row.of, row.texts...)
		for _, s := range row.passes {
			if _, ok := f.decide(s); !ok {
				t.Errorf("%q declines %q: %s", row.texts, s, f.explain(s))
			}
		}
		for _, s := range row.declines {
			if _, ok := f.decide(s); ok {
				t.Errorf("%q passes %q", row.texts, s)
			}
		}
	}
}

func TestFilterExplains(t *testing.T) {
	for _, row := range []struct {
		of    subject
		texts []string
		s     string
		want  string
	}{
		{ofBranch, []string{"feature/*"}, "feature/a/b", `branch "feature/a/b" does not match "feature/*": "*" stops at "/"; "feature/**" would match`},
		{ofBranch, []string{"*/*-x"}, "a/b/c-x", `branch "a/b/c-x" does not match "*/*-x": "*" stops at "/"; "**/*-x" would match`},
		{ofBranch, []string{"a*b*c"}, "a/b/c", `branch "a/b/c" does not match "a*b*c": "*" stops at "/"; "a**b**c" would match`},
		{ofBranch, []string{"v?"}, "v1", `branch "v1" does not match "v?": "?" makes the character before it optional and stands for none itself; "v*" would match`},
		{ofBranch, []string{"main", "Feature/*"}, "feature/x", `branch "feature/x" does not match "Feature/*": upper and lower case differ`},
		{ofPath, []string{"src"}, "src/a.go", `path "src/a.go" does not match "src": a pattern must match the whole name; "src/**" would match`},
		{ofRepository, []string{"API"}, "acme/api", `repository "acme/api" does not match "API": the owner is part of the name; "*/API" would match`},
		{ofBranch, []string{"feature/*", "!feature/a/**"}, "feature/a/b", `branch "feature/a/b" is taken out by "!feature/a/**"`},
		{ofBranch, []string{"feature/*", "!*/x", "!**/y"}, "feature/a/z", `branch "feature/a/z" does not match "feature/*": "*" stops at "/"; "feature/**" would match`},
		{ofBranch, []string{"main"}, "x\x1b[2J\u202e", `branch "x\x1b[2J\u202e" does not match "main"`},
		{ofBaseBranch, []string{"main", "release"}, "x", `base branch "x" matches none of "main", "release"`},
		{ofAuthor, []string{"ada"}, "", `author "" does not match "ada"`},
	} {
		f := filterOf(t, row.of, row.texts...)
		if got := f.explain(row.s); got != row.want {
			t.Errorf("%q on %q:\n got %s\nwant %s", row.texts, row.s, got, row.want)
		}
	}
}

// A claim that a pattern is dead is held against every short subject, and so is
// the absence of one.
func TestDeadPatternsAgainstAllSubjects(t *testing.T) {
	const letters = "ab/"
	var subjects []string
	last := []string{""}
	for range 6 {
		var next []string
		for _, s := range last {
			for _, c := range letters {
				next = append(next, s+string(c))
			}
		}
		subjects = append(subjects, next...)
		last = next
	}
	rng := rand.New(rand.NewPCG(1, 2))
	parts := []string{"a", "b", "/", "*", "**", "**/", "[ab]", "a?", "b+"}
	random := func() string {
		var b strings.Builder
		for range 1 + rng.IntN(3) {
			b.WriteString(parts[rng.IntN(len(parts))])
		}
		return b.String()
	}
	claims := 0
	for range 400 {
		var f filter
		for i := range 2 + rng.IntN(3) {
			text := random()
			p, err := CompilePattern(text)
			if err != nil {
				t.Fatal(err)
			}
			f.rules = append(f.rules, rule{Pattern: p, text: text, negate: i > 0 && rng.IntN(2) == 0})
		}
		dead, settled := f.dead()
		if !settled {
			t.Fatalf("not settled: %v", texts(&f))
		}
		for i, r := range f.rules {
			if r.negate {
				continue
			}
			alive := false
			for _, s := range subjects {
				if _, passes := f.decide(s); passes && r.Match(s) {
					// It still decides unless a ! after it took s out and
					// another put it back.
					out := slices.ContainsFunc(f.rules[i+1:], func(l rule) bool { return l.negate && l.Match(s) })
					alive = alive || !out
				}
			}
			if claimed := slices.Contains(dead, i); claimed == alive {
				t.Errorf("%q: [%d] claimed dead: %v, decides some subject: %v", texts(&f), i, claimed, alive)
			}
			if !alive {
				claims++
			}
		}
	}
	if claims < 20 {
		t.Errorf("only %d dead patterns among the lists", claims)
	}
}

func texts(f *filter) []string {
	var out []string
	for _, r := range f.rules {
		text := r.text
		if r.negate {
			text = "!" + text
		}
		out = append(out, text)
	}
	return out
}

func TestDeadGivesUpRatherThanSearchForever(t *testing.T) {
	var f filter
	for _, text := range []string{"**a[ab][ab][ab][ab][ab][ab][ab][ab][ab][ab][ab][ab][ab][ab]", "**b[ab][ab][ab][ab][ab][ab][ab][ab][ab][ab][ab][ab][ab][ab][ab][ab]x"} {
		p, err := CompilePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		f.rules = append(f.rules, rule{Pattern: p, text: text, negate: len(f.rules) > 0})
	}
	if dead, settled := f.dead(); settled || dead != nil {
		t.Errorf("dead = %v, %v", dead, settled)
	}
}

// Random patterns over few letters match often, unlike a fuzzer's.
func TestPatternsAgreeWithReferenceWhereTheyMatch(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	parts := []string{"a", "b", "/", "é", "*", "**", "**/", "/**/", "[ab]", "a?", "b+", "/?", "é+"}
	matched := 0
	for range 5000 {
		var b, s strings.Builder
		for range 1 + rng.IntN(6) {
			b.WriteString(parts[rng.IntN(len(parts))])
		}
		p, err := CompilePattern(b.String())
		if err != nil {
			continue // "*" and "*/+" joined, for example
		}
		re := reference(b.String())
		for range 20 {
			s.Reset()
			for range rng.IntN(7) {
				s.WriteString([]string{"a", "b", "/", "é"}[rng.IntN(4)])
			}
			got, want := p.Match(s.String()), re.MatchString(s.String())
			if got != want {
				t.Fatalf("%q on %q: %v, the reference says %v", p, s.String(), got, want)
			}
			if got {
				matched++
			}
		}
	}
	if matched < 5000 {
		t.Errorf("only %d matches tried", matched)
	}
}

func BenchmarkFilterExplain(b *testing.B) {
	f := filterOf(b, ofBranch, "main", "release/*", "feature/*", "!feature/x/**")
	b.ReportAllocs()
	for b.Loop() {
		if f.explain("feature/a/b") == "" {
			b.Fatal("no reason")
		}
	}
}
