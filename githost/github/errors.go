package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-github/v60/github"

	"switchyard/dispatch"
	"switchyard/internal/safetext"
)

// The permissions that calls need, in the words of GitHub's pages.
const (
	toRead         = "Contents: read"
	toReadPulls    = "Pull requests: read"
	toComment      = "Pull requests: write"
	toReadHooks    = "Webhooks: read"
	toWriteHooks   = "Webhooks: write"
	toSeePeople    = "Metadata: read"
	toAdminister   = "Administration: write"
	toWriteStatus  = "Commit statuses: write"
	toWriteChecks  = "Checks: write"
	toReadOrgHooks = "Organization webhooks: write"
)

func (q *call) failed(ctx context.Context, op string, err error) error {
	return q.refused(ctx, op, toRead, err)
}

// refused is failed for a call that needs another permission.
func (q *call) refused(ctx context.Context, op, needs string, err error) error {
	q.Failed(q.repository, err)
	return q.verdict(ctx, op+" at "+q.repository, q.repository, needs, err)
}

func shown(err error) string { return safetext.Cut(safetext.Line(err.Error()), maxError) }

// verdict says what an error of go-github means to a [dispatch.Host]'s caller,
// and drops its type. needs is the permission that the call needs.
func (c *Client) verdict(ctx context.Context, op, repository, needs string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, ctx.Err())
	}
	said := shown(err)
	plain := fmt.Errorf("%s: %s", op, said)
	var permanent *dispatch.PermanentError
	if errors.As(err, &permanent) {
		return &dispatch.PermanentError{Err: plain}
	}
	if throttled := c.Throttled(err, plain); throttled != nil {
		return throttled
	}
	if c.Unauthorized(err) {
		return fmt.Errorf("%w: the host does not accept %s, which may have run out or been revoked: %s", dispatch.ErrCannotAsk, c.credential(), said)
	}
	var answer *github.ErrorResponse
	if !errors.As(err, &answer) || answer.Response == nil {
		return plain
	}
	switch answer.Response.StatusCode {
	case http.StatusForbidden:
		return fmt.Errorf("%w: %s may not %s; it needs the permission %q for %s: %s", dispatch.ErrCannotAsk, c.credential(), op, needs, repository, said)
	case http.StatusNotFound:
		return &dispatch.PermanentError{Err: fmt.Errorf("%s: the host has no such thing, or %s may not see it (it needs %q): %s", op, c.credential(), needs, said)}
	case http.StatusBadRequest, http.StatusConflict, http.StatusGone, http.StatusUnprocessableEntity, http.StatusUnavailableForLegalReasons:
		return &dispatch.PermanentError{Err: plain}
	}
	return plain
}

// credential is the key in the config of what authorises calls.
func (c *Client) credential() string {
	key := "token"
	if c.app != nil {
		key = "app"
	}
	if c.source == "" {
		return "the " + key
	}
	return "sources." + c.source + "." + key
}
