// Package api is the Step Functions API over HTTP, AWS JSON 1.0, in front of
// the embedded engine: any AWS SDK and the AWS command line work against it.
//
// An action is a POST to / whose X-Amz-Target header is
// AWSStepFunctions.Action. The [Server] itself looks at no signature: it serves
// who is in the same process. A port has a [Door] in front of it.
package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"switchyard/asl/apierror"
	"switchyard/asl/engine"
	"switchyard/internal/calmlog"
)

// maxBody is the largest request, in bytes: the largest definition, each byte
// of it escaped as JSON allows at worst, would be larger, but no real one is.
const maxBody = 4 << 20

const (
	contentType  = "application/x-amz-json-1.0"
	targetPrefix = "AWSStepFunctions."
)

// Server answers the API's requests. It is safe for concurrent use.
type Server struct {
	engine *engine.Engine
	log    *zap.Logger
	// failures of the engine, by action.
	failures *calmlog.Failures
}

var _ http.Handler = (*Server)(nil)

// An Option replaces a part of the server.
type Option func(*Server)

// WithLogger gives the server a logger; it logs nothing otherwise.
func WithLogger(log *zap.Logger) Option { return func(s *Server) { s.log = log.Named("api") } }

// New returns a server in front of e.
func New(e *engine.Engine, opts ...Option) (*Server, error) {
	if e == nil {
		return nil, errors.New("api: no engine")
	}
	s := &Server{engine: e, log: zap.NewNop()}
	for _, o := range opts {
		o(s)
	}
	s.failures = calmlog.New(s.log, "request failed", "requests succeed again")
	return s, nil
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, body := s.serve(r)
	write(w, status, body)
}

func write(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Amzn-Requestid", requestID())
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that left gets nothing
}

// serve answers one request.
func (s *Server) serve(r *http.Request) (status int, body []byte) {
	result, err := s.call(r)
	if err == nil {
		if body, err = json.Marshal(result); err == nil {
			s.failures.Succeeded(r.Header.Get("X-Amz-Target"))
			return http.StatusOK, body
		}
	}
	return s.failure(r, err)
}

func (s *Server) call(r *http.Request) (any, error) {
	if r.Method != http.MethodPost || r.URL.Path != "/" && r.URL.Path != "" {
		return nil, &requestError{http.StatusNotFound, "UnknownOperationException", "actions are POST requests to / with the header X-Amz-Target"}
	}
	target := r.Header.Get("X-Amz-Target")
	name, ok := strings.CutPrefix(target, targetPrefix)
	action := actions[name]
	if !ok || action == nil {
		return nil, &requestError{http.StatusBadRequest, "UnknownOperationException", "this engine has no action " + strconv.Quote(target)}
	}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	return action(r.Context(), s.engine, body)
}

// requestError is an answer to a request that never reached the engine.
type requestError struct {
	status  int
	code    string
	message string
}

func (e *requestError) Error() string { return e.code + ": " + e.message }

func tooLarge() error {
	return &requestError{http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException", "the request is larger than " + strconv.Itoa(maxBody) + " bytes"}
}

func readBody(r *http.Request) ([]byte, error) {
	if r.ContentLength > maxBody {
		return nil, tooLarge()
	}
	if r.Body == nil {
		return nil, nil
	}
	var buf bytes.Buffer
	if r.ContentLength > 0 {
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, &requestError{http.StatusBadRequest, "SerializationException", "the request's body could not be read to its end"}
	}
	if n > maxBody {
		return nil, tooLarge()
	}
	return buf.Bytes(), nil
}

// errorBody is an error as AWS JSON 1.0 has it.
type errorBody struct {
	Type    string `json:"__type"`
	Message string `json:"message"`
	// Resource is a member of ResourceNotFound and TooManyTags, Reason of
	// ValidationException.
	Resource string `json:"resourceName,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

func (s *Server) failure(r *http.Request, err error) (status int, body []byte) {
	var (
		asked    *requestError
		answered *apierror.Error
		answer   errorBody
	)
	switch {
	case errors.As(err, &asked):
		status, answer = asked.status, errorBody{Type: asked.code, Message: asked.message}
	case errors.As(err, &answered):
		status, answer = statusOf(answered.Code), errorBody{string(answered.Code), answered.Message, answered.Resource, answered.Reason}
	default:
		answered = nil
		status, answer = http.StatusInternalServerError, errorBody{Type: string(apierror.CodeInternal), Message: "the engine failed; its log says why"}
	}
	if status >= http.StatusInternalServerError && r.Context().Err() == nil {
		cause := err
		if answered != nil && answered.Unwrap() != nil {
			cause = answered.Unwrap()
		}
		s.failures.Failed(r.Header.Get("X-Amz-Target"), cause)
	}
	body, err = json.Marshal(answer)
	if err != nil { // strings always encode
		body = []byte(`{"__type":"InternalFailure"}`)
	}
	return status, body
}

func statusOf(code apierror.Code) int {
	switch code {
	case apierror.CodeInternal:
		return http.StatusInternalServerError
	case apierror.CodeServiceUnavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadRequest
	}
}

// epoch is a time as the protocol has it: seconds since 1970, to the
// millisecond.
type epoch int64

// MarshalJSON implements [json.Marshaler].
func (t epoch) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(t)/float64(time.Second/time.Millisecond), 'f', 3, 64), nil
}
