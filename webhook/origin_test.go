package webhook_test

import (
	"net/http"
	"strings"
	"testing"

	"switchyard/internal/event"
	"switchyard/webhook"
)

// saying is a source whose deliveries say where a repository is cloned from.
type saying struct{ name, clone string }

func (saying) Verify(http.Header, []byte) error { return nil }

func (s saying) Decode(http.Header, []byte) (event.Event, error) {
	return event.Event{Repository: event.Repository{FullName: s.name, CloneURL: s.clone}}, nil
}

func placed(t *testing.T, o webhook.Origin, name, said string) event.Event {
	t.Helper()
	o.Key = "sources.x"
	src, err := webhook.From(saying{name, said}, o)
	if err != nil {
		t.Fatal(err)
	}
	ev, err := src.Decode(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

// Nothing that a delivery says makes a build clone from elsewhere.
func TestCloneURLIsTheConfigs(t *testing.T) {
	const (
		base = "https://git.example.com/scm"
		want = "https://git.example.com/scm/acme/api.git"
	)
	for said, same := range map[string]bool{
		"": true, want: true, "https://git.example.com/scm/acme/api": true, "https://git.example.com/scm/acme/api/": true,
		"HTTPS://GIT.Example.com/scm/acme/api.git": true, "https://git.example.com:443/scm/acme/api.git": true,

		"file:///etc": false, "/etc": false, "/srv/git/acme/api.git": false, "../x": false, ".": false,
		"ext::sh -c touch% /tmp/x": false, "--upload-pack=touch /tmp/x": false, "-upload-pack": false, "fd::7": false,
		"ssh://git@git.example.com/scm/acme/api.git": false, "git://git.example.com/scm/acme/api.git": false, "git@git.example.com:acme/api.git": false,
		"http://git.example.com/scm/acme/api.git":         false,
		"https://evil.example/scm/acme/api.git":           false,
		"https://git.example.com@evil/scm/acme/api.git":   false,
		"https://token@git.example.com/scm/acme/api.git":  false,
		"https://git.example.com.evil/scm/acme/api.git":   false,
		"https://git.example.com./scm/acme/api.git":       false,
		"https://git.example.com:8443/scm/acme/api.git":   false,
		"https://git.example.com/scm/acme/secret.git":     false,
		"https://git.example.com/scm/Acme/API.git":        false,
		"https://git.example.com/scm/acme/x/../api.git":   false,
		"https://git.example.com/scm/acme%2Fapi.git":      false,
		"https://git.example.com/scm/acme/api.git?x=1":    false,
		"https://git.example.com/scm/acme/api.git#x":      false,
		"https://git.example.com/acme/api.git":            false,
		"https:git.example.com/scm/acme/api.git":          false,
		"https://git.example.com\\@evil/scm/acme/api.git": false,
		"https://git.example.com/scm/acme/api.git\n-x":    false,
		"https://[::1/scm/acme/api.git":                   false,
	} {
		ev := placed(t, webhook.Origin{Base: base + "/"}, "acme/api", said)
		if ev.Repository.CloneURL != want {
			t.Errorf("%q: cloned from %q", said, ev.Repository.CloneURL)
		}
		if (ev.CloneRefused == "") != same || !same && !strings.Contains(ev.CloneRefused, "sources.x.clone_base") {
			t.Errorf("%q: %q", said, ev.CloneRefused)
		}
	}
}

func TestCloneURLHoldsTheNameAsAPath(t *testing.T) {
	for name, want := range map[string]string{
		"acme/api v2":    "https://h/acme/api%20v2.git",
		"acme/api?x#y":   "https://h/acme/api%3Fx%23y.git",
		"a/group/%2e%2e": "https://h/a/group/%252e%252e.git",
		"-u/@evil":       "https://h/-u/@evil.git",
	} {
		if got := placed(t, webhook.Origin{Base: "https://h"}, name, "").Repository.CloneURL; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestPathsOfThisMachineAreTheConfigs(t *testing.T) {
	paths := map[string]string{"acme/api": "/srv/git/api.git"}
	for name, tc := range map[string]struct {
		base, repository, said, want string
		refused                      bool
	}{
		"as configured":             {"", "acme/api", "/srv/git/api.git", "/srv/git/api.git", false},
		"as a URL":                  {"", "acme/api", "file:///srv/git/api.git/", "/srv/git/api.git", false},
		"unsaid":                    {"", "acme/api", "", "/srv/git/api.git", false},
		"another path":              {"", "acme/api", "/etc", "/srv/git/api.git", true},
		"another path that climbs":  {"", "acme/api", "/srv/git/api.git/../secret.git", "/srv/git/api.git", true},
		"a URL":                     {"", "acme/api", "https://github.com/acme/api.git", "/srv/git/api.git", true},
		"another repository":        {"", "acme/secret", "/srv/git/api.git", "", true},
		"another repository unsaid": {"", "acme/secret", "", "", false},
		"a URL of another":          {"", "acme/secret", "https://github.com/acme/secret.git", "", true},
		"ext":                       {"", "acme/secret", "ext::sh", "", true},
		"with a base":               {"https://h", "acme/api", "", "https://h/acme/api.git", false},
		"a path beside a base":      {"https://h", "acme/api", "/srv/git/api.git", "/srv/git/api.git", false},
		"no path beside a base":     {"https://h", "acme/secret", "/srv/git/secret.git", "https://h/acme/secret.git", true},
	} {
		ev := placed(t, webhook.Origin{Base: tc.base, Paths: paths}, tc.repository, tc.said)
		if ev.Repository.CloneURL != tc.want || (ev.CloneRefused != "") != tc.refused {
			t.Errorf("%s: %q, %q", name, ev.Repository.CloneURL, ev.CloneRefused)
		}
	}
}

func TestRefusedCloneURLShowsNoPassword(t *testing.T) {
	for _, said := range []string{"https://hunter2@evil/x", "https://u:hunter2@evil/x", "https://u:hunter2@@evil/x", "ssh://hunter2@[::1/x"} {
		if why := placed(t, webhook.Origin{}, "acme/api", said).CloneRefused; why == "" || strings.Contains(why, "hunter2") {
			t.Errorf("%s: %s", said, why)
		}
	}
}

func TestOriginsThatLeadNowhere(t *testing.T) {
	for _, o := range []webhook.Origin{
		{Base: "file:///srv"}, {Base: "ssh://h"}, {Base: "https://"}, {Base: "https://u@h"}, {Base: "https://h?x"}, {Base: "https://h#x"}, {Base: "ext::sh"},
		{Paths: map[string]string{"a": "relative"}},
	} {
		if _, err := webhook.From(saying{}, o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}
