package app_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"switchyard/dispatch"
)

// signIn is a browser in which somebody has signed in by a link.
func (s *service) signIn(t *testing.T, role string) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	link, err := s.client.SignInLink(t.Context(), "ada", role)
	if err != nil {
		t.Fatal(err)
	}
	base, secret, _ := strings.Cut(link.Link, "/sign-in?link=")
	browser := &http.Client{Jar: jar}
	resp, err := browser.PostForm(base+"/sign-in", url.Values{"link": {secret}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Request.URL.Path != "/" {
		t.Fatalf("signing in led to %s: %s", resp.Request.URL, resp.Status)
	}
	return browser
}

func (s *service) read(t *testing.T, browser *http.Client, path string) string {
	t.Helper()
	resp, err := browser.Get("http://" + s.Addr().String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v, %s", path, resp.Status, err, text)
	}
	return string(text)
}

func TestDashboardShowsWhatBecameOfCommits(t *testing.T) {
	s := start(t, t.TempDir())
	s.deliver(t, "d-1", push("feature/login", "Draw the form", "break the form"))
	s.deliver(t, "d-2", push("wip/nothing", "Try something"))
	s.settled(t, 2)
	page := s.read(t, s.signIn(t, "viewer"), "/")
	for _, want := range []string{"Draw the form", "break the form", "feature/login", "dev-feature-login", "wip/nothing", "Try something", "ignored", "succeeded", "failed"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if page := s.read(t, s.signIn(t, "viewer"), "/deliveries/github:d-1"); !strings.Contains(page, "2 started") || !strings.Contains(page, "dev-feature-login") {
		t.Errorf("the delivery's page: %s", page)
	}
	for _, path := range []string{"/deliveries", "/environments", "/health"} {
		s.read(t, s.signIn(t, "viewer"), path)
	}
	for _, x := range s.settled(t, 2) {
		page := s.read(t, s.signIn(t, "viewer"), "/executions/"+x.ID)
		want := "is-succeeded"
		if x.State == dispatch.StateFailed {
			want = "is-failed"
		}
		if !strings.Contains(page, want) || !strings.Contains(page, "Announce") || strings.Contains(page, "cannot be drawn") {
			t.Errorf("the page of one that %s: %s", x.State, page)
		}
	}
	if stranger := s.read(t, http.DefaultClient, "/"); strings.Contains(stranger, "login") || !strings.Contains(stranger, "API token") {
		t.Errorf("somebody who has not signed in reads %s", stranger)
	}
}

// What is live does not keep the service from stopping.
func TestServiceStopsWhileSomebodyWatches(t *testing.T) {
	s := start(t, t.TempDir())
	browser := s.signIn(t, "operator")
	resp, err := browser.Get("http://" + s.Addr().String() + "/live")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := resp.Body.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	s.stop()
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Errorf("it was cut off after the grace, and did not end: %v", err)
	}
}
