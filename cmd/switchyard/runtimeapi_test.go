//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// runtimeAPI is Lambda's runtime interface, by "Using the Lambda runtime API for
// custom runtimes": a function asks for its next event and posts the answer.
type runtimeAPI struct {
	t      *testing.T
	server *httptest.Server
	events chan invocation

	mu      sync.Mutex
	waiting map[string]chan<- invoked
	last    int
	asked   chan struct{} // gets one for each time the function asks
}

type invocation struct {
	id      string
	payload []byte
	timeout time.Duration
}

// invoked is what became of an invocation: an answer, or the function's error.
type invoked struct {
	answer []byte
	err    string
}

func newRuntimeAPI(t *testing.T) *runtimeAPI {
	a := &runtimeAPI{t: t, events: make(chan invocation), waiting: map[string]chan<- invoked{}, asked: make(chan struct{}, 1000)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", a.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", a.done)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", a.done)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		t.Errorf("the function does not begin: %s", text)
		w.WriteHeader(http.StatusAccepted)
	})
	a.server = httptest.NewServer(mux)
	t.Cleanup(a.server.Close)
	return a
}

func (a *runtimeAPI) next(w http.ResponseWriter, r *http.Request) {
	a.asked <- struct{}{}
	select {
	case e := <-a.events:
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", e.id)
		w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(e.timeout).UnixMilli(), 10))
		w.Header().Set("Lambda-Runtime-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1")
		w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:switchyard")
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(e.payload)
	case <-r.Context().Done():
	}
}

func (a *runtimeAPI) done(w http.ResponseWriter, r *http.Request) {
	text, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	c := a.waiting[r.PathValue("id")]
	delete(a.waiting, r.PathValue("id"))
	a.mu.Unlock()
	if c == nil {
		a.t.Errorf("an answer to %s, which was not asked", r.PathValue("id"))
	} else if strings.HasSuffix(r.URL.Path, "/error") {
		c <- invoked{err: string(text)}
	} else {
		c <- invoked{answer: text}
	}
	w.WriteHeader(http.StatusAccepted)
}

// begin hands an event to the function; the channel tells what became of it.
func (a *runtimeAPI) begin(payload any, timeout time.Duration) <-chan invoked {
	a.t.Helper()
	text, ok := payload.([]byte)
	if !ok {
		var err error
		if text, err = json.Marshal(payload); err != nil {
			a.t.Fatal(err)
		}
	}
	a.mu.Lock()
	a.last++
	id := fmt.Sprintf("invocation-%d", a.last)
	c := make(chan invoked, 1)
	a.waiting[id] = c
	a.mu.Unlock()
	select {
	case a.events <- invocation{id, text, timeout}:
	case <-time.After(2 * time.Minute):
		a.t.Fatal("the function does not ask for an event")
	}
	return c
}

// forget is for invocations whose function has died.
func (a *runtimeAPI) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.waiting)
}

// invoke hands an event to the function and returns its answer.
func (a *runtimeAPI) invoke(payload any) []byte {
	a.t.Helper()
	select {
	case r := <-a.begin(payload, time.Minute):
		if r.err != "" {
			a.t.Fatalf("the function failed: %s", r.err)
		}
		return r.answer
	case <-time.After(time.Minute):
		a.t.Fatal("no answer within a minute")
	}
	return nil
}

// lambdaProcess is the program as Lambda runs it: as bootstrap, without arguments.
type lambdaProcess struct {
	cmd            *exec.Cmd
	stdout, stderr lockedBuffer
	done           chan struct{}
}

// run starts the function in dir, which holds its config.
func (a *runtimeAPI) run(dir string, env ...string) *lambdaProcess {
	a.t.Helper()
	program, err := exec.LookPath("switchyard")
	if err != nil {
		a.t.Fatal(err)
	}
	p := &lambdaProcess{cmd: exec.Command(program), done: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), "AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(a.server.URL, "http://"), "AWS_LAMBDA_FUNCTION_NAME=switchyard",
		"AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID="+functionKey, "SWITCHYARD_CONFIG="+filepath.Join(dir, "switchyard.yaml"))
	p.cmd.Env = append(p.cmd.Env, env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	a.t.Cleanup(func() {
		p.kill()
		if a.t.Failed() {
			a.t.Logf("standard error of the function:\n%.6000s", p.stderr.String())
		}
	})
	return p
}

// kill is what becomes of a function whose time is up, or whose machine is gone.
func (p *lambdaProcess) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}
