package app_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"switchyard/build"
)

// token is what a build fetches with that the config names.
func (s *service) token(t *testing.T, url string) string {
	t.Helper()
	c, err := s.Access().Credentials(t.Context(), build.Fetch{URL: url, Named: true})
	if err != nil {
		t.Error(err)
	}
	return c.Password
}

// A token reaches its host and there its repositories, whatever a clone URL is
// made to look like.
func TestTokensGoToTheirHostOnly(t *testing.T) {
	text := strings.Replace(fmt.Sprintf(settings, secret), "sources:\n",
		"sources:\n  ghe: {provider: github, secrets: [s], token: ghe-token, base_url: \"https://github.example.com/api/v3\"}\n"+
			"  plain: {provider: github, secrets: [s], token: plain-token, base_url: \"http://plain.example.com/api/v3\"}\n"+
			"  sub: {provider: github, secrets: [s], token: sub-token, clone_base: \"https://example.com:8443/git\"}\n", 1)
	text = strings.Replace(text, "github: {", "github: {token: gh-token, ", 1)
	s := startWith(t, t.TempDir(), text, machine)
	for clone, want := range map[string]string{
		"https://github.com/acme/api.git":         "gh-token",
		"https://GitHub.com:443/acme/api":         "gh-token",
		"https://github.example.com/acme/api.git": "ghe-token",
		"https://example.com:8443/git/a/b.git":    "sub-token",

		"http://github.com/acme/api.git": "", "ssh://github.com/acme/api.git": "", "git@github.com:acme/api.git": "", "file://github.com/acme/api.git": "",
		"https://github.com.evil/acme/api.git": "", "https://github.com./acme/api.git": "", "https://evil/github.com/acme/api.git": "",
		"https://github.com@evil/acme/api.git": "", "https://evil@github.com/acme/api.git": "", "https://api.github.com/acme/api.git": "",
		"https://github.com:8443/acme/api.git": "", "https://github.com/acme": "", "https://github.com/": "", "https://github.com": "",
		"https://github.com/acme/../api.git": "", "https://github.com/acme/%2e%2e": "", "https://github.com/acme/a%2Fb": "", "https://github.com/acme//api": "",
		"https://github.com/acme/api.git?x=1": "", "https://github.com/acme/api.git#x": "", "http://plain.example.com/acme/api.git": "",
		"https://plain.example.com/acme/api.git": "", "https://example.com:8443/a/b.git": "", "https://example.com/git/a/b.git": "", "": "", "::": "",
	} {
		if token := s.token(t, clone); token != want {
			t.Errorf("%s: %q, want %q", clone, token, want)
		}
	}
}

// A token reaches the repository that the execution is about, by the source that
// it came from, and others only where the config of builds names them.
func TestTokensGoToTheExecutionsRepositoryOnly(t *testing.T) {
	text := strings.Replace(fmt.Sprintf(settings, secret), "sources:\n", "sources:\n  second: {provider: github, secrets: [s], token: second-token}\n", 1)
	text = strings.Replace(text, "github: {", "github: {token: gh-token, ", 1)
	s := startWith(t, t.TempDir(), text, machine)
	const api, other = "https://github.com/acme/api.git", "https://github.com/acme/other.git"
	for _, tc := range []struct {
		f    build.Fetch
		want string
	}{
		{build.Fetch{URL: api, Source: "github", Repository: "acme/api"}, "gh-token"},
		{build.Fetch{URL: api, Source: "github", Repository: "Acme/API"}, "gh-token"},
		{build.Fetch{URL: api, Source: "second", Repository: "acme/api"}, "second-token"},
		{build.Fetch{URL: other, Source: "github", Repository: "acme/api", Named: true}, "gh-token"},
		{build.Fetch{URL: other, Source: "second", Repository: "acme/api", Named: true}, "second-token"},
		{build.Fetch{URL: other, Named: true}, "gh-token"},

		{build.Fetch{URL: other, Source: "github", Repository: "acme/api"}, ""},
		{build.Fetch{URL: api, Source: "github", Repository: "acme/api2"}, ""},
		{build.Fetch{URL: api, Source: "github", Repository: "api"}, ""},
		{build.Fetch{URL: api, Source: "github"}, ""},
		{build.Fetch{URL: api, Source: "gone", Repository: "acme/api"}, ""},
		{build.Fetch{URL: api, Repository: "acme/api"}, ""},
		{build.Fetch{URL: api}, ""},
		{build.Fetch{URL: "https://github.com/acme/api/x.git", Source: "github", Repository: "acme/api"}, ""},
	} {
		c, err := s.Access().Credentials(t.Context(), tc.f)
		if err != nil || c.Password != tc.want || (c.Note == "") != (tc.want != "") {
			t.Errorf("%+v: %q %q %v, want %q", tc.f, c.Password, c.Note, err, tc.want)
		}
	}
}

// What builds may reach with the rights of this machine is what sources have.
func TestConfiguredRepositories(t *testing.T) {
	shop := filepath.Join(t.TempDir(), "shop.git")
	if out, err := exec.CommandContext(t.Context(), "git", "init", "--quiet", "--bare", shop).CombinedOutput(); err != nil {
		t.Fatalf("git init: %v %s", err, out)
	}
	text := strings.Replace(fmt.Sprintf(settings, secret), "sources:\n",
		"sources:\n  local: {provider: git, secrets: [s], repositories: {acme/shop: "+shop+"}}\n"+
			"  lan: {provider: git, secrets: [s], clone_base: \"http://git.lan/all\"}\n", 1)
	s := startWith(t, t.TempDir(), text, machine)
	for url, want := range map[string]bool{
		shop: true, "http://git.lan/all/acme/x.git": true,
		filepath.Dir(shop): false, shop + "/objects": false, shop + "x": false, "/": false, "": false, "http://git.lan/acme/x.git": false, "http://git.lan/all/x": false,
		"ssh://git.lan/all/acme/x.git": false, "git@git.lan:all/acme/x.git": false, "http://github.com/acme/api.git": false,
	} {
		if s.Access().Configured(url) != want {
			t.Errorf("%q: %v", url, !want)
		}
	}
}

// A delivery that names another place starts its execution all the same, with
// the place of the config, and everybody concerned is told.
func TestCloneURLOfADeliveryIsHeldAgainstTheConfig(t *testing.T) {
	s := startWith(t, t.TempDir(), fmt.Sprintf(settings, secret), instant)
	body := strings.Replace(string(push("feature/a", "one")), "https://git.example/acme/api.git", "file:///etc", 1)
	status, text := s.deliver(t, "d1", []byte(body))
	if status != http.StatusAccepted || !strings.Contains(text, "sources.github.clone_base") {
		t.Errorf("%d %s", status, text)
	}
	e, err := s.client.Execution(t.Context(), s.settled(t, 1)[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if input := string(e.Input); !strings.Contains(input, `"clone_url":"https://github.com/acme/api.git"`) || strings.Contains(input, "etc") {
		t.Errorf("input %s", input)
	}
	if _, text := s.deliver(t, "d2", push("feature/b", "two")); !strings.Contains(text, "note") {
		t.Errorf("another host: %s", text)
	}
	body = strings.Replace(string(push("feature/c", "three")), "https://git.example/acme/api.git", "https://github.com/acme/api.git", 1)
	if _, text := s.deliver(t, "d3", []byte(body)); strings.Contains(text, "clone") {
		t.Errorf("its own: %s", text)
	}
}

// Who knows the secret of one repository cannot speak for another.
func TestRepositoriesHaveSecretsOfTheirOwn(t *testing.T) {
	text := strings.Replace(fmt.Sprintf(settings, "the shared one"), "github: {", "github: {repositories: {acme/api: {secrets: [the api's own]}}, ", 1)
	s := startWith(t, t.TempDir(), text, instant)
	other := []byte(strings.ReplaceAll(string(push("feature/b", "one")), "acme/api", "acme/other"))
	for i, tc := range []struct {
		secret string
		body   []byte
		want   int
	}{
		{"the api's own", push("feature/a", "one"), http.StatusAccepted},
		{"the shared one", push("feature/a", "one"), http.StatusUnauthorized},
		{"the api's own", other, http.StatusUnauthorized},
		{"the shared one", other, http.StatusAccepted},
	} {
		if got := s.deliverAs(t, tc.secret, fmt.Sprint("d", i), tc.body); got != tc.want {
			t.Errorf("%d: %d, want %d", i, got, tc.want)
		}
	}
	s.settled(t, 2)
	if d, e := s.recorded(t); d != 2 || e != 2 {
		t.Errorf("%d deliveries and %d executions", d, e)
	}
}
