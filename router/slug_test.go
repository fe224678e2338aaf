package router

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// isLabel reports whether s is RFC 1123's label in lower case: what uniqueSlug
// may give.
func isLabel(s string) bool {
	inner := strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
	return inner && s != "" && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-'
}

func TestSlug(t *testing.T) {
	for _, row := range []struct {
		s     string
		limit int
		want  string
	}{
		{"feature/ABC-12_x", maxSlug, "feature-abc-12-x"},
		{"--a//b..", maxSlug, "a-b"},
		{"größe", maxSlug, "gr-e"},
		{strings.Repeat("ab", 40), maxSlug, strings.Repeat("ab", 31) + "a"},
		{"abc-def", 4, "abc"},
		{"abc-def", 5, "abc-d"},
		{"a-b", 1, "a"},
		{"日本語", maxSlug, "x-77710aed"},
		{"日本", maxSlug, "x-cf2abf0c"},
		{"", maxSlug, "x-e3b0c442"},
		{"日本語", 2, "x"},
	} {
		if got := slug(row.s, row.limit); got != row.want {
			t.Errorf("slug(%q, %d) = %q, want %q", row.s, row.limit, got, row.want)
		}
	}
}

// The names are those of environments that exist: a change of the rule would
// set up every one of them anew.
func TestUniqueSlugIsPinned(t *testing.T) {
	for _, row := range []struct {
		s     string
		limit int
		want  string
	}{
		{"main", maxSlug, "main"},
		{"fix-1234567", maxSlug, "fix-1234567"},
		{"feature-x", maxSlug, "feature-x"},
		{"feature/x", maxSlug, "feature-x-217d2bf"},
		{"Feature/x", maxSlug, "feature-x-2bbbaa2"},
		{"a_b", maxSlug, "a-b-648fa9b"},
		{"a--b", maxSlug, "a-b-90827a2"},
		{"-a", maxSlug, "a-c274891"},
		{"日本語", maxSlug, "x-77710ae"},
		{"", maxSlug, "x-e3b0c44"},
		{strings.Repeat("a", 63), maxSlug, strings.Repeat("a", 63)},
		{strings.Repeat("a", 64), maxSlug, strings.Repeat("a", 55) + "-ffe054f"},
		{strings.Repeat("a", 54) + "/b", maxSlug, strings.Repeat("a", 54) + "-7f12fec"},
		{"abcdefghij", 9, "a-7239936"},
		{"abcdefghij", 8, "72399361"},
		{"abcdefghij", 3, "723"},
		{"abc", 3, "abc"},
		{"a/b", 1, "c"},
	} {
		got, lost := uniqueSlug(row.s, row.limit)
		if got != row.want || lost != (got != row.s) {
			t.Errorf("uniqueSlug(%q, %d) = %q, %v, want %q", row.s, row.limit, got, lost, row.want)
		}
	}
}

// similar makes names that the letters and digits of a slug alone do not tell
// apart.
func similar(base string) []string {
	names := map[string]bool{}
	var out []string
	add := func(s string) {
		if !names[s] {
			names[s] = true
			out = append(out, s)
		}
	}
	for _, sep := range []string{"-", "/", "_", ".", "--", "-/", "/-", "·", "é", "e\u0301", "ü", "u\u0308", "日", "+", "#"} {
		joined := strings.ReplaceAll(base, "-", sep)
		for _, name := range []string{joined, strings.ToUpper(joined), strings.ToUpper(joined[:1]) + joined[1:]} {
			for _, end := range []string{"", "-", "/", "_", strings.Repeat("x", 200)} {
				add(name + end)
			}
			add("-" + name)
		}
	}
	return out
}

func TestDifferentBranchesHaveDifferentSlugs(t *testing.T) {
	from := map[string]string{}
	n := 0
	for i := 0; n < 200_000; i++ {
		base := fmt.Sprintf("feature-team-%d-ticket-%d", i%7, i)
		for _, s := range similar(base) {
			n++
			got, _ := uniqueSlug(s, maxSlug)
			if !isLabel(got) || !validEnvironment(got) {
				t.Fatalf("uniqueSlug(%q) = %q, which is not a name", s, got)
			}
			if other, taken := from[got]; taken && other != s {
				t.Fatalf("%q and %q are both %q", other, s, got)
			}
			from[got] = s
		}
	}
}

// Long names of one beginning differ only in what is cut.
func TestLongBranchesHaveDifferentSlugs(t *testing.T) {
	from := map[string]string{}
	for i := range 2000 {
		s := strings.Repeat("long-prefix/", 17)[:200] + fmt.Sprint(i)
		got, _ := uniqueSlug(s, maxSlug)
		if other, taken := from[got]; taken || len(got) > maxSlug {
			t.Fatalf("%q and %q are both %q", other, s, got)
		}
		from[got] = s
	}
}

func FuzzSlugIsAlwaysAName(f *testing.F) {
	rule := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	f.Add("feature/x", 63)
	f.Add("日本語", 3)
	f.Add("a--\xff", 1)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		if limit < 1 || limit > maxSlug {
			return
		}
		if got := slug(s, limit); !rule.MatchString(got) || len(got) > limit {
			t.Errorf("slug(%q, %d) = %q", s, limit, got)
		}
	})
}

func FuzzUniqueSlug(f *testing.F) {
	f.Add("feature/x", "feature-x", 63)
	f.Add("Feature/x", "feature/x", 20)
	f.Add("e\u0301", "é", 9)
	f.Add("a--b", "a-b", 63)
	f.Add("\xff", "\xfe", 12)
	f.Add("", "-", 63)
	f.Fuzz(func(t *testing.T, a, b string, limit int) {
		if limit < 1 || limit > maxSlug {
			return
		}
		slugA, lostA := uniqueSlug(a, limit)
		slugB, lostB := uniqueSlug(b, limit)
		for _, got := range []string{slugA, slugB} {
			if !isLabel(got) || len(got) > limit {
				t.Errorf("%q is not a name of at most %d characters", got, limit)
			}
		}
		if again, _ := uniqueSlug(a, limit); again != slugA {
			t.Errorf("uniqueSlug(%q, %d) = %q, then %q", a, limit, slugA, again)
		}
		if lostA == (slugA == a) {
			t.Errorf("uniqueSlug(%q, %d) = %q, lost %v", a, limit, slugA, lostA)
		}
		// Names that are shown whole differ as they do; two hashes of full
		// length agree by an accident that no fuzzer finds in a sitting.
		if a != b && slugA == slugB && lostA == lostB && limit > hashInSlug+1 {
			t.Errorf("%q and %q are both %q", a, b, slugA)
		}
	})
}
