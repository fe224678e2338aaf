//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"switchyard/dispatch"
	"switchyard/internal/awstest"
	"switchyard/internal/codecommittest"
)

// An instant at which the service is killed, seen from the queue.
type instant struct {
	op string // the call of SQS
	// served says whether SQS has served the call, and told whether the service
	// knows.
	served, told bool
	after        time.Duration
}

// gate stands between the service and the queue. At the instant that it is set
// to, it says so, and holds the call until it is released.
type gate struct {
	proxy *httputil.ReverseProxy

	mu       sync.Mutex
	at       *instant
	hit      chan struct{}
	released chan struct{}
}

func newGate(t *testing.T, to string) (*gate, string) {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{proxy: httputil.NewSingleHostReverseProxy(target)}
	g.proxy.ErrorLog = log.New(io.Discard, "", 0) // killed clients go away
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	return g, server.URL
}

// set has the gate wait for an instant; hit is told once it has come.
func (g *gate) set(at instant) (hit <-chan struct{}, release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at, g.hit, g.released = &at, make(chan struct{}), make(chan struct{})
	released := g.released
	return g.hit, sync.OnceFunc(func() { close(released) })
}

// reached reports whether this is the instant, which comes once.
func (g *gate) reached(at instant) (hit, released chan struct{}, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.at == nil || *g.at != at {
		return nil, nil, false
	}
	g.at = nil
	return g.hit, g.released, true
}

func (g *gate) wait(at instant) {
	if hit, released, ok := g.reached(at); ok {
		close(hit)
		<-released
	}
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS.")
	g.wait(instant{op: op})
	answer := httptest.NewRecorder()
	g.proxy.ServeHTTP(answer, r)
	if op == "ReceiveMessage" && !strings.Contains(answer.Body.String(), "ReceiptHandle") {
		op = "" // nothing was handed out
	}
	g.wait(instant{op: op, served: true})
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // the service may be dead
	g.mu.Lock()
	at := g.at
	g.mu.Unlock()
	if at == nil || at.op != op || !at.told {
		return
	}
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	if hit, _, ok := g.reached(*at); ok {
		time.AfterFunc(at.after, func() { close(hit) })
	}
}

// freePort is an address that nobody listens at.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// The process is killed between a message's arrival and its deletion, at each
// step and at odd moments. No commit is lost, and the engine starts none twice.
func TestKilledServiceLosesNoMessageOfAQueue(t *testing.T) {
	moto := awstest.Moto(t)
	awstest.Isolate(t)
	t.Setenv("AWS_ACCESS_KEY_ID", codecommittest.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", codecommittest.SecretKey)
	hosts := codecommittest.New(t)
	repo := codecommittest.NewRepo(t, "app")
	hosts.Add(repo)
	queue := sqs.New(sqs.Options{Region: "eu-west-1", BaseEndpoint: &moto,
		Credentials: credentials.NewStaticCredentialsProvider(codecommittest.AccessKey, codecommittest.SecretKey, "")})
	made, err := queue.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("switchyard")})
	if err != nil {
		t.Fatal(err)
	}
	g, front := newGate(t, moto)
	engine := freePort(t)
	dir := t.TempDir()
	p := newProcess(t, dir, `{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}`, fmt.Sprintf("engine: {embedded: {listen: %q, auth: none}}", engine))
	file := filepath.Join(dir, "switchyard.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	source := fmt.Sprintf(`sources: {codecommit: {region: eu-west-1, account: "123456789012", endpoint: %q, sqs: {queue: %q, visibility: 2s}}}`, hosts.URL, front+"/123456789012/switchyard")
	settings := strings.Replace(string(text), fmt.Sprintf("sources: {github: {secrets: [%q]}}", processSecret), source, 1)
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}

	var commits []string
	before := repo.Commit("main", "base", map[string]string{"a": "0"})
	send := func(body string) {
		t.Helper()
		if _, err := queue.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: made.QueueUrl, MessageBody: &body}); err != nil {
			t.Fatal(err)
		}
	}
	// push makes a push of two commits, which EventBridge tells of, once itself,
	// once through SNS, and once twice.
	push := func() {
		t.Helper()
		n := len(commits)
		one := repo.Commit("main", fmt.Sprint(n), map[string]string{"a": fmt.Sprint(n, "a")})
		two := repo.Commit("main", fmt.Sprint(n+1), map[string]string{"a": fmt.Sprint(n, "b")})
		commits = append(commits, one, two)
		event := fmt.Sprintf(`{"version":"0","id":"e-%d","detail-type":"CodeCommit Repository State Change","source":"aws.codecommit","account":"123456789012","region":"eu-west-1",`+
			`"detail":{"event":"referenceUpdated","repositoryName":"app","referenceFullName":"refs/heads/main","commitId":%q,"oldCommitId":%q}}`, n, two, before)
		before = two
		envelope, err := json.Marshal(map[string]string{"Type": "Notification", "MessageId": fmt.Sprint("m-", n), "TopicArn": "arn:aws:sns:eu-west-1:123456789012:t", "Message": event})
		if err != nil {
			t.Fatal(err)
		}
		switch n / 2 % 3 {
		case 0:
			send(event)
		case 1:
			send(string(envelope))
		default:
			send(event)
			send(event)
		}
	}

	p.start()
	for i, at := range []instant{
		{op: "ReceiveMessage", served: true},                                           // handed out, and never arrived
		{op: "ReceiveMessage", served: true, told: true},                               // arrived
		{op: "ReceiveMessage", served: true, told: true, after: time.Millisecond},      // being decoded or accepted
		{op: "ReceiveMessage", served: true, told: true, after: 3 * time.Millisecond},  // being written or deleted
		{op: "ReceiveMessage", served: true, told: true, after: 10 * time.Millisecond}, // being expanded or started
		{op: "DeleteMessageBatch"},                                                     // accepted, and not deleted
		{op: "DeleteMessageBatch", served: true},                                       // deleted, and not told so
		{op: "DeleteMessageBatch", served: true, told: true},                           // done with the queue
	} {
		hit, release := g.set(at)
		push()
		push()
		push()
		select {
		case <-hit:
		case <-time.After(time.Minute):
			t.Fatalf("instant %d, %+v, does not come", i, at)
		}
		p.end(syscall.SIGKILL)
		release()
		p.start()
	}

	p.eventually("every commit has run", func() bool {
		ended := 0
		for _, x := range p.executions() {
			if x.State == dispatch.StateSucceeded {
				ended++
			}
		}
		return ended == len(commits)
	})
	p.eventually("the queue is empty", func() bool {
		got, err := queue.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: made.QueueUrl, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}})
		if err != nil {
			t.Fatal(err)
		}
		return got.Attributes["ApproximateNumberOfMessages"] == "0" && got.Attributes["ApproximateNumberOfMessagesNotVisible"] == "0"
	})
	all := p.executions()
	for _, sha := range commits {
		if x, ok := all[sha]; !ok || x.Attempt > 1 {
			t.Errorf("%s: %+v", sha, x)
		}
	}
	if n := countExecutions(t, engine, all); n != len(commits) {
		t.Errorf("the engine has %d executions of %d commits", n, len(commits))
	}
	if len(commits) != 8*3*2 {
		t.Errorf("%d commits", len(commits))
	}
}

// countExecutions asks the engine how many it has started.
func countExecutions(t *testing.T, engine string, of map[string]dispatch.Execution) int {
	t.Helper()
	client := sfn.New(sfn.Options{Region: "us-east-1", BaseEndpoint: aws.String("http://" + engine), Credentials: aws.AnonymousCredentials{}})
	machines, err := client.ListStateMachines(t.Context(), &sfn.ListStateMachinesInput{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range machines.StateMachines {
		pages := sfn.NewListExecutionsPaginator(client, &sfn.ListExecutionsInput{StateMachineArn: m.StateMachineArn})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			n += len(page.Executions)
		}
	}
	return n
}
