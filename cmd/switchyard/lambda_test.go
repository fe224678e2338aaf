//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"switchyard/internal/awsaccess"
	"switchyard/internal/awstest"
	"switchyard/internal/githubtest"
)

const lambdaSettings = `
sources: {github: {secrets: [%q], token: %q, base_url: %q, clone_base: https://github.com}}
engine: aws
serverless: {queue: %q, bucket: deliveries}
state_machines: {deploy: {arn: %q}}
routes: [{name: all, state_machine: deploy}]
log: {level: info, format: json}
`

// serverless is a function, what it is connected with, and what we play: the
// event source mapping of its queue, and the git host.
type serverless struct {
	t        *testing.T
	api      *runtimeAPI
	dir      string
	queueURL string
	machine  string
	queue    *sqs.Client
	machines *sfn.Client
	starts   startCounter
	github   *githubtest.Server
}

// startCounter passes Step Functions' calls on and counts the names it is asked
// for. It can hold calls up.
type startCounter struct {
	mu    sync.Mutex
	names map[string]int
	trace string // header of the last call
	hold  func()
}

func newServerless(t *testing.T) *serverless {
	t.Helper()
	moto := awstest.Moto(t)
	awstest.Isolate(t)
	s := &serverless{t: t, api: newRuntimeAPI(t), dir: t.TempDir(), starts: startCounter{names: map[string]int{}}}
	target, _ := url.Parse(moto)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // of calls whose function was killed
	calls := newPermitted(t)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.note(r)
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".StartExecution") {
			body, _ := io.ReadAll(r.Body)
			var in struct{ Name, TraceHeader string }
			_ = json.Unmarshal(body, &in)
			s.starts.mu.Lock()
			s.starts.trace = in.TraceHeader
			s.starts.names[in.Name]++
			hold := s.starts.hold
			s.starts.mu.Unlock()
			if hold != nil {
				hold()
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	t.Setenv("AWS_ENDPOINT_URL", front.URL)
	cfg, err := awsaccess.Load(t.Context(), awsaccess.Settings{Region: "eu-west-1"})
	if err != nil {
		t.Fatal(err)
	}
	s.queue, s.machines = sqs.NewFromConfig(cfg), sfn.NewFromConfig(cfg)
	made, err := s.queue.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("switchyard"), Attributes: map[string]string{"VisibilityTimeout": "60"}})
	if err != nil {
		t.Fatal(err)
	}
	s.queueURL = strings.Replace(aws.ToString(made.QueueUrl), moto, front.URL, 1)
	if _, err := s3.NewFromConfig(cfg).CreateBucket(t.Context(), &s3.CreateBucketInput{
		Bucket: aws.String("deliveries"), CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: "eu-west-1"},
	}); err != nil {
		t.Fatal(err)
	}
	machine, err := s.machines.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
		Name: aws.String("deploy"), RoleArn: aws.String("arn:aws:iam::123456789012:role/x"),
		Definition: aws.String(`{"StartAt":"Done","States":{"Done":{"Type":"Succeed"}}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.machine = aws.ToString(machine.StateMachineArn)
	s.github = githubtest.New(t)
	settings := fmt.Sprintf(lambdaSettings, processSecret, githubtest.AnyToken, strings.TrimSuffix(s.github.Start(), "/"), s.queueURL, s.machine)
	if err := os.WriteFile(filepath.Join(s.dir, "switchyard.yaml"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// pushBody is GitHub's event of a push of n made-up commits, of which each has a message
// of some length.
func pushBody(first, n, length int) []byte {
	shas := make([]string, n)
	for i := range shas {
		shas[i] = fmt.Sprintf("%040x", first+i)
	}
	return pushOf(shas, length)
}

func pushOf(shas []string, length int) []byte {
	var commits []map[string]any
	for i, sha := range shas {
		commits = append(commits, map[string]any{
			"id": sha, "message": fmt.Sprintf("change %d %s", i, strings.Repeat("x", length)), "distinct": true,
			"timestamp": "2026-11-26T10:00:00Z", "url": "https://github.com/acme/api/commit/x", "author": map[string]any{"name": "Ada", "email": "ada@example.com"},
			"committer": map[string]any{"name": "Ada", "email": "ada@example.com"}, "added": []string{"a"}, "removed": []string{}, "modified": []string{},
		})
	}
	body, _ := json.Marshal(map[string]any{
		"ref": "refs/heads/main", "before": strings.Repeat("1", 40), "after": shas[len(shas)-1], "commits": commits, "head_commit": commits[len(shas)-1],
		"repository": map[string]any{"id": 1, "name": "api", "full_name": "acme/api", "clone_url": "https://github.com/acme/api.git", "html_url": "https://github.com/acme/api",
			"owner": map[string]any{"name": "acme", "login": "acme"}, "default_branch": "main"},
		"pusher": map[string]any{"name": "ada"}, "sender": map[string]any{"login": "ada"},
	})
	return body
}

// deliver posts a push as a function URL passes it on, and returns the answer.
func (s *serverless) deliver(id string, body []byte) (status int, answer struct {
	Delivery   string
	Executions []string
	Ignored    string
	Error      string
}) {
	s.t.Helper()
	mac := hmac.New(sha256.New, []byte(processSecret))
	mac.Write(body)
	event := map[string]any{
		"version": "2.0", "rawPath": "/webhooks/github", "rawQueryString": "",
		"headers": map[string]string{
			"content-type": "application/json", "x-github-event": "push", "x-github-delivery": id,
			"x-hub-signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil)), "host": "x.lambda-url.eu-west-1.on.aws",
		},
		"requestContext": map[string]any{"stage": "$default", "http": map[string]any{"method": "POST", "path": "/webhooks/github", "sourceIp": "192.0.2.1"}},
		"body":           base64.StdEncoding.EncodeToString(body), "isBase64Encoded": true,
	}
	var out struct {
		StatusCode int
		Body       string
	}
	if err := json.Unmarshal(s.api.invoke(event), &out); err != nil {
		s.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out.Body), &answer); err != nil {
		s.t.Fatalf("%q: %v", out.Body, err)
	}
	return out.StatusCode, answer
}

// receive takes the messages of the queue, as an event source mapping does.
func (s *serverless) receive() []sqstypes.Message {
	s.t.Helper()
	out, err := s.queue.ReceiveMessage(s.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &s.queueURL, MaxNumberOfMessages: 10,
		MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{"ApproximateReceiveCount"}})
	if err != nil {
		s.t.Fatal(err)
	}
	return out.Messages
}

// sqsEvent is a batch as Lambda gets it.
func sqsEvent(messages []sqstypes.Message) map[string]any {
	var records []map[string]any
	for _, m := range messages {
		records = append(records, map[string]any{
			"messageId": aws.ToString(m.MessageId), "receiptHandle": aws.ToString(m.ReceiptHandle), "body": aws.ToString(m.Body),
			"attributes": m.Attributes, "eventSource": "aws:sqs", "awsRegion": "eu-west-1",
		})
	}
	return map[string]any{"Records": records}
}

// settleBatch deletes what the function has not given back, and says how many it
// has.
func (s *serverless) settleBatch(messages []sqstypes.Message, answer []byte) (givenBack int) {
	s.t.Helper()
	var out struct {
		BatchItemFailures []struct{ ItemIdentifier string } `json:"batchItemFailures"`
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		s.t.Fatalf("%s: %v", answer, err)
	}
	failed := map[string]bool{}
	for _, f := range out.BatchItemFailures {
		failed[f.ItemIdentifier] = true
	}
	for _, m := range messages {
		if failed[aws.ToString(m.MessageId)] {
			continue
		}
		if _, err := s.queue.DeleteMessage(s.t.Context(), &sqs.DeleteMessageInput{QueueUrl: &s.queueURL, ReceiptHandle: m.ReceiptHandle}); err != nil {
			s.t.Fatal(err)
		}
	}
	return len(failed)
}

// executions counts those that Step Functions has.
func (s *serverless) executions() map[string]bool {
	s.t.Helper()
	names := map[string]bool{}
	pages := sfn.NewListExecutionsPaginator(s.machines, &sfn.ListExecutionsInput{StateMachineArn: &s.machine})
	for pages.HasMorePages() {
		page, err := pages.NextPage(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		for i := range page.Executions {
			names[aws.ToString(page.Executions[i].Name)] = true
		}
	}
	return names
}

func TestLambdaStartsEveryCommitThroughTheQueue(t *testing.T) {
	s := newServerless(t)
	function := s.api.run(s.dir)
	<-s.api.asked
	cold := cpuTime(t, function.cmd.Process.Pid)

	status, answer := s.deliver("d-1", pushBody(1, 3, 10))
	if status != http.StatusAccepted || len(answer.Executions) != 3 || answer.Delivery != "github:d-1" {
		t.Fatalf("answered %d %+v", status, answer)
	}
	if n := len(s.executions()); n != 0 {
		t.Errorf("%d executions before the queue was worked on", n)
	}
	messages := s.receive()
	if len(messages) != 1 {
		t.Fatalf("%d messages on the queue", len(messages))
	}
	if n := s.settleBatch(messages, s.api.invoke(sqsEvent(messages))); n != 0 {
		t.Errorf("%d messages given back", n)
	}
	names := s.executions()
	for _, name := range answer.Executions {
		if !names[name] {
			t.Errorf("%s, which the answer names, was not started", name)
		}
	}
	// A queue may give a message twice.
	s.settleBatch(messages, s.api.invoke(sqsEvent(messages)))
	if n := len(s.executions()); n != 3 {
		t.Errorf("%d executions, want 3", n)
	}

	// A delivery that no message can hold waits in the bucket.
	status, answer = s.deliver("d-2", pushBody(1000, 200, 5000))
	if status != http.StatusAccepted || len(answer.Executions) != 200 {
		t.Fatalf("answered %d with %d executions: %s", status, len(answer.Executions), answer.Error)
	}
	messages = s.receive()
	if len(messages) != 1 || len(aws.ToString(messages[0].Body)) > 1000 {
		t.Fatalf("%d messages, the first one %.200s", len(messages), aws.ToString(messages[0].Body))
	}
	s.settleBatch(messages, s.api.invoke(sqsEvent(messages)))
	if n := len(s.executions()); n != 203 {
		t.Errorf("%d executions, want 203", n)
	}

	peak := peakMemory(t, function.cmd.Process.Pid)
	t.Logf("cold start %v of a processor, peak memory %d MiB", cold, peak>>20)
	if cold > time.Second {
		t.Errorf("the cold start took %v of a processor", cold)
	}
	if peak > 128<<20 && !raceDetector {
		t.Errorf("the function took %d MiB, more than the 128 MB that it is to be content with", peak>>20)
	}

	var counted []string
	for line := range strings.Lines(function.stdout.String()) {
		var m struct {
			FunctionName                        string
			Deliveries, Started, AlreadyStarted int
			AWS                                 struct{ CloudWatchMetrics []struct{ Namespace string } } `json:"_aws"`
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil || m.FunctionName != "switchyard" || len(m.AWS.CloudWatchMetrics) != 1 || m.AWS.CloudWatchMetrics[0].Namespace != "Switchyard" {
			t.Errorf("%q is not a line of metrics: %v", line, err)
		}
		counted = append(counted, fmt.Sprint(m.Deliveries, m.Started, m.AlreadyStarted))
	}
	// Moto, as Step Functions, does not tell a repeated start of what runs from
	// the first.
	if got := strings.Join(counted, ", "); got != "1 0 0, 0 3 0, 0 3 0, 1 0 0, 0 200 0" {
		t.Errorf("deliveries, started, existed by invocation: %s", got)
	}
	if want := "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"; s.starts.trace != want {
		t.Errorf("an execution was started with the trace %q, want that of the invocation", s.starts.trace)
	}

	// What is not signed is refused, and waits nowhere.
	event := map[string]any{"version": "2.0", "rawPath": "/webhooks/github", "headers": map[string]string{"x-github-event": "push"},
		"requestContext": map[string]any{"http": map[string]any{"method": "POST"}}, "body": "{}"}
	if got := s.api.invoke(event); !bytes.Contains(got, []byte(`"statusCode":401`)) {
		t.Errorf("unsigned: %s", got)
	}
	if n := len(s.receive()); n != 0 {
		t.Errorf("%d messages on the queue after an unsigned delivery", n)
	}
}

// cpuTime is how long a process has computed, which says on a busy machine too
// how much it did.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Skip("no /proc to read the time of a process from")
	}
	// The name in parentheses may hold blanks. The times are the 14th and 15th
	// field, in hundredths of a second: man 5 proc.
	_, rest, _ := strings.Cut(string(text), ") ")
	var user, system int64
	if _, err := fmt.Sscan(strings.Join(strings.Fields(rest)[11:13], " "), &user, &system); err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// peakMemory is the most memory that a process has had, in bytes.
func peakMemory(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip("no /proc to read the memory of a process from")
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	var kilobytes int64
	if _, err := fmt.Sscan(rest, &kilobytes); err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

func TestLambdaTellsCommitsHowTheyFare(t *testing.T) {
	s := newServerless(t)
	s.api.run(s.dir)
	r := s.github.AddRepo("acme/api")
	sha := r.Chain("main", 1)[0]
	_, answer := s.deliver("d-1", pushOf([]string{sha}, 10))
	messages := s.receive()
	s.settleBatch(messages, s.api.invoke(sqsEvent(messages)))
	arn := strings.Replace(s.machine, ":stateMachine:", ":execution:", 1) + ":" + answer.Executions[0]
	change := func(status string) map[string]any {
		return map[string]any{"source": "aws.states", "detail-type": "Step Functions Execution Status Change",
			"detail": map[string]any{"executionArn": arn, "name": answer.Executions[0], "status": status, "startDate": 1, "input": "{}"}}
	}
	s.api.invoke(change("RUNNING"))
	if _, err := s.machines.StopExecution(t.Context(), &sfn.StopExecutionInput{ExecutionArn: &arn}); err != nil {
		t.Fatal(err)
	}
	s.api.invoke(change("ABORTED"))
	s.api.invoke(change("RUNNING")) // late
	other := change("FAILED")
	other["detail"].(map[string]any)["executionArn"] = strings.Replace(s.machine, ":stateMachine:", ":execution:", 1) + ":somebody-elses"
	s.api.invoke(other)
	var told []string
	for _, shown := range r.AllStatuses() {
		told = append(told, shown.SHA+" "+shown.State+" "+shown.Context)
	}
	if want := []string{sha + " pending switchyard/all", sha + " error switchyard/all", sha + " error switchyard/all"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// The function dies at every point of its work on a message; in the end each
// commit has its one execution.
func TestLambdaLosesNothingWhenItDies(t *testing.T) {
	s := newServerless(t)
	p := s.api.run(s.dir)
	const commits = 40
	status, answer := s.deliver("d-1", pushBody(1, commits, 10))
	if status != http.StatusAccepted {
		t.Fatalf("answered %d", status)
	}
	random := rand.New(rand.NewPCG(3, 4))
	for round := 0; ; round++ {
		if round == 40 {
			t.Fatal("the message is not done after 40 lives")
		}
		messages := s.receive()
		if len(messages) != 1 {
			t.Fatalf("life %d: %d messages on the queue", round, len(messages))
		}
		// The more lives, the more starts each has: it dies before, between and
		// after them.
		killAt := random.IntN(2 + 2*round)
		kill := make(chan struct{})
		var once sync.Once
		seen := 0
		s.starts.mu.Lock()
		s.starts.hold = func() {
			s.starts.mu.Lock()
			defer s.starts.mu.Unlock()
			if seen++; seen > killAt {
				once.Do(func() { close(kill) })
			}
		}
		s.starts.mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		ended := false
		answered := s.api.begin(sqsEvent(messages), time.Minute)
		select {
		case <-kill:
			p.kill()
		case r := <-answered:
			ended = s.settleBatch(messages, r.answer) == 0
		case <-ctx.Done():
			t.Error("neither an answer nor a start")
		}
		cancel()
		if ended {
			break
		}
		// Lambda gives up on the message; its visibility timeout brings it back.
		if _, err := s.queue.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: &s.queueURL, ReceiptHandle: messages[0].ReceiptHandle}); err != nil {
			t.Fatal(err)
		}
		s.api.forget()
		p = s.api.run(s.dir)
	}
	names := s.executions()
	if len(names) != commits {
		t.Errorf("%d executions, want %d", len(names), commits)
	}
	for _, name := range answer.Executions {
		if !names[name] {
			t.Errorf("%s was not started", name)
		}
	}
}
