package cloneurl

import "testing"

func TestSame(t *testing.T) {
	const want = "https://github.com/acme/api.git"
	for _, same := range []string{
		want, "https://GitHub.com:443/acme/api", "HTTPS://github.com/acme/api.git/", "https://github.com/acme/api/",
	} {
		if !Same(same, want) {
			t.Errorf("%s is not the same", same)
		}
	}
	for _, other := range []string{
		"", "::", "http://github.com/acme/api.git", "https://github.com:80/acme/api.git", "https://github.com/acme/API.git",
		"https://github.com/acme/api.git?x", "https://github.com/acme/api.git#x", "https://u@github.com/acme/api.git",
		"https://github.com.evil/acme/api.git", "/acme/api.git", "acme/api.git", "https:github.com/acme/api.git",
	} {
		if Same(other, want) || Same(want, other) {
			t.Errorf("%s is the same", other)
		}
	}
}

func TestBelow(t *testing.T) {
	for _, tc := range []struct{ url, base, name string }{
		{"https://github.com/acme/api.git", "https://github.com", "acme/api"},
		{"https://GITHUB.com:443/acme/api", "https://github.com/", "acme/api"},
		{"https://h:8443/git/a/b/c.git", "https://h:8443/git", "a/b/c"},
		{"https://h/a%20b/c.git", "https://h", "a b/c"},
		{"https://h/all.git/a/b.git", "https://h/all.git/", "a/b"},
		{"https://h/gitx/a/b.git", "https://h/git", ""}, {"https://h/a/b.git", "https://h/git", ""},
		{"https://h/acme.git", "https://h", "acme"}, {"https://h/", "https://h", ""}, {"https://h", "https://h", ""},
		{"https://h/a/../b", "https://h", ""}, {"https://h/a/%2e%2e", "https://h", ""}, {"https://h/a%2Fb/c", "https://h", ""},
		{"https://h/a%5Cb/c", "https://h", ""}, {"https://h/a//b", "https://h", ""}, {"http://h/a/b", "https://h", ""},
		{"https://u@h/a/b", "https://h", ""}, {"https://h/a/b?c", "https://h", ""}, {"/a/b", "https://h", ""}, {"https://h/a/b", "", ""},
	} {
		if name, ok := Below(tc.url, tc.base); ok != (tc.name != "") || ok && name != tc.name {
			t.Errorf("%s below %s: %q %v, want %q", tc.url, tc.base, name, ok, tc.name)
		}
	}
}
