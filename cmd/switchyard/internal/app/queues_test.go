//go:build unix

package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"switchyard/dispatch"
	"switchyard/internal/awstest"
)

// sqsQueues makes queues and says where they are.
type sqsQueues struct {
	*sqs.Client
	t   *testing.T
	url string
}

func newSQS(t *testing.T, region string) *sqsQueues {
	t.Helper()
	url := awstest.Moto(t)
	return &sqsQueues{t: t, url: url, Client: sqs.New(sqs.Options{Region: region, BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")})}
}

func (q *sqsQueues) make(name string) (url string) {
	q.t.Helper()
	made, err := q.CreateQueue(q.t.Context(), &sqs.CreateQueueInput{QueueName: &name})
	if err != nil {
		q.t.Fatal(err)
	}
	return aws.ToString(made.QueueUrl)
}

func (q *sqsQueues) send(queue string, body []byte) {
	q.t.Helper()
	if _, err := q.SendMessage(q.t.Context(), &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: aws.String(string(body))}); err != nil {
		q.t.Fatal(err)
	}
}

// holds is how many messages a queue has, hidden ones included.
func (q *sqsQueues) holds(queue string) int {
	q.t.Helper()
	got, err := q.GetQueueAttributes(q.t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &queue, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}})
	if err != nil {
		q.t.Fatal(err)
	}
	n := 0
	for _, name := range []string{"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"} {
		var some int
		_, _ = fmt.Sscan(got.Attributes[name], &some)
		n += some
	}
	return n
}

// A reload asks other queues, and goes on with what the former had handed out.
func TestQueuesFollowTheConfig(t *testing.T) {
	queues := newSQS(t, "us-east-2")
	awstest.Isolate(t)
	one, two := queues.make("one"), queues.make("two")
	with := func(queue string) string {
		return fmt.Sprintf(`
server: {listen: "127.0.0.1:0"}
data_dir: data
sources: {codecommit: {region: us-east-2, account: "123456789012", sqs: {queue: %q}}}
state_machines: {test: {definition: test.asl.json}}
routes: [{name: all, tags: ["**"], branches: ["**"], on: [push, pull_request], commits: head, state_machine: test}]
`, queue)
	}
	dir := t.TempDir()
	s := startWith(t, dir, with(one), instant)
	if status, body := s.post(t, "codecommit", "", codeCommitEvent(t, "tag-created.json")); status != http.StatusNotFound {
		t.Errorf("a source without an HTTP door answers %d %s", status, body)
	}
	queues.send(one, codeCommitEvent(t, "tag-created.json"))
	queues.send(one, codeCommitEvent(t, "pr-comment.json"))
	queues.send(two, codeCommitEvent(t, "pr-created.json"))
	s.are(t, dispatch.StateSucceeded, 1)
	eventually(t, "the first queue is empty", func() bool { return queues.holds(one) == 0 })
	if n := queues.holds(two); n != 1 {
		t.Errorf("the queue that nobody asks has %d messages", n)
	}
	if err := s.Reload(t.Context(), load(t, dir, with(two), instant)); err != nil {
		t.Fatal(err)
	}
	s.are(t, dispatch.StateSucceeded, 2)
	eventually(t, "the second queue is empty", func() bool { return queues.holds(two) == 0 })
	eventually(t, "the metrics count messages", func() bool {
		_, text := s.get(t, "/metrics")
		return strings.Contains(text, `switchyard_deliveries_total{outcome="accepted",source="codecommit"} 2`) &&
			strings.Contains(text, `switchyard_deliveries_total{outcome="ignored",source="codecommit"} 1`)
	})
	s.stop()
	queues.send(one, codeCommitEvent(t, "tag-created.json"))
	if n := queues.holds(one); n != 1 {
		t.Errorf("after the end the queue has %d messages", n)
	}
}

func TestStatusEventsComeThroughAQueue(t *testing.T) {
	queues := newSQS(t, "eu-west-1")
	f := newStepFunctions(t)
	states := queues.make("states")
	text := strings.Replace(fmt.Sprintf(awsSettings, secret, f.serve()), "{region: eu-west-1,", fmt.Sprintf("{status_events: {sqs: {queue: %q}}, region: eu-west-1,", states), 1)
	s := startWith(t, t.TempDir(), text, "")
	s.deliver(t, "d1", push("main", "one"))
	x := s.are(t, dispatch.StateRunning, 1)[0]
	queues.send(states, statusEvent(&x))
	queues.send(states, codeCommitEvent(t, "reference-updated.json"))
	s.are(t, dispatch.StateSucceeded, 1)
	eventually(t, "the queue is empty", func() bool { return queues.holds(states) == 0 })
}
