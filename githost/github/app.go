package github

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/golang-jwt/jwt/v4"
	"github.com/google/go-github/v60/github"

	"switchyard/dispatch"
)

// app is a GitHub App: ghinstallation signs in as it and keeps the tokens of its
// installations, which last an hour. Here is which installation a repository
// belongs to.
type app struct {
	id      int64
	key     *rsa.PrivateKey
	base    *url.URL
	next    http.RoundTripper
	connect func(http.RoundTripper) *github.Client
	self    *github.Client // signs in as the App

	mu            sync.Mutex
	installations map[string]int64         // by owner/name
	clients       map[int64]*github.Client // by installation
	// clones are tokens that can read one repository, by owner/name.
	clones map[string]*cloneToken
}

func (c *Client) newApp(cfg App) (*app, error) {
	if cfg.ID <= 0 {
		return nil, errors.New("github: app id is missing")
	}
	key, err := jwt.ParseRSAPrivateKeyFromPEM(cfg.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("github: app private_key is not the PEM text of an RSA private key: %w", err)
	}
	a := &app{
		id: cfg.ID, key: key, base: c.base, next: c.transport, connect: c.connect,
		installations: map[string]int64{},
		clients:       map[int64]*github.Client{},
		clones:        map[string]*cloneToken{},
	}
	signed, err := a.signIn()
	if err != nil {
		return nil, err
	}
	a.self = c.connect(signed)
	return a, err
}

// signIn returns what signs requests as the App. Each installation has one of its
// own: ghinstallation changes it while it gets a token.
func (a *app) signIn() (*ghinstallation.AppsTransport, error) {
	return ghinstallation.NewAppsTransportWithOptions(a.next, a.id, ghinstallation.WithSigner(signer{a.key}))
}

// signer allows for clocks that differ more than the library does. GitHub advises
// to begin a minute ago, and takes an end in at most ten minutes ("Generating a
// JSON Web Token (JWT) for a GitHub App").
type signer struct{ key *rsa.PrivateKey }

func (s signer) Sign(claims jwt.Claims) (string, error) {
	if c, ok := claims.(*jwt.RegisteredClaims); ok {
		now := time.Now().Truncate(time.Second)
		c.IssuedAt, c.ExpiresAt = jwt.NewNumericDate(now.Add(-time.Minute)), jwt.NewNumericDate(now.Add(9*time.Minute))
	}
	return jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(s.key)
}

// client returns a client for the repository.
func (a *app) client(ctx context.Context, owner, repo string) (*github.Client, error) {
	id, err := a.installation(ctx, owner, repo)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.clients[id]; c != nil {
		return c, nil
	}
	token, err := a.token(id)
	if err != nil {
		return nil, err
	}
	c := a.connect(signedIn{token})
	a.clients[id] = c
	return c, nil
}

// token returns what gets tokens of an installation, and nothing yet.
func (a *app) token(id int64) (*ghinstallation.Transport, error) {
	signed, err := a.signIn()
	if err != nil {
		return nil, err
	}
	t := ghinstallation.NewFromAppsTransport(signed, id)
	t.InstallationTokenOptions = &github.InstallationTokenOptions{} // else it sends null
	t.BaseURL = strings.TrimRight(a.base.String(), "/")
	return t, nil
}

// installation finds the one that a repository belongs to.
func (a *app) installation(ctx context.Context, owner, repo string) (int64, error) {
	name := owner + "/" + repo
	a.mu.Lock()
	id := a.installations[name]
	a.mu.Unlock()
	if id != 0 {
		return id, nil
	}
	found, _, err := a.self.Apps.FindRepositoryInstallation(ctx, owner, repo)
	switch code := codeOf(err); {
	case code == http.StatusNotFound:
		return 0, &dispatch.PermanentError{Err: fmt.Errorf("the app is not installed on %s: %w", name, err)}
	case code == http.StatusUnauthorized:
		return 0, &signInError{code, err}
	case err != nil:
		return 0, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.installations[name] = found.GetID()
	return found.GetID(), nil
}

// doubt forgets what the error of a call about a repository calls into question.
func (a *app) doubt(name string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := a.installations[name]
	code := codeOf(err)
	if errors.As(err, new(*signInError)) || code == http.StatusNotFound {
		// It may have been installed anew, under another ID: look again later.
		delete(a.installations, name)
	}
	if code == http.StatusUnauthorized {
		delete(a.clients, id) // and its token with it
	}
}

// signInError says that GitHub does not take us for the App, or has no such
// installation of it any more.
type signInError struct {
	code int
	err  error
}

func (e *signInError) Error() string { return "sign in as the app: " + e.err.Error() }

// explained returns what GitHub says of a token that it does not give, which the
// library leaves unread in the answer.
func explained(err error) error {
	var refused *ghinstallation.HTTPError
	if !errors.As(err, &refused) || refused.Response == nil {
		return err
	}
	defer refused.Response.Body.Close()
	said := github.CheckResponse(refused.Response)
	if code := refused.Response.StatusCode; code == http.StatusNotFound || code == http.StatusUnauthorized {
		return &signInError{code, said}
	}
	return said
}

// signedIn adds what GitHub says to the errors of what it wraps.
type signedIn struct{ next http.RoundTripper }

func (s signedIn) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := s.next.RoundTrip(r)
	if err != nil {
		return nil, explained(err)
	}
	return response, nil
}
