package ui_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/ui"
)

type journal map[string]dispatch.Execution

func (j journal) Execution(_ context.Context, id string) (dispatch.Execution, error) {
	e, ok := j[id]
	if !ok {
		return e, dispatch.ErrNotFound
	}
	return e, nil
}

var key = []byte("sixteen bytes at least")

func pages(t *testing.T, j journal, opts ...ui.Option) *ui.Pages {
	t.Helper()
	p, err := ui.New(j, "https://yard.example/", key, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func get(t *testing.T, p *ui.Pages, link string) *httptest.ResponseRecorder {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, u.RequestURI(), nil))
	return w
}

func TestPageShowsHostileTextAsText(t *testing.T) {
	start := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	p := pages(t, journal{"x": {
		ID: "x", State: dispatch.StateFailed, Title: "<script>alert(1)</script>", Ref: "refs/heads/feature/\u202e<b>",
		AlsoAsked: []dispatch.Asking{{Delivery: "github:d2", Kind: "pull_request", PullRequest: 12}, {Delivery: "github:d3", Kind: "push", Ref: "refs/heads/<script>\u202e"}},
		SHA:       "abc", Author: "\x1b[31mred", ARN: "arn", StartedAt: start, StoppedAt: start.Add(1500 * time.Millisecond),
		Input: json.RawMessage(`{"commit":{"message":"</pre><script>"}}`), Cause: "</pre><script>cause",
	}}, ui.WithLogs(func(_ context.Context, _ string, w io.Writer) error {
		_, err := io.WriteString(w, "one\ntwo\x1b[2J</pre><script>")
		return err
	}), ui.WithHistory(func(context.Context, string, dispatch.HistoryQuery) (dispatch.HistoryPage, error) {
		return dispatch.HistoryPage{StartedAt: start, Events: []dispatch.HistoryEvent{
			{ID: 2, Type: "TaskFailed", At: start.Add(time.Second), State: "<b>\x1b[2J", Details: json.RawMessage(`{"error":"<script>","cause":"\u202e"}`)},
		}}, nil
	}))
	w := get(t, p, p.Link("x"))
	body := w.Body.String()
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, body)
	}
	for _, bad := range []string{"<script", "<b>", "\x1b", "\u202e"} {
		if strings.Contains(body, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
	for _, good := range []string{"1.5s", "one\ntwo", "&lt;script&gt;", "pull_request #12, push of refs/heads/&lt;script&gt;"} {
		if !strings.Contains(body, good) {
			t.Errorf("the page does not contain %q", good)
		}
	}
	if strings.Contains(body, "http-equiv") {
		t.Error("a finished execution's page reloads itself")
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("content security policy: %q", csp)
	}
}

func TestPageSaysWhatAForkGoesWithout(t *testing.T) {
	for name, row := range map[string]struct {
		head, without string
		want, not     string
	}{
		"fork":       {"stranger/<b>", "without secrets", "stranger/&lt;b&gt;; its builds run without secrets", "<b>"},
		"on AWS":     {"stranger/api", "", "stranger/api", "its builds run"},
		"not a fork": {"", "without secrets", "acme/api", "its builds run"},
	} {
		t.Run(name, func(t *testing.T) {
			p := pages(t, journal{"x": {ID: "x", Repository: "acme/api", HeadRepository: row.head}}, ui.WithForkBuilds(row.without))
			body := get(t, p, p.Link("x")).Body.String()
			if !strings.Contains(body, row.want) || strings.Contains(body, row.not) {
				t.Errorf("want %q and not %q in\n%s", row.want, row.not, body)
			}
		})
	}
}

func TestPageNeedsItsOwnKey(t *testing.T) {
	p := pages(t, journal{"x": {ID: "x"}, "y": {ID: "y"}})
	otherKey, err := ui.New(journal{}, "https://yard.example", []byte("another key of 16 bytes"))
	if err != nil {
		t.Fatal(err)
	}
	for name, link := range map[string]string{
		"none":                "https://yard.example/executions/x",
		"of another page":     strings.Replace(p.Link("y"), "/y?", "/x?", 1),
		"of another service":  otherKey.Link("x"),
		"for an unknown page": "https://yard.example/executions/z?key=AAAA",
	} {
		t.Run(name, func(t *testing.T) {
			if w := get(t, p, link); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "no such page") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

func TestRunningPageReloadsAndCutsLongLogs(t *testing.T) {
	start := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	p := pages(t, journal{"x": {ID: "x", State: dispatch.StateRunning, StartedAt: start}},
		ui.WithClock(func() time.Time { return start.Add(42 * time.Second) }),
		ui.WithLogs(func(_ context.Context, _ string, w io.Writer) error {
			for range 5000 {
				if _, err := io.WriteString(w, strings.Repeat("x", 99)+"\n"); err != nil {
					return err
				}
			}
			_, err := io.WriteString(w, "the end\n")
			return err
		}))
	w := get(t, p, p.Link("x"))
	body := w.Body.String()
	for _, good := range []string{`http-equiv="refresh"`, "42s", "the end", "switchyard executions log x"} {
		if !strings.Contains(body, good) {
			t.Errorf("the page does not contain %q", good)
		}
	}
	if len(body) > 200<<10 {
		t.Errorf("the page has %d bytes", len(body))
	}
}

func TestPageSaysWhatTheCommitIsTold(t *testing.T) {
	at := time.Date(2026, 11, 20, 14, 3, 0, 0, time.UTC)
	for want, x := range map[string]dispatch.Execution{
		"Waiting for environment prod":                                              {State: dispatch.StateWaiting, Environment: "prod"},
		"Waiting for the engine: connection &lt;refused&gt;; next try 14:03:00 UTC": {State: dispatch.StateReady, LastError: "connection <refused>", DueAt: at},
		"Failed after 2s: BUILD: make test: exit status 2": {State: dispatch.StateFailed, StartedAt: at, StoppedAt: at.Add(2 * time.Second), Error: "States.TaskFailed",
			Cause: `{"Build":{"Phases":[{"PhaseType":"BUILD","PhaseStatus":"FAILED","Contexts":[{"Message":"Error while executing command: make test. Reason: exit status 2"}]}]}}`},
	} {
		x.ID = "x"
		p := pages(t, journal{"x": x})
		if body := get(t, p, p.Link("x")).Body.String(); !strings.Contains(body, "<dt>status</dt><dd>"+want+"</dd>") {
			t.Errorf("the page lacks %q:\n%s", want, body)
		}
	}
}

func TestPageOnlyReads(t *testing.T) {
	p := pages(t, journal{})
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/executions/x", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST answers %d", w.Code)
	}
}

func TestNewRefusesAShortKey(t *testing.T) {
	if _, err := ui.New(journal{}, "https://yard.example", []byte("short")); err == nil {
		t.Error("New accepted it")
	}
}
