// Package gitlab tells commit statuses to GitLab.
//
// A status of GitLab's is a job of a pipeline: it is kept in one of GitLab's own
// CI for the commit where there is one, and else in an external pipeline, which
// GitLab makes for the ref. A merge request shows those of its head in pipelines
// of its own or of its source branch; of a fork's commit it shows them only where
// GitLab's CI has made a pipeline for the merge request.
//
// A status that is pending or running is moved on, and one that has ended is
// followed by another. Facts are from "Commits API" and, where that is silent,
// from Ci::CreateCommitStatusService in GitLab's source.
package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
	githost "switchyard/githost/gitlab"
)

const (
	// maxText is what GitLab takes of a name, description, ref and link, in
	// characters.
	maxText = 255
	// notFoundPatience is how long a project that is not found is taken for one
	// that the token may not see yet.
	notFoundPatience = 24 * time.Hour
	// maxPlaces is of how many statuses it is remembered which pipeline they are
	// in.
	maxPlaces = 10_000
)

// Config is what an operator sets.
type Config struct {
	// Limits bound the pace. Default: 80 posts in a minute and 500 in an hour, 4
	// at once. Set any field and the others are taken as they are.
	Limits status.Limits
}

// Option replaces what a test or the wiring may replace.
type Option func(*Poster)

// WithClock replaces time.Now.
func WithClock(now func() time.Time) Option { return func(p *Poster) { p.now = now } }

// Poster is a [status.Poster].
type Poster struct {
	limits status.Limits
	now    func() time.Time
	host   *githost.Client

	mu     sync.Mutex
	places map[key]place
}

var _ status.Poster = (*Poster)(nil)

// key is a status as GitLab knows it.
type key struct{ repository, sha, context string }

// place is the pipeline that a status is in; the zero one is that which GitLab
// finds or makes for the ref.
type place struct {
	pipeline int64
	ref      string
}

// New returns a poster that asks host, whose token needs the scope api and the
// role Developer. It checks cfg and calls nothing.
func New(host *githost.Client, cfg Config, opts ...Option) (*Poster, error) {
	if host == nil {
		return nil, errors.New("gitlab: no client of the API")
	}
	p := &Poster{limits: cfg.Limits, host: host, now: time.Now, places: map[key]place{}}
	for _, f := range opts {
		f(p)
	}
	if p.limits == (status.Limits{}) {
		p.limits = status.Limits{PerMinute: 80, PerHour: 500, Concurrent: 4}
	}
	if l := p.limits; l.PerMinute < 0 || l.PerHour < 0 || l.Concurrent < 0 {
		return nil, fmt.Errorf("gitlab: limits %+v must not be negative", l)
	}
	return p, nil
}

// Limits returns the configured pace.
func (p *Poster) Limits() status.Limits { return p.limits }

// states are GitLab's words. What is pending is told as running: GitLab takes it
// for under way, and a merge request waits for it.
var states = map[dispatch.StatusState]gl.BuildStateValue{
	dispatch.StatusPending: gl.Running, dispatch.StatusSuccess: gl.Success,
	dispatch.StatusFailure: gl.Failed, dispatch.StatusError: gl.Failed,
}

// Post makes s the state of the status of its context.
func (p *Poster) Post(ctx context.Context, s dispatch.Status, targetURL string) error {
	if err := githost.CheckName(s.Repository); err != nil {
		return fmt.Errorf("gitlab status: %w", err)
	}
	if err := githost.CheckSHA(s.SHA); err != nil {
		return fmt.Errorf("gitlab status: %w", err)
	}
	wanted := &gl.SetCommitStatusOptions{
		State: states[s.State], Name: &s.Context, Description: gl.Ptr(status.Line(s.Description, maxText)),
	}
	if targetURL != "" && len([]rune(targetURL)) <= maxText {
		wanted.TargetURL = &targetURL
	}
	err := p.post(ctx, &s, wanted)
	if err == nil {
		return nil
	}
	return p.classify(ctx, &s, err)
}

// post returns an error of the client library.
func (p *Poster) post(ctx context.Context, s *dispatch.Status, wanted *gl.SetCommitStatusOptions) error {
	k := key{s.Repository, s.SHA, s.Context}
	at, known := p.recall(k)
	if !known {
		shown, err := p.shown(ctx, s)
		if err != nil {
			return err
		}
		switch {
		case shown != nil && same(shown, wanted):
			return nil // told before a crash
		case shown != nil && open(shown):
			at = place{shown.PipelineID, shown.Ref}
		default:
			if at, err = p.find(ctx, s); err != nil {
				return err
			}
		}
	}
	made, err := p.set(ctx, s, wanted, at)
	switch code := githost.Status(err); {
	case err == nil:
		p.remember(k, place{made.PipelineID, made.Ref})
	case code == http.StatusNotFound && known:
		p.forget(k) // the pipeline may be gone
		return p.post(ctx, s, wanted)
	case code == http.StatusBadRequest:
		// Also what GitLab answers where the status is in that state already.
		if shown, problem := p.shown(ctx, s); problem == nil && shown != nil && shown.Status == string(wanted.State) {
			return nil
		}
	}
	return err
}

func (p *Poster) set(ctx context.Context, s *dispatch.Status, wanted *gl.SetCommitStatusOptions, at place) (*gl.CommitStatus, error) {
	opts := *wanted
	if at.pipeline > 0 {
		opts.PipelineID = &at.pipeline
	} else {
		at.ref = shortRef(s.Ref)
	}
	if at.ref != "" && len([]rune(at.ref)) <= maxText {
		opts.Ref = &at.ref
	}
	made, _, err := p.host.API().Commits.SetCommitStatus(s.Repository, s.SHA, &opts, gl.WithContext(ctx))
	return made, err
}

// shortRef is a ref as GitLab's CI names it.
func shortRef(ref string) string {
	for _, prefix := range []string{"refs/heads/", "refs/tags/"} {
		if short, ok := strings.CutPrefix(ref, prefix); ok {
			return short
		}
	}
	return ref
}

// shown is the newest status of the context, nil for none.
func (p *Poster) shown(ctx context.Context, s *dispatch.Status) (*gl.CommitStatus, error) {
	opts := &gl.GetCommitStatusesOptions{Name: &s.Context, ListOptions: gl.ListOptions{PerPage: 100}}
	all, _, err := p.host.API().Commits.GetCommitStatuses(s.Repository, s.SHA, opts, gl.WithContext(ctx))
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return slices.MaxFunc(all, func(a, b *gl.CommitStatus) int { return int(a.ID - b.ID) }), nil
}

func open(s *gl.CommitStatus) bool {
	return s.PipelineID > 0 && (s.Status == string(gl.Pending) || s.Status == string(gl.Running))
}

func same(shown *gl.CommitStatus, wanted *gl.SetCommitStatusOptions) bool {
	url := ""
	if wanted.TargetURL != nil {
		url = *wanted.TargetURL
	}
	return shown.Status == string(wanted.State) && shown.Description == *wanted.Description && shown.TargetURL == url
}

// find chooses among the pipelines of the commit: the newest of a merge request,
// which is what it shows, else the newest of the ref.
func (p *Poster) find(ctx context.Context, s *dispatch.Status) (place, error) {
	opts := &gl.ListProjectPipelinesOptions{SHA: &s.SHA, OrderBy: gl.Ptr("id"), Sort: gl.Ptr("desc"), ListOptions: gl.ListOptions{PerPage: 100}}
	all, _, err := p.host.API().Pipelines.ListProjectPipelines(s.Repository, opts, gl.WithContext(ctx))
	if err != nil {
		return place{}, err
	}
	for _, fits := range []func(*gl.PipelineInfo) bool{
		func(i *gl.PipelineInfo) bool { return i.Source == "merge_request_event" },
		func(i *gl.PipelineInfo) bool { return i.Ref == shortRef(s.Ref) },
	} {
		if at := slices.IndexFunc(all, fits); at >= 0 {
			return place{all[at].ID, all[at].Ref}, nil
		}
	}
	return place{}, nil
}

func (p *Poster) recall(k key) (place, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, known := p.places[k]
	return at, known
}

func (p *Poster) remember(k key, at place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.places) >= maxPlaces {
		clear(p.places) // what is asked for again is found
	}
	p.places[k] = at
}

func (p *Poster) forget(k key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.places, k)
}

// classify gives an error its verdict and drops the client library's types.
func (p *Poster) classify(ctx context.Context, s *dispatch.Status, err error) error {
	op := fmt.Sprintf("gitlab status of %s at %s", s.SHA, s.Repository)
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, ctx.Err())
	}
	plain := fmt.Errorf("%s: %s", op, githost.Shown(err))
	if throttled := p.host.Throttled(err, plain); throttled != nil {
		return throttled
	}
	switch code := githost.Status(err); code {
	case http.StatusUnauthorized:
		return &status.UnauthorizedError{Err: plain}
	case http.StatusForbidden:
		// An operator mends the token's scope or role, and the statuses should
		// still be there then.
		return &status.RefusedError{Err: fmt.Errorf("%w; the token needs the scope api and the role Developer", plain)}
	case http.StatusNotFound:
		return p.missing(ctx, s, op)
	case http.StatusBadRequest, http.StatusGone, http.StatusUnprocessableEntity:
		return &dispatch.PermanentError{Err: plain}
	default:
		if code >= 400 && code < 500 && code != http.StatusConflict { // another post of the commit is under way
			return &status.RefusedError{Err: plain}
		}
		return plain
	}
}

// missing tells a commit that GitLab does not have from a project that we may not
// see, which somebody may be about to let us.
func (p *Poster) missing(ctx context.Context, s *dispatch.Status, op string) error {
	_, _, err := p.host.API().Projects.GetProject(s.Repository, nil, gl.WithContext(ctx))
	if err == nil {
		return &dispatch.PermanentError{Err: fmt.Errorf("%s: GitLab has no such commit", op)}
	}
	gone := fmt.Errorf("%s: GitLab has no such project, or the token may not see it", op)
	if !errors.Is(err, gl.ErrNotFound) || p.now().Sub(s.WantedAt) <= notFoundPatience {
		return &status.RefusedError{Err: gone}
	}
	return &dispatch.PermanentError{Err: gone}
}
