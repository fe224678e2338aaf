package githubtest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"

	"switchyard/internal/gittest"
)

// AnyToken may do everything with every repository.
const AnyToken = "t0ken"

// free marks what does not count against the limits.
const free = "metadata=free"

// Token authorises calls.
type Token struct {
	Text, Login string
	// All lets it do everything. Else it is a classic one with Scopes, where
	// those are not nil, or a fine-grained one with Permissions, such as
	// "statuses": "write".
	All         bool
	Scopes      []string
	Permissions map[string]string
	// Repositories are those that it reaches, by full name; nil for all.
	Repositories []string
	// Expires is when it ends, the zero time for never.
	Expires time.Time

	// installation is the one that it was made for, if it was.
	installation *installation
}

// AddToken makes a token known, in the place of one with the same text.
func (s *Server) AddToken(t Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[t.Text] = &t
}

// RevokeTokens ends all tokens of Apps.
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.tokens, func(_ string, t *Token) bool { return t.installation != nil })
}

func (t *Token) limitedAs() string {
	if t.installation != nil {
		return "installation " + strconv.FormatInt(t.installation.id, 10)
	}
	return t.Login
}

// App is a GitHub App.
type App struct {
	ID   int64
	Slug string
	// PrivateKey is the PEM text that GitHub hands out.
	PrivateKey []byte
	// Permissions are those that its installations grant.
	Permissions map[string]string

	s             *Server
	public        *rsa.PublicKey
	installations []*installation
	hook          *hook
}

type installation struct {
	id    int64
	app   *App
	owner string
	// repositories are full names in lower case; nil for all of the owner.
	repositories []string
}

// appKey is made once: that takes a while.
var appKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// AddApp registers an App. The installation of each owner is made by
// [App.Install].
func (s *Server) AddApp(permissions map[string]string) *App {
	s.t.Helper()
	key, err := appKey()
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &App{
		ID: int64(4200 + len(s.apps)), Slug: "switchyard", Permissions: permissions, s: s, public: &key.PublicKey,
		PrivateKey: pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
	}
	s.apps = append(s.apps, a)
	return a
}

// Install installs the App on an owner's repositories, all or those named, and
// returns the installation's ID. What was installed there before is removed.
func (a *App) Install(owner string, repositories ...string) int64 {
	a.Uninstall(owner)
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	i := &installation{id: a.s.id(), app: a, owner: owner}
	for _, r := range repositories {
		i.repositories = append(i.repositories, strings.ToLower(r))
	}
	a.installations = append(a.installations, i)
	return i.id
}

// Uninstall removes the App from an owner's repositories, and ends its tokens for
// them.
func (a *App) Uninstall(owner string) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	a.installations = slices.DeleteFunc(a.installations, func(i *installation) bool { return strings.EqualFold(i.owner, owner) })
	maps.DeleteFunc(a.s.tokens, func(_ string, t *Token) bool {
		return t.installation != nil && t.installation.app == a && strings.EqualFold(t.installation.owner, owner)
	})
}

func (a *App) on(repo *Repo) *installation {
	for _, i := range a.installations {
		if strings.EqualFold(i.owner, repo.Owner) && (i.repositories == nil || slices.Contains(i.repositories, key(repo.FullName()))) {
			return i
		}
	}
	return nil
}

// caller is who makes a call.
type caller struct {
	login   string
	token   *Token // nil for an App itself
	app     *App   // also of a token of one
	limited string
}

func bearer(r *http.Request) string {
	kind, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "bearer") && !strings.EqualFold(kind, "token") {
		return ""
	}
	return text
}

// identify finds out who calls, and whether he may. Who calls it has the lock.
func (s *Server) identify(q *call, o operation) error {
	text := bearer(q.r)
	if o.jwt {
		a, err := s.appOf(text)
		if err != nil {
			return &FaultError{Status: http.StatusUnauthorized, Message: err.Error()}
		}
		q.who = &caller{login: a.Slug + "[bot]", app: a, limited: "app " + a.Slug}
		q.repo = s.repos[key(q.r.PathValue("owner")+"/"+q.r.PathValue("repo"))]
		return nil
	}
	t := s.tokens[text]
	if t == nil || !t.Expires.IsZero() && !time.Now().Before(t.Expires) {
		return &FaultError{Status: http.StatusUnauthorized, Message: "Bad credentials"}
	}
	q.who = &caller{login: t.Login, token: t, limited: t.limitedAs()}
	if t.installation != nil {
		q.who.app = t.installation.app
	}
	if !t.Expires.IsZero() && t.installation == nil {
		q.header.Set("GitHub-Authentication-Token-Expiration", t.Expires.UTC().Format("2006-01-02 15:04:05 MST"))
	}
	if t.Scopes != nil || t.All {
		q.header.Set("X-OAuth-Scopes", strings.Join(t.Scopes, ", "))
		if t.All {
			q.header.Set("X-OAuth-Scopes", "admin:org_hook, admin:repo_hook, repo")
		}
	} else if o.needs != "" && o.needs != free {
		q.header.Set("X-Accepted-GitHub-Permissions", o.needs)
	}
	if owner := q.r.PathValue("owner"); owner != "" {
		q.repo = s.repos[key(owner+"/"+q.r.PathValue("repo"))]
		if q.repo == nil || !t.reaches(q.repo) {
			return errNotFound
		}
	}
	if o.app && t.installation == nil {
		return &FaultError{Status: http.StatusForbidden, Message: "You must authenticate via a GitHub App."}
	}
	if !t.may(o.needs) {
		switch {
		case t.Scopes != nil:
			return errNotFound // a classic token is not told what it lacks
		case t.installation != nil:
			return &FaultError{Status: http.StatusForbidden, Message: "Resource not accessible by integration"}
		default:
			return &FaultError{Status: http.StatusForbidden, Message: "Resource not accessible by personal access token"}
		}
	}
	return nil
}

// reaches reports whether the token sees a repository.
func (t *Token) reaches(r *Repo) bool {
	if t.installation != nil && t.installation.app.on(r) != t.installation {
		return false
	}
	return t.Repositories == nil || slices.ContainsFunc(t.Repositories, func(name string) bool { return strings.EqualFold(name, r.FullName()) })
}

// scopes are those of a classic token that take the place of a permission, by
// "Scopes for OAuth apps".
var scopes = map[string][]string{
	"statuses": {"repo", "repo:status"}, "repository_hooks": {"repo", "admin:repo_hook", "write:repo_hook"},
	"organization_hooks": {"admin:org_hook"}, "checks": {"repo"}, "contents": {"repo"}, "pull_requests": {"repo"},
	"issues": {"repo"}, "administration": {"repo"}, "metadata": {"repo"},
}

func (t *Token) may(needs string) bool {
	name, level, _ := strings.Cut(needs, "=")
	switch {
	case t.All, needs == "", needs == free:
		return true
	case t.Scopes != nil:
		return slices.ContainsFunc(scopes[name], func(scope string) bool { return slices.Contains(t.Scopes, scope) })
	case name == "metadata" && level == "read":
		return true // comes with any other
	}
	has := t.Permissions[name]
	return has == level || has == "write" && level == "read" || has == "admin"
}

// appOf checks a JWT as "Generating a JSON Web Token (JWT) for a GitHub App" says
// that GitHub does.
func (s *Server) appOf(text string) (*App, error) {
	var claims jwt.RegisteredClaims
	var app *App
	_, err := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithoutClaimsValidation()).ParseWithClaims(text, &claims, func(*jwt.Token) (any, error) {
		for _, a := range s.apps {
			if claims.Issuer == strconv.FormatInt(a.ID, 10) {
				app = a
				return a.public, nil
			}
		}
		return nil, errors.New("integration not found")
	})
	now := time.Now()
	switch {
	case err != nil:
		return nil, errors.New("A JSON web token could not be decoded") //nolint:staticcheck,revive // GitHub's words
	case claims.IssuedAt == nil || claims.IssuedAt.After(now):
		return nil, errors.New("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
	case claims.ExpiresAt == nil || !claims.ExpiresAt.After(now):
		return nil, errors.New("'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires")
	case claims.ExpiresAt.Sub(now) > 10*time.Minute:
		return nil, errors.New("'Expiration time' claim ('exp') is too far in the future")
	}
	return app, nil
}

func (s *Server) getInstallation(q *call) (any, error) {
	if q.repo == nil {
		return nil, errNotFound
	}
	i := q.who.app.on(q.repo)
	if i == nil {
		return nil, errNotFound
	}
	url := s.base + "app/installations/" + strconv.FormatInt(i.id, 10)
	return object{
		"id": i.id, "app_id": i.app.ID, "app_slug": i.app.Slug, "target_id": 1, "target_type": "Organization", "single_file_name": nil,
		"repository_selection": i.selection(), "access_tokens_url": url + "/access_tokens", "html_url": url, "repositories_url": s.base + "installation/repositories",
		"events": []string{"push"}, "account": s.user(i.owner), "permissions": i.app.Permissions, "created_at": stamp(time.Now()), "updated_at": stamp(time.Now()),
		"suspended_by": nil, "suspended_at": nil,
	}, nil
}

func (i *installation) selection() string {
	if i.repositories == nil {
		return "all"
	}
	return "selected"
}

// createToken makes a token of an installation, which lasts an hour.
func (s *Server) createToken(q *call) (any, error) {
	at := slices.IndexFunc(q.who.app.installations, func(i *installation) bool {
		return strconv.FormatInt(i.id, 10) == q.r.PathValue("installation_id")
	})
	if at < 0 {
		return nil, errNotFound
	}
	i := q.who.app.installations[at]
	t := &Token{Text: fmt.Sprintf("ghs_%d", s.id()), Login: i.app.Slug + "[bot]", Permissions: i.app.Permissions, Expires: time.Now().Add(time.Hour).Truncate(time.Second), installation: i}
	if asked, ok := q.body["permissions"].(object); ok {
		t.Permissions = map[string]string{}
		for name, level := range asked {
			whole := Token{Permissions: i.app.Permissions}
			if !whole.may(name + "=" + level.(string)) {
				return nil, &FaultError{Status: http.StatusUnprocessableEntity, Message: "The permissions requested are not granted to this installation."}
			}
			t.Permissions[name] = level.(string)
		}
	}
	names, _ := q.body["repositories"].([]any)
	for _, name := range names {
		r := s.repos[key(i.owner+"/"+name.(string))]
		if r == nil || i.app.on(r) != i {
			return nil, &FaultError{Status: http.StatusUnprocessableEntity, Message: "There is at least one repository that does not exist or is not accessible to the parent installation."}
		}
		t.Repositories = append(t.Repositories, r.FullName())
	}
	s.tokens[t.Text] = t
	q.status = http.StatusCreated
	return object{"token": t.Text, "expires_at": stamp(t.Expires), "permissions": t.Permissions, "repository_selection": i.selection()}, nil
}

func (s *Server) getApp(q *call) (any, error) { return s.describeApp(q.who.app), nil }

func (s *Server) describeApp(a *App) object {
	return object{
		"id": a.ID, "slug": a.Slug, "node_id": "x", "owner": s.user("acme"), "name": "Switchyard", "description": nil, "external_url": s.web, "html_url": s.web + "/apps/" + a.Slug,
		"created_at": stamp(gittest.Epoch), "updated_at": stamp(gittest.Epoch), "permissions": a.Permissions, "events": []string{"push"},
	}
}

// JWT signs in as the App.
func (a *App) JWT(t testing.TB) string {
	t.Helper()
	key, err := appKey()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	text, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.RegisteredClaims{
		Issuer: strconv.FormatInt(a.ID, 10), IssuedAt: jwt.NewNumericDate(now.Add(-time.Minute)), ExpiresAt: jwt.NewNumericDate(now.Add(5 * time.Minute)),
	}).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
