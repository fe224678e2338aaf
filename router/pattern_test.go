package router

import (
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// The rows are the examples of GitHub's "Filter pattern cheat sheet", and what
// follows from its rules.
func TestPatternMatchesAsDocumented(t *testing.T) {
	for _, row := range []struct {
		pattern  string
		matches  []string
		declines []string
	}{
		{"feature/*", []string{"feature/my-branch", "feature/your-branch", "feature/"}, []string{"feature/a/b", "feature", "xfeature/a"}},
		{"feature/**", []string{"feature/beta-a/my-branch", "feature/your-branch", "feature/mona/the/octocat"}, []string{"feature", "features/x"}},
		{"main", []string{"main"}, []string{"main2", "mai", "Main", "x/main", ""}},
		{"releases/mona-the-octocat", []string{"releases/mona-the-octocat"}, nil},
		{"*", []string{"main", "releases", "README.md", "server.rb"}, []string{"all/the/branches"}},
		{"**", []string{"all/the/branches", "every/tag", "all/the/files.md"}, nil},
		{"*feature", []string{"mona-feature", "feature", "ver-10-feature"}, []string{"mona/feature", "features"}},
		{"v2*", []string{"v2", "v2.0", "v2.9"}, []string{"v1", "v2/0"}},
		{"v[12].[0-9]+.[0-9]+", []string{"v1.10.1", "v2.0.0"}, []string{"v3.0.0", "v1.0", "v1..1", "v1.a.1"}},
		{"*.jsx?", []string{"page.js", "page.jsx"}, []string{"page.jsxx", "page.jsy", "src/page.js"}},
		{"*.js", []string{"app.js", "index.js"}, []string{"js/index.js"}},
		{"**.js", []string{"index.js", "js/index.js", "src/js/app.js"}, []string{"index.jsx"}},
		{"docs/*", []string{"docs/README.md", "docs/file.txt"}, []string{"docs/a/b.md"}},
		{"docs/**", []string{"docs/README.md", "docs/mona/octocat.txt"}, []string{"a/docs/README.md"}},
		{"docs/**/*.md", []string{"docs/README.md", "docs/mona/hello-world.md", "docs/a/markdown/file.md"}, []string{"docs/README.txt", "docsREADME.md"}},
		{"**/docs/**", []string{"docs/hello.md", "dir/docs/my-file.txt", "space/docs/plan/space.doc"}, []string{"mydocs/hello.md", "docs"}},
		{"**/README.md", []string{"README.md", "js/README.md"}, []string{"jsREADME.md"}},
		{"**/*src/**", []string{"a/src/app.js", "my-src/code/js/app.js"}, []string{"a/srcs/app.js"}},
		{"**/*-post.md", []string{"my-post.md", "path/their-post.md"}, []string{"post.md"}},
		{"**/migrate-*.sql", []string{"migrate-10909.sql", "db/migrate-v1.0.sql", "db/sept/migrate-v1.sql"}, []string{"db/migrate-a/b.sql"}},
		{"Octo*", []string{"Octocat", "Octo"}, []string{"Octo/cat", "octocat"}},
		{"[CB]at", []string{"Cat", "Bat"}, []string{"at", "cat", "CBat"}},
		{"[1-2]00", []string{"100", "200"}, []string{"300", "1-00"}},
		{"a[b-d]?c", []string{"ac", "abc", "adc"}, []string{"abbc", "aec"}},
		{"a!b", []string{"a!b"}, nil},
		{`\!a\*\?\[b\]\\`, []string{`!a*?[b]\`}, []string{`!aa?[b]\`}},
		{"feature**x", []string{"featurex", "feature/x", "feature/a/bx"}, nil},
		{"feature**/x", []string{"feature/x", "featurea/b/x"}, []string{"featurex"}},
		{"a/**/b", []string{"a/b", "a/x/b", "a/x/y/b"}, []string{"ab", "a/xb"}},
		{"é?x+", []string{"x", "éx", "éxxx"}, []string{"ééx", "é", "\xc3x"}},
		{"日本*", []string{"日本語"}, []string{"日/本"}},
		{"*/+b", []string{"a/b", "a///b", "/b"}, []string{"ab", "a/c/b"}},
		{"[a]]", []string{"a]"}, nil},
	} {
		p, err := CompilePattern(row.pattern)
		if err != nil {
			t.Errorf("CompilePattern(%q): %v", row.pattern, err)
			continue
		}
		for _, s := range row.matches {
			if !p.Match(s) {
				t.Errorf("%q does not match %q", row.pattern, s)
			}
		}
		for _, s := range row.declines {
			if p.Match(s) {
				t.Errorf("%q matches %q", row.pattern, s)
			}
		}
	}
}

func TestCompilePatternRefuses(t *testing.T) {
	for pattern, want := range map[string]string{
		"":                        "an empty pattern",
		"!a":                      `write "\!"`,
		"?":                       "no character before it",
		"+a":                      "no character before it",
		"a*?":                     "no character before it",
		"a?+":                     "no character before it",
		"[":                       `without its "]"`,
		"a[]":                     "lists no character",
		"[!a]":                    "cannot be negated",
		"[^a]":                    "cannot be negated",
		"[._]":                    "only letters, digits",
		"[z-a]":                   "is no range",
		"[a-Z]":                   "is no range",
		`a\`:                      "escapes nothing",
		`\d+`:                     "has no meaning",
		"a\xff":                   "UTF-8",
		strings.Repeat("ab", 300): "at most 504",
	} {
		if _, err := CompilePattern(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("CompilePattern(%.20q) = %v, want it to say %q", pattern, err, want)
		}
	}
}

// reference translates a pattern to a regular expression, sharing no code with
// the matcher. It returns nil for what it does not understand.
func reference(pattern string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	rs := []rune(pattern)
	name := true // at the start of a path's name
	for i := 0; i < len(rs); i++ {
		atName := name
		name = false
		switch c := rs[i]; c {
		case '*':
			n := 1
			for i+1 < len(rs) && rs[i+1] == '*' {
				n, i = n+1, i+1
			}
			switch {
			case n == 1:
				b.WriteString(`[^/]*`)
			case atName && i+1 < len(rs) && rs[i+1] == '/' && (i+2 == len(rs) || rs[i+2] != '?' && rs[i+2] != '+'):
				b.WriteString(`(?:.*/)?`)
				i++
				name = true
			default:
				b.WriteString(`.*`)
			}
		case '?', '+':
			b.WriteRune(c)
		case '[':
			end := strings.IndexRune(string(rs[i:]), ']')
			if end < 0 {
				return nil
			}
			b.WriteString(string(rs[i:])[:end+1])
			i += utf8.RuneCountInString(string(rs[i:])[:end])
		case '\\':
			i++
			if i == len(rs) {
				return nil
			}
			b.WriteString(regexp.QuoteMeta(string(rs[i])))
			name = rs[i] == '/' && (i+1 == len(rs) || rs[i+1] != '?' && rs[i+1] != '+')
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
			name = c == '/' && (i+1 == len(rs) || rs[i+1] != '?' && rs[i+1] != '+')
		}
	}
	b.WriteString(`\z`)
	re, err := regexp.Compile(b.String())
	if err != nil {
		return nil
	}
	return re
}

func FuzzPatternAgreesWithReference(f *testing.F) {
	for _, s := range [][2]string{
		{"feature/**", "feature/a/b"}, {"v[12].[0-9]+.[0-9]+", "v1.10.1"}, {"**/a?b+/**/*.md", "a/b/c.md"},
		{"*a*b*c*", "xaxbxc"}, {"**/**/x", "x"}, {"a/**/b", "a/x/b"}, {"é?*", "é"}, {`\*`, "*"}, {"*/+?", "a//"},
		{"**/?x", "/x"}, {"***/x", "x"}, {"/?**/x", "x"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		p, err := CompilePattern(pattern)
		if err != nil || len(s) > 1000 {
			return
		}
		re := reference(pattern)
		if re == nil {
			t.Fatalf("%q compiles, and the reference does not understand it", pattern)
		}
		want := re.MatchString(s)
		if got := p.Match(s); got != want {
			t.Fatalf("%q on %q: %v, the reference says %v (%s)", pattern, s, got, want, re)
		}
		if rest, ok := strings.CutPrefix(s, p.prefix); ok && p.runWide(rest) != want {
			t.Fatalf("%q on %q: the wide automaton does not say %v (%s)", pattern, s, want, re)
		}
	})
}

// A matcher that backtracks needs years for these.
func TestPatternMatchIsLinear(t *testing.T) {
	for _, pattern := range []string{strings.Repeat("*a", 100), strings.Repeat("**/a+", 60) + "x", strings.Repeat("a?", 200)} {
		p, err := CompilePattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		p.Match(strings.Repeat("a", 10_000))
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("%.20q… took %v", pattern, d)
		}
	}
}

func TestPatternMatchDoesNotAllocate(t *testing.T) {
	p, err := CompilePattern("**/a?b+/**/*.[mM]d")
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { p.Match("one/two/ab/three/four.md") }); n != 0 {
		t.Errorf("Match allocates %v times", n)
	}
}

func BenchmarkPatternMatch(b *testing.B) {
	for _, row := range [][2]string{
		{"feature/**", "feature/a/b-and-c"}, {"feature/*", "feature/a-and-b-and-c"},
		{"**/*.md", "docs/a/markdown/file.md"}, {"api/**/v[0-9]+/*_test.go", "api/users/v12/list_test.go"},
	} {
		b.Run(strings.ReplaceAll(row[0], "/", ":"), func(b *testing.B) {
			p, err := CompilePattern(row[0])
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if !p.Match(row[1]) {
					b.Fatal("no match")
				}
			}
		})
		b.Run("regexp:"+strings.ReplaceAll(row[0], "/", ":"), func(b *testing.B) {
			re := reference(row[0])
			b.ReportAllocs()
			for b.Loop() {
				if !re.MatchString(row[1]) {
					b.Fatal("no match")
				}
			}
		})
	}
}
