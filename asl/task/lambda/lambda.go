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
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"switchyard/asl"
	"switchyard/asl/task"
	"switchyard/asl/value"
)

// ResourceInvoke is the resource of the optimised integration, whose input
// names the function.
const ResourceInvoke = "arn:aws:states:::lambda:invoke"

// resourceToken is the one whose state ends when somebody gives back the task
// token. The function is called all the same; its answer is what is submitted.
const resourceToken = ResourceInvoke + ".waitForTaskToken"

// MaxPayload is Step Functions' limit for the input and output of a task, in
// bytes.
const MaxPayload = asl.MaxData

// Function is one function. It is safe for concurrent use.
type Function interface {
	// Invoke calls the function with a payload and returns its answer, which need
	// not be JSON yet. The payload is JSON but where lambda:invoke is given a text
	// that is none. An error of type [*task.Error] is the function's;
	// when ctx ends, its cause is returned.
	Invoke(ctx context.Context, t task.Task, payload json.RawMessage) ([]byte, error)
}

// Logged is a [Function] that can tell what it logged.
type Logged interface {
	Function
	// InvokeLogged is Invoke, and returns the end of the invocation's log too, of
	// at most 4 KiB as Lambda has it.
	InvokeLogged(ctx context.Context, t task.Task, payload json.RawMessage) (answer, log []byte, err error)
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
	// tail asks for the end of the log in the envelope.
	tail bool
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
	answer, log, err := inv.invoke(ctx, f, t)
	if err != nil {
		return nil, inv.failure(err)
	}
	out, err := answerJSON(inv.function, answer)
	if err != nil || !inv.enveloped {
		return out, err
	}
	return envelope(t, out, log)
}

// invoke calls the function. The log is in base64, and nil when it is not asked
// for.
func (inv invocation) invoke(ctx context.Context, f Function, t task.Task) (answer []byte, log *string, err error) {
	if !inv.tail {
		answer, err = f.Invoke(ctx, t, inv.payload)
		return answer, nil, err
	}
	var text []byte
	if l, ok := f.(Logged); ok {
		answer, text, err = l.InvokeLogged(ctx, t, inv.payload)
	} else {
		answer, err = f.Invoke(ctx, t, inv.payload)
	}
	encoded := base64.StdEncoding.EncodeToString(text)
	return answer, &encoded, err
}

// failure is an error of a function as the integration gives it: lambda:invoke
// reads the object that a function reports and writes it anew, without blanks.
// Functions that a state names by their ARN have theirs passed on as it is.
func (inv invocation) failure(err error) error {
	var reported *task.Error
	if !inv.enveloped || !errors.As(err, &reported) {
		return err
	}
	cause, parseErr := value.ParseString(reported.Cause)
	if parseErr != nil || cause.Kind() != value.Object {
		return err
	}
	return &task.Error{Name: reported.Name, Cause: cause.JSON()}
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
		LogType        string
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
	case in.LogType != "" && in.LogType != "None" && in.LogType != "Tail":
		return invocation{}, &task.Error{Name: "Lambda.InvalidParameterValueException",
			Cause: fmt.Sprintf("LogType is %s; it can be None or Tail", in.LogType)}
	}
	name := in.FunctionName
	if in.Qualifier != "" {
		name += ":" + in.Qualifier
	}
	return invocation{function: name, payload: payload(in.Payload), enveloped: true, tail: in.LogType == "Tail"}, nil
}

// payload is what lambda:invoke sends for the field Payload: a text as it is, so
// that one with JSON in it is that JSON, and {} for nothing.
func payload(field json.RawMessage) json.RawMessage {
	var text *string
	switch {
	case field == nil || string(field) == "null":
		return json.RawMessage("{}")
	case json.Unmarshal(field, &text) != nil:
		return field
	case *text == "":
		return json.RawMessage("{}")
	default:
		return json.RawMessage(*text)
	}
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

// latest is the version of a function that has none.
const latest = "$LATEST"

// envelope is the output of lambda:invoke; log is nil when nobody asked for it.
// The headers are those that are recorded of Lambda, but for the date and the
// trace, which would make every output another one.
func envelope(t task.Task, payload json.RawMessage, log *string) (json.RawMessage, error) {
	meta := task.MetadataOf(t, "application/json")
	meta.AddHeader("Connection", "keep-alive")
	meta.AddHeader("Content-Length", strconv.Itoa(len(payload)))
	meta.AddHeader("X-Amz-Executed-Version", latest)
	meta.AddHeader("x-amzn-Remapped-Content-Length", "0")
	meta.AddHeader("x-amzn-RequestId", meta.SdkResponseMetadata.RequestID)
	return json.Marshal(struct {
		ExecutedVersion string
		LogResult       *string `json:",omitempty"`
		Payload         json.RawMessage
		task.Metadata
		StatusCode int
	}{latest, log, payload, meta, 200})
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
