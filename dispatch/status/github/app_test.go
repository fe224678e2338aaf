package github

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
	githost "switchyard/githost/github"
	"switchyard/internal/githubtest"
)

// appPoster posts as an App with these permissions.
func appPoster(t *testing.T, s *githubtest.Server, app *githubtest.App) *Poster {
	t.Helper()
	host, err := githost.New(githost.Config{BaseURL: githubtest.BaseURL, App: &githost.App{ID: app.ID, PrivateKey: app.PrivateKey}}, githost.WithTransport(s.Transport()))
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(host, Config{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A token that was revoked, and an installation that was made anew, are no
// verdict on the App: the statuses are told soon.
func TestAppPostsAgainWithANewToken(t *testing.T) {
	s := githubtest.New(t)
	r := s.AddRepo("acme/api")
	app := s.AddApp(map[string]string{"statuses": "write"})
	app.Install("acme")
	p := appPoster(t, s, app)
	w := wanted()
	w.SHA = r.Chain("main", 1)[0]
	if err := p.Post(t.Context(), w, ""); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(){"revoked": s.RevokeTokens, "installed anew": func() { app.Install("acme") }} {
		change()
		failures := 0
		for err := p.Post(t.Context(), w, ""); err != nil && failures < 3; err = p.Post(t.Context(), w, "") {
			if failures++; errors.As(err, new(*dispatch.PermanentError)) || errors.As(err, new(*status.UnauthorizedError)) {
				t.Errorf("%s: %T %v", name, err, err)
			}
		}
		if failures == 0 || failures > 2 {
			t.Errorf("%s: told after %d failures", name, failures)
		}
	}
	if got := r.Statuses(w.SHA)[w.Context]; got.State != "success" {
		t.Errorf("%+v", got)
	}
	other := *app
	other.ID = 1
	if err := appPoster(t, s, &other).Post(t.Context(), w, ""); !errors.As(err, new(*status.UnauthorizedError)) {
		t.Errorf("as an App that GitHub does not know: %T %v", err, err)
	}
}

// An app that is not installed yet may be in an hour: the statuses wait for it,
// a day at most.
func TestAppNotInstalledIsRefusedForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := githubtest.New(t)
		s.AddRepo("other/api")
		app := s.AddApp(map[string]string{"statuses": "write"})
		p := appPoster(t, s, app)
		w := wanted()
		w.Repository, w.WantedAt = "other/api", time.Now()
		for _, row := range []struct {
			after     time.Duration
			permanent bool
		}{{time.Minute, false}, {22 * time.Hour, false}, {2 * time.Hour, true}} {
			time.Sleep(row.after)
			err := p.Post(t.Context(), w, "")
			if err == nil || !strings.Contains(err.Error(), "the app is not installed on other/api") {
				t.Fatalf("%v later: %v", row.after, err)
			}
			if errors.As(err, new(*dispatch.PermanentError)) != row.permanent || errors.As(err, new(*status.RefusedError)) == row.permanent {
				t.Errorf("%v later: %T", row.after, err)
			}
		}
	})
}
