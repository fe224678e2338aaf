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

// permanent are codes that the same call will get again. What is wrong with
// the credentials alone (expired, not yet known, clock out of step) is not
// here: credentials are rotated under a running service, and must not turn
// every waiting request into a dead letter.
var permanent = map[string]bool{
	"AccessDenied":                   true,
	"AccessDeniedException":          true,
	"InvalidArn":                     true,
	"InvalidExecutionInput":          true,
	"InvalidName":                    true,
	"KmsAccessDeniedException":       true,
	"KmsInvalidStateException":       true,
	"MissingRequiredParameter":       true,
	"RequestEntityTooLarge":          true,
	"RequestEntityTooLargeException": true,
	"ResourceNotFound":               true,
	"SerializationException":         true,
	"StateMachineDeleting":           true,
	"StateMachineDoesNotExist":       true,
	"StateMachineTypeNotSupported":   true,
	"UnknownOperationException":      true,
	"ValidationError":                true,
	"ValidationException":            true,
}

// operation says what was tried on what, for an error's text.
type operation struct{ verb, identity string }

func (o operation) String() string { return o.verb + " " + o.identity }

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
