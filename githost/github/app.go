package github

import (
	"context"
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
	"strconv"
	"sync"
	"time"

	"github.com/google/go-github/v60/github"

	"switchyard/dispatch"
)

// tokenSlack is how long before its end a token, which lasts an hour, is no
// longer used.
const tokenSlack = 5 * time.Minute

// app gets and keeps the tokens of a GitHub App: it proves to be the App by a
// JWT signed with its key, finds the installation that a repository belongs
// to, and trades the JWT for a token of that installation.
type app struct {
	id      int64
	key     *rsa.PrivateKey
	connect func(tokenFunc) *github.Client
	now     func() time.Time
	self    *github.Client // authorised by JWT

	// turn is held while GitHub is asked, so that it is asked once; a channel,
	// so that waiting for it ends with ctx.
	turn chan struct{}

	mu            sync.Mutex
	installations map[string]int64 // by owner/name
	tokens        map[int64]*token // by installation
	// clones are tokens that can read one repository, by owner/name.
	clones map[string]cloneToken
}

type token struct {
	expires time.Time
	client  *github.Client // authorised by the token
}

func newApp(cfg App, connect func(tokenFunc) *github.Client, now func() time.Time) (*app, error) {
	if cfg.ID <= 0 {
		return nil, errors.New("github: app id is missing")
	}
	key, err := parseKey(cfg.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("github: app private_key: %w", err)
	}
	a := &app{
		id: cfg.ID, key: key, connect: connect, now: now,
		turn:          make(chan struct{}, 1),
		installations: map[string]int64{},
		tokens:        map[int64]*token{},
		clones:        map[string]cloneToken{},
	}
	a.self = connect(a.jwt)
	return a, nil
}

func parseKey(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it is not a PEM text")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("it is not an RSA private key in PKCS #1 or PKCS #8")
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("it is not an RSA key")
	}
	return key, nil
}

// jwt signs in as the App. GitHub takes at most ten minutes, and advises to
// begin a minute ago for clocks that differ.
func (a *app) jwt() (string, error) {
	now := a.now()
	claims, err := json.Marshal(map[string]any{
		"iat": now.Add(-time.Minute).Unix(),
		"exp": now.Add(9 * time.Minute).Unix(),
		"iss": strconv.FormatInt(a.id, 10),
	})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(claims)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, a.key, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("sign in as github app %d: %w", a.id, err)
	}
	return signed + "." + encode(signature), nil
}

// client returns a client for the repository.
func (a *app) client(ctx context.Context, owner, repo string) (*github.Client, error) {
	name := owner + "/" + repo
	if _, c := a.kept(name); c != nil {
		return c, nil
	}
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	id, c := a.kept(name)
	if c != nil {
		return c, nil // whoever had the turn before has asked
	}
	if id == 0 {
		found, err := a.installation(ctx, owner, repo)
		if err != nil {
			return nil, err
		}
		id = found
		if _, c := a.kept(name); c != nil {
			return c, nil // another repository of the installation has asked
		}
	}
	made, response, err := a.self.Apps.CreateInstallationToken(ctx, id, nil)
	if response != nil && response.StatusCode == http.StatusNotFound {
		// It may have been installed anew, under another ID: look again later.
		a.doubt(name, http.StatusNotFound)
		return nil, fmt.Errorf("installation %d is gone: %v", id, err)
	}
	if err != nil {
		return nil, err
	}
	c = a.connect(func() (string, error) { return made.GetToken(), nil })
	a.mu.Lock()
	a.tokens[id] = &token{expires: made.GetExpiresAt().Time, client: c}
	a.mu.Unlock()
	return c, nil
}

// installation finds the one that a repository belongs to. Who calls it has the
// turn.
func (a *app) installation(ctx context.Context, owner, repo string) (int64, error) {
	name := owner + "/" + repo
	a.mu.Lock()
	id := a.installations[name]
	a.mu.Unlock()
	if id != 0 {
		return id, nil
	}
	found, response, err := a.self.Apps.FindRepositoryInstallation(ctx, owner, repo)
	if response != nil && response.StatusCode == http.StatusNotFound {
		return 0, &dispatch.PermanentError{Err: fmt.Errorf("the app is not installed on %s: %w", name, err)}
	}
	if err != nil {
		return 0, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.installations[name] = found.GetID()
	return found.GetID(), nil
}

// kept returns the repository's installation, 0 when it is not known, and a
// client of it, nil when there is none with a token that lasts.
func (a *app) kept(name string) (int64, *github.Client) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := a.installations[name]
	if t := a.tokens[id]; t != nil && a.lasts(t.expires) {
		return id, t.client
	}
	return id, nil
}

// doubt forgets what the host's answer about a repository calls into question.
func (a *app) doubt(name string, code int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch code {
	case http.StatusUnauthorized:
		delete(a.tokens, a.installations[name])
	case http.StatusNotFound:
		delete(a.installations, name)
	}
}
