//go:build unix

package sqs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"switchyard/internal/awsaccess"
	"switchyard/internal/awstest"
	"switchyard/webhook/sqs"
)

// A queue that we did not write hands out, hides, deletes and gives up messages
// as the poller counts on.
func TestPollerAgainstMoto(t *testing.T) {
	url := awstest.Moto(t)
	awstest.Isolate(t)
	ctx := t.Context()
	// FIPS is of the credentials' service; the queue is where its URL says.
	client, err := sqs.Dial(ctx, awsaccess.Settings{Region: "eu-west-1", FIPS: true}, url+"/123456789012/switchyard")
	if err != nil {
		t.Fatal(err)
	}
	dead, err := client.CreateQueue(ctx, &awssqs.CreateQueueInput{QueueName: aws.String("dead")})
	if err != nil {
		t.Fatal(err)
	}
	redrive, err := json.Marshal(map[string]string{"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:123456789012:dead", "maxReceiveCount": "1"})
	if err != nil {
		t.Fatal(err)
	}
	made, err := client.CreateQueue(ctx, &awssqs.CreateQueueInput{QueueName: aws.String("switchyard"), Attributes: map[string]string{"RedrivePolicy": string(redrive)}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 25 {
		if _, err := client.SendMessage(ctx, &awssqs.SendMessageInput{QueueUrl: made.QueueUrl, MessageBody: aws.String(fmt.Sprint("n-", i))}); err != nil {
			t.Fatal(err)
		}
	}
	for _, body := range []string{"ignored", "bad"} {
		if _, err := client.SendMessage(ctx, &awssqs.SendMessageInput{QueueUrl: made.QueueUrl, MessageBody: &body}); err != nil {
			t.Fatal(err)
		}
	}
	j := &journal{}
	p, err := sqs.New("codecommit", client, words{}, j, sqs.Config{Queue: *made.QueueUrl, Visibility: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	polling, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); p.Run(polling) }()
	deadline := time.After(2 * time.Minute)
	for len(j.has()) < 25 {
		select {
		case <-deadline:
			t.Fatalf("taken: %q", j.has())
		case <-time.After(20 * time.Millisecond):
		}
	}
	stop()
	<-done
	hidden := attribute(t, client, *made.QueueUrl, types.QueueAttributeNameApproximateNumberOfMessagesNotVisible)
	waiting := attribute(t, client, *made.QueueUrl, types.QueueAttributeNameApproximateNumberOfMessages)
	if hidden != "1" || waiting != "0" {
		t.Errorf("%s messages are hidden and %s wait; the one that is not understood should be", hidden, waiting)
	}
	// Nobody else is handed it meanwhile.
	got, err := client.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{QueueUrl: made.QueueUrl})
	if err != nil || len(got.Messages) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if n := attribute(t, client, *dead.QueueUrl, types.QueueAttributeNameApproximateNumberOfMessages); n != "0" {
		t.Errorf("%s messages are dead before their time", n)
	}
}

func attribute(t *testing.T, client *awssqs.Client, queue string, name types.QueueAttributeName) string {
	t.Helper()
	got, err := client.GetQueueAttributes(t.Context(), &awssqs.GetQueueAttributesInput{QueueUrl: &queue, AttributeNames: []types.QueueAttributeName{name}})
	if err != nil {
		t.Fatal(err)
	}
	return got.Attributes[string(name)]
}
