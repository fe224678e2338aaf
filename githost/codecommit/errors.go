package codecommit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"switchyard/dispatch"
	"switchyard/internal/safetext"
)

// maxError bounds what is kept of an error's text, in characters.
const maxError = 500

// denied are codes about our permissions and credentials. From the API
// reference, "Common Errors", and from the errors of operations.
var denied = map[string]bool{
	"AccessDenied":                        true,
	"AccessDeniedException":               true,
	"EncryptionKeyAccessDeniedException":  true,
	"IncompleteSignature":                 true,
	"IncompleteSignatureException":        true,
	"InvalidClientTokenId":                true,
	"InvalidSignatureException":           true,
	"MissingAuthenticationToken":          true,
	"MissingAuthenticationTokenException": true,
	"NotAuthorized":                       true,
	"OptInRequired":                       true,
	"SignatureDoesNotMatch":               true,
	"UnrecognizedClientException":         true,
}

// unknownKey are those of them that say that the credentials are not known.
var unknownKey = map[string]bool{
	"InvalidClientTokenId": true, "InvalidSignatureException": true, "SignatureDoesNotMatch": true, "UnrecognizedClientException": true,
	"MissingAuthenticationToken": true, "MissingAuthenticationTokenException": true, "IncompleteSignature": true, "IncompleteSignatureException": true,
}

// Code is the API's name of an error, such as BranchDoesNotExistException, or
// empty where the API did not answer.
func Code(err error) string {
	var answer smithy.APIError
	if errors.As(err, &answer) {
		return answer.ErrorCode()
	}
	return ""
}

func status(err error) int {
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

// throttled reports whether an error asks for fewer calls. The front of the
// service says so in XML with status 400, which the SDK cannot read.
func throttled(err error) bool {
	if _, known := retry.DefaultThrottleErrorCodes[Code(err)]; known || status(err) == http.StatusTooManyRequests {
		return true
	}
	var unread *smithy.DeserializationError
	return errors.As(err, &unread) && bytes.Contains(unread.Snapshot, []byte("<ThrottlingException>"))
}

// Denied reports whether an error is about permissions or credentials, and
// whether it is that the API does not know the credentials.
func Denied(err error) (denies, unknown bool) {
	code := Code(err)
	return denied[code], unknownKey[code]
}

// passing reports whether the same call may succeed soon.
func passing(err error) bool {
	if throttled(err) {
		return true
	}
	if code := Code(err); code != "" {
		return status(err) >= 500 || code == "ExpiredTokenException" || code == "RequestExpired"
	}
	var invalid smithy.InvalidParamsError
	return !errors.As(err, &invalid)
}

// shown is what an operator sees of an error.
func shown(err error) string {
	var answer smithy.APIError
	text := err.Error()
	if errors.As(err, &answer) {
		text = answer.ErrorCode() + ": " + answer.ErrorMessage()
	}
	return safetext.Cut(safetext.Line(text), maxError)
}

// Verdict says what an error of a call means to a [dispatch.Host]'s caller, and
// drops the SDK's types. action is what IAM calls the call, such as GetCommit.
func (c *Client) Verdict(ctx context.Context, action, repository string, err error) error {
	op := "codecommit:" + action + " at " + repository
	var permanent *dispatch.PermanentError
	switch denies, unknown := Denied(err); {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", op, ctx.Err())
	case outOfTime(err):
		return fmt.Errorf("%s: no time is left to ask: %w", op, context.DeadlineExceeded)
	case errors.As(err, &permanent):
		return err
	case throttled(err):
		return &dispatch.ThrottledError{Err: fmt.Errorf("%s: %s", op, shown(err))}
	case unknown:
		return fmt.Errorf("%w: AWS does not accept the credentials of sources.%s: %s", dispatch.ErrCannotAsk, c.cfg.Source, shown(err))
	case denies:
		return fmt.Errorf("%w: the role of sources.%s may not %s; allow it that action: %s", dispatch.ErrCannotAsk, c.cfg.Source, op, shown(err))
	case !passing(err):
		return &dispatch.PermanentError{Err: fmt.Errorf("%s: %s", op, shown(err))}
	}
	return fmt.Errorf("%s: %s", op, shown(err))
}
