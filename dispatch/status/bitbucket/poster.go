// Package bitbucket tells build statuses to Bitbucket Cloud.
//
// A commit has one status for each key, and a later one takes its place, if the same
// credentials made it. Facts are from the REST reference, "Commit statuses", and
// "Updating commit status permissions".
package bitbucket

import (
	"context"
	"errors"
	"time"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
	"switchyard/dispatch/status/internal/buildstatus"
	githost "switchyard/githost/bitbucket"
	"switchyard/internal/safetext"
)

// What the API takes, in characters.
const (
	maxKey         = 40
	maxName        = 255
	maxDescription = 255
	maxURL         = 1024
)

// Config is what an operator sets.
type Config struct {
	// Limits bound the pace. Default: 80 posts in a minute and 500 in an hour, 4
	// at once. Set any field and the others are taken as they are.
	Limits status.Limits
}

// Option replaces what a test may replace.
type Option func(*Poster)

// WithClock replaces time.Now for how long a repository that is not found is waited
// for.
func WithClock(now func() time.Time) Option { return func(p *Poster) { p.now = now } }

// Poster is a [status.Poster].
type Poster struct {
	limits status.Limits
	now    func() time.Time
	host   *githost.Client
}

var _ status.Poster = (*Poster)(nil)

// New checks cfg and calls nothing.
func New(host *githost.Client, cfg Config, opts ...Option) (*Poster, error) {
	if host == nil {
		return nil, errors.New("bitbucket: no host to tell")
	}
	limits, err := buildstatus.Limits("bitbucket", cfg.Limits)
	p := &Poster{limits: limits, now: time.Now, host: host}
	for _, f := range opts {
		f(p)
	}
	return p, err
}

// Limits returns the configured pace.
func (p *Poster) Limits() status.Limits { return p.limits }

// buildStatus is a commit's status as the API takes it.
type buildStatus struct {
	Key         string `json:"key"`
	Name        string `json:"name"`
	State       string `json:"state"`
	Description string `json:"description"`
	URL         string `json:"url"`
}

// Post makes s the state of the build with its key.
func (p *Poster) Post(ctx context.Context, s dispatch.Status, targetURL string) error {
	body := buildStatus{
		Key:         safetext.Unique(s.Context, maxKey),
		Name:        status.Line(s.Context, maxName),
		State:       buildstatus.States[s.State],
		Description: status.Line(s.Description, maxDescription),
		URL:         buildstatus.Link(targetURL, p.host.CommitURL(s.Repository, s.SHA), maxURL),
	}
	err := p.host.PostStatus(ctx, s.Repository, s.SHA, body)
	if err == nil || errors.As(err, new(*dispatch.PermanentError)) {
		return err
	}
	return buildstatus.Classify(ctx, p.host, &s, p.now(), err)
}
