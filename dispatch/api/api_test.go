package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/dispatch/api"
	"switchyard/internal/event"
)

const token = "s3cret"

// fake records what it was asked to do and answers from its fields.
type fake struct {
	executions map[string]dispatch.Execution
	filter     dispatch.ExecutionFilter
	deliveries dispatch.DeliveryFilter
	did        []string
	events     []dispatch.HistoryEvent
	approvals  []dispatch.Approval
	err        error
}

func (f *fake) Executions(_ context.Context, filter dispatch.ExecutionFilter) (dispatch.ExecutionPage, error) {
	f.filter = filter
	return dispatch.ExecutionPage{}, f.err
}

func (f *fake) Execution(_ context.Context, id string) (dispatch.Execution, error) {
	e, ok := f.executions[id]
	if !ok {
		return e, dispatch.ErrNotFound
	}
	return e, f.err
}

func (f *fake) History(_ context.Context, id string, q dispatch.HistoryQuery) (dispatch.HistoryPage, error) {
	f.did = append(f.did, fmt.Sprintf("history %s %+v", id, q))
	return dispatch.HistoryPage{Events: f.events, Next: 7}, f.err
}

func (f *fake) Approvals(_ context.Context, filter dispatch.ApprovalFilter) ([]dispatch.Approval, error) {
	f.did = append(f.did, fmt.Sprintf("approvals %+v", filter))
	return f.approvals, f.err
}

func (f *fake) Decide(_ context.Context, d dispatch.Decision) (dispatch.Approval, error) {
	f.did = append(f.did, fmt.Sprintf("decide %+v", d))
	return dispatch.Approval{Execution: d.Execution, State: d.State(), DecidedBy: d.By}, f.err
}

func (f *fake) Deliveries(_ context.Context, filter dispatch.DeliveryFilter) (dispatch.DeliveryPage, error) {
	f.deliveries = filter
	return dispatch.DeliveryPage{}, f.err
}

func (f *fake) Delivery(_ context.Context, id string) (dispatch.DeliveryDetail, error) {
	return dispatch.DeliveryDetail{Delivery: dispatch.Delivery{ID: id}}, f.err
}

func (f *fake) Start(_ context.Context, r event.Request, by string) (event.Receipt, error) {
	f.did = append(f.did, "start "+r.ID+" "+string(r.Input)+" by "+by)
	return event.Receipt{Delivery: "manual:1", Executions: []string{r.ID}}, f.err
}

func (f *fake) Stop(_ context.Context, id, by string) error {
	f.did = append(f.did, "stop "+id+" by "+by)
	return f.err
}

func (f *fake) Rerun(_ context.Context, id, by string) (string, error) {
	f.did = append(f.did, "rerun "+id+" by "+by)
	return id + "-r2", f.err
}

func (f *fake) Redrive(_ context.Context, id string) (dispatch.RedriveKind, error) {
	f.did = append(f.did, "redrive "+id)
	return dispatch.RedriveContinue, f.err
}

func (f *fake) Replay(_ context.Context, id string) (event.Receipt, error) {
	f.did = append(f.did, "replay "+id)
	return event.Receipt{Delivery: id, Ignored: "no route asks for it"}, f.err
}

func serve(t *testing.T, f api.Dispatcher, opts ...api.Option) *httptest.Server {
	t.Helper()
	start := func(machine string, input []byte) (event.Request, error) {
		if !json.Valid(input) {
			return event.Request{}, errors.New("the input is not JSON")
		}
		return event.Request{ID: "manual-1", StateMachine: machine, Input: input}, nil
	}
	a, err := api.New(f, start, api.Config{Tokens: []string{"other", token}}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	return s
}

func call(t *testing.T, s *httptest.Server, method, path, auth, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestNewRefusesToBeOpen(t *testing.T) {
	for name, tokens := range map[string][]string{"none": nil, "an empty one": {"a", ""}} {
		t.Run(name, func(t *testing.T) {
			if _, err := api.New(&fake{}, nil, api.Config{Tokens: tokens}); err == nil {
				t.Error("New accepted it")
			}
		})
	}
}

func TestCallsWithoutATokenChangeNothing(t *testing.T) {
	f := &fake{}
	s := serve(t, f)
	for name, auth := range map[string]string{
		"missing":       "",
		"wrong":         "Bearer wrong",
		"a prefix":      "Bearer s3cre",
		"empty":         "Bearer ",
		"another kind":  "Basic " + token,
		"without space": "Bearer" + token,
	} {
		t.Run(name, func(t *testing.T) {
			status, text := call(t, s, "POST", "/api/v1/executions/x/stop", auth, "")
			if status != http.StatusUnauthorized || !strings.Contains(text, "server.api_tokens") {
				t.Errorf("got %d %s", status, text)
			}
		})
	}
	if len(f.did) > 0 {
		t.Errorf("it did %v", f.did)
	}
}

func TestErrorsCarryTheRightStatus(t *testing.T) {
	rows := []struct {
		name         string
		method, path string
		body         string
		err          error
		status       int
		says         string
	}{
		{"unknown execution", "GET", "/api/v1/executions/nope", "", nil, 404, "nope"},
		{"unknown path", "GET", "/api/v1/nope", "", nil, 404, "executions, approvals and deliveries"},
		{"stop of what has ended", "POST", "/api/v1/executions/x/stop", "", dispatch.ErrFinished, 409, "has ended"},
		{"rerun of what runs", "POST", "/api/v1/executions/x/rerun", "", dispatch.ErrUnfinished, 409, "has not ended"},
		{"redrive of what cannot be", "POST", "/api/v1/executions/x/redrive", "", fmt.Errorf("%w: it succeeded", dispatch.ErrNotRedrivable), 409, "cannot be redriven: it succeeded"},
		{"start with a bad input", "POST", "/api/v1/executions", "{", nil, 400, "not JSON"},
		{"start with a misspelt parameter", "POST", "/api/v1/executions?machine=x", "{}", nil, 400, "state_machine"},
		{"start with a large input", "POST", "/api/v1/executions", strings.Repeat("x", 262_145), nil, 413, "262144"},
		{"journal cannot write", "POST", "/api/v1/executions", "{}", &dispatch.UnavailableError{RetryAfter: time.Second, Err: errors.New("disk")}, 503, "it may have been made"},
		{"journal was not written", "POST", "/api/v1/executions", "{}", &dispatch.UnavailableError{RetryAfter: time.Second, Untouched: true, Err: errors.New("disk")}, 503, "nothing was changed"},
		{"a refused request", "POST", "/api/v1/executions", "{}", &dispatch.PermanentError{Err: errors.New("no such machine")}, 400, "no such machine"},
		{"a fault of ours", "GET", "/api/v1/executions", "", errors.New("secret detail"), 500, "the log says"},
		{"unknown state", "GET", "/api/v1/executions?state=done", "", nil, 400, "succeeded"},
		{"misspelt filter", "GET", "/api/v1/executions?repo=x", "", nil, 400, "repository"},
		{"limit of 0", "GET", "/api/v1/executions?limit=0", "", nil, 400, "from 1 to 1000"},
		{"limit too large", "GET", "/api/v1/deliveries?limit=1001", "", nil, 400, "from 1 to 1000"},
		{"before not a number", "GET", "/api/v1/deliveries?before=x", "", nil, 400, "before"},
		{"a misspelt by", "POST", "/api/v1/executions/x/stop?who=ada", "", nil, 400, "by"},
		{"a long by", "POST", "/api/v1/executions/x/rerun?by=" + strings.Repeat("x", 101), "", nil, 400, "100 bytes"},
		{"a separator that is none", "GET", "/api/v1/executions?repository=a;b", "", nil, 400, "parameter repository"},
		{"a bare semicolon", "GET", "/api/v1/executions?repository=a&;", "", nil, 400, "malformed"},
		{"a semicolon in a name", "GET", "/api/v1/deliveries?repository;x=a", "", nil, 400, "repository;x"},
		{"a broken escape", "GET", "/api/v1/deliveries?source=%zz", "", nil, 400, "parameter source"},
		{"a broken escape in a name", "GET", "/api/v1/deliveries?so%urce=x", "", nil, 400, "so%urce"},
		{"an empty filter", "GET", "/api/v1/executions?route=", "", nil, 400, "route is empty"},
		{"a filter without a value", "GET", "/api/v1/deliveries?repository", "", nil, 400, "repository is empty"},
		{"a filter given twice", "GET", "/api/v1/executions?environment=a&environment=b", "", nil, 400, "environment is given twice"},
		{"an empty state", "GET", "/api/v1/executions?state=running&state=", "", nil, 400, "state is empty"},
		{"a negative limit", "GET", "/api/v1/executions?limit=-1", "", nil, 400, "from 1 to 1000"},
		{"a fraction", "GET", "/api/v1/executions?before=1.5", "", nil, 400, "before"},
		{"a limit too long for a number", "GET", "/api/v1/deliveries?limit=99999999999999999999", "", nil, 400, "limit"},
		{"one execution with a parameter", "GET", "/api/v1/executions/x?output=false", "", nil, 400, "takes none"},
		{"one delivery with a parameter", "GET", "/api/v1/deliveries/x?full=1", "", nil, 400, "takes none"},
		{"a log with a parameter", "GET", "/api/v1/executions/x/log?tail=5", "", nil, 400, "takes none"},
		{"replay with a misspelt parameter", "POST", "/api/v1/deliveries/x/replay?b=ada", "", nil, 400, "by"},
		{"redrive with a misspelt parameter", "POST", "/api/v1/executions/x/redrive?b=ada", "", nil, 400, "by"},
		{"an empty by", "POST", "/api/v1/executions/x/stop?by=", "", nil, 400, "by is empty"},
		{"by in a broken escape", "POST", "/api/v1/executions?by=%", "{}", nil, 400, "parameter by"},
		{"no logs here", "GET", "/api/v1/executions/x/log", "", nil, 404, "CloudWatch"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			f := &fake{err: row.err, executions: map[string]dispatch.Execution{"x": {ID: "x"}}}
			status, text := call(t, serve(t, f), row.method, row.path, "bearer "+token, row.body)
			if status != row.status || !strings.Contains(text, row.says) {
				t.Errorf("got %d %s, want %d with %q", status, text, row.status, row.says)
			}
			if strings.Contains(text, "secret detail") {
				t.Error("the answer tells a caller what only the log should say")
			}
			if len(f.did) > 0 && row.err == nil {
				t.Errorf("it did %v", f.did)
			}
			var body struct{ Error string }
			if err := json.Unmarshal([]byte(text), &body); err != nil || body.Error == "" {
				t.Errorf("the answer is not an error object: %s", text)
			}
		})
	}
}

func TestClientReachesEveryCall(t *testing.T) {
	f := &fake{executions: map[string]dispatch.Execution{"x": {ID: "x", State: dispatch.StateRunning}}}
	follow := func(_ context.Context, id string, w io.Writer) error {
		_, err := io.WriteString(w, "log of "+id)
		return err
	}
	c := api.NewClient(serve(t, f, api.WithLogs(follow)).URL+"/", token)
	ctx := t.Context()

	want := dispatch.ExecutionFilter{States: []dispatch.State{dispatch.StateRunning, dispatch.StateDead}, Repository: "a/b",
		Route: "r", Environment: "e", Ref: "feature/x&y", SHA: "abc", Delivery: "github:1", Before: 7, Limit: 3}
	if _, err := c.Executions(ctx, want); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, f.filter); d != "" {
		t.Error(d)
	}
	wantDeliveries := dispatch.DeliveryFilter{Source: "github", Repository: "a/b", Before: 9, Limit: 2}
	if _, err := c.Deliveries(ctx, wantDeliveries); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(wantDeliveries, f.deliveries); d != "" {
		t.Error(d)
	}
	if e, err := c.Execution(ctx, "x"); err != nil || e.State != dispatch.StateRunning {
		t.Errorf("execution: %v %v", e, err)
	}
	if d, err := c.Delivery(ctx, "github:a b"); err != nil || d.ID != "github:a b" {
		t.Errorf("delivery: %v %v", d, err)
	}
	if id, err := c.Start(ctx, "m", []byte(`{"environment":"e"}`), "ada"); err != nil || id != "manual-1" {
		t.Errorf("start: %v %v", id, err)
	}
	if id, err := c.Rerun(ctx, "x", ""); err != nil || id != "x-r2" {
		t.Errorf("rerun: %v %v", id, err)
	}
	var log bytes.Buffer
	if err := errors.Join(c.Stop(ctx, "x", "ada"), c.Log(ctx, "x", &log)); err != nil {
		t.Error(err)
	}
	if kind, err := c.Redrive(ctx, "x"); err != nil || kind != dispatch.RedriveContinue {
		t.Errorf("redrive: %v %v", kind, err)
	}
	if a, err := c.Replay(ctx, "github:1"); err != nil || a.Ignored != "no route asks for it" {
		t.Errorf("replay: %+v %v", a, err)
	}
	if log.String() != "log of x" {
		t.Errorf("log: %q", log.String())
	}
	did := []string{`start manual-1 {"environment":"e"} by ada`, "rerun x by hand", "stop x by ada", "redrive x", "replay github:1"}
	if d := cmp.Diff(did, f.did); d != "" {
		t.Error(d)
	}
	if _, err := c.Execution(ctx, "nope"); err == nil || !strings.Contains(err.Error(), "nope: not found") {
		t.Errorf("an unknown execution: %v", err)
	}
}

func TestClientTellsACutLogFromAWholeOne(t *testing.T) {
	f := &fake{executions: map[string]dispatch.Execution{"x": {ID: "x"}}}
	follow := func(_ context.Context, _ string, w io.Writer) error {
		_, err := io.WriteString(w, "half a ")
		return errors.Join(err, errors.New("the disk is gone"))
	}
	err := api.NewClient(serve(t, f, api.WithLogs(follow)).URL, token).Log(t.Context(), "x", io.Discard)
	if err == nil {
		t.Error("no error")
	}
}
