package stepfn

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"switchyard/dispatch"
)

// throttled are codes that ask for fewer calls, beside those the SDK knows.
// ExecutionLimitExceeded is here since open executions end by themselves.
var throttled = map[string]bool{
	"ExecutionLimitExceeded": true,
	"KmsThrottlingException": true,
	"TooManyRequests":        true,
}

// permanent are codes about the request itself, which the same call will get
// again.
var permanent = map[string]bool{
	"ExecutionNotRedrivable":         true,
	"InvalidExecutionInput":          true,
	"InvalidName":                    true,
	"MissingRequiredParameter":       true,
	"RequestEntityTooLarge":          true,
	"RequestEntityTooLargeException": true,
	"SerializationException":         true,
	"StateMachineTypeNotSupported":   true,
	"ValidationError":                true,
	"ValidationException":            true,
}

// blocked are codes about the state machine, its key, our permissions, our
// credentials or the endpoint: every request of the machine gets them, until
// somebody repairs it. Credentials are rotated and roles changed under a
// running service; that must not turn what waits into dead letters.
var blocked = map[string]bool{
	"AccessDenied":                        true,
	"AccessDeniedException":               true,
	"AuthFailure":                         true,
	"ExpiredToken":                        true,
	"ExpiredTokenException":               true,
	"IncompleteSignature":                 true,
	"IncompleteSignatureException":        true,
	"InvalidArn":                          true,
	"InvalidClientTokenId":                true,
	"InvalidSignatureException":           true,
	"KmsAccessDeniedException":            true,
	"KmsInvalidStateException":            true,
	"MissingAuthenticationToken":          true,
	"MissingAuthenticationTokenException": true,
	"NotAuthorized":                       true,
	"OptInRequired":                       true,
	"RequestExpired":                      true,
	"ResourceNotFound":                    true,
	"ResourceNotFoundException":           true,
	"SignatureDoesNotMatch":               true,
	"StateMachineDeleting":                true,
	"StateMachineDoesNotExist":            true,
	"UnauthorizedOperation":               true,
	"UnknownOperationException":           true,
	"UnrecognizedClientException":         true,
}

// operation says what was tried on what, for an error's text.
type operation struct{ verb, identity string }

func (o operation) String() string { return o.verb + " " + o.identity }

// errTaken is what a start gets whose name belongs to an execution already.
var errTaken = errors.New("the name is taken")

// isTaken tells that the name belongs to an execution already.
func isTaken(err error) bool {
	var apiErr smithy.APIError
	return errors.As(err, &apiErr) && apiErr.ErrorCode() == "ExecutionAlreadyExists"
}

// classify gives err its verdict and drops the SDK's types. An end of ctx is
// passed on as it is: whoever set the limit knows what it means.
func classify(ctx context.Context, op operation, err error) error {
	if ctxErr := ctx.Err(); ctxErr != nil {
		return fmt.Errorf("%v: %w", op, ctxErr)
	}
	var response *smithyhttp.ResponseError
	status := 0
	if errors.As(err, &response) {
		status = response.HTTPStatusCode()
	}
	var apiErr smithy.APIError
	if errors.As(err, &apiErr) {
		code := apiErr.ErrorCode()
		told := fmt.Errorf("%v: %s: %s", op, code, apiErr.ErrorMessage())
		_, sdkThrottled := retry.DefaultThrottleErrorCodes[code]
		switch {
		case code == "ExecutionDoesNotExist":
			return fmt.Errorf("%w: %w", told, dispatch.ErrNotFound)
		case sdkThrottled || throttled[code] || status == http.StatusTooManyRequests:
			return &dispatch.ThrottledError{After: retryAfter(response), Err: told}
		case blocked[code]:
			return &dispatch.BlockedError{Err: told}
		case permanent[code] || status == http.StatusRequestEntityTooLarge:
			return &dispatch.PermanentError{Err: told}
		}
		return told
	}
	plain := fmt.Errorf("%v: %v", op, err)
	var invalid smithy.InvalidParamsError
	switch {
	case errors.As(err, &invalid), status == http.StatusRequestEntityTooLarge:
		return &dispatch.PermanentError{Err: plain}
	case status == http.StatusTooManyRequests:
		return &dispatch.ThrottledError{After: retryAfter(response), Err: plain}
	}
	return plain
}

// retryAfter reads Retry-After in seconds, which a proxy or an engine may
// send; AWS does not.
func retryAfter(response *smithyhttp.ResponseError) time.Duration {
	if response == nil || response.Response == nil {
		return 0
	}
	seconds, err := strconv.Atoi(response.Response.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
