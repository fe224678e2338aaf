// Package bitbucketserver asks the API of Bitbucket Data Center.
//
// [Client] is a [dispatch.Host] that completes what deliveries left out, and has
// those faces of package githost that the API can serve. It has no way to ask for
// deliveries again.
//
// Facts are from "Bitbucket Data Center REST API" 9.x, which says "latest" for the
// version, and hold for 7.14 and later unless they say otherwise.
package bitbucketserver

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/githost/gitrefs"
	"switchyard/githost/internal/ancestry"
	"switchyard/githost/internal/rest"
)

// pageSize is how much is asked for at once. The server may list fewer, and says
// where the next page begins.
const pageSize = 500

// Config is what an operator sets.
type Config struct {
	// Source is the name under sources in the config. Errors name the keys
	// below it.
	Source string
	// BaseURL is where the server is, with the path that it may have:
	// https://bitbucket.example.com.
	BaseURL string
	// CloneBase is where repositories are cloned from. Default <BaseURL>/scm.
	CloneBase string
	// Token is an HTTP access token of a repository, project or person.
	Token string
	// User is the person's user name, where the token is a person's: Git asks for
	// it. The API does not.
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
	rest  *rest.Client
	cfg   Config
	walks ancestry.Walks
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
	_ githost.Protector         = (*Client)(nil)
)

// New checks cfg and calls nothing.
func New(cfg Config, opts ...Option) (*Client, error) {
	o := options{}
	for _, f := range opts {
		f(&o)
	}
	cfg.BaseURL = strings.TrimRight(cfg.BaseURL, "/")
	if cfg.CloneBase == "" {
		cfg.CloneBase = cfg.BaseURL + "/scm"
	}
	if cfg.BaseURL == "" {
		return nil, fmt.Errorf("bitbucket-server: base_url is missing: it is where the server is, such as https://bitbucket.example.com")
	}
	api, err := rest.New(rest.Config{
		Name: "bitbucket-server", Source: cfg.Source, BaseURL: cfg.BaseURL + "/rest", Token: cfg.Token,
		Needs: `the permission "Repository read"`, Transport: o.transport, Now: o.now,
	})
	if err != nil {
		return nil, err
	}
	return &Client{rest: api, cfg: cfg}, nil
}

// fullName keeps a name from walking to another path of the API. A person's own
// project has a key that begins with ~.
var fullName = regexp.MustCompile(`^(~?[A-Za-z0-9_.@-]+)/([A-Za-z0-9_.-]+)$`)

var objectID = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)

// The APIs that are called.
const (
	api            = "/api/latest"
	requiredBuilds = "/required-builds/latest"
)

// path is a path of an API below a repository. The error is a
// [*dispatch.PermanentError].
func path(of, repository string, segments ...string) (string, error) {
	parts := fullName.FindStringSubmatch(repository)
	if parts == nil || isDots(parts[1]) || isDots(parts[2]) {
		return "", &dispatch.PermanentError{Err: fmt.Errorf("repository %q is not PROJECT/repository", repository)}
	}
	return of + rest.Path(append([]string{"projects", parts[1], "repos", parts[2]}, segments...)...), nil
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

type page[T any] struct {
	Values        []T  `json:"values"`
	IsLastPage    bool `json:"isLastPage"`
	NextPageStart *int `json:"nextPageStart"`
}

// list asks for page after page until each has had its turn or says that it is
// enough. last tells that there is no further one. After an error call is the one that
// would go on.
func list[T any](ctx context.Context, c *Client, op, repository, needs string, call *rest.Call, each func(values []T, last bool) (more bool, err error)) error {
	if call.Query == nil {
		call.Query = url.Values{}
	}
	call.Query.Set("limit", strconv.Itoa(pageSize))
	for start, _ := strconv.Atoi(call.Query.Get("start")); ; {
		call.Query.Set("start", strconv.Itoa(start))
		var p page[T]
		call.Into = &p
		if _, err := c.ask(ctx, op, repository, needs, *call); err != nil {
			return err
		}
		// A start that does not lead on would never end.
		last := p.IsLastPage || p.NextPageStart == nil || *p.NextPageStart <= start
		more, err := each(p.Values, last)
		if err != nil || !more || last {
			return err
		}
		start = *p.NextPageStart
	}
}

// PostStatus creates or replaces a commit's build status. An error is one of Do's
// of package rest, for [Client.Throttled] and [Client.Code].
func (c *Client) PostStatus(ctx context.Context, repository, sha string, body any) error {
	at, err := path(api, repository, "commits", sha, "builds")
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
	at, err := path(api, repository)
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
	return c.webURL(repository, "commits", sha)
}

// Code is the status of an answer that was no success, 0 for any other error. It
// is 403 also where the server says 401 to somebody whom it knows.
func (c *Client) Code(err error) int { return rest.Code(err) }

// Throttled returns err as a [*dispatch.ThrottledError] around shown where it says
// that the host asks for fewer calls, and nil otherwise.
func (c *Client) Throttled(err, shown error) *dispatch.ThrottledError {
	return c.rest.Throttled(err, shown)
}

// CloneCredentials returns what a repository is fetched with over HTTPS. The user is
// empty for a token of a repository or project, which the server takes as a bearer
// only; see "HTTP access tokens".
func (c *Client) CloneCredentials() (user, password string) { return c.cfg.User, c.cfg.Token }

// Refs implements [githost.Refs] by git's own protocol.
func (c *Client) Refs(ctx context.Context, repository string) (map[string]string, error) {
	if _, err := path(api, repository); err != nil {
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
