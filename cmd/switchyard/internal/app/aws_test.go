package app_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/dispatch"
	"switchyard/internal/awstest"
	"switchyard/internal/githubtest"
)

const awsMachine = "arn:aws:states:eu-west-1:123456789012:stateMachine:deploy"

// awsSettings start executions at the endpoint they are given.
const awsSettings = `
server: {listen: "127.0.0.1:0"}
data_dir: data
sources:
  github: {secrets: [%q]}
engine: {aws: {region: eu-west-1, endpoint: %q}}
state_machines: {deploy: {arn: "` + awsMachine + `"}}
routes:
  - {name: all, branches: ["**"], state_machine: deploy}
`

// stepFunctions is a Step Functions endpoint as far as the service calls it.
// Names are taken once, as AWS does it.
type stepFunctions struct {
	t  *testing.T
	mu sync.Mutex
	// fault, when set, is asked before each call is served: it may answer the
	// call itself, and then returns true.
	fault  func(w http.ResponseWriter, r *http.Request, op string) bool
	inputs map[string]string
	starts map[string]int // served StartExecution calls, by name
	status string
}

func newStepFunctions(t *testing.T) *stepFunctions {
	t.Helper()
	awstest.Isolate(t)
	return &stepFunctions{t: t, inputs: map[string]string{}, starts: map[string]int{}, status: "RUNNING"}
}

// serve returns the URL of the endpoint.
func (f *stepFunctions) serve() string {
	server := httptest.NewServer(f)
	f.t.Cleanup(server.Close)
	return server.URL
}

func (f *stepFunctions) set(fault func(http.ResponseWriter, *http.Request, string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

func (f *stepFunctions) ends(status string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status = status
}

func (f *stepFunctions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct{ StateMachineArn, Name, Input, ExecutionArn string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		f.t.Errorf("body: %v", err)
	}
	if !strings.Contains(r.Header.Get("Authorization"), "AKIDEXAMPLE/") {
		f.t.Errorf("Authorization: %q", r.Header.Get("Authorization"))
	}
	op := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AWSStepFunctions.")
	f.mu.Lock()
	fault := f.fault
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	if fault != nil && fault(w, r, op) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	arn := strings.Replace(awsMachine, ":stateMachine:", ":execution:", 1) + ":"
	switch op {
	case "StartExecution":
		if known, taken := f.inputs[in.Name]; taken && (known != in.Input || f.status != "RUNNING") {
			refuse(w, "ExecutionAlreadyExists", "Execution Already Exists: '"+arn+in.Name+"'")
			return
		}
		f.inputs[in.Name] = in.Input
		f.starts[in.Name]++
		fmt.Fprintf(w, `{"executionArn": %q, "startDate": 1795168800}`, arn+in.Name)
	case "DescribeExecution":
		name := strings.TrimPrefix(in.ExecutionArn, arn)
		input, known := f.inputs[name]
		if !known {
			refuse(w, "ExecutionDoesNotExist", "Execution Does Not Exist: '"+in.ExecutionArn+"'")
			return
		}
		answer := map[string]any{"executionArn": in.ExecutionArn, "stateMachineArn": awsMachine, "name": name, "status": f.status, "startDate": 1795168800, "input": input}
		if f.status != "RUNNING" {
			answer["stopDate"] = 1795168801
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			f.t.Error(err)
		}
	default:
		f.t.Errorf("unexpected call of %s", op)
	}
}

// refuse answers as AWS JSON 1.0 does.
func refuse(w http.ResponseWriter, code, message string) {
	w.WriteHeader(http.StatusBadRequest)
	fmt.Fprintf(w, `{"__type": "com.amazonaws.states#%s", "message": %q}`, code, message)
}

// startedOnce says how many names were started, each with one execution.
func (f *stepFunctions) startedOnce(t *testing.T) int {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, n := range f.starts {
		if n != 1 {
			t.Errorf("%s was started %d times", name, n)
		}
	}
	return len(f.starts)
}

// are waits until n executions are in the state and returns them.
func (s *service) are(t *testing.T, state dispatch.State, n int) []dispatch.Execution {
	t.Helper()
	var page dispatch.ExecutionPage
	eventually(t, fmt.Sprintf("%d executions %s", n, state), func() bool {
		var err error
		page, err = s.client.Executions(t.Context(), dispatch.ExecutionFilter{States: []dispatch.State{state}, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		return len(page.Executions) == n
	})
	return page.Executions
}

// The end of executions that nobody told us about is found by asking, at the
// latest at the next start.
func TestAWSExecutionsAreFoundEndedAfterARestart(t *testing.T) {
	f, dir := newStepFunctions(t), t.TempDir()
	text := fmt.Sprintf(awsSettings, secret, f.serve())
	s := startWith(t, dir, text, "")
	s.deliver(t, "d1", push("main", "one", "two", "three"))
	s.are(t, dispatch.StateRunning, 3)
	s.stop()
	f.ends("SUCCEEDED")
	s = startWith(t, dir, text, "")
	s.are(t, dispatch.StateSucceeded, 3)
	if n := f.startedOnce(t); n != 3 {
		t.Errorf("%d executions were started", n)
	}
}

// Where the config asks for it, commit statuses link to AWS, and pages do always.
func TestStatusesLinkToTheConsole(t *testing.T) {
	f, github := newStepFunctions(t), newGitHub(t)
	f.ends("SUCCEEDED")
	text := strings.Replace(fmt.Sprintf(awsSettings, secret, f.serve()), "engine: {aws: {", "engine: {aws: {status_links: console, ", 1)
	text = strings.Replace(text, "github: {", fmt.Sprintf(`github: {token: of statuses, base_url: "%s/api/v3", `, github.URL), 1)
	f.set(func(w http.ResponseWriter, _ *http.Request, op string) bool {
		if op == "GetExecutionHistory" {
			fmt.Fprint(w, `{"events":[]}`)
		}
		return op == "GetExecutionHistory"
	})
	s := startWith(t, t.TempDir(), text, "")
	s.deliver(t, "d1", github.push("main", "one"))
	running := s.are(t, dispatch.StateRunning, 1)
	want := "https://eu-west-1.console.aws.amazon.com/states/home?region=eu-west-1#/v2/executions/details/" + running[0].ARN
	eventually(t, "a status that links to the console", func() bool {
		return slices.ContainsFunc(github.repo.AllStatuses(), func(s githubtest.StatusText) bool { return s.URL == want })
	})
	_, page := s.get(t, strings.TrimPrefix(s.Page(running[0].ID), "http://"+s.Addr().String()))
	if !strings.Contains(page, strings.ReplaceAll(want, "&", "&amp;")) {
		t.Errorf("the page does not link to %s:\n%s", want, page)
	}
}

// A request that AWS refuses for good is kept as dead, with AWS's words, and
// runs once the cause is repaired and somebody says so.
func TestRequestThatAWSRefusesIsADeadLetter(t *testing.T) {
	f := newStepFunctions(t)
	f.set(func(w http.ResponseWriter, _ *http.Request, _ string) bool {
		refuse(w, "InvalidExecutionInput", "Invalid input for '"+awsMachine+"'")
		return true
	})
	s := startWith(t, t.TempDir(), fmt.Sprintf(awsSettings, secret, f.serve()), "")
	s.deliver(t, "d1", push("main", "one", "two"))
	for _, e := range s.are(t, dispatch.StateDead, 2) {
		whole, err := s.client.Execution(t.Context(), e.ID)
		if err != nil || !strings.Contains(whole.Cause, "InvalidExecutionInput") || !strings.Contains(whole.Cause, awsMachine) {
			t.Errorf("cause %q, %v", whole.Cause, err)
		}
	}
	// They follow what the journal has recorded, which is seen before.
	eventually(t, "the metrics show it", func() bool {
		_, text := s.get(t, "/metrics")
		return strings.Contains(text, `switchyard_executions_ended_total{state="dead"} 2`) &&
			strings.Contains(text, `switchyard_engine_call_seconds_count{operation="start",outcome="permanent"} 2`)
	})
	// While the cause is there, it is dead again.
	first := s.are(t, dispatch.StateDead, 2)[0].ID
	if _, err := s.client.Redrive(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	s.are(t, dispatch.StateDead, 2)
	f.set(nil)
	for _, e := range s.are(t, dispatch.StateDead, 2) {
		if _, err := s.client.Redrive(t.Context(), e.ID); err != nil {
			t.Fatal(err)
		}
	}
	running := s.are(t, dispatch.StateRunning, 2)
	if _, err := s.client.Redrive(t.Context(), running[0].ID); err == nil {
		t.Error("one that runs was redriven")
	}
	if n := f.startedOnce(t); n != 2 {
		t.Errorf("%d executions were started", n)
	}
}

// What AWS says of the state machine, its key or our permissions is not the
// request's fault: requests wait, show why, and run when it is repaired.
func TestStateMachineMissingAtAWSIsWaitedFor(t *testing.T) {
	for _, code := range []string{"StateMachineDoesNotExist", "AccessDeniedException", "KmsAccessDeniedException"} {
		t.Run(code, func(t *testing.T) {
			f := newStepFunctions(t)
			f.set(func(w http.ResponseWriter, _ *http.Request, _ string) bool {
				refuse(w, code, "not with '"+awsMachine+"'")
				return true
			})
			s := startWith(t, t.TempDir(), fmt.Sprintf(awsSettings, secret, f.serve()), "")
			s.deliver(t, "d1", push("main", "one", "two"))
			eventually(t, "the reason of the delay", func() bool {
				page, err := s.client.Executions(t.Context(), dispatch.ExecutionFilter{States: []dispatch.State{dispatch.StateReady}})
				if err != nil || len(page.Executions) != 2 {
					return false
				}
				return strings.Contains(page.Executions[0].LastError, code) && strings.Contains(page.Executions[1].LastError, code)
			})
			if _, text := s.get(t, "/metrics"); !strings.Contains(text, `operation="start",outcome="blocked"`) {
				t.Error("the metrics do not show it")
			}
			f.set(nil)
			s.are(t, dispatch.StateRunning, 2)
			if n := f.startedOnce(t); n != 2 {
				t.Errorf("%d executions were started", n)
			}
		})
	}
}

// An engine that takes calls and never answers holds nothing up but the
// starts: deliveries are taken, calls are cut off and tried again, and the
// service stops when it is told to.
func TestHangingAWSCallsAreCutOff(t *testing.T) {
	f := newStepFunctions(t)
	hang := func(_ http.ResponseWriter, r *http.Request, _ string) bool { <-r.Context().Done(); return true }
	f.set(hang)
	s := startWith(t, t.TempDir(), fmt.Sprintf(awsSettings, secret, f.serve()), "", app.WithEngineTimeout(150*time.Millisecond))
	if status, text := s.deliver(t, "d1", push("main", "one", "two")); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, text)
	}
	eventually(t, "the reason of the delay", func() bool {
		page, err := s.client.Executions(t.Context(), dispatch.ExecutionFilter{})
		if err != nil || len(page.Executions) != 2 {
			return false
		}
		return strings.Contains(page.Executions[0].LastError, "no answer within") && strings.Contains(page.Executions[1].LastError, "no answer within")
	})
	f.set(nil)
	s.are(t, dispatch.StateRunning, 2)
	if n := f.startedOnce(t); n != 2 {
		t.Errorf("%d executions were started", n)
	}
	f.set(hang)
	s.deliver(t, "d2", push("main", "three"))
	began := time.Now()
	s.stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %v while a call hung", took)
	}
}

// Throttling is no failure of any request: all wait, none counts a try, and
// each is started once.
func TestThrottledStartsAllHappen(t *testing.T) {
	f := newStepFunctions(t)
	var mu sync.Mutex
	calls, throttles := 0, 0
	f.set(func(w http.ResponseWriter, _ *http.Request, op string) bool {
		mu.Lock()
		defer mu.Unlock()
		if calls++; op != "StartExecution" || calls%3 == 0 || throttles == 12 {
			return false
		}
		throttles++
		refuse(w, "ThrottlingException", "Rate exceeded")
		return true
	})
	s := startWith(t, t.TempDir(), fmt.Sprintf(awsSettings, secret, f.serve()), "")
	messages := make([]string, 40)
	for i := range messages {
		messages[i] = fmt.Sprint(i)
	}
	s.deliver(t, "d1", push("main", messages...))
	for _, e := range s.are(t, dispatch.StateRunning, len(messages)) {
		if e.Tries != 0 {
			t.Errorf("%s counts %d failed starts", e.ID, e.Tries)
		}
	}
	if n := f.startedOnce(t); n != len(messages) {
		t.Errorf("%d executions were started", n)
	}
	mu.Lock()
	defer mu.Unlock()
	if throttles != 12 {
		t.Errorf("%d calls were throttled, the test shows nothing", throttles)
	}
}

// A start whose answer is lost is tried again under its name, which AWS answers
// with the execution that it has.
func TestStartWhoseAnswerIsLostIsNotRepeated(t *testing.T) {
	f := newStepFunctions(t)
	var mu sync.Mutex
	lost := map[string]bool{}
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		f.ServeHTTP(answer, r)
		mu.Lock()
		token := r.Header.Get("X-Amz-Target")
		first := !lost[token]
		lost[token] = true
		mu.Unlock()
		if first {
			f.ends("SUCCEEDED") // it ended before the second try
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(answer.Code)
		_, _ = answer.Body.WriteTo(w)
	}))
	t.Cleanup(endpoint.Close)
	s := startWith(t, t.TempDir(), fmt.Sprintf(awsSettings, secret, endpoint.URL), "")
	s.deliver(t, "d1", push("main", "one"))
	s.are(t, dispatch.StateSucceeded, 1)
	if n := f.startedOnce(t); n != 1 {
		t.Errorf("%d executions were started", n)
	}
}

func TestAWSBehindACertificateOfItsOwn(t *testing.T) {
	f := newStepFunctions(t)
	server := httptest.NewTLSServer(f)
	t.Cleanup(server.Close)
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	replace(t, bundle, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	t.Setenv("AWS_CA_BUNDLE", bundle)
	s := startWith(t, t.TempDir(), fmt.Sprintf(awsSettings, secret, server.URL), "")
	s.deliver(t, "d1", push("main", "one"))
	s.are(t, dispatch.StateRunning, 1)
}
