package stepfn

import (
	"errors"
	"testing"

	"switchyard/dispatch"
)

func TestDefinitionIsThatOfTheExecution(t *testing.T) {
	c, f := newFake(t, map[string]answer{"DescribeStateMachineForExecution": {body: `{"definition":"{\"StartAt\":\"A\"}","name":"m","roleArn":"arn:aws:iam::1:role/r","stateMachineArn":"arn:aws:states:eu-west-1:123456789012:stateMachine:m","updateDate":1}`}})
	text, err := c.Definition(t.Context(), executionARN)
	if err != nil || text != `{"StartAt":"A"}` {
		t.Errorf("%q, %v", text, err)
	}
	if calls := f.seen(); len(calls) != 1 || calls[0].Body["executionArn"] != executionARN {
		t.Errorf("calls %+v", calls)
	}
	c, _ = newFake(t, map[string]answer{"DescribeStateMachineForExecution": apiError(400, "ExecutionDoesNotExist", "gone")})
	if _, err := c.Definition(t.Context(), executionARN); !errors.Is(err, dispatch.ErrNotFound) {
		t.Errorf("of one that is gone: %v", err)
	}
}
