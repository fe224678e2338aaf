package sqs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// queue keeps messages as SQS does: hidden once they are handed out, until the
// time is up or they are deleted. It counts what was asked of it.
type queue struct {
	mu       sync.Mutex
	messages []*queued
	redrive  string
	came     chan struct{}
	// faults are errors for the next calls, by operation.
	faults map[string][]error
	// hangs are operations that get no answer.
	hangs map[string]bool
	// failing are the receipt handles whose next deletion fails.
	failing map[string]bool
	calls   map[string]int
	hidden  []string
}

type queued struct {
	body     string
	received int
	from     time.Time // when it can be seen
	deleted  bool
}

func newQueue(bodies ...string) *queue {
	q := &queue{redrive: `{"maxReceiveCount":5}`, came: make(chan struct{}, 1), faults: map[string][]error{}, failing: map[string]bool{}, calls: map[string]int{}}
	q.send(bodies...)
	return q
}

func (q *queue) send(bodies ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, body := range bodies {
		q.messages = append(q.messages, &queued{body: body})
	}
	select {
	case q.came <- struct{}{}:
	default:
	}
}

// call counts a call and returns the error that it is to have.
func (q *queue) call(op string) error {
	q.calls[op]++
	if errs := q.faults[op]; len(errs) > 0 {
		q.faults[op] = errs[1:]
		return errs[0]
	}
	return nil
}

// left are the bodies of the messages that are not deleted.
func (q *queue) left() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var left []string
	for _, m := range q.messages {
		if !m.deleted {
			left = append(left, m.body)
		}
	}
	return left
}

func (q *queue) count(op string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.calls[op]
}

func (q *queue) receivedTimes(body string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, m := range q.messages {
		if m.body == body {
			n += m.received
		}
	}
	return n
}

func (q *queue) ReceiveMessage(ctx context.Context, in *awssqs.ReceiveMessageInput, _ ...func(*awssqs.Options)) (*awssqs.ReceiveMessageOutput, error) {
	deadline := time.Now().Add(time.Duration(in.WaitTimeSeconds) * time.Second)
	for {
		q.mu.Lock()
		if err := q.call("receive"); err != nil {
			q.mu.Unlock()
			return nil, err
		}
		q.calls["receive"]--
		out := new(awssqs.ReceiveMessageOutput)
		now, next := time.Now(), deadline
		for i, m := range q.messages {
			switch {
			case m.deleted || len(out.Messages) == int(in.MaxNumberOfMessages):
			case m.from.After(now):
				if m.from.Before(next) {
					next = m.from
				}
			default:
				m.received++
				m.from = now.Add(time.Duration(in.VisibilityTimeout) * time.Second)
				out.Messages = append(out.Messages, types.Message{
					MessageId: aws.String(fmt.Sprint("m-", i)), Body: aws.String(m.body), ReceiptHandle: aws.String(fmt.Sprintf("%d/%d", i, m.received)),
					Attributes: map[string]string{"ApproximateReceiveCount": strconv.Itoa(m.received)},
				})
			}
		}
		if len(out.Messages) > 0 || !now.Before(deadline) {
			q.calls["receive"]++
		}
		q.mu.Unlock()
		if len(out.Messages) > 0 || !now.Before(deadline) {
			return out, nil
		}
		t := time.NewTimer(next.Sub(now))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		case <-q.came:
		case <-t.C:
		}
		t.Stop()
	}
}

// of finds the message of a receipt handle, which is void once it was handed out
// again.
func (q *queue) of(handle *string) (*queued, error) {
	at, n, _ := strings.Cut(aws.ToString(handle), "/")
	i, err := strconv.Atoi(at)
	if err != nil {
		return nil, err
	}
	if m := q.messages[i]; strconv.Itoa(m.received) == n {
		return m, nil
	}
	return nil, errors.New("ReceiptHandleIsInvalid")
}

func (q *queue) DeleteMessageBatch(ctx context.Context, in *awssqs.DeleteMessageBatchInput, _ ...func(*awssqs.Options)) (*awssqs.DeleteMessageBatchOutput, error) {
	if q.hangs["delete"] {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := errors.Join(ctx.Err(), q.call("delete")); err != nil {
		return nil, err
	}
	out := new(awssqs.DeleteMessageBatchOutput)
	for _, e := range in.Entries {
		m, err := q.of(e.ReceiptHandle)
		if err != nil || q.failing[*e.ReceiptHandle] {
			delete(q.failing, *e.ReceiptHandle)
			out.Failed = append(out.Failed, types.BatchResultErrorEntry{Id: e.Id, Code: aws.String("InternalError")})
			continue
		}
		m.deleted = true
		out.Successful = append(out.Successful, types.DeleteMessageBatchResultEntry{Id: e.Id})
	}
	return out, nil
}

func (q *queue) ChangeMessageVisibilityBatch(ctx context.Context, in *awssqs.ChangeMessageVisibilityBatchInput, _ ...func(*awssqs.Options)) (*awssqs.ChangeMessageVisibilityBatchOutput, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := errors.Join(ctx.Err(), q.call("hide")); err != nil {
		return nil, err
	}
	for _, e := range in.Entries {
		if m, err := q.of(e.ReceiptHandle); err == nil {
			m.from = time.Now().Add(time.Duration(e.VisibilityTimeout) * time.Second)
			q.hidden = append(q.hidden, fmt.Sprintf("%s %ds", m.body, e.VisibilityTimeout))
		}
	}
	return new(awssqs.ChangeMessageVisibilityBatchOutput), nil
}

func (q *queue) GetQueueAttributes(context.Context, *awssqs.GetQueueAttributesInput, ...func(*awssqs.Options)) (*awssqs.GetQueueAttributesOutput, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := &awssqs.GetQueueAttributesOutput{Attributes: map[string]string{}}
	if q.redrive != "" {
		out.Attributes["RedrivePolicy"] = q.redrive
	}
	return out, q.call("attributes")
}

func (q *queue) hides() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.hidden)
}
