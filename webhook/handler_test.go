package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"switchyard/internal/event"
	"switchyard/internal/httpserver"
	"switchyard/webhook"
)

// fakeSource accepts what decode makes of a body signed "X-Sig: good".
type fakeSource struct {
	decode func(body []byte) (event.Event, error)
	mu     sync.Mutex
	bodies []string
}

func (s *fakeSource) Verify(h http.Header, _ []byte) error {
	if h.Get("X-Sig") == "panic" {
		panic("a secret: hunter2")
	}
	if h.Get("X-Sig") != "good" {
		return errors.New("header X-Sig is not good: make it good")
	}
	return nil
}

func (s *fakeSource) Decode(_ http.Header, body []byte) (event.Event, error) {
	s.mu.Lock()
	s.bodies = append(s.bodies, string(body))
	s.mu.Unlock()
	if s.decode != nil {
		return s.decode(body)
	}
	return push(), nil
}

func push() event.Event {
	return event.Event{
		DeliveryID: "d-1", Kind: event.Push, Ref: "refs/heads/\x1b[31mred\nline", Repository: event.Repository{FullName: "acme/api"},
		Commits: []event.Commit{{SHA: strings.Repeat("a", 40)}},
	}
}

type sinkFunc func(context.Context, event.Event) (event.Receipt, error)

func (f sinkFunc) Accept(ctx context.Context, ev event.Event) (event.Receipt, error) {
	return f(ctx, ev)
}

func takes(_ context.Context, ev event.Event) (event.Receipt, error) {
	return event.Receipt{Delivery: ev.DeliveryID, Executions: []string{"api-aaa"}, New: 1}, nil
}

type unavailable struct {
	after    time.Duration
	notTaken bool
}

func (e *unavailable) NotTaken() bool { return e.notTaken }

func (e *unavailable) Error() string          { return "disk full: /var/lib/switchyard" }
func (e *unavailable) RetryIn() time.Duration { return e.after }

func newHandler(t *testing.T, sink sinkFunc, src webhook.Source, cfg webhook.Config, opts ...webhook.Option) *webhook.Handler {
	t.Helper()
	h, err := webhook.New(sink, map[string]webhook.Source{"fake": src}, cfg, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func request(method, path, signature string, body io.Reader) *http.Request {
	r := httptest.NewRequest(method, path, body)
	r.Header.Set("X-Sig", signature)
	return r
}

func TestHandlerAnswers(t *testing.T) {
	post := func(signature, body string) *http.Request {
		return request(http.MethodPost, "/webhooks/fake", signature, strings.NewReader(body))
	}
	fails := func(err error) sinkFunc {
		return func(context.Context, event.Event) (event.Receipt, error) { return event.Receipt{}, err }
	}
	decodes := func(err error) *fakeSource {
		return &fakeSource{decode: func([]byte) (event.Event, error) { return event.Event{DeliveryID: "d-1"}, err }}
	}
	for name, row := range map[string]struct {
		request *http.Request
		source  *fakeSource
		sink    sinkFunc
		status  int
		outcome string
		body    string // exact where it starts with {, else a part of the error
		header  map[string]string
	}{
		"accepted": {request: post("good", "{}"), status: 202, outcome: webhook.OutcomeAccepted, body: `{"delivery":"d-1","executions":["api-aaa"],"new":1}`},
		"accepted, nothing yet": {request: post("good", "{}"), status: 202, outcome: webhook.OutcomeAccepted, body: `{"delivery":"d-1","executions":[],"new":0}`,
			sink: func(context.Context, event.Event) (event.Receipt, error) { return event.Receipt{Delivery: "d-1"}, nil }},
		"seen before": {request: post("good", "{}"), status: 202, outcome: webhook.OutcomeDuplicate, body: `{"delivery":"d-1","executions":["api-aaa"],"new":0}`,
			sink: func(context.Context, event.Event) (event.Receipt, error) {
				return event.Receipt{Delivery: "d-1", Executions: []string{"api-aaa"}, Duplicate: true}, nil
			}},
		"with a note": {request: post("good", "{}"), status: 202, outcome: webhook.OutcomeAccepted, body: `{"delivery":"d-1#1","executions":["api-aaa"],"new":1,"note":"another body"}`,
			sink: func(context.Context, event.Event) (event.Receipt, error) {
				return event.Receipt{Delivery: "d-1#1", Executions: []string{"api-aaa"}, New: 1, Note: "another body"}, nil
			}},
		"the body's digest": {request: post("good", `{"a":1}`), status: 200, outcome: webhook.OutcomeIgnored,
			body: `{"delivery":"d-1","ignored":"015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"}`, // sha256sum of it
			sink: func(_ context.Context, ev event.Event) (event.Receipt, error) {
				return event.Receipt{Delivery: "d-1", Ignored: ev.Digest}, nil
			}},
		"ignored by the source": {request: post("good", "{}"), source: decodes(&webhook.Ignored{Reason: "ping"}), status: 200, outcome: webhook.OutcomeIgnored, body: `{"delivery":"d-1","ignored":"ping"}`},
		"ignored by the routes": {request: post("good", "{}"), status: 200, outcome: webhook.OutcomeIgnored, body: `{"delivery":"d-1","ignored":"no route matches"}`,
			sink: func(context.Context, event.Event) (event.Receipt, error) {
				return event.Receipt{Delivery: "d-1", Ignored: "no route matches"}, nil
			}},
		"unsigned":               {request: post("", "{}"), status: 401, outcome: webhook.OutcomeUnsigned, body: "make it good"},
		"not decodable":          {request: post("good", "{}"), source: decodes(errors.New("ref: missing")), status: 400, outcome: webhook.OutcomeUndecodable, body: "ref: missing"},
		"long error":             {request: post("good", "{}"), source: decodes(errors.New(strings.Repeat("x", 9999))), status: 400, outcome: webhook.OutcomeUndecodable, body: "x…"},
		"media type":             {request: post("good", "{}"), source: decodes(fmt.Errorf("payload: %w", &webhook.MediaTypeError{Got: "text/plain", Want: []string{"application/json"}})), status: 415, outcome: webhook.OutcomeMediaType, body: "application/json"},
		"panic in Decode":        {request: post("good", "{}"), source: &fakeSource{decode: func(b []byte) (event.Event, error) { _ = b[99]; return event.Event{}, nil }}, status: 500, outcome: webhook.OutcomeFault, body: "fault"},
		"panic in Verify":        {request: post("panic", "{}"), status: 500, outcome: webhook.OutcomeFault, body: "fault"},
		"too large, announced":   {request: post("good", strings.Repeat("x", 101)), status: 413, outcome: webhook.OutcomeTooLarge, body: "100 bytes", header: map[string]string{"Connection": "close"}},
		"too large, unannounced": {request: request("POST", "/webhooks/fake", "good", io.MultiReader(strings.NewReader(strings.Repeat("x", 101)))), status: 413, outcome: webhook.OutcomeTooLarge, body: "100 bytes", header: map[string]string{"Connection": "close"}},
		"truncated":              {request: request("POST", "/webhooks/fake", "good", io.MultiReader(strings.NewReader("{"), errReader{io.ErrUnexpectedEOF})), status: 400, outcome: webhook.OutcomeUndecodable, body: "ended early"},
		"GET":                    {request: request("GET", "/webhooks/fake", "good", nil), status: 405, outcome: webhook.OutcomeMethod, body: "POST", header: map[string]string{"Allow": "POST"}},
		"unknown source":         {request: request("POST", "/webhooks/other", "good", nil), status: 404, outcome: webhook.OutcomeUnknown, body: "/webhooks/NAME"},
		"a slash at the end":     {request: request("POST", "/webhooks/fake/", "good", strings.NewReader("{}")), status: 202, outcome: webhook.OutcomeAccepted, body: `{"delivery":"d-1","executions":["api-aaa"],"new":1}`},
		"slashes doubled":        {request: request("POST", "///webhooks//fake//", "good", strings.NewReader("{}")), status: 202, outcome: webhook.OutcomeAccepted, body: `{"delivery":"d-1","executions":["api-aaa"],"new":1}`},
		"dots are no slashes":    {request: request("POST", "/webhooks/./fake", "good", nil), status: 404, outcome: webhook.OutcomeUnknown, body: "/webhooks/NAME"},
		"gzip":                   {request: encoded(post("good", "\x1f\x8b"), "gzip"), status: 415, outcome: webhook.OutcomeMediaType, body: "uncompressed", header: map[string]string{"Connection": "close"}},
		"a hostile encoding":     {request: encoded(post("good", ""), "\x1b[2J"), status: 415, outcome: webhook.OutcomeMediaType, body: `\x1b[2J`},
		"encoded as it is":       {request: encoded(post("good", "{}"), "Identity"), status: 202, outcome: webhook.OutcomeAccepted, body: `{"delivery":"d-1","executions":["api-aaa"],"new":1}`},
		"HEAD":                   {request: request("HEAD", "/webhooks/fake/", "good", nil), status: 405, outcome: webhook.OutcomeMethod, body: "payload URL", header: map[string]string{"Allow": "POST"}},
		"no source":              {request: request("POST", "/webhooks/", "good", nil), status: 404, outcome: webhook.OutcomeUnknown, body: "/webhooks/NAME"},
		"below a source":         {request: request("POST", "/webhooks/fake/x", "good", nil), status: 404, outcome: webhook.OutcomeUnknown, body: "/webhooks/NAME"},
		"another path":           {request: request("POST", "/fake", "good", nil), status: 404, outcome: webhook.OutcomeUnknown, body: "/webhooks/NAME"},
		"journal cannot write":   {request: post("good", "{}"), sink: fails(errors.New("disk full: /var/lib/switchyard")), status: 503, outcome: webhook.OutcomeUnavailable, body: "send it again", header: map[string]string{"Retry-After": "5"}},
		"journal says when":      {request: post("good", "{}"), sink: fails(fmt.Errorf("append: %w", &unavailable{after: 1500 * time.Millisecond})), status: 503, outcome: webhook.OutcomeUnavailable, body: "send it again", header: map[string]string{"Retry-After": "2"}},
		"journal does not know":  {request: post("good", "{}"), sink: fails(&unavailable{}), status: 503, outcome: webhook.OutcomeUnavailable, body: "may have been taken: send it again", header: map[string]string{"Retry-After": "5"}},
		"its context ended":      {request: post("good", "{}"), sink: fails(context.DeadlineExceeded), status: 503, outcome: webhook.OutcomeUnavailable, body: "may have been taken: send it again"},
		"journal wrote nothing":  {request: post("good", "{}"), sink: fails(&unavailable{notTaken: true}), status: 503, outcome: webhook.OutcomeUnavailable, body: "is not taken: send it again"},
	} {
		t.Run(name, func(t *testing.T) {
			source, sink := row.source, row.sink
			if source == nil {
				source = &fakeSource{}
			}
			if sink == nil {
				sink = takes
			}
			var outcome, observed string
			h := newHandler(t, sink, source, webhook.Config{MaxBody: 100}, webhook.WithObserver(func(src, o string, _ time.Duration) { observed, outcome = src, o }))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, row.request)
			if w.Code != row.status || outcome != row.outcome {
				t.Errorf("%d %s, want %d %s", w.Code, outcome, row.status, row.outcome)
			}
			if want := map[bool]string{true: "", false: "fake"}[row.status == 404]; observed != want {
				t.Errorf("observed source %q, want %q", observed, want)
			}
			got := strings.TrimSpace(w.Body.String())
			if strings.HasPrefix(row.body, "{") {
				if got != row.body {
					t.Errorf("body %s, want %s", got, row.body)
				}
			} else {
				var e struct{ Error string }
				if err := json.Unmarshal([]byte(got), &e); err != nil || !strings.Contains(e.Error, row.body) || strings.Contains(e.Error, "/var/lib") || len(e.Error) > 1000 {
					t.Errorf("body %s (%v), want an error with %q", got, err, row.body)
				}
			}
			if ct := w.Header().Get("Content-Type"); ct != "application/json" {
				t.Errorf("Content-Type %q", ct)
			}
			for key, want := range row.header {
				if v := w.Header().Get(key); v != want {
					t.Errorf("%s: %q, want %q", key, v, want)
				}
			}
		})
	}
}

func encoded(r *http.Request, encoding string) *http.Request {
	r.Header.Set("Content-Encoding", encoding)
	return r
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestHandlerVerifiesBeforeItDecodes(t *testing.T) {
	src := &fakeSource{}
	accepted := 0
	h := newHandler(t, func(ctx context.Context, ev event.Event) (event.Receipt, error) { accepted++; return takes(ctx, ev) }, src, webhook.Config{})
	h.ServeHTTP(httptest.NewRecorder(), request("POST", "/webhooks/fake", "bad", strings.NewReader("{}")))
	if len(src.bodies) != 0 || accepted != 0 {
		t.Errorf("an unsigned body was decoded %d times and accepted %d times", len(src.bodies), accepted)
	}
}

func TestHandlerHandsOverTheEventOfTheSource(t *testing.T) {
	want := push()
	want.Source, want.Digest = "fake", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // of the last body, an empty one
	var got event.Event
	src := &fakeSource{}
	h := newHandler(t, func(ctx context.Context, ev event.Event) (event.Receipt, error) { got = ev; return takes(ctx, ev) }, src, webhook.Config{})
	bodies := []string{"{}", strings.Repeat("a", 100_000), strings.Repeat("b", 10_000), ""}
	for _, b := range bodies {
		h.ServeHTTP(httptest.NewRecorder(), request("POST", "/webhooks/fake", "good", strings.NewReader(b)))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(bodies, src.bodies); diff != "" {
		t.Errorf("bodies differ: %.300s", diff)
	}
}

func TestHandlerRefusesABacklogBeforeTheSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		calls := 0
		h := newHandler(t, func(ctx context.Context, ev event.Event) (event.Receipt, error) {
			calls++
			<-free
			return takes(ctx, ev)
		}, &fakeSource{}, webhook.Config{MaxInFlight: 1})
		first := httptest.NewRecorder()
		go h.ServeHTTP(first, request("POST", "/webhooks/fake", "good", strings.NewReader("{}")))
		synctest.Wait()
		second := httptest.NewRecorder()
		h.ServeHTTP(second, request("POST", "/webhooks/fake", "good", strings.NewReader("{}")))
		if second.Code != 503 || second.Header().Get("Retry-After") == "" || calls != 1 {
			t.Errorf("%d, Retry-After %q, %d calls of the sink", second.Code, second.Header().Get("Retry-After"), calls)
		}
		close(free)
		synctest.Wait()
		third := httptest.NewRecorder()
		h.ServeHTTP(third, request("POST", "/webhooks/fake", "good", strings.NewReader("{}")))
		if first.Code != 202 || third.Code != 202 {
			t.Errorf("first %d, third %d", first.Code, third.Code)
		}
	})
}

func TestHandlerGivesTheSinkLimitedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(t, func(ctx context.Context, _ event.Event) (event.Receipt, error) {
			<-ctx.Done()
			return event.Receipt{}, ctx.Err()
		}, &fakeSource{}, webhook.Config{})
		start := time.Now()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request("POST", "/webhooks/fake", "good", strings.NewReader("{}")))
		if w.Code != 503 || time.Since(start) != 8*time.Second {
			t.Errorf("%d after %v, want 503 within GitHub's 10 s", w.Code, time.Since(start))
		}
	})
}

// pipeListener serves one connection of net.Pipe, which knows deadlines and, in
// a bubble, fake time.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	c, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.conns) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func TestServerCutsOffSlowClients(t *testing.T) {
	for name, row := range map[string]struct {
		sends string
		after time.Duration
		want  string
	}{
		"body":    {"POST /webhooks/fake HTTP/1.1\r\nHost: x\r\nX-Sig: good\r\nContent-Length: 10\r\n\r\n{", 30 * time.Second, "HTTP/1.1 408"},
		"headers": {"POST /webhooks/fake HTTP/1.1\r\nHost:", 10 * time.Second, ""},
		"idle":    {"", 10 * time.Second, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &pipeListener{conns: make(chan net.Conn, 1)}
				srv := httpserver.New(newHandler(t, takes, &fakeSource{}, webhook.Config{}))
				served := make(chan error)
				go func() { served <- srv.Serve(l) }()
				client, server := net.Pipe()
				l.conns <- server
				start := time.Now()
				if _, err := io.WriteString(client, row.sends); err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(client)
				if err != nil {
					t.Fatal(err)
				}
				// The server lingers for half a second after an early answer.
				if took := time.Since(start); took < row.after || took > row.after+time.Second || !strings.HasPrefix(string(got), row.want) {
					t.Errorf("after %v: %q, want %q after %v", took, got, row.want, row.after)
				}
				srv.Close()
				<-served
			})
		})
	}
}

// The deadline for the body must not end a request whose body has come.
func TestServerLetsTheSinkTakeLongerThanTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &pipeListener{conns: make(chan net.Conn, 1)}
		srv := httpserver.New(newHandler(t, func(ctx context.Context, ev event.Event) (event.Receipt, error) {
			select {
			case <-ctx.Done():
				return event.Receipt{}, ctx.Err()
			case <-time.After(3 * time.Second):
				return takes(ctx, ev)
			}
		}, &fakeSource{}, webhook.Config{ReadTimeout: time.Second}))
		served := make(chan error)
		go func() { served <- srv.Serve(l) }()
		client, server := net.Pipe()
		l.conns <- server
		go io.WriteString(client, "POST /webhooks/fake HTTP/1.1\r\nHost: x\r\nX-Sig: good\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
		got, _ := io.ReadAll(client)
		if !strings.HasPrefix(string(got), "HTTP/1.1 202") {
			t.Errorf("answer %q", got)
		}
		srv.Close()
		<-served
	})
}

func TestHandlerLogsNoBodyAndNoControlCharacter(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	const body = "the body of the delivery"
	for _, src := range []*fakeSource{
		{},
		{decode: func(b []byte) (event.Event, error) { panic(string(b)) }},
		{decode: func([]byte) (event.Event, error) {
			return event.Event{DeliveryID: "d\x1b"}, errors.New("ref: \x1b[2J\u202e")
		}},
		{decode: func([]byte) (event.Event, error) {
			return event.Event{}, &webhook.Ignored{Reason: "event \x1b]0;x\a"}
		}},
	} {
		h := newHandler(t, takes, src, webhook.Config{}, webhook.WithLogger(zap.New(core)))
		h.ServeHTTP(httptest.NewRecorder(), request("POST", "/webhooks/fake", "good", strings.NewReader(body)))
	}
	if logs.Len() != 4 {
		t.Errorf("%d lines, want one for each delivery: %v", logs.Len(), logs.All())
	}
	for _, entry := range logs.All() {
		enc := zapcore.NewMapObjectEncoder()
		for _, f := range entry.Context {
			if f.Key != "stack" {
				f.AddTo(enc)
			}
		}
		for key, v := range enc.Fields {
			if s := fmt.Sprint(v); strings.ContainsAny(s, "\x1b\n\a\u202e") || strings.Contains(s, body) {
				t.Errorf("%s: %s is %q", entry.Message, key, s)
			}
		}
	}
	accepted := logs.FilterMessage("delivery accepted").All()
	if len(accepted) != 1 {
		t.Fatalf("%d lines of an accepted delivery", len(accepted))
	}
	want := map[string]any{"source": "fake", "delivery_id": "d-1", "repo": "acme/api", "ref": `refs/heads/\x1b[31mred\nline`,
		"commits": int64(1), "executions": int64(1), "new": int64(1), "duplicate": false, "ignored": ""}
	if diff := cmp.Diff(want, accepted[0].ContextMap()); diff != "" {
		t.Error(diff)
	}
}

func TestNewRefusesWhatCannotServe(t *testing.T) {
	src := &fakeSource{}
	for name, row := range map[string]struct {
		sink    webhook.Sink
		sources map[string]webhook.Source
		cfg     webhook.Config
		want    string
	}{
		"no sink":         {nil, nil, webhook.Config{}, "no sink"},
		"nil source":      {sinkFunc(takes), map[string]webhook.Source{"a": nil}, webhook.Config{}, "source a is nil"},
		"slash in name":   {sinkFunc(takes), map[string]webhook.Source{"a/b": src}, webhook.Config{}, `"a/b"`},
		"upper case":      {sinkFunc(takes), map[string]webhook.Source{"GitHub": src}, webhook.Config{}, "lower-case"},
		"negative":        {sinkFunc(takes), nil, webhook.Config{MaxInFlight: -1}, "negative"},
		"too little mem":  {sinkFunc(takes), nil, webhook.Config{MaxBody: 100, MaxBuffered: 100}, "no room"},
		"no room for one": {sinkFunc(takes), nil, webhook.Config{MaxBody: 30 << 20, MaxBuffered: 40 << 20}, "limits.body"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := webhook.New(row.sink, row.sources, row.cfg); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error %v, want %q in it", err, row.want)
			}
		})
	}
}
