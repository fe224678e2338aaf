package stepfn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/smithy-go"

	"switchyard/dispatch"
)

var _ dispatch.Responder = (*Client)(nil)

// spent are codes that say that a token leads to nothing. The first is that of a
// task which has ended; the others are what tokens get that the service has
// forgotten or never made.
var spent = map[string]bool{"TaskTimedOut": true, "TaskDoesNotExist": true, "InvalidToken": true}

// Succeed implements [dispatch.Responder].
func (c *Client) Succeed(ctx context.Context, executionARN, token string, output []byte) error {
	op := operation{"send task success to", executionARN}
	api, err := c.at(executionARN)
	if err != nil {
		return fmt.Errorf("%v: %w", op, err)
	}
	text := string(output)
	_, err = api.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: &token, Output: &text})
	return answered(ctx, op, err)
}

// Fail implements [dispatch.Responder]. Error name and cause are cut to the 256
// and 32,768 characters that Step Functions takes.
func (c *Client) Fail(ctx context.Context, executionARN, token, errorName, cause string) error {
	op := operation{"send task failure to", executionARN}
	api, err := c.at(executionARN)
	if err != nil {
		return fmt.Errorf("%v: %w", op, err)
	}
	_, err = api.SendTaskFailure(ctx, &sfn.SendTaskFailureInput{
		TaskToken: &token, Error: optional(cut(errorName, maxStopError)), Cause: optional(cut(cause, maxStopCause)),
	})
	return answered(ctx, op, err)
}

// hideTokens takes the token out of the parameters of a task that waits for it:
// whoever has it could answer in a person's place.
func hideTokens(parameters string) string {
	const hidden = "(hidden)"
	var hide func(v any) any
	hide = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for key, value := range v {
				switch strings.ReplaceAll(strings.ToLower(key), "_", "") {
				case "token", "tasktoken":
					v[key] = hidden
				default:
					v[key] = hide(value)
				}
			}
		case []any:
			for i := range v {
				v[i] = hide(v[i])
			}
		}
		return v
	}
	var v any
	d := json.NewDecoder(strings.NewReader(parameters))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return hidden
	}
	text, err := json.Marshal(hide(v))
	if err != nil {
		return hidden
	}
	return string(text)
}

func answered(ctx context.Context, op operation, err error) error {
	if err == nil {
		return nil
	}
	told := classify(ctx, op, err)
	var apiErr smithy.APIError
	if errors.As(err, &apiErr) && spent[apiErr.ErrorCode()] {
		return fmt.Errorf("%w: %w", told, dispatch.ErrTokenSpent)
	}
	return told
}
