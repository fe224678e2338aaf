// Package github tells commit statuses to GitHub, GitHub Enterprise and hosts
// with the same API.
//
// A status is created for each new state; GitHub shows the newest of each
// context, and takes at most 1,000 of each commit and context. Facts are from
// the REST reference on commit statuses and on rate limits.
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
	"switchyard/dispatch/status"
)

const (
	defaultBaseURL = "https://api.github.com/"
	// maxDescription is what GitHub takes, in characters.
	maxDescription = 140
	// notFoundPatience is how long a repository that is not found is taken for
	// one that the token may not see yet.
	notFoundPatience = 24 * time.Hour
	// maxError bounds what is kept of an error's text, in characters.
	maxError = 500
)

// Config is what an operator sets. Either Token or App is required.
type Config struct {
	// BaseURL is where the API is. Default https://api.github.com/; GitHub
	// Enterprise has it at https://<host>/api/v3/.
	BaseURL string
	// Token may write commit statuses: a fine-grained one needs "Commit
	// statuses: write", a classic one the scope repo:status.
	Token string
	// App is a GitHub App with "Commit statuses: write".
	App *App
	// Limits bound the pace. Default: 80 posts in a minute and 500 in an hour,
	// which GitHub allows for requests that create content, 4 at once. Set any
	// field and the others are taken as they are.
	Limits status.Limits
}

// App says which GitHub App posts, instead of a token.
type App struct {
	ID int64
	// PrivateKey is the PEM text that GitHub hands out for the App.
	PrivateKey []byte
}

// Option replaces what a test or the wiring may replace.
type Option func(*options)

type options struct {
	transport http.RoundTripper
	now       func() time.Time
}

// WithTransport replaces the default transport.
func WithTransport(t http.RoundTripper) Option { return func(o *options) { o.transport = t } }

// WithClock replaces time.Now for what is signed and for when tokens expire.
func WithClock(now func() time.Time) Option { return func(o *options) { o.now = now } }

// Poster is a [status.Poster].
type Poster struct {
	limits status.Limits
	now    func() time.Time
	// client is authorised by the token; nil with an App.
	client *github.Client
	app    *app
}

var _ status.Poster = (*Poster)(nil)

// New checks cfg and calls nothing.
func New(cfg Config, opts ...Option) (*Poster, error) {
	o := options{transport: http.DefaultTransport, now: time.Now}
	for _, f := range opts {
		f(&o)
	}
	if cfg.BaseURL == "" {
		cfg.BaseURL = defaultBaseURL
	}
	base, err := url.Parse(strings.TrimRight(cfg.BaseURL, "/") + "/")
	if err != nil || (base.Scheme != "https" && base.Scheme != "http") || base.Host == "" || base.User != nil {
		return nil, fmt.Errorf("github: base URL %q is not an http or https URL without a user", cfg.BaseURL)
	}
	if cfg.Limits == (status.Limits{}) {
		cfg.Limits = status.Limits{PerMinute: 80, PerHour: 500, Concurrent: 4}
	}
	if cfg.Limits.PerMinute < 0 || cfg.Limits.PerHour < 0 || cfg.Limits.Concurrent < 0 {
		return nil, fmt.Errorf("github: limits %+v must not be negative", cfg.Limits)
	}
	p := &Poster{limits: cfg.Limits, now: o.now}
	switch {
	case cfg.App != nil && cfg.Token != "":
		return nil, errors.New("github: set token or app, not both")
	case cfg.App != nil:
		p.app, err = newApp(*cfg.App, base, o)
		return p, err
	case cfg.Token != "":
		p.client = newClient(base, o.transport, func(context.Context) (string, error) { return cfg.Token, nil })
		return p, nil
	default:
		return nil, errors.New("github: posting statuses needs a token or an app")
	}
}

// Limits returns the configured pace.
func (p *Poster) Limits() status.Limits { return p.limits }

var (
	objectID = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)
	// fullName keeps a name from walking to another path of the API.
	fullName = regexp.MustCompile(`^([A-Za-z0-9_.-]+)/([A-Za-z0-9_.-]+)$`)
)

// Post creates a commit status.
func (p *Poster) Post(ctx context.Context, s dispatch.Status, targetURL string) error {
	name := fullName.FindStringSubmatch(s.Repository)
	if name == nil || isDots(name[1]) || isDots(name[2]) {
		return &dispatch.PermanentError{Err: fmt.Errorf("github status: repository %q is not owner/name", s.Repository)}
	}
	if !objectID.MatchString(s.SHA) {
		return &dispatch.PermanentError{Err: fmt.Errorf("github status: %q is not a commit ID", s.SHA)}
	}
	owner, repo := name[1], name[2]
	client := p.client
	if p.app != nil {
		var err error
		if client, err = p.app.client(ctx, owner, repo); err != nil {
			return p.classify(ctx, s.WantedAt, fmt.Sprintf("authorise github app for %s", s.Repository), err)
		}
	}
	wanted := &github.RepoStatus{
		State:       github.String(string(s.State)),
		Context:     github.String(s.Context),
		Description: github.String(status.Line(s.Description, maxDescription)),
	}
	if targetURL != "" {
		wanted.TargetURL = &targetURL
	}
	_, response, err := client.Repositories.CreateStatus(ctx, owner, repo, s.SHA, wanted)
	if err != nil {
		if p.app != nil && response != nil {
			p.app.doubt(s.Repository, response.StatusCode)
		}
		return p.classify(ctx, s.WantedAt, fmt.Sprintf("github status of %s at %s", s.SHA, s.Repository), err)
	}
	return nil
}

func isDots(s string) bool { return s == "." || s == ".." }

// classify gives err, of a status that has been wanted since then, its verdict
// and drops go-github's types.
func (p *Poster) classify(ctx context.Context, since time.Time, op string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, ctx.Err())
	}
	plain := fmt.Errorf("%s: %s", op, status.Line(err.Error(), maxError))
	var permanent *dispatch.PermanentError
	if errors.As(err, &permanent) {
		return &dispatch.PermanentError{Err: plain}
	}
	var rate *github.RateLimitError
	if errors.As(err, &rate) {
		return &dispatch.ThrottledError{After: p.until(rate.Rate.Reset.Time), Err: plain}
	}
	var abuse *github.AbuseRateLimitError
	if errors.As(err, &abuse) {
		after := time.Duration(0)
		if abuse.RetryAfter != nil {
			after = max(*abuse.RetryAfter, 0)
		}
		return &dispatch.ThrottledError{After: after, Err: plain}
	}
	var answer *github.ErrorResponse
	if !errors.As(err, &answer) || answer.Response == nil {
		return plain
	}
	after, limited := p.retryAfter(answer.Response.Header)
	switch code := answer.Response.StatusCode; code {
	case http.StatusTooManyRequests:
		return &dispatch.ThrottledError{After: after, Err: plain}
	case http.StatusUnauthorized:
		return &status.UnauthorizedError{Err: plain}
	case http.StatusForbidden, http.StatusServiceUnavailable:
		if limited {
			return &dispatch.ThrottledError{After: after, Err: plain}
		}
		if code == http.StatusForbidden {
			// An operator mends the token's permissions, and the statuses
			// should still be there then.
			return &status.RefusedError{Err: plain}
		}
		return plain
	case http.StatusNotFound:
		// Also what GitHub says to a token that may not see the repository.
		if p.now().Sub(since) > notFoundPatience {
			return &dispatch.PermanentError{Err: plain}
		}
		return &status.RefusedError{Err: plain}
	case http.StatusBadRequest, http.StatusGone, http.StatusUnprocessableEntity, http.StatusUnavailableForLegalReasons:
		return &dispatch.PermanentError{Err: plain}
	default:
		if code >= 400 && code < 500 {
			return &status.RefusedError{Err: plain}
		}
		return plain
	}
}

// retryAfter reads how long the host wants to be left alone; false when it
// does not say that the limits are the matter.
func (p *Poster) retryAfter(h http.Header) (time.Duration, bool) {
	after := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(after); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(after); err == nil {
		return p.until(at), true
	}
	if h.Get("X-RateLimit-Remaining") != "0" {
		return 0, false
	}
	reset, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
	if err != nil {
		return 0, true
	}
	return p.until(time.Unix(reset, 0)), true
}

// until is how long to wait for a reset that is given in whole seconds of the
// host's clock.
func (p *Poster) until(reset time.Time) time.Duration {
	return max(reset.Sub(p.now()), 0) + time.Second
}

// newClient returns a client that authorises calls of base, and no others: a
// redirect elsewhere must not carry the token along.
func newClient(base *url.URL, next http.RoundTripper, token func(context.Context) (string, error)) *github.Client {
	c := github.NewClient(&http.Client{Transport: authorised{next: next, base: base, token: token}})
	c.BaseURL = base
	c.UserAgent = "switchyard"
	return c
}

type authorised struct {
	next  http.RoundTripper
	base  *url.URL
	token func(context.Context) (string, error)
}

func (a authorised) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != a.base.Host || r.URL.Scheme != a.base.Scheme {
		return a.next.RoundTrip(r)
	}
	token, err := a.token(r.Context())
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
