package github

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v4"

	"switchyard/dispatch"
	"switchyard/internal/githubtest"
)

// signedClaims are from when and until when an App signs in, from now on.
func signedClaims(t *testing.T, a *app) [2]time.Duration {
	t.Helper()
	now := time.Now().Truncate(time.Second)
	text, err := signer{a.key}.Sign(&jwt.RegisteredClaims{})
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.RegisteredClaims
	if _, _, err := jwt.NewParser().ParseUnverified(text, &claims); err != nil {
		t.Fatal(err)
	}
	late := time.Since(now).Truncate(time.Second)
	return [2]time.Duration{claims.IssuedAt.Sub(now) - late, claims.ExpiresAt.Sub(now) - late}
}

// An App's token for a clone can read one repository, is kept for that
// repository alone, and is replaced before it ends.
func TestCloneTokensOfAnApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.AddRepo("acme/web")
		app := f.AddApp(map[string]string{"contents": "write", "statuses": "write"})
		app.Install("acme")
		c := f.asApp(app)
		get := func(repository string) string {
			t.Helper()
			token, err := c.CloneToken(t.Context(), repository)
			if err != nil {
				t.Error(err)
			}
			return token
		}
		api := get("acme/api")
		if again, web := get("acme/api"), get("acme/web"); api == "" || again != api || web == api {
			t.Errorf("%q, %q, and of another repository %q", api, again, web)
		}
		calls := f.Calls("POST /app/")
		if want := `{"repositories":["api"],"permissions":{"contents":"read"}}` + "\n"; len(calls) != 2 || calls[0].Body != want {
			t.Errorf("asked for %v, want %s", calls, want)
		}
		time.Sleep(time.Hour - cloneSlack - time.Second)
		if again := get("acme/api"); again != api {
			t.Errorf("%q while %q lasts", again, api)
		}
		time.Sleep(2 * time.Second)
		if again := get("acme/api"); again == api {
			t.Error("a token that ends in less than five minutes")
		}
		for _, repository := range []string{"acme/gone", "acme", "../x", "acme/api/x"} {
			if _, err := c.CloneToken(t.Context(), repository); !errors.As(err, new(*dispatch.PermanentError)) {
				t.Errorf("%s: %v", repository, err)
			}
		}
		time.Sleep(time.Hour)
		f.Intercept(func(githubtest.Call) *githubtest.Answer { return &githubtest.Answer{Status: 502, Body: "<html>"} })
		if _, err := c.CloneToken(t.Context(), "acme/web"); !retried(err) {
			t.Errorf("away: %v", err)
		}
	})
}

func TestCloneTokenOfAToken(t *testing.T) {
	c, err := New(Config{Token: "the token"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.CloneToken(t.Context(), "acme/api"); err != nil || got != "the token" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := c.CloneToken(t.Context(), "acme"); err == nil {
		t.Error("no repository, and a token")
	}
}
