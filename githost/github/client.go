// Package github asks the API of GitHub, GitHub Enterprise Server and hosts with
// the same API.
//
// [Client] knows how to authorise calls and what the answers to them mean; as a
// [dispatch.Host] it completes what deliveries left out. Facts are from the REST
// reference on commits, on authentication and on rate limits.
package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"switchyard/dispatch"
)

const defaultBaseURL = "https://api.github.com/"

// Config is what an operator sets. Either Token or App is required.
type Config struct {
	// Source is the name under sources in the config. Errors name the keys
	// below it.
	Source string
	// BaseURL is where the API is. Default https://api.github.com/; GitHub
	// Enterprise has it at https://<host>/api/v3/.
	BaseURL string
	// CloneBase is where repositories are cloned from, such as https://github.com.
	// Default: what BaseURL says.
	CloneBase string
	// Token needs "Contents: read" to be asked about commits, and "Commit
	// statuses: write" to write statuses.
	Token string
	// App is a GitHub App with the same permissions.
	App *App
}

// App is a GitHub App, which takes the place of a token.
type App struct {
	ID int64
	// PrivateKey is the PEM text that GitHub hands out for the App.
	PrivateKey []byte
}

// Option replaces what a test or the wiring may replace.
type Option func(*Client)

// WithTransport replaces the default transport.
func WithTransport(t http.RoundTripper) Option { return func(c *Client) { c.transport = t } }

// WithClock replaces time.Now for how long to wait.
func WithClock(now func() time.Time) Option { return func(c *Client) { c.now = now } }

// Client makes authorised clients for repositories. It is safe for concurrent
// use.
type Client struct {
	source    string
	base      *url.URL
	cloneBase string
	transport http.RoundTripper
	now       func() time.Time
	most      int // maxCommits
	// byToken is authorised by the token; nil with an App.
	byToken *github.Client
	token   string
	app     *app
}

// New checks cfg and calls nothing.
func New(cfg Config, opts ...Option) (*Client, error) {
	c := &Client{source: cfg.Source, transport: http.DefaultTransport, now: time.Now, most: maxCommits}
	for _, f := range opts {
		f(c)
	}
	if cfg.BaseURL == "" {
		cfg.BaseURL = defaultBaseURL
	}
	var err error
	c.base, err = url.Parse(strings.TrimRight(cfg.BaseURL, "/") + "/")
	if err != nil || (c.base.Scheme != "https" && c.base.Scheme != "http") || c.base.Host == "" || c.base.User != nil {
		return nil, fmt.Errorf("github: base URL %q is not an http or https URL without a user", cfg.BaseURL)
	}
	c.cloneBase = strings.TrimRight(cfg.CloneBase, "/")
	if c.cloneBase == "" {
		c.cloneBase = cloneBase(c.base)
	}
	switch {
	case cfg.App != nil && cfg.Token != "":
		return nil, errors.New("github: set token or app, not both")
	case cfg.App != nil:
		c.app, err = c.newApp(*cfg.App)
		return c, err
	case cfg.Token != "":
		c.token = cfg.Token
		c.byToken = c.connect(bearer{next: c.transport, token: cfg.Token})
		return c, err
	default:
		return nil, errors.New("github: the API needs a token or an app")
	}
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

// For returns a client that is authorised for the repository. Its error may be
// one of go-github's.
func (c *Client) For(ctx context.Context, owner, name string) (*github.Client, error) {
	if c.app != nil {
		return c.app.client(ctx, owner, name)
	}
	return c.byToken, nil
}

// AppID is the ID of the App as which calls are made, 0 for a token.
func (c *Client) AppID() int64 {
	if c.app == nil {
		return 0
	}
	return c.app.id
}

// Failed tells of the error of a call: what it calls into question of an App's
// tokens is asked for anew.
func (c *Client) Failed(repository string, err error) {
	if c.app != nil {
		c.app.doubt(repository, err)
	}
}

// Unauthorized reports whether the error of a call says that the host does not
// know our credentials. Of an App, a token that is not accepted is not meant: there
// will be another.
func (c *Client) Unauthorized(err error) bool {
	if c.app != nil {
		var refused *signInError
		return errors.As(err, &refused) && refused.code == http.StatusUnauthorized
	}
	return codeOf(err) == http.StatusUnauthorized
}

// codeOf is the status of the answer that err is about, 0 where there was none.
func codeOf(err error) int {
	var answer *github.ErrorResponse
	if !errors.As(err, &answer) || answer.Response == nil {
		return 0
	}
	return answer.Response.StatusCode
}

// Throttled returns err as a [*dispatch.ThrottledError] around shown where it
// says that the host asks for fewer calls, or that the rest of them is kept for
// others, and nil otherwise.
func (c *Client) Throttled(err, shown error) *dispatch.ThrottledError {
	var unasked *throttledError
	if errors.As(err, &unasked) {
		return &dispatch.ThrottledError{After: unasked.after, Err: shown}
	}
	var rate *github.RateLimitError
	if errors.As(err, &rate) {
		return &dispatch.ThrottledError{After: until(rate.Rate.Reset.Time, headerOf(rate.Response), c.now()), Err: shown}
	}
	var abuse *github.AbuseRateLimitError
	if errors.As(err, &abuse) {
		after := time.Duration(0)
		if abuse.RetryAfter != nil {
			after = max(*abuse.RetryAfter, 0)
		}
		return &dispatch.ThrottledError{After: after, Err: shown}
	}
	var answer *github.ErrorResponse
	if !errors.As(err, &answer) || answer.Response == nil {
		return nil
	}
	after, limited := retryAfter(answer.Response.Header, c.now())
	switch answer.Response.StatusCode {
	case http.StatusTooManyRequests:
	case http.StatusForbidden, http.StatusServiceUnavailable:
		if !limited {
			return nil
		}
	default:
		return nil
	}
	return &dispatch.ThrottledError{After: after, Err: shown}
}

func headerOf(r *http.Response) http.Header {
	if r == nil {
		return nil
	}
	return r.Header
}

// connect returns a client whose calls of the base URL, and no others, go through
// authorised: a redirect elsewhere must not carry a token along. They share a
// budget.
func (c *Client) connect(authorised http.RoundTripper) *github.Client {
	made := github.NewClient(&http.Client{Transport: within{base: c.base, inside: &budget{next: authorised, now: c.now}, outside: c.transport}})
	made.BaseURL, made.UserAgent = c.base, "switchyard"
	return made
}

// within keeps what is for one host from going to another.
type within struct {
	base            *url.URL
	inside, outside http.RoundTripper
}

func (w within) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != w.base.Host || r.URL.Scheme != w.base.Scheme {
		return w.outside.RoundTrip(r)
	}
	return w.inside.RoundTrip(r.Clone(r.Context())) // some of what is inside changes it
}

// bearer authorises by a token.
type bearer struct {
	next  http.RoundTripper
	token string
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}
