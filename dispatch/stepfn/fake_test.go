package stepfn

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

const deployARN = "arn:aws:states:us-east-1:123456789012:stateMachine:deploy"

// call is one request as it reached the server.
type call struct {
	Target string
	Header http.Header
	Body   map[string]any
}

// fakeAPI speaks AWS JSON 1.0. Answers are looked up by the target's
// operation; an operation without an answer fails the test.
type fakeAPI struct {
	t       *testing.T
	answers map[string]answer

	mu    sync.Mutex
	calls []call
}

type answer struct {
	status int
	header map[string]string
	body   string
}

// apiError is the answer AWS gives for an error.
func apiError(status int, code, message string) answer {
	body, _ := json.Marshal(map[string]string{"__type": "com.amazonaws.states#" + code, "message": message})
	return answer{status: status, body: string(body)}
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Errorf("read request: %v", err)
	}
	c := call{Target: r.Header.Get("X-Amz-Target"), Header: r.Header}
	if err := json.Unmarshal(raw, &c.Body); err != nil {
		f.t.Errorf("request body is not JSON: %v", err)
	}
	f.mu.Lock()
	f.calls = append(f.calls, c)
	f.mu.Unlock()
	op := strings.TrimPrefix(c.Target, "AWSStepFunctions.")
	a, ok := f.answers[op]
	if !ok {
		f.t.Errorf("unexpected call of %s", c.Target)
	}
	for k, v := range a.header {
		w.Header().Set(k, v)
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(a.status)
	fmt.Fprint(w, a.body)
}

func (f *fakeAPI) seen() []call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// handlerTransport serves requests in process, as the embedded engine does.
type handlerTransport struct{ http.Handler }

func (h handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// newFake returns a client of a fake API, in process.
func newFake(t *testing.T, answers map[string]answer) (*Client, *fakeAPI) {
	t.Helper()
	f := &fakeAPI{t: t, answers: answers}
	return newClient(t, handlerTransport{f}), f
}

func newClient(tb testing.TB, transport http.RoundTripper) *Client {
	tb.Helper()
	c, err := New(One(DialEmbedded(transport)), Config{StateMachines: map[string]Machine{
		"deploy":  {ARN: deployARN},
		"version": {ARN: deployARN + ":7"},
		"alias":   {ARN: deployARN + ":PROD"},
		"mocked":  {ARN: deployARN + "#HappyPath"},
	}})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}
