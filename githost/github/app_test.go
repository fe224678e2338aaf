package github

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/githubtest"
)

// asApp is a client that is an App with these permissions.
func (f *fixture) asApp(app *githubtest.App) *Client {
	f.t.Helper()
	c, err := New(Config{Source: "work", BaseURL: githubtest.BaseURL, App: &App{ID: app.ID, PrivateKey: app.PrivateKey}}, WithTransport(f.Transport()))
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

var readContents = map[string]string{"contents": "read", "metadata": "read"}

// retried reports whether err is one that is tried again.
func retried(err error) bool {
	return err != nil && !errors.Is(err, dispatch.ErrCannotAsk) && !errors.As(err, new(*dispatch.PermanentError))
}

func TestAppKeepsInstallationAndToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.chain("main", 1, 1)
		web := f.AddRepo("acme/web").Chain("main", 1)[0]
		app := f.AddApp(readContents)
		app.Install("acme")
		c := f.asApp(app)
		ask := func(repository, sha string) {
			t.Helper()
			if _, err := c.Commit(t.Context(), "work", repository, sha); err != nil {
				t.Error(err)
			}
		}
		for range 3 {
			ask("acme/api", f.shas[1])
		}
		ask("acme/web", web)
		lookups, tokens := len(f.Calls("GET /repos/acme/api/installation"))+len(f.Calls("GET /repos/acme/web/installation")), len(f.Calls("POST /app/"))
		if lookups != 2 || tokens != 1 {
			t.Errorf("%d lookups and %d tokens, want one lookup for each repository and one token", lookups, tokens)
		}
		time.Sleep(59*time.Minute + 30*time.Second)
		ask("acme/api", f.shas[1])
		if tokens := len(f.Calls("POST /app/")); tokens != 2 {
			t.Errorf("%d tokens, want a new one shortly before the end", tokens)
		}
	})
}

func TestAppAsksOnceForManyCalls(t *testing.T) {
	f := newFixture(t)
	f.chain("main", 1, 1)
	app := f.AddApp(readContents)
	app.Install("acme")
	c := f.asApp(app)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := c.Commit(t.Context(), "work", "acme/api", f.shas[1]); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if tokens := len(f.Calls("POST /app/")); tokens != 1 {
		t.Errorf("%d tokens for calls at once", tokens)
	}
}

// A token that runs out early is replaced, and an installation that was made anew
// is found: neither answer is a verdict on the App.
func TestAppGetsOverWhatChanged(t *testing.T) {
	f := newFixture(t)
	f.chain("main", 1, 1)
	app := f.AddApp(readContents)
	app.Install("acme")
	c := f.asApp(app)
	ask := func() error {
		_, err := c.Commit(t.Context(), "work", "acme/api", f.shas[1])
		return err
	}
	clone := func() error {
		_, err := c.CloneToken(t.Context(), "acme/api")
		return err
	}
	for name, change := range map[string]func(){"revoked": f.RevokeTokens, "installed anew": func() { app.Install("acme") }} {
		if err := ask(); err != nil {
			t.Fatal(err)
		}
		change()
		failures := 0
		for err := ask(); err != nil && failures < 3; err = ask() {
			if failures++; !retried(err) {
				t.Errorf("%s: %v, want an error that is tried again", name, err)
			}
		}
		if failures == 0 || failures > 2 {
			t.Errorf("%s: got over it after %d failures", name, failures)
		}
	}
	app.Install("acme")
	if err := clone(); !retried(err) {
		t.Errorf("to clone, after it was installed anew: %v", err)
	}
	if err := clone(); err != nil {
		t.Error(err)
	}
	app.Uninstall("acme")
	_ = ask()
	_ = ask()
	if err := ask(); !errors.As(err, new(*dispatch.PermanentError)) || !strings.Contains(err.Error(), "the app is not installed on acme/api") {
		t.Errorf("uninstalled: %v", err)
	}
}

func TestAppThatGitHubDoesNotKnow(t *testing.T) {
	f := newFixture(t)
	f.chain("main", 1, 1)
	app := f.AddApp(readContents)
	app.Install("acme")
	other := *app
	other.ID = 1
	c := f.asApp(&other)
	for name, err := range map[string]error{
		"a question": func() error { _, err := c.Commit(t.Context(), "work", "acme/api", f.shas[1]); return err }(),
		"a clone":    func() error { _, err := c.CloneToken(t.Context(), "acme/api"); return err }(),
	} {
		if !errors.Is(err, dispatch.ErrCannotAsk) || !strings.Contains(err.Error(), "sources.work.app") || !strings.Contains(err.Error(), "could not be decoded") || !c.Unauthorized(&signInError{401, nil}) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What GitHub says of a token that it does not give is told.
func TestAppWithoutThePermission(t *testing.T) {
	f := newFixture(t)
	f.chain("main", 1, 1)
	app := f.AddApp(map[string]string{"metadata": "read"})
	app.Install("acme")
	c := f.asApp(app)
	if _, err := c.Commit(t.Context(), "work", "acme/api", f.shas[1]); !errors.Is(err, dispatch.ErrCannotAsk) || !strings.Contains(err.Error(), `"Contents: read"`) {
		t.Errorf("%v", err)
	}
	if _, err := c.CloneToken(t.Context(), "acme/api"); !errors.As(err, new(*dispatch.PermanentError)) || !strings.Contains(err.Error(), "permissions requested are not granted") {
		t.Errorf("to clone: %v", err)
	}
}

func TestAppCallsEndWithContext(t *testing.T) {
	f := newFixture(t)
	app := f.AddApp(readContents)
	app.Install("acme")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.asApp(app).Commit(ctx, "work", "acme/api", id(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want the context's", err)
	}
}

func TestAppTakesBothEncodingsOfItsKey(t *testing.T) {
	f := newFixture(t)
	f.chain("main", 1, 1)
	app := f.AddApp(readContents)
	app.Install("acme")
	block, _ := pem.Decode(app.PrivateKey)
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	other := *app
	other.PrivateKey = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	for _, a := range []*githubtest.App{app, &other} {
		if _, err := f.asApp(a).Commit(t.Context(), "work", "acme/api", f.shas[1]); err != nil {
			t.Error(err)
		}
	}
}

// Clocks differ: a minute either way is no reason to be refused. The stand-in's
// goes right, so ours is put off by what it is to sign.
func TestAppSignsForClocksThatDiffer(t *testing.T) {
	f := newFixture(t)
	app := f.AddApp(readContents)
	c := f.asApp(app)
	claims := fmt.Sprint(signedClaims(t, c.app))
	if !strings.Contains(claims, "-1m0s 9m0s") {
		t.Errorf("signed for %s", claims)
	}
}
