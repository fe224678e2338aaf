package github

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
	githost "switchyard/githost/github"
)

var generateKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func testRSA(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := generateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// testKey is a key as GitHub hands it out.
func testKey(t *testing.T) []byte {
	t.Helper()
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(testRSA(t))})
}

// fakeApp is GitHub with an App that is installed on every repository of acme,
// as installation 7, or as another when the test says so.
type fakeApp struct {
	*fakeGitHub
	now func() time.Time

	mu           sync.Mutex
	installation int
	issued       int
	revoked      bool
}

func newFakeApp(t *testing.T, now func() time.Time) *fakeApp {
	a := &fakeApp{now: now, installation: 7}
	a.fakeGitHub = newFake(t, func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		authorization := r.Header.Get("Authorization")
		switch path := r.URL.Path; {
		case strings.HasPrefix(path, "/repos/acme/") && strings.HasSuffix(path, "/installation"):
			checkJWT(t, authorization, now())
			fmt.Fprintf(w, `{"id":%d}`, a.installation)
		case path == fmt.Sprintf("/app/installations/%d/access_tokens", a.installation):
			checkJWT(t, authorization, now())
			a.issued++
			a.revoked = false
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"token":"t%d","expires_at":%q}`, a.issued, now().Add(time.Hour).Format(time.RFC3339))
		case strings.Contains(path, "/statuses/"):
			if a.revoked || authorization != fmt.Sprintf("Bearer t%d", a.issued) {
				w.WriteHeader(http.StatusUnauthorized)
				fmt.Fprint(w, `{"message":"Bad credentials"}`)
				return
			}
			created(w, r)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"message":"Not Found"}`)
		}
	})
	return a
}

func (a *fakeApp) set(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

// checkJWT checks what GitHub checks.
func checkJWT(t *testing.T, authorization string, now time.Time) {
	t.Helper()
	parts := strings.Split(strings.TrimPrefix(authorization, "Bearer "), ".")
	if len(parts) != 3 {
		t.Errorf("Authorization = %q, want a JWT", authorization)
		return
	}
	decode := func(s string) []byte {
		raw, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Errorf("JWT part %q: %v", s, err)
		}
		return raw
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(&testRSA(t).PublicKey, crypto.SHA256, digest[:], decode(parts[2])); err != nil {
		t.Errorf("JWT signature: %v", err)
	}
	var header struct{ Alg, Typ string }
	var claims struct {
		Iat, Exp int64
		Iss      string
	}
	if err := errors.Join(json.Unmarshal(decode(parts[0]), &header), json.Unmarshal(decode(parts[1]), &claims)); err != nil {
		t.Error(err)
	}
	if header.Alg != "RS256" || header.Typ != "JWT" || claims.Iss != "42" || claims.Iat > now.Unix() || claims.Exp <= now.Unix() || claims.Exp-now.Unix() > 600 {
		t.Errorf("JWT %+v %+v at %d", header, claims, now.Unix())
	}
}

func appPoster(t *testing.T, a *fakeApp) *Poster {
	t.Helper()
	return newPoster(t, Config{BaseURL: a.URL, App: &githost.App{ID: 42, PrivateKey: testKey(t)}}, WithClock(a.now))
}

// paths counts requests by what they are for.
func (a *fakeApp) count(part string) int {
	n := 0
	for _, r := range a.seen() {
		if strings.Contains(r.Path, part) {
			n++
		}
	}
	return n
}

func postTo(t *testing.T, p *Poster, repository string) {
	t.Helper()
	s := wanted()
	s.Repository = repository
	if err := p.Post(t.Context(), s, ""); err != nil {
		t.Fatal(err)
	}
}

func TestAppKeepsInstallationAndToken(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var clock sync.Mutex
	a := newFakeApp(t, func() time.Time { clock.Lock(); defer clock.Unlock(); return now })
	p := appPoster(t, a)
	for range 3 {
		postTo(t, p, "acme/api")
	}
	postTo(t, p, "acme/web")
	if got := []int{a.count("/installation"), a.count("access_tokens"), a.count("/statuses/")}; got[0]-got[1] != 2 || got[1] != 1 || got[2] != 4 {
		t.Errorf("lookups (with tokens), tokens, statuses = %v; want one lookup for each repository and one token", got)
	}
	clock.Lock()
	now = now.Add(56 * time.Minute) // the token has four minutes left
	clock.Unlock()
	postTo(t, p, "acme/api")
	if n := a.count("access_tokens"); n != 2 {
		t.Errorf("%d tokens, want a new one shortly before the end", n)
	}
}

func TestAppAsksOnceForManyPosts(t *testing.T) {
	a := newFakeApp(t, time.Now)
	p := appPoster(t, a)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := p.Post(t.Context(), wanted(), ""); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := a.count("access_tokens"); n != 1 {
		t.Errorf("%d tokens for posts at once, want 1", n)
	}
}

func TestAppReplacesRevokedToken(t *testing.T) {
	a := newFakeApp(t, time.Now)
	p := appPoster(t, a)
	postTo(t, p, "acme/api")
	a.set(func() { a.revoked = true })
	err := p.Post(t.Context(), wanted(), "")
	var permanent *dispatch.PermanentError
	if err == nil || errors.As(err, &permanent) {
		t.Errorf("with a revoked token: %v, want a retryable error", err)
	}
	postTo(t, p, "acme/api")
}

func TestAppFindsNewInstallation(t *testing.T) {
	a := newFakeApp(t, time.Now)
	p := appPoster(t, a)
	postTo(t, p, "acme/api")
	a.set(func() { a.installation, a.revoked = 8, true })
	var permanent *dispatch.PermanentError
	for range 2 { // first the token is refused, then the installation
		if err := p.Post(t.Context(), wanted(), ""); err == nil || errors.As(err, &permanent) {
			t.Errorf("after it was installed anew: %v, want a retryable error", err)
		}
	}
	postTo(t, p, "acme/api")
}

// An app that is not installed yet may be in an hour: the statuses wait for it,
// a day at most.
func TestAppNotInstalledIsRefusedForADay(t *testing.T) {
	a := newFakeApp(t, time.Now)
	p := appPoster(t, a)
	s := wanted()
	s.Repository = "other/api"
	for _, row := range []struct {
		age       time.Duration
		permanent bool
	}{{time.Minute, false}, {23 * time.Hour, false}, {25 * time.Hour, true}} {
		s.WantedAt = time.Now().Add(-row.age)
		err := p.Post(t.Context(), s, "")
		if err == nil || !strings.Contains(err.Error(), "the app is not installed on other/api") {
			t.Fatalf("wanted for %v: %v", row.age, err)
		}
		var permanent *dispatch.PermanentError
		var refused *status.RefusedError
		if errors.As(err, &permanent) != row.permanent || errors.As(err, &refused) == row.permanent {
			t.Errorf("wanted for %v: %T", row.age, err)
		}
	}
}
