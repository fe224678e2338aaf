// Package bitbucket asks the API of Bitbucket Cloud.
//
// [Client] is a [dispatch.Host] that completes what deliveries left out, and has
// those faces of package githost that the API can serve. It has no way to ask for
// deliveries again, and none to require builds by their name: a branch restriction
// counts passing builds and does not look at their keys.
//
// Facts are from "The Bitbucket Cloud REST API", "API request limits" and "Access
// tokens" by Atlassian.
package bitbucket

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/githost/gitrefs"
	"switchyard/githost/internal/ancestry"
	"switchyard/githost/internal/rest"
)

// Where Bitbucket Cloud is.
const (
	DefaultBaseURL   = "https://api.bitbucket.org/2.0"
	DefaultCloneBase = "https://bitbucket.org"
)

// pageSize is the most that the API lists at once.
const pageSize = 100

// Config is what an operator sets.
type Config struct {
	// Source is the name under sources in the config. Errors name the keys
	// below it.
	Source string
	// BaseURL is where the API is. Default DefaultBaseURL.
	BaseURL string
	// CloneBase is where repositories are cloned from. Default DefaultCloneBase.
	CloneBase string
	// Token is an access token of a repository, project or workspace. With User it
	// is an API token or app password of that person.
	Token string
	// User is whose Token it is: an e-mail address for an API token, the user name
	// for an app password. Empty for an access token.
	User string
}

// Option replaces what a test or the wiring may replace.
type Option func(*options)

type options struct {
	transport http.RoundTripper
	now       func() time.Time
}

// WithTransport replaces the default transport.
func WithTransport(t http.RoundTripper) Option { return func(o *options) { o.transport = t } }

// WithClock replaces time.Now for how long to wait.
func WithClock(now func() time.Time) Option { return func(o *options) { o.now = now } }

// Client asks the API. It is safe for concurrent use.
type Client struct {
	rest *rest.Client
	cfg  Config

	walks ancestry.Walks

	mu sync.Mutex
	// full are the IDs of commits by repository and first digits.
	full map[[2]string]string
}

var (
	_ dispatch.Host             = (*Client)(nil)
	_ githost.Refs              = (*Client)(nil)
	_ githost.PullRequests      = (*Client)(nil)
	_ githost.PullRequestReader = (*Client)(nil)
	_ githost.History           = (*Client)(nil)
	_ githost.Judge             = (*Client)(nil)
	_ githost.Commenter         = (*Client)(nil)
	_ githost.Hooks             = (*Client)(nil)
	_ githost.Standings         = (*Client)(nil)
)

// New checks cfg and calls nothing.
func New(cfg Config, opts ...Option) (*Client, error) {
	o := options{}
	for _, f := range opts {
		f(&o)
	}
	if cfg.BaseURL == "" {
		cfg.BaseURL = DefaultBaseURL
	}
	if cfg.CloneBase == "" {
		cfg.CloneBase = DefaultCloneBase
	}
	api, err := rest.New(rest.Config{
		Name: "bitbucket", Source: cfg.Source, BaseURL: cfg.BaseURL, User: cfg.User, Token: cfg.Token,
		Needs: `the scope "repository" (Repositories: Read)`, Transport: o.transport, Now: o.now,
	})
	if err != nil {
		return nil, err
	}
	return &Client{rest: api, cfg: cfg, full: map[[2]string]string{}}, nil
}

// fullName keeps a name from walking to another path of the API.
var fullName = regexp.MustCompile(`^([A-Za-z0-9_.-]+)/([A-Za-z0-9_.-]+)$`)

var objectID = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)

// path is a path of the API below a repository. The error is a
// [*dispatch.PermanentError].
func path(repository string, segments ...string) (string, error) {
	parts := fullName.FindStringSubmatch(repository)
	if parts == nil || isDots(parts[1]) || isDots(parts[2]) {
		return "", &dispatch.PermanentError{Err: fmt.Errorf("repository %q is not workspace/repository", repository)}
	}
	return rest.Path(append([]string{"repositories", parts[1], parts[2]}, segments...)...), nil
}

func isDots(s string) bool { return s == "." || s == ".." }

func checkSHA(shas ...string) error {
	for _, sha := range shas {
		if !objectID.MatchString(sha) {
			return &dispatch.PermanentError{Err: fmt.Errorf("%q is not a commit ID", sha)}
		}
	}
	return nil
}

// ask makes one call about a repository. op says for a person what it does, and
// needs which permission it takes; empty for reading.
func (c *Client) ask(ctx context.Context, op, repository, needs string, call rest.Call) (http.Header, error) {
	h, err := c.rest.Do(ctx, call)
	return h, c.rest.Verdict(ctx, op, repository, needs, err)
}

// page is one of a list.
type page[T any] struct {
	Values []T `json:"values"`
	// Next is the URL of the next page, empty on the last. By the documentation
	// nobody makes one up.
	Next string `json:"next"`
	// Size is how many there are in all, nil where the host does not count.
	Size *int `json:"size"`
}

// list asks for page after page until each has had its turn or says that it is
// enough. After an error call is the one that would go on.
func list[T any](ctx context.Context, c *Client, op, repository, needs string, call *rest.Call, each func([]T) (more bool, err error)) error {
	for {
		var p page[T]
		call.Into = &p
		if _, err := c.ask(ctx, op, repository, needs, *call); err != nil {
			return err
		}
		more, err := each(p.Values)
		if err != nil || !more || p.Next == "" {
			return err
		}
		*call = rest.Call{URL: p.Next}
	}
}

// PostStatus creates or replaces a commit's build status. An error is one of Do's
// of package rest, for [Client.Throttled] and [Client.Code].
func (c *Client) PostStatus(ctx context.Context, repository, sha string, body any) error {
	at, err := path(repository, "commit", sha, "statuses", "build")
	if err != nil {
		return err
	}
	if err := checkSHA(sha); err != nil {
		return err
	}
	_, err = c.rest.Do(ctx, rest.Call{Method: http.MethodPost, Path: at, Body: body})
	return err
}

// Sees reports whether the API shows us a repository.
func (c *Client) Sees(ctx context.Context, repository string) (bool, error) {
	at, err := path(repository)
	if err != nil {
		return false, err
	}
	_, err = c.rest.Do(ctx, rest.Call{Path: at})
	if rest.Code(err) == http.StatusNotFound {
		return false, nil
	}
	return err == nil, c.rest.Verdict(ctx, "read the repository", repository, "", err)
}

// CommitURL is a commit's page.
func (c *Client) CommitURL(repository, sha string) string {
	return strings.TrimRight(c.cfg.CloneBase, "/") + "/" + repository + "/commits/" + sha
}

// Code is the status of an answer that was no success, 0 for any other error.
func (c *Client) Code(err error) int { return rest.Code(err) }

// Throttled returns err as a [*dispatch.ThrottledError] around shown where it says
// that the host asks for fewer calls, and nil otherwise.
func (c *Client) Throttled(err, shown error) *dispatch.ThrottledError {
	return c.rest.Throttled(err, shown)
}

// CloneCredentials returns what a repository is fetched with over HTTPS. An access
// token takes the name x-token-auth, an API token x-bitbucket-api-token-auth where
// its owner is known by an e-mail address.
func (c *Client) CloneCredentials() (user, password string) {
	switch {
	case c.cfg.User == "":
		return "x-token-auth", c.cfg.Token
	case strings.Contains(c.cfg.User, "@"):
		return "x-bitbucket-api-token-auth", c.cfg.Token
	}
	return c.cfg.User, c.cfg.Token
}

// Refs implements [githost.Refs] by git's own protocol.
func (c *Client) Refs(ctx context.Context, repository string) (map[string]string, error) {
	if _, err := path(repository); err != nil {
		return nil, err
	}
	user, password := c.CloneCredentials()
	return gitrefs.List(ctx, c.rest.Transport(), strings.TrimRight(c.cfg.CloneBase, "/")+"/"+repository+".git", user, password)
}

func query(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Add(pairs[i], pairs[i+1])
	}
	return q
}
