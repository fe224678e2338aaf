// Package gitea asks the API of Gitea and Forgejo.
//
// [Client] knows how to authorise calls and what the answers to them mean; as a
// [dispatch.Host] it completes what deliveries left out, and it has the faces of
// package githost but one: the hosts have no API to have a delivery sent again,
// so it is no [githost.Redeliverer].
//
// Facts are from the API's description that each host serves under /api/swagger,
// from Forgejo's "Access Token Scope", and from answers that Gitea 1.26 gave.
package gitea

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"code.gitea.io/sdk/gitea"

	"switchyard/dispatch"
	"switchyard/internal/safetext"
)

const (
	// maxParallel bounds the calls under way at once. The hosts publish no limit,
	// and each call is work for what is often one small machine.
	maxParallel = 4
	// maxAnswer bounds what is read of one answer, in bytes.
	maxAnswer = 64 << 20
	// maxError bounds what is kept of an error's text, in characters.
	maxError = 500
	apiPath  = "/api/v1"
)

// Scopes of a token, and what they are for.
const (
	ScopeRead   = "read:repository"
	ScopeWrite  = "write:repository"
	ScopeIssues = "write:issue"
)

// Config is what an operator sets. All but Source is required.
type Config struct {
	// Source is the name under sources in the config. Errors name the keys
	// below it.
	Source string
	// BaseURL is the address of the host, or of its API, which is below /api/v1.
	BaseURL string
	// Token needs the scope read:repository to be asked about commits, and
	// write:repository to write statuses, of a user who may write to the
	// repositories.
	Token string
}

// Option replaces what a test or the wiring may replace.
type Option func(*Client)

// WithTransport replaces the default transport.
func WithTransport(t http.RoundTripper) Option { return func(c *Client) { c.transport = t } }

// Client makes authorised calls. It is safe for concurrent use.
type Client struct {
	source    string
	base      *url.URL // of the host
	token     string
	transport http.RoundTripper
	http      *http.Client
}

// New checks cfg and calls nothing.
func New(cfg Config, opts ...Option) (*Client, error) {
	c := &Client{source: cfg.Source, token: cfg.Token, transport: http.DefaultTransport}
	for _, f := range opts {
		f(c)
	}
	var err error
	c.base, err = url.Parse(strings.TrimRight(strings.TrimSuffix(strings.TrimRight(cfg.BaseURL, "/"), apiPath), "/"))
	if err != nil || c.base.Scheme != "https" && c.base.Scheme != "http" || c.base.Host == "" || c.base.User != nil || c.base.RawQuery != "" || c.base.Fragment != "" {
		return nil, fmt.Errorf("gitea: base URL %q is not an http or https URL without a user", cfg.BaseURL)
	}
	if cfg.Token == "" {
		return nil, errors.New("gitea: the API needs a token")
	}
	c.http = &http.Client{
		Transport:     &authorised{next: c.transport, base: c.base, token: c.token, turns: make(chan struct{}, maxParallel)},
		CheckRedirect: c.sameHost,
	}
	return c, nil
}

// sameHost follows a repository that was renamed, and nothing that leads away.
func (c *Client) sameHost(r *http.Request, via []*http.Request) error {
	if !at(r.URL, c.base) {
		return fmt.Errorf("the host sends us on to %s, which is not followed; set base_url to where it is", safetext.Cut(safetext.Line(r.URL.Scheme+"://"+r.URL.Host), 200))
	}
	if len(via) > 4 {
		return errors.New("the host sends us on and on")
	}
	return nil
}

func at(u, base *url.URL) bool { return u.Scheme == base.Scheme && u.Host == base.Host }

// API returns the library's client, whose calls end with ctx. It asks for no
// version of the host.
func (c *Client) API(ctx context.Context) (*gitea.Client, error) {
	return gitea.NewClient(c.base.String(), gitea.SetGiteaVersion(""), gitea.SetContext(ctx), gitea.SetHTTPClient(c.http), gitea.SetUserAgent("switchyard"))
}

// fullName keeps a name from walking to another path of the API.
var fullName = regexp.MustCompile(`^([A-Za-z0-9_.-]+)/([A-Za-z0-9_.-]+)$`)

// Split divides a repository's full name. An error is a
// [*dispatch.PermanentError].
func Split(repository string) (owner, name string, err error) {
	parts := fullName.FindStringSubmatch(repository)
	if parts == nil || isDots(parts[1]) || isDots(parts[2]) {
		return "", "", &dispatch.PermanentError{Err: fmt.Errorf("repository %q is not owner/name", repository)}
	}
	return parts[1], parts[2], nil
}

func isDots(s string) bool { return s == "." || s == ".." }

// call is a question about one repository.
type call struct {
	*Client
	api         *gitea.Client
	owner, name string
	repository  string
}

func (c *Client) about(ctx context.Context, repository string) (*call, error) {
	owner, name, err := Split(repository)
	if err != nil {
		return nil, err
	}
	api, err := c.API(ctx)
	if err != nil {
		return nil, err
	}
	return &call{Client: c, api: api, owner: owner, name: name, repository: repository}, nil
}

// StatusOf is the status of an answer, 0 where there was none.
func StatusOf(r *gitea.Response) int {
	if r == nil || r.Response == nil {
		return 0
	}
	return r.StatusCode
}

// Throttled returns shown as a [*dispatch.ThrottledError] where an answer asks for
// fewer calls, as a proxy before the host may do, and nil otherwise.
func Throttled(r *gitea.Response, shown error) *dispatch.ThrottledError {
	code := StatusOf(r)
	if code != http.StatusTooManyRequests && (code != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "") {
		return nil
	}
	after := time.Duration(0)
	if seconds, err := strconv.Atoi(r.Header.Get("Retry-After")); err == nil && seconds > 0 {
		after = time.Duration(seconds) * time.Second
	}
	return &dispatch.ThrottledError{After: after, Err: shown}
}

// Shown is what an operator sees of an error.
func Shown(err error) string { return safetext.Cut(safetext.Line(err.Error()), maxError) }

// failed says what an error of the library means to a caller. scope is what the
// token needs for the call.
func (q *call) failed(ctx context.Context, op, scope string, r *gitea.Response, err error) error {
	op += " at " + q.repository
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, ctx.Err())
	}
	plain := fmt.Errorf("%s: %s", op, Shown(err))
	if throttled := Throttled(r, plain); throttled != nil {
		return throttled
	}
	switch StatusOf(r) {
	case http.StatusUnauthorized:
		return fmt.Errorf("%w: the host does not accept %s, which may have been deleted: %s", dispatch.ErrCannotAsk, q.credential(), Shown(err))
	case http.StatusForbidden:
		return fmt.Errorf("%w: %s may not %s; it needs the scope %s, and its user access: %s", dispatch.ErrCannotAsk, q.credential(), op, scope, Shown(err))
	case http.StatusNotFound:
		return &dispatch.PermanentError{Err: fmt.Errorf("%s: the host has no such repository or commit, or %s may not see it (it needs the scope %s): %s", op, q.credential(), scope, Shown(err))}
	case http.StatusBadRequest, http.StatusConflict, http.StatusGone, http.StatusUnprocessableEntity, http.StatusUnavailableForLegalReasons:
		return &dispatch.PermanentError{Err: plain}
	}
	return plain
}

// credential is the key in the config of what authorises calls.
func (c *Client) credential() string {
	if c.source == "" {
		return "the token"
	}
	return "sources." + c.source + ".token"
}

// CloneCredentials are what the host's repositories are fetched with over HTTPS.
// It looks at the password alone, where that is a token.
func (c *Client) CloneCredentials() (user, password string) { return "oauth2", c.token }

// authorised adds the token to calls of the host, and to no others: a redirect
// elsewhere must not carry it along. It bounds the calls under way, and reads each
// answer whole while it has its turn.
type authorised struct {
	next  http.RoundTripper
	base  *url.URL
	token string
	turns chan struct{}
}

func (a *authorised) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case a.turns <- struct{}{}:
		defer func() { <-a.turns }()
	case <-r.Context().Done():
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, r.Context().Err()
	}
	response, err := a.send(r)
	if err != nil {
		return nil, err
	}
	if again := a.moved(r, response); again != nil {
		response.Body.Close()
		if response, err = a.send(again); err != nil {
			return nil, err
		}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxAnswer {
		return nil, fmt.Errorf("the answer is larger than %d MiB", maxAnswer>>20)
	}
	response.Body = io.NopCloser(bytes.NewReader(text))
	return response, nil
}

func (a *authorised) send(r *http.Request) (*http.Response, error) {
	if at(r.URL, a.base) {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "token "+a.token)
	}
	return a.next.RoundTrip(r)
}

// moved is the same request where the repository is by now, nil where it has not
// moved. The host answers what changes something with a 301 as it does a question,
// on which an [http.Client] would only read at the new place.
func (a *authorised) moved(r *http.Request, response *http.Response) *http.Request {
	if r.Method == http.MethodGet || response.StatusCode != http.StatusMovedPermanently && response.StatusCode != http.StatusPermanentRedirect && response.StatusCode != http.StatusTemporaryRedirect {
		return nil
	}
	to, err := response.Location()
	if err != nil || !at(to, a.base) || r.Body != nil && r.Body != http.NoBody && r.GetBody == nil {
		return nil
	}
	again := r.Clone(r.Context())
	again.URL = to
	if r.GetBody != nil {
		if again.Body, err = r.GetBody(); err != nil {
			return nil
		}
	}
	return again
}
