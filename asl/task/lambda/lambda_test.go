package lambda_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/asl/task"
	"switchyard/asl/task/lambda"
)

// echo answers with its name and the payload.
type echo string

func (e echo) Invoke(_ context.Context, _ task.Task, payload json.RawMessage) ([]byte, error) {
	return []byte(`{"function":"` + string(e) + `","payload":` + string(payload) + `}`), nil
}

type fixed string

func (f fixed) Invoke(context.Context, task.Task, json.RawMessage) ([]byte, error) {
	return []byte(f), nil
}

const arn = "arn:aws:lambda:eu-west-1:123456789012:function:"

func handler(t *testing.T) *lambda.Handler {
	t.Helper()
	h, err := lambda.New(map[string]lambda.Function{
		"greet": echo("greet"), arn + "exact": echo("exact"), "pay:prod": echo("pay prod"), "pay": echo("pay"),
		"silent": fixed(" \n"), "words": fixed("hello"), "large": fixed(`"` + strings.Repeat("x", lambda.MaxPayload) + `"`),
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHandlerFindsTheFunction(t *testing.T) {
	tests := []struct {
		name, resource, input, want string
	}{
		{"name from ARN", arn + "greet", `{"a":1}`, `{"function":"greet","payload":{"a":1}}`},
		{"ARN with version", arn + "greet:7", `1`, `{"function":"greet","payload":1}`},
		{"ARN as a key", arn + "exact", `1`, `{"function":"exact","payload":1}`},
		{"ARN as a key, with version", arn + "exact:7", `1`, `{"function":"exact","payload":1}`},
		{"alias with a key of its own", arn + "pay:prod", `1`, `{"function":"pay prod","payload":1}`},
		{"other alias", arn + "pay:test", `1`, `{"function":"pay","payload":1}`},
		{"no answer is null", arn + "silent", `1`, `null`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			out, err := handler(t).Run(t.Context(), task.Task{Resource: tc.resource, Input: json.RawMessage(tc.input)})
			if err != nil {
				t.Fatal(err)
			}
			if string(out) != tc.want {
				t.Errorf("got %s, want %s", out, tc.want)
			}
			if !lambda.Handles(tc.resource) {
				t.Error("Handles is false")
			}
		})
	}
}

func TestInvokeHasTheEnvelope(t *testing.T) {
	for i, name := range []string{"greet", "greet:3", arn + "greet", "123456789012:function:greet"} {
		resource := lambda.ResourceInvoke
		if i%2 == 0 {
			resource += ".waitForTaskToken"
		}
		out, err := handler(t).Run(t.Context(), task.Task{
			ID: "t", Resource: resource, Input: json.RawMessage(`{"FunctionName":"` + name + `","Payload":[1]}`),
		})
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			ExecutedVersion string
			Payload         any
			StatusCode      int
			SdkHttpMetadata struct { //nolint:staticcheck // Step Functions' name
				AllHttpHeaders map[string][]string //nolint:staticcheck // Step Functions' name
				HttpHeaders    map[string]string   //nolint:staticcheck // Step Functions' name
				HttpStatusCode int                 //nolint:staticcheck // Step Functions' name
			}
			SdkResponseMetadata struct{ RequestId string } //nolint:staticcheck // Step Functions' name
		}
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"function": "greet", "payload": []any{1.0}}
		if diff := cmp.Diff(want, got.Payload); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if got.StatusCode != http.StatusOK || got.ExecutedVersion != "$LATEST" || got.SdkHttpMetadata.HttpStatusCode != http.StatusOK || got.SdkResponseMetadata.RequestId == "" {
			t.Errorf("%s: envelope %s", name, out)
		}
		headers := map[string]string{
			"Connection": "keep-alive", "Content-Length": strconv.Itoa(len(`{"function":"greet","payload":[1]}`)), "Content-Type": "application/json",
			"X-Amz-Executed-Version": "$LATEST", "x-amzn-Remapped-Content-Length": "0", "x-amzn-RequestId": got.SdkResponseMetadata.RequestId,
		}
		if diff := cmp.Diff(headers, got.SdkHttpMetadata.HttpHeaders); diff != "" {
			t.Errorf("%s: headers (-want +got):\n%s", name, diff)
		}
		for header, v := range got.SdkHttpMetadata.AllHttpHeaders {
			if len(v) != 1 || v[0] != headers[header] {
				t.Errorf("%s: %s is %q", name, header, v)
			}
		}
	}
}

func TestHandlerReportsErrorsAsLambdaDoes(t *testing.T) {
	tests := []struct {
		name, resource, input, want string
	}{
		{"unknown function", arn + "nobody", `1`, "Lambda.ResourceNotFoundException"},
		{"unknown function by name", lambda.ResourceInvoke, `{"FunctionName":"nobody"}`, "Lambda.ResourceNotFoundException"},
		{"no name", lambda.ResourceInvoke, `{}`, "States.Runtime"},
		{"input of another shape", lambda.ResourceInvoke, `[]`, "States.Runtime"},
		{"asynchronous", lambda.ResourceInvoke, `{"FunctionName":"greet","InvocationType":"Event"}`, "Lambda.InvalidParameterValueException"},
		{"another integration pattern", lambda.ResourceInvoke + ".sync", `{"FunctionName":"greet"}`, "States.Runtime"},
		{"answer is not JSON", arn + "words", `1`, "Lambda.Unknown"},
		{"answer is too large", arn + "large", `1`, "States.DataLimitExceeded"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			_, err := handler(t).Run(t.Context(), task.Task{Resource: tc.resource, Input: json.RawMessage(tc.input)})
			var te *task.Error
			if !errors.As(err, &te) || te.Name != tc.want || te.Cause == "" {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestReportedReadsOnlyLambdaErrors(t *testing.T) {
	if e := lambda.Reported([]byte(" {\"errorType\":\"Broken\",\"errorMessage\":\"m\"}\n")); e == nil || e.Name != "Broken" || e.Cause != `{"errorType":"Broken","errorMessage":"m"}` {
		t.Errorf("got %v", e)
	}
	for _, s := range []string{"", "null", "[]", `{"errorMessage":"m"}`, `{"errorType":1}`, "Broken"} {
		if e := lambda.Reported([]byte(s)); e != nil {
			t.Errorf("%q: got %v", s, e)
		}
	}
}
