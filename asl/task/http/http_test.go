//go:build unix

package http_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	nethttp "net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"switchyard/asl/task"
	"switchyard/asl/task/http"
)

var aTask = task.Task{ID: "t-1", ExecutionName: "run-1"}

func endpoint(t *testing.T, cfg http.Config, h nethttp.HandlerFunc) *http.Endpoint {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	cfg.URL = srv.URL + "/invoke"
	e, err := http.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEndpointPostsTheEvent(t *testing.T) {
	e := endpoint(t, http.Config{Headers: map[string]string{"Authorization": "Bearer x"}}, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		b, _ := io.ReadAll(r.Body)
		for k, want := range map[string]string{
			"Authorization": "Bearer x", "Content-Type": "application/json", "Idempotency-Key": "t-1", "X-Switchyard-Execution": "run-1",
		} {
			if got := r.Header.Get(k); got != want {
				t.Errorf("%s: %q, want %q", k, got, want)
			}
		}
		_, _ = io.WriteString(w, r.Method+string(b))
	})
	out, err := e.Invoke(t.Context(), aTask, json.RawMessage(`{"a":1}`))
	if err != nil || string(out) != `POST{"a":1}` {
		t.Errorf("got %s, %v", out, err)
	}
}

func TestEndpointErrors(t *testing.T) {
	other := httptest.NewServer(nethttp.HandlerFunc(func(nethttp.ResponseWriter, *nethttp.Request) {
		t.Error("the other host was called")
	}))
	defer other.Close()
	answer := func(status int, contentType, body string) nethttp.HandlerFunc {
		return func(w nethttp.ResponseWriter, _ *nethttp.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	redirect := func(to string, status int) nethttp.HandlerFunc {
		return func(w nethttp.ResponseWriter, r *nethttp.Request) { nethttp.Redirect(w, r, to, status) }
	}
	tests := []struct {
		name                string
		handler             nethttp.HandlerFunc
		wantName, wantCause string
	}{
		{"client error", answer(404, "text/plain", "no such thing"), "Lambda.Unknown", "404 Not Found: no such thing"},
		{"a page is not quoted", answer(400, "text/html", "<html>"), "Lambda.Unknown", `400 Bad Request"`},
		{"server error", answer(503, "text/plain", ""), "Lambda.ServiceException", "503"},
		{"throttled", answer(429, "text/plain", "slow down"), "Lambda.TooManyRequestsException", "slow down"},
		{"its own error", answer(422, "application/json", `{"errorType":"Conflict","errorMessage":"locked"}`), "Conflict", "locked"},
		{"redirect to another host", redirect(other.URL, 307), "Lambda.ServiceException", "another host"},
		{"redirect that loses the body", redirect("/elsewhere", 302), "Lambda.ServiceException", "loses the body"},
		{"endless redirects", redirect("/invoke", 307), "Lambda.ServiceException", "more than 3 redirects"},
		{"cut off", func(w nethttp.ResponseWriter, _ *nethttp.Request) {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "123")
		}, "Lambda.ServiceException", "EOF"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			_, err := endpoint(t, http.Config{}, tc.handler).Invoke(t.Context(), aTask, json.RawMessage("{}"))
			var te *task.Error
			if !errors.As(err, &te) || te.Name != tc.wantName || !strings.Contains(te.Cause, tc.wantCause) {
				t.Errorf("got %v, want %s with %q", err, tc.wantName, tc.wantCause)
			}
		})
	}
}

func TestEndpointTimesOut(t *testing.T) {
	hang := func(_ nethttp.ResponseWriter, r *nethttp.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	_, err := endpoint(t, http.Config{Timeout: 30 * time.Millisecond}, hang).Invoke(t.Context(), aTask, json.RawMessage("{}"))
	var te *task.Error
	if !errors.As(err, &te) || te.Name != "Sandbox.Timedout" {
		t.Errorf("own timeout: %v", err)
	}
	cause := errors.New("stopped by a person")
	ctx, stop := context.WithCancelCause(t.Context())
	time.AfterFunc(30*time.Millisecond, func() { stop(cause) })
	if _, err := endpoint(t, http.Config{}, hang).Invoke(ctx, aTask, json.RawMessage("{}")); !errors.Is(err, cause) {
		t.Errorf("task stopped: %v", err)
	}
}

func TestEndpointReadsNoMoreThanItMay(t *testing.T) {
	e := endpoint(t, http.Config{}, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		b := make([]byte, 1<<20)
		for range 64 {
			if _, err := w.Write(b); err != nil {
				return
			}
		}
	})
	out, err := e.Invoke(t.Context(), aTask, json.RawMessage("{}"))
	if err != nil || len(out) != 256<<10+1 {
		t.Errorf("got %d bytes, %v", len(out), err)
	}
}

func TestNewRefusesURLs(t *testing.T) {
	for _, u := range []string{"", "/path", "ftp://h/", "http://", "https://user:secret@h/", "::"} {
		if _, err := http.New(http.Config{URL: u}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", u, err)
		}
	}
}

// A machine that has no descriptor left for a call has not failed the call.
func TestNoDescriptorsLeftIsWaitedFor(t *testing.T) {
	var calls atomic.Int32
	srv := httptest.NewServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		calls.Add(1)
		_, _ = io.WriteString(w, "1")
	}))
	defer srv.Close()
	e, err := http.New(http.Config{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 3, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(200*time.Millisecond, func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	})
	out, err := e.Invoke(t.Context(), task.Task{ID: "t", ExecutionName: "run-1"}, json.RawMessage(`{}`))
	if err != nil || string(out) != "1" || calls.Load() != 1 {
		t.Errorf("got %s, %v after %d calls", out, err, calls.Load())
	}
}

// The URL of an incoming webhook is its secret, and errors are shown on pages.
func TestErrorsDoNotShowTheURL(t *testing.T) {
	srv := httptest.NewServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if r.URL.Query().Get("go") != "" {
			nethttp.Redirect(w, r, "/services/hunter2/again?token=hunter3", nethttp.StatusFound)
			return
		}
		w.WriteHeader(nethttp.StatusTeapot)
	}))
	invoke := func(query string) error {
		t.Helper()
		e, err := http.New(http.Config{URL: srv.URL + "/services/hunter2?token=hunter3" + query})
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.Invoke(t.Context(), aTask, nil)
		return err
	}
	errs := []error{invoke(""), invoke("&go=1")}
	srv.Close()
	errs = append(errs, invoke(""))
	for _, cfg := range []http.Config{{URL: "https://user:hunter2@host/hunter3"}, {URL: "https://host/hunter2", Timeout: -1}, {URL: "gopher://host/hunter2"}, {URL: "https://host/%zzhunter2"}} {
		_, err := http.New(cfg)
		errs = append(errs, err)
	}
	for i, err := range errs {
		if err == nil || strings.Contains(err.Error(), "hunter") || i < 3 && !strings.Contains(err.Error(), srv.URL) {
			t.Errorf("%d: %v", i, err)
		}
	}
}
