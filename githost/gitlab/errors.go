package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	gl "gitlab.com/gitlab-org/api/client-go"

	"switchyard/dispatch"
	"switchyard/internal/safetext"
)

// maxError bounds what is kept of an error's text, in characters.
const maxError = 500

// need is what a call needs beside a valid token, for a person.
type need string

const (
	toRead  need = "the scope read_api, and at least the role Reporter"
	toWrite need = "the scope api, and at least the role Developer"
	toAdmin need = "the scope api, and at least the role Maintainer"
)

// Throttled returns err as a [*dispatch.ThrottledError] around shown where it
// says that the host asks for fewer calls, and nil otherwise.
func (c *Client) Throttled(err, shown error) *dispatch.ThrottledError {
	var held *heldError
	if errors.As(err, &held) {
		return &dispatch.ThrottledError{After: held.after, Err: shown}
	}
	var answer *gl.ErrorResponse
	if errors.As(err, &answer) && answer.Response != nil && answer.Response.StatusCode == http.StatusTooManyRequests {
		return &dispatch.ThrottledError{After: c.retryAfter(answer.Response.Header), Err: shown}
	}
	return nil
}

// Shown is what an operator sees of an error of the client library.
func Shown(err error) string {
	var answer *gl.ErrorResponse
	text := err.Error()
	if errors.As(err, &answer) && answer.Response != nil {
		text = fmt.Sprintf("%d %s", answer.Response.StatusCode, answer.Message)
	}
	return safetext.Cut(safetext.Line(text), maxError)
}

// Status is the HTTP status of the answer that err came of, 0 for none. The
// library has a sentinel in the place of a 404.
func Status(err error) int {
	var answer *gl.ErrorResponse
	switch {
	case errors.Is(err, gl.ErrNotFound):
		return http.StatusNotFound
	case errors.As(err, &answer) && answer.Response != nil:
		return answer.Response.StatusCode
	}
	return 0
}

func notFound(err error) bool { return Status(err) == http.StatusNotFound }

// verdict says what an error of the client library means to a [dispatch.Host]'s
// caller, and drops its type. of is what the call needs.
func (c *Client) verdict(ctx context.Context, op, repository string, of need, err error) error {
	op += " at " + repository
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, ctx.Err())
	}
	said := Shown(err)
	plain := fmt.Errorf("%s: %s", op, said)
	if throttled := c.Throttled(err, plain); throttled != nil {
		return throttled
	}
	switch Status(err) {
	case http.StatusUnauthorized:
		return fmt.Errorf("%w: GitLab does not accept %s, which may have run out or been revoked: %s", dispatch.ErrCannotAsk, c.credential(), said)
	case http.StatusForbidden:
		return fmt.Errorf("%w: %s may not %s; it needs %s: %s", dispatch.ErrCannotAsk, c.credential(), op, of, said)
	case http.StatusNotFound:
		return &dispatch.PermanentError{Err: fmt.Errorf("%s: GitLab has no such project or commit, or %s may not see it (it needs %s)", op, c.credential(), of)}
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusGone, http.StatusUnprocessableEntity:
		return &dispatch.PermanentError{Err: plain}
	}
	return plain
}

// credential is the key in the config of what authorises calls.
func (c *Client) credential() string {
	if c.source == "" {
		return "the token"
	}
	return "sources." + c.source + ".token"
}
