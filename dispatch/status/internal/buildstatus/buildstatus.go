// Package buildstatus has what the posters of build statuses at Bitbucket Cloud and Data
// Center share.
package buildstatus

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
)

const (
	// notFoundPatience is how long a repository that is not found is taken for
	// one that the token may not see yet.
	notFoundPatience = 24 * time.Hour
	// maxError bounds what is kept of an error's text, in characters.
	maxError = 500
)

// States are the words of both for what a build comes to. They have one for what was
// stopped, too, which counts as no failure where builds are required: what could not
// be run has failed there.
var States = map[dispatch.StatusState]string{
	dispatch.StatusPending: "INPROGRESS", dispatch.StatusSuccess: "SUCCESSFUL",
	dispatch.StatusFailure: "FAILED", dispatch.StatusError: "FAILED",
}

// DefaultLimits are those of a source that sets none: half of the thousand calls
// that Bitbucket Cloud takes in an hour, see "API request limits".
var DefaultLimits = status.Limits{PerMinute: 80, PerHour: 500, Concurrent: 4}

// Limits are those given, or the default; the error is for an operator.
func Limits(name string, given status.Limits) (status.Limits, error) {
	if given == (status.Limits{}) {
		given = DefaultLimits
	}
	if given.PerMinute < 0 || given.PerHour < 0 || given.Concurrent < 0 {
		return given, fmt.Errorf("%s: limits %+v must not be negative", name, given)
	}
	return given, nil
}

// Link is where a status leads to. Both hosts require that: it is the commit's page
// where we have none, or none that they would take.
func Link(target, commit string, most int) string {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || len([]rune(target)) > most {
		return commit
	}
	return target
}

// Host is asked what an error of its client means.
type Host interface {
	Code(err error) int
	// Sees reports whether the host shows us a repository.
	Sees(ctx context.Context, repository string) (bool, error)
	Throttled(err, shown error) *dispatch.ThrottledError
}

// Classify gives an error of posting s its verdict for a [status.Poster]'s caller,
// and drops its types.
func Classify(ctx context.Context, h Host, s *dispatch.Status, now time.Time, err error) error {
	op := fmt.Sprintf("build status of %s at %s", s.SHA, s.Repository)
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, ctx.Err())
	}
	plain := fmt.Errorf("%s: %s", op, status.Line(err.Error(), maxError))
	if throttled := h.Throttled(err, plain); throttled != nil {
		return throttled
	}
	code := h.Code(err)
	if code == http.StatusNotFound {
		// A repository that we see has no such commit, such as one of a fork. That
		// must not hold back what is told of the others.
		if seen, askErr := h.Sees(ctx, s.Repository); askErr == nil && seen {
			return &dispatch.PermanentError{Err: fmt.Errorf("%w; the repository is there, and the commit is not in it, as a fork's may not be", plain)}
		}
	}
	switch {
	case code == http.StatusUnauthorized:
		return &status.UnauthorizedError{Err: plain}
	case code == http.StatusNotFound && now.Sub(s.WantedAt) > notFoundPatience:
		return &dispatch.PermanentError{Err: plain}
	case code == http.StatusBadRequest, code == http.StatusGone, code == http.StatusUnprocessableEntity, code == http.StatusUnavailableForLegalReasons:
		return &dispatch.PermanentError{Err: plain}
	case code >= 400 && code < 500: // a person mends the token's permissions
		return &status.RefusedError{Err: plain}
	}
	return plain
}
