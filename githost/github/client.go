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
	"strconv"
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

// WithClock replaces time.Now for what is signed, for when tokens expire and for
// how long to wait.
func WithClock(now func() time.Time) Option { return func(c *Client) { c.now = now } }

// Client makes authorised clients for repositories. It is safe for concurrent
// use.
type Client struct {
	source    string
	base      *url.URL
	transport http.RoundTripper
	now       func() time.Time
	// byToken is authorised by the token; nil with an App.
	byToken *github.Client
	token   string
	app     *app
}

// New checks cfg and calls nothing.
func New(cfg Config, opts ...Option) (*Client, error) {
	c := &Client{source: cfg.Source, transport: http.DefaultTransport, now: time.Now}
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
	switch {
	case cfg.App != nil && cfg.Token != "":
		return nil, errors.New("github: set token or app, not both")
	case cfg.App != nil:
		c.app, err = newApp(*cfg.App, c.connect, c.now)
		return c, err
	case cfg.Token != "":
		c.token = cfg.Token
		c.byToken = c.connect(func() (string, error) { return cfg.Token, nil })
		return c, nil
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

// Answered tells of an answer that was no success: what it calls into question
// of an App's tokens is asked for anew.
func (c *Client) Answered(repository string, response *github.Response) {
	if c.app != nil && response != nil {
		c.app.doubt(repository, response.StatusCode)
	}
}

// Throttled returns err as a [*dispatch.ThrottledError] around shown where it
// says that the host asks for fewer calls, and nil otherwise.
func (c *Client) Throttled(err, shown error) *dispatch.ThrottledError {
	var rate *github.RateLimitError
	if errors.As(err, &rate) {
		return &dispatch.ThrottledError{After: c.until(rate.Rate.Reset.Time, headerOf(rate.Response)), Err: shown}
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
	after, limited := c.retryAfter(answer.Response.Header)
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

// retryAfter reads how long the host wants to be left alone; false when it
// does not say that the limits are the matter.
func (c *Client) retryAfter(h http.Header) (time.Duration, bool) {
	after := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(after); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(after); err == nil {
		return c.until(at, h), true
	}
	if h.Get("X-RateLimit-Remaining") != "0" {
		return 0, false
	}
	reset, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
	if err != nil {
		return 0, true
	}
	return c.until(time.Unix(reset, 0), h), true
}

// until is how long to wait for a time that is given in whole seconds of the
// host's clock, which the answer tells, so that ours may differ from it.
func (c *Client) until(at time.Time, h http.Header) time.Duration {
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = c.now()
	}
	return max(at.Sub(now), 0) + time.Second
}

func headerOf(r *http.Response) http.Header {
	if r == nil {
		return nil
	}
	return r.Header
}

// tokenFunc returns what authorises a call.
type tokenFunc = func() (string, error)

// connect returns a client that authorises calls of the base URL, and no others:
// a redirect elsewhere must not carry the token along.
func (c *Client) connect(token tokenFunc) *github.Client {
	made := github.NewClient(&http.Client{Transport: authorised{next: c.transport, base: c.base, token: token}})
	made.BaseURL = c.base
	made.UserAgent = "switchyard"
	return made
}

type authorised struct {
	next  http.RoundTripper
	base  *url.URL
	token tokenFunc
}

func (a authorised) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != a.base.Host || r.URL.Scheme != a.base.Scheme {
		return a.next.RoundTrip(r)
	}
	token, err := a.token()
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return a.next.RoundTrip(r)
}
