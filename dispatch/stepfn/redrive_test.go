package stepfn

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/internal/awsmodel"
)

// conforms holds requests, and the answers that a fake gives, against the model
// of Step Functions.
func conforms(t *testing.T, f *fakeAPI) {
	t.Helper()
	model := awsmodel.ForTest(t, "stepfunctions")
	for _, c := range f.seen() {
		op := strings.TrimPrefix(c.Target, "AWSStepFunctions.")
		body, err := json.Marshal(c.Body)
		if err != nil {
			t.Fatal(err)
		}
		if err := model.Input(op, body); err != nil {
			t.Errorf("a request that Step Functions would refuse: %v", err)
		}
		if a := f.answers[op]; a.status == 0 {
			if err := model.Output(op, []byte(a.body)); err != nil {
				t.Errorf("an answer that Step Functions would not give: %v", err)
			}
		}
	}
}

func TestRedriveSendsARNAndToken(t *testing.T) {
	c, fake := newFake(t, map[string]answer{"RedriveExecution": {body: `{"redriveDate":1700000000.5}`}})
	token := strings.Repeat("0f", 32)
	if err := c.Redrive(t.Context(), executionARN, token); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]any{"executionArn": executionARN, "clientToken": token}, fake.seen()[0].Body); d != "" {
		t.Error(d)
	}
	conforms(t, fake)
}

func TestRedriveErrorsCarryVerdict(t *testing.T) {
	for code, row := range map[string]struct {
		status int
		is     func(error) bool
	}{
		"ExecutionNotRedrivable":    {400, func(err error) bool { return errors.As(err, new(*dispatch.PermanentError)) }},
		"ValidationException":       {400, func(err error) bool { return errors.As(err, new(*dispatch.PermanentError)) }},
		"ExecutionDoesNotExist":     {400, func(err error) bool { return errors.Is(err, dispatch.ErrNotFound) }},
		"ExecutionLimitExceeded":    {400, func(err error) bool { return errors.As(err, new(*dispatch.ThrottledError)) }},
		"ThrottlingException":       {400, func(err error) bool { return errors.As(err, new(*dispatch.ThrottledError)) }},
		"AccessDeniedException":     {400, func(err error) bool { return errors.As(err, new(*dispatch.BlockedError)) }},
		"UnknownOperationException": {400, func(err error) bool { return errors.As(err, new(*dispatch.BlockedError)) }},
		"InternalFailure": {500, func(err error) bool {
			return !errors.As(err, new(*dispatch.PermanentError)) && !errors.As(err, new(*dispatch.BlockedError)) && !errors.As(err, new(*dispatch.ThrottledError))
		}},
	} {
		t.Run(code, func(t *testing.T) {
			c, _ := newFake(t, map[string]answer{"RedriveExecution": apiError(row.status, code, "because")})
			err := c.Redrive(t.Context(), executionARN, "t")
			if err == nil || !row.is(err) || !strings.Contains(err.Error(), "because") {
				t.Errorf("%v", err)
			}
		})
	}
	// What answers 200 to anything has redriven nothing.
	c, _ := newFake(t, map[string]answer{"RedriveExecution": {status: http.StatusOK, body: `{}`}})
	if err := c.Redrive(t.Context(), executionARN, "t"); err == nil || !strings.Contains(err.Error(), "no redriveDate") {
		t.Errorf("%v", err)
	}
}

func TestDescribeSaysWhyItCannotBeRedriven(t *testing.T) {
	for status, want := range map[string]string{
		`"redriveStatus":"REDRIVABLE"`: "",
		`"redriveCount":0`:             "",
		`"redriveStatus":"NOT_REDRIVABLE","redriveStatusReason":"Execution redrivable period exceeded"`: "Execution redrivable period exceeded",
		`"redriveStatus":"REDRIVABLE_BY_MAP_RUN"`:                                                       "REDRIVABLE_BY_MAP_RUN",
	} {
		c, fake := newFake(t, map[string]answer{"DescribeExecution": {body: `{"executionArn":"` + executionARN + `","stateMachineArn":"` + deployARN +
			`","name":"x","status":"FAILED","startDate":1,"stopDate":2,` + status + `}`}})
		o, err := c.Describe(t.Context(), executionARN)
		if err != nil || o.NotRedrivable != want {
			t.Errorf("%s: %q, %v", status, o.NotRedrivable, err)
		}
		conforms(t, fake)
	}
}
