// Package github tells commit statuses to GitHub, GitHub Enterprise and hosts
// with the same API. As a GitHub App that may write checks it makes a check run of
// each execution, with a summary, the end of its log and annotations; a token
// cannot.
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
	"regexp"
	"sync"
	"time"

	"github.com/google/go-github/v60/github"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
	githost "switchyard/githost/github"
)

const (
	// maxDescription is what GitHub takes, in characters.
	maxDescription = 140
	// notFoundPatience is how long a repository that is not found is taken for
	// one that the token may not see yet.
	notFoundPatience = 24 * time.Hour
	// maxError bounds what is kept of an error's text, in characters.
	maxError = 500
)

// DefaultLimits are what GitHub allows for requests that create content: 80 in a
// minute and 500 in an hour.
var DefaultLimits = status.Limits{PerMinute: 80, PerHour: 500, Concurrent: 4}

// Config is what an operator sets.
type Config struct {
	// Limits bound the pace. Zero is [DefaultLimits]; set any field and the others
	// are taken as they are.
	Limits status.Limits
}

// Option replaces what a test or the wiring may replace.
type Option func(*Poster)

// WithClock replaces time.Now for how long a repository is given to be found.
func WithClock(now func() time.Time) Option { return func(p *Poster) { p.now = now } }

// WithDetails has check runs show what there is to an execution's end.
func WithDetails(d status.Describer) Option { return func(p *Poster) { p.describe = d } }

// Poster is a [status.Poster].
type Poster struct {
	limits   status.Limits
	now      func() time.Time
	host     *githost.Client
	describe status.Describer

	mu sync.Mutex
	// runs are the check runs that GitHub has as far as they are remembered.
	runs map[row]known
	// noChecks is until when a repository gets statuses in their place.
	noChecks map[string]time.Time
}

var _ status.Poster = (*Poster)(nil)

// New checks cfg and calls nothing. The host's credential may write commit
// statuses: a fine-grained token or an App with "Commit statuses: write", or a
// classic token with the scope repo:status.
func New(host *githost.Client, cfg Config, opts ...Option) (*Poster, error) {
	if cfg.Limits == (status.Limits{}) {
		cfg.Limits = DefaultLimits
	}
	if cfg.Limits.PerMinute < 0 || cfg.Limits.PerHour < 0 || cfg.Limits.Concurrent < 0 {
		return nil, fmt.Errorf("github: limits %+v must not be negative", cfg.Limits)
	}
	p := &Poster{limits: cfg.Limits, now: time.Now, host: host, runs: map[row]known{}, noChecks: map[string]time.Time{}}
	for _, o := range opts {
		o(p)
	}
	return p, nil
}

// Limits returns the configured pace.
func (p *Poster) Limits() status.Limits { return p.limits }

var objectID = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)

// Post creates a commit status or, as an App, a check run.
func (p *Poster) Post(ctx context.Context, s dispatch.Status, targetURL string) error {
	owner, repo, err := githost.Split(s.Repository)
	if err != nil {
		return fmt.Errorf("github status: %w", err)
	}
	if !objectID.MatchString(s.SHA) {
		return &dispatch.PermanentError{Err: fmt.Errorf("github status: %q is not a commit ID", s.SHA)}
	}
	client, err := p.host.For(ctx, owner, repo)
	if err != nil {
		return p.classify(ctx, s.WantedAt, fmt.Sprintf("authorise github app for %s", s.Repository), err)
	}
	if p.writesChecks(s.Repository) {
		err := p.postCheck(ctx, client, owner, repo, s, targetURL)
		if err == nil {
			return nil
		}
		if !p.mayNot(s.Repository, err) {
			p.host.Failed(s.Repository, err)
			return p.classify(ctx, s.WantedAt, fmt.Sprintf("github check of %s at %s", s.SHA, s.Repository), err)
		}
	}
	wanted := github.RepoStatus{
		State:       new(string(s.State)),
		Context:     new(s.Context),
		Description: new(status.Line(s.Description, maxDescription)),
	}
	if targetURL != "" {
		wanted.TargetURL = &targetURL
	}
	if _, _, err = client.Repositories.CreateStatus(ctx, owner, repo, s.SHA, &wanted); err != nil {
		p.host.Failed(s.Repository, err)
		return p.classify(ctx, s.WantedAt, fmt.Sprintf("github status of %s at %s", s.SHA, s.Repository), err)
	}
	return nil
}

// classify gives err, of a status that has been wanted since then, its verdict
// and drops go-github's types.
func (p *Poster) classify(ctx context.Context, since time.Time, op string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, ctx.Err())
	}
	plain := fmt.Errorf("%s: %s", op, status.Line(err.Error(), maxError))
	var permanent *dispatch.PermanentError
	if errors.As(err, &permanent) {
		// The app is not installed there. Somebody may be about to do it, as
		// with a token that may not see the repository.
		return p.missing(since, plain)
	}
	if throttled := p.host.Throttled(err, plain); throttled != nil {
		return throttled
	}
	if p.host.Unauthorized(err) {
		return &status.UnauthorizedError{Err: plain}
	}
	var answer *github.ErrorResponse
	if !errors.As(err, &answer) || answer.Response == nil {
		return plain
	}
	switch code := answer.Response.StatusCode; code {
	case http.StatusUnauthorized:
		return plain // of an App, which will get another token
	case http.StatusForbidden:
		// An operator mends the token's permissions, and the statuses should
		// still be there then.
		return &status.RefusedError{Err: plain}
	case http.StatusNotFound:
		return p.missing(since, plain) // also where a token may not see the repository
	case http.StatusBadRequest, http.StatusGone, http.StatusUnprocessableEntity, http.StatusUnavailableForLegalReasons:
		return &dispatch.PermanentError{Err: plain}
	default:
		if code >= 400 && code < 500 {
			return &status.RefusedError{Err: plain}
		}
		return plain
	}
}

// missing is the verdict on a repository that we cannot see: it may be given to
// us, for as long as the status has not been wanted for too long.
func (p *Poster) missing(since time.Time, err error) error {
	if p.now().Sub(since) > notFoundPatience {
		return &dispatch.PermanentError{Err: err}
	}
	return &status.RefusedError{Err: err}
}
