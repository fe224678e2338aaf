// Package gitea tells commit statuses to Gitea and Forgejo.
//
// A status is created for each new state; the host shows the newest of each
// context. It takes nearly anything: a name in the place of a commit's ID, any
// word for a state, texts of any length, so what is sent is checked here. Facts
// are from answers that Gitea 1.26 gave.
package gitea

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"code.gitea.io/sdk/gitea"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
	githost "switchyard/githost/gitea"
)

const (
	// maxDescription is what fits beside a commit, in characters.
	maxDescription = 140
	// notFoundPatience is how long a repository that is not found is taken for
	// one that the token may not see yet.
	notFoundPatience = 24 * time.Hour
)

// DefaultLimits are modest: the hosts publish none, and are often one small
// machine.
var DefaultLimits = status.Limits{PerMinute: 40, Concurrent: 2}

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

// Poster is a [status.Poster].
type Poster struct {
	limits status.Limits
	now    func() time.Time
	host   *githost.Client
}

var _ status.Poster = (*Poster)(nil)

// New checks cfg and calls nothing. The host's token needs the scope
// write:repository, of a user who may write to the repositories.
func New(host *githost.Client, cfg Config, opts ...Option) (*Poster, error) {
	if cfg.Limits == (status.Limits{}) {
		cfg.Limits = DefaultLimits
	}
	if cfg.Limits.PerMinute < 0 || cfg.Limits.PerHour < 0 || cfg.Limits.Concurrent < 0 {
		return nil, fmt.Errorf("gitea: limits %+v must not be negative", cfg.Limits)
	}
	p := &Poster{limits: cfg.Limits, now: time.Now, host: host}
	for _, f := range opts {
		f(p)
	}
	return p, nil
}

// Limits returns the configured pace.
func (p *Poster) Limits() status.Limits { return p.limits }

var (
	objectID = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)
	states   = map[dispatch.StatusState]gitea.StatusState{
		dispatch.StatusPending: gitea.StatusPending, dispatch.StatusSuccess: gitea.StatusSuccess,
		dispatch.StatusFailure: gitea.StatusFailure, dispatch.StatusError: gitea.StatusError,
	}
)

// Post creates a commit status.
func (p *Poster) Post(ctx context.Context, s dispatch.Status, targetURL string) error {
	owner, repo, err := githost.Split(s.Repository)
	if err != nil {
		return fmt.Errorf("gitea status: %w", err)
	}
	state, known := states[s.State]
	if !known || !objectID.MatchString(s.SHA) {
		return &dispatch.PermanentError{Err: fmt.Errorf("gitea status: %q of %q is not a state of a commit", s.State, s.SHA)}
	}
	api, err := p.host.API(ctx)
	if err != nil {
		return err
	}
	_, r, err := api.CreateStatus(owner, repo, s.SHA, gitea.CreateStatusOption{
		State: state, Context: s.Context, Description: status.Line(s.Description, maxDescription), TargetURL: targetURL,
	})
	if err == nil {
		return nil
	}
	return p.classify(ctx, api, &s, r, err)
}

// classify gives err its verdict and drops the library's types.
func (p *Poster) classify(ctx context.Context, api *gitea.Client, s *dispatch.Status, r *gitea.Response, err error) error {
	op := fmt.Sprintf("gitea status of %s at %s", s.SHA, s.Repository)
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, ctx.Err())
	}
	plain := fmt.Errorf("%s: %s", op, githost.Shown(err))
	if throttled := githost.Throttled(r, plain); throttled != nil {
		return throttled
	}
	switch code := githost.StatusOf(r); code {
	case http.StatusUnauthorized:
		return &status.UnauthorizedError{Err: plain}
	case http.StatusForbidden:
		// An operator mends the token's scopes or its user's access, and the
		// statuses should still be there then.
		return &status.RefusedError{Err: fmt.Errorf("%w; the token needs the scope %s, and its user write access", plain, githost.ScopeWrite)}
	case http.StatusNotFound:
		return p.missing(s.WantedAt, plain) // also where the token's user may not see it
	case http.StatusInternalServerError:
		// It is also what the host answers for a commit that it does not have.
		if gone := p.gone(api, s); gone != nil {
			return gone
		}
		return plain
	case http.StatusBadRequest, http.StatusGone, http.StatusUnprocessableEntity, http.StatusUnavailableForLegalReasons:
		return &dispatch.PermanentError{Err: plain}
	default:
		if code >= 400 && code < 500 {
			return &status.RefusedError{Err: plain}
		}
		return plain
	}
}

// gone returns an error where the host says that it does not have the commit.
func (p *Poster) gone(api *gitea.Client, s *dispatch.Status) error {
	owner, repo, err := githost.Split(s.Repository)
	if err != nil {
		return err
	}
	_, r, err := api.GetSingleCommit(owner, repo, s.SHA)
	if err != nil && githost.StatusOf(r) == http.StatusNotFound {
		return &dispatch.PermanentError{Err: fmt.Errorf("gitea status: %s has no commit %s", s.Repository, s.SHA)}
	}
	return nil
}

// missing is the verdict on a repository that we cannot see: it may be given to
// us, for as long as the status has not been wanted for too long.
func (p *Poster) missing(since time.Time, err error) error {
	if p.now().Sub(since) > notFoundPatience {
		return &dispatch.PermanentError{Err: err}
	}
	return &status.RefusedError{Err: err}
}
