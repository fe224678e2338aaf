// Package lambda is what Step Functions knows of a Lambda function, for
// functions that are a program or a URL on this machine: the two ways to name
// one in a state machine, the envelope of lambda:invoke, and errors as the
// Lambda integration gives them.
//
// The facts are from the Step Functions developer guide ("Invoke an AWS Lambda
// function with Step Functions") and the Lambda developer guide ("Function
// errors").
package lambda

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"switchyard/asl/task"
)

// ResourceInvoke is the resource of the optimised integration, whose input
// names the function.
const ResourceInvoke = "arn:aws:states:::lambda:invoke"

// resourceToken is the one whose state ends when somebody gives back the task
// token. The function is called all the same; its answer is what is submitted.
const resourceToken = ResourceInvoke + ".waitForTaskToken"

// MaxPayload is Step Functions' limit for the input and output of a task, in
// bytes.
const MaxPayload = 256 << 10

// Function is one function. It is safe for concurrent use.
type Function interface {
	// Invoke calls the function with a JSON text and returns its answer, which
	// need not be JSON yet. An error of type [*task.Error] is the function's;
	// when ctx ends, its cause is returned.
	Invoke(ctx context.Context, t task.Task, payload json.RawMessage) ([]byte, error)
}

// keeper is a [Function] that keeps answers, as a [task.Keeper] does.
type keeper interface{ Forget(t task.Task) }

// Handler runs tasks that invoke functions.
type Handler struct {
	functions map[string]Function
}

var (
	_ task.Handler = (*Handler)(nil)
	_ task.Keeper  = (*Handler)(nil)
)

// New makes a handler for functions by name, or by ARN for those whose ARN
// alone is meant.
func New(functions map[string]Function) (*Handler, error) {
	h := &Handler{functions: make(map[string]Function, len(functions))}
	for name, f := range functions {
		if name == "" || f == nil {
			return nil, fmt.Errorf("lambda: function %q is empty", name)
		}
		h.functions[name] = f
	}
	return h, nil
}

// Handles reports whether a Task state's resource is for a [Handler].
func Handles(resource string) bool {
	return strings.HasPrefix(resource, ResourceInvoke) || isFunctionARN(resource)
}

func isFunctionARN(s string) bool {
	f := strings.Split(s, ":")
	return len(f) >= 7 && f[0] == "arn" && f[2] == "lambda" && f[5] == "function"
}

// invocation is what a task asks for.
type invocation struct {
	function string
	payload  json.RawMessage
	// enveloped is true for lambda:invoke, whose output has an envelope.
	enveloped bool
}

// Run invokes the function that t names.
func (h *Handler) Run(ctx context.Context, t task.Task) (json.RawMessage, error) {
	inv, err := decode(t)
	if err != nil {
		return nil, err
	}
	f, ok := h.find(inv.function)
	if !ok {
		return nil, &task.Error{Name: "Lambda.ResourceNotFoundException",
			Cause: fmt.Sprintf("Function not found: %s is not configured as a program or URL of this engine", inv.function)}
	}
	answer, err := f.Invoke(ctx, t, inv.payload)
	if err != nil {
		return nil, err
	}
	out, err := answerJSON(inv.function, answer)
	if err != nil || !inv.enveloped {
		return out, err
	}
	return envelope(t, out)
}

// Forget lets the function forget the answer that it keeps.
func (h *Handler) Forget(t task.Task) {
	inv, err := decode(t)
	if err != nil {
		return
	}
	if f, ok := h.find(inv.function); ok {
		if k, ok := f.(keeper); ok {
			k.Forget(t)
		}
	}
}

func decode(t task.Task) (invocation, error) {
	if isFunctionARN(t.Resource) {
		return invocation{function: t.Resource, payload: t.Input}, nil
	}
	if t.Resource != ResourceInvoke && t.Resource != resourceToken {
		return invocation{}, &task.Error{Name: "States.Runtime",
			Cause: fmt.Sprintf("resource %s is not supported by this engine; use %s", t.Resource, ResourceInvoke)}
	}
	var in struct {
		FunctionName   string
		Payload        json.RawMessage
		InvocationType string
		Qualifier      string
	}
	if err := json.Unmarshal(t.Input, &in); err != nil {
		return invocation{}, &task.Error{Name: "States.Runtime", Cause: fmt.Sprintf("the task's input is not an Invoke request: %v", err)}
	}
	switch {
	case in.FunctionName == "":
		return invocation{}, &task.Error{Name: "States.Runtime", Cause: "FunctionName is missing in the task's input"}
	case in.InvocationType != "" && in.InvocationType != "RequestResponse":
		return invocation{}, &task.Error{Name: "Lambda.InvalidParameterValueException",
			Cause: fmt.Sprintf("InvocationType %s is not supported by this engine, only RequestResponse", in.InvocationType)}
	}
	if in.Payload == nil {
		in.Payload = json.RawMessage("{}")
	}
	name := in.FunctionName
	if in.Qualifier != "" {
		name += ":" + in.Qualifier
	}
	return invocation{function: name, payload: in.Payload, enveloped: true}, nil
}

// find looks a function up by all that can name it: the text as it is, without
// the qualifier (version or alias), and by its bare name.
func (h *Handler) find(function string) (Function, bool) {
	names := []string{function}
	if isFunctionARN(function) {
		f := strings.Split(function, ":")
		names = append(names, strings.Join(f[:7], ":"))
		if len(f) > 7 {
			names = append(names, f[6]+":"+f[7])
		}
		names = append(names, f[6])
	} else {
		// account:function:name and name:qualifier are short forms.
		if _, rest, ok := strings.Cut(function, ":function:"); ok {
			function = rest
			names = append(names, rest)
		}
		name, _, _ := strings.Cut(function, ":")
		names = append(names, name)
	}
	for _, n := range names {
		if f, ok := h.functions[n]; ok {
			return f, true
		}
	}
	return nil, false
}

// answerJSON checks a function's answer. No answer at all is null, as for a
// function that returns nothing.
func answerJSON(function string, answer []byte) (json.RawMessage, error) {
	answer = bytes.TrimSpace(answer)
	switch {
	case len(answer) == 0:
		return json.RawMessage("null"), nil
	case len(answer) > MaxPayload:
		return nil, &task.Error{Name: "States.DataLimitExceeded", Cause: fmt.Sprintf(
			"the answer of %s has more than the maximum of %d bytes", function, MaxPayload)}
	case !json.Valid(answer):
		return nil, &task.Error{Name: "Lambda.Unknown", Cause: fmt.Sprintf(
			"the answer of %s is not JSON; it begins %q", function, answer[:min(len(answer), 200)])}
	}
	return answer, nil
}

// envelope is the output of lambda:invoke.
func envelope(t task.Task, payload json.RawMessage) (json.RawMessage, error) {
	type httpMetadata struct {
		AllHTTPHeaders map[string][]string `json:"AllHttpHeaders"`
		HTTPHeaders    map[string]string   `json:"HttpHeaders"`
		HTTPStatusCode int                 `json:"HttpStatusCode"`
	}
	type requestMetadata struct {
		RequestID string `json:"RequestId"`
	}
	sum := sha256.Sum256([]byte(t.ExecutionARN + "\n" + t.ID))
	id := fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
	return json.Marshal(struct {
		ExecutedVersion     string
		Payload             json.RawMessage
		SdkHTTPMetadata     httpMetadata `json:"SdkHttpMetadata"`
		SdkResponseMetadata requestMetadata
		StatusCode          int
	}{
		ExecutedVersion: "$LATEST",
		Payload:         payload,
		SdkHTTPMetadata: httpMetadata{
			AllHTTPHeaders: map[string][]string{},
			HTTPHeaders:    map[string]string{"Content-Type": "application/json"},
			HTTPStatusCode: 200,
		},
		SdkResponseMetadata: requestMetadata{id},
		StatusCode:          200,
	})
}

// ErrTimedOut is the cause of a context that a function's own timeout ended.
var ErrTimedOut = errors.New("the function exceeded its timeout")

// Reported reads a function's own error from its answer: an object with
// errorType, as Lambda's runtimes write it. Name is errorType and the cause is
// the whole object. It returns nil when the answer is no such object.
func Reported(answer []byte) *task.Error {
	var e struct {
		ErrorType    string `json:"errorType"`
		ErrorMessage string `json:"errorMessage"`
	}
	answer = bytes.TrimSpace(answer)
	if ok := json.Unmarshal(answer, &e) == nil && e.ErrorType != ""; !ok {
		return nil
	}
	return &task.Error{Name: e.ErrorType, Cause: string(answer)}
}

// NewError makes an error of the form that Lambda reports: the cause is an
// object with errorType and errorMessage, so that States.StringToJson reads it
// whoever wrote it.
func NewError(errorType, message string) *task.Error {
	cause, err := json.Marshal(struct {
		ErrorType    string `json:"errorType"`
		ErrorMessage string `json:"errorMessage"`
	}{errorType, message})
	if err != nil {
		cause = []byte(errorType) // two strings always marshal
	}
	return &task.Error{Name: errorType, Cause: string(cause)}
}

// The types of errors that Lambda itself reports for a function.
const (
	// TypeTimedOut is for a function that exceeded its timeout.
	TypeTimedOut = "Sandbox.Timedout"
	// TypeExit is for a program that ended with a failure of its own.
	TypeExit = "Runtime.ExitError"
	// TypeUnknown is for what the function failed to explain.
	TypeUnknown = "Lambda.Unknown"
	// TypeUnavailable is for a function that could not be reached. State
	// machines retry it, as they do for Lambda's own outages.
	TypeUnavailable = "Lambda.ServiceException"
	// TypeThrottled is for a function that asks for fewer calls.
	TypeThrottled = "Lambda.TooManyRequestsException"
)
