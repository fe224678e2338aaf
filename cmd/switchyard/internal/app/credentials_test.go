package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

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
		if _, token, ok := s.Credentials(clone); token != want || ok != (want != "") {
			t.Errorf("%s: %q %v, want %q", clone, token, ok, want)
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
