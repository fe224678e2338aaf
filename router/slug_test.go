package router

import (
	"regexp"
	"strings"
	"testing"
)

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
