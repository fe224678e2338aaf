// Package gitlab asks the API of GitLab: gitlab.com and self-managed.
//
// [Client] authorises calls and says what the answers to them mean; as a
// [dispatch.Host] it completes what deliveries left out, and it has every face of
// package githost. Facts are from GitLab's REST API reference, and where that is
// silent from lib/api of its source.
package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/internal/safetext"
)

const (
	defaultBaseURL = "https://gitlab.com"
	// maxAnswer bounds how much of an answer is read, in bytes.
	maxAnswer = 64 << 20
	// maxHold bounds how long a used-up budget holds calls back: GitLab's periods
	// are minutes.
	maxHold = 15 * time.Minute
	// maxName bounds a project's full name, in bytes.
	maxName = 512
)

// Config is what an operator sets.
type Config struct {
	// Source is the name under sources in the config. Errors name the keys below
	// it.
	Source string
	// BaseURL is where GitLab is. Default https://gitlab.com; the API below
	// /api/v4 is found by itself.
	BaseURL string
	// CloneBase is where repositories are cloned from, and branches listed, when
	// that is not BaseURL.
	CloneBase string
	// Token is a project, group or personal access token, or one of OAuth, with
	// the scope api: read_api can be asked about commits, and cannot write.
	Token string
}

// Option replaces what a test or the wiring may replace.
type Option func(*Client)

// WithTransport replaces the default transport.
func WithTransport(t http.RoundTripper) Option { return func(c *Client) { c.transport = t } }

// WithClock replaces time.Now, for how long to wait.
func WithClock(now func() time.Time) Option { return func(c *Client) { c.now = now } }

// Client is GitLab's API with a token. It is safe for concurrent use.
type Client struct {
	source    string
	base      *url.URL // ends with a slash
	cloneBase string   // ends with none
	token     string
	transport http.RoundTripper
	now       func() time.Time
	api       *gl.Client

	mu sync.Mutex
	// held is until when the host has no calls left for us.
	held time.Time
	// partial are lists that a call has not come to the end of.
	partial map[string]partial
	// names are the full names of other projects, such as forks, by their ID.
	names map[int64]string
}

var (
	_ dispatch.Host             = (*Client)(nil)
	_ githost.Refs              = (*Client)(nil)
	_ githost.History           = (*Client)(nil)
	_ githost.PullRequests      = (*Client)(nil)
	_ githost.PullRequestReader = (*Client)(nil)
	_ githost.Merger            = (*Client)(nil)
	_ githost.Unlabeler         = (*Client)(nil)
	_ githost.Redeliverer       = (*Client)(nil)
	_ githost.Judge             = (*Client)(nil)
	_ githost.Commenter         = (*Client)(nil)
	_ githost.Hooks             = (*Client)(nil)
	_ githost.Standings         = (*Client)(nil)
	_ githost.Protector         = (*Client)(nil)
)

// New checks cfg and calls nothing.
func New(cfg Config, opts ...Option) (*Client, error) {
	c := &Client{source: cfg.Source, token: cfg.Token, transport: http.DefaultTransport, now: time.Now, names: map[int64]string{}, partial: map[string]partial{}}
	for _, f := range opts {
		f(c)
	}
	if cfg.BaseURL == "" {
		cfg.BaseURL = defaultBaseURL
	}
	base := strings.TrimSuffix(strings.TrimRight(cfg.BaseURL, "/"), "/api/v4")
	var err error
	c.base, err = url.Parse(base + "/")
	if err != nil || c.base.Scheme != "https" && c.base.Scheme != "http" || c.base.Host == "" || c.base.User != nil || c.base.RawQuery != "" || c.base.Fragment != "" {
		return nil, fmt.Errorf("gitlab: base URL %q is not an http or https URL without user and query", cfg.BaseURL)
	}
	if c.cloneBase = strings.TrimRight(cfg.CloneBase, "/"); c.cloneBase == "" {
		c.cloneBase = base
	}
	if cfg.Token == "" {
		return nil, errors.New("gitlab: the API needs a token")
	}
	c.api, err = gl.NewAuthSourceClient(gl.Unauthenticated{}, // our transport authorises, and no other host
		gl.WithBaseURL(c.base.String()), gl.WithUserAgent("switchyard"),
		gl.WithHTTPClient(&http.Client{Transport: calls{c}, CheckRedirect: stay}),
		gl.WithoutRetries(), gl.WithCustomLimiter(unlimited{}))
	if err != nil {
		return nil, fmt.Errorf("gitlab: %v", err)
	}
	return c, nil
}

// unlimited leaves pacing to those who call.
type unlimited struct{}

func (unlimited) Wait(context.Context) error { return nil }

// stay follows a project that was renamed, and nobody to another host. What
// writes is not followed: it would become a question.
func stay(r *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case r.URL.Host != first.URL.Host || r.URL.Scheme != first.URL.Scheme:
		return fmt.Errorf("GitLab sends us on to another host, %s; set base_url to its address", safetext.Cut(safetext.Line(r.URL.Host), maxError))
	case first.Method != http.MethodGet:
		return errors.New("GitLab sends us on to another place: the project was moved or renamed")
	case len(via) > 4:
		return errors.New("GitLab sends us on and on")
	}
	return nil
}

// API is the client library's, authorised.
func (c *Client) API() *gl.Client { return c.api }

var segment = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// CheckName refuses what is not the full name of a project, which may lie in
// groups within groups. An error is a [*dispatch.PermanentError].
func CheckName(repository string) error {
	parts := strings.Split(repository, "/")
	ok := len(parts) > 1 && len(repository) <= maxName
	for _, p := range parts {
		ok = ok && segment.MatchString(p) && strings.Trim(p, ".") != ""
	}
	if !ok {
		return &dispatch.PermanentError{Err: fmt.Errorf("repository %q is not the full name of a project, such as group/project", safetext.Cut(safetext.Line(repository), maxError))}
	}
	return nil
}

var objectID = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)

// CheckSHA refuses what is not the whole ID of a commit. An error is a
// [*dispatch.PermanentError].
func CheckSHA(sha string) error {
	if !objectID.MatchString(sha) {
		return &dispatch.PermanentError{Err: fmt.Errorf("%q is not a commit ID", safetext.Cut(safetext.Line(sha), maxError))}
	}
	return nil
}

// calls authorises the calls to the base URL, bounds the answers, and holds
// calls back once the host says that none are left.
type calls struct{ *Client }

func (c calls) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != c.base.Host || r.URL.Scheme != c.base.Scheme {
		return c.transport.RoundTrip(r)
	}
	if wait := c.holding(); wait > 0 {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, &heldError{wait}
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+c.token)
	response, err := c.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	response.Body = http.MaxBytesReader(nil, response.Body, maxAnswer)
	c.note(response.Header)
	return response, nil
}

// heldError says that a call was not made.
type heldError struct{ after time.Duration }

func (e *heldError) Error() string { return "GitLab allows no more calls for now" }

func (c *Client) holding() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held.Sub(c.now())
}

// note keeps to the budget that an answer tells of.
func (c *Client) note(h http.Header) {
	if h.Get("RateLimit-Remaining") != "0" {
		return
	}
	if wait, ok := c.untilReset(h); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.held = c.now().Add(min(wait, maxHold))
	}
}

// untilReset reads RateLimit-Reset, a Unix time of the host's clock, from which
// ours may differ: the answer tells both.
func (c *Client) untilReset(h http.Header) (time.Duration, bool) {
	reset, err := strconv.ParseInt(h.Get("RateLimit-Reset"), 10, 64)
	if err != nil {
		return 0, false
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = c.now()
	}
	return max(time.Unix(reset, 0).Sub(now), 0) + time.Second, true
}

// retryAfter is how long a host that refused a call wants to be left alone, 0
// when it does not say.
func (c *Client) retryAfter(h http.Header) time.Duration {
	if seconds, err := strconv.Atoi(h.Get("Retry-After")); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second
	}
	wait, _ := c.untilReset(h)
	return wait
}
