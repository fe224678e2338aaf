// Package bitbucketserver tells build statuses to Bitbucket Data Center.
//
// A commit has one status for each key, and a later one takes its place. The key is
// that of the build's parent too, by which builds are required. Facts are from the
// REST reference, "Store a build status" (7.14 and later).
package bitbucketserver

import (
	"context"
	"errors"
	"time"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
	"switchyard/dispatch/status/internal/buildstatus"
	githost "switchyard/githost/bitbucketserver"
)

// What the API takes, in characters.
const (
	maxName        = 255
	maxDescription = 255
	maxURL         = 450
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
		return nil, errors.New("bitbucket-server: no host to tell")
	}
	limits, err := buildstatus.Limits("bitbucket-server", cfg.Limits)
	p := &Poster{limits: limits, now: time.Now, host: host}
	for _, f := range opts {
		f(p)
	}
	return p, err
}

// Limits returns the configured pace.
func (p *Poster) Limits() status.Limits { return p.limits }

// buildStatus is a commit's status as the API takes it. Ref is a full ref.
type buildStatus struct {
	Key         string `json:"key"`
	Parent      string `json:"parent"`
	Ref         string `json:"ref,omitempty"`
	Name        string `json:"name"`
	State       string `json:"state"`
	Description string `json:"description"`
	URL         string `json:"url"`
}

// Post makes s the state of the build with its key.
func (p *Poster) Post(ctx context.Context, s dispatch.Status, targetURL string) error {
	key := githost.BuildKey(s.Context)
	body := buildStatus{
		Key:         key,
		Parent:      key,
		Ref:         s.Ref,
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
