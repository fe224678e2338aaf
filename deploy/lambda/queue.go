package lambda

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// maxMessage is the largest message that every queue takes, in bytes, however
// old; see "Amazon SQS message quotas". Larger deliveries go to S3 where there is
// a bucket. Without one they are put on the queue all the same: new queues take a
// megabyte.
const maxMessage = 256 << 10

// QueueAPI is the part of [*sqs.Client] that is used.
type QueueAPI interface {
	SendMessage(context.Context, *sqs.SendMessageInput, ...func(*sqs.Options)) (*sqs.SendMessageOutput, error)
	ChangeMessageVisibility(context.Context, *sqs.ChangeMessageVisibilityInput, ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityOutput, error)
}

// BucketAPI is the part of [*s3.Client] that is used.
type BucketAPI interface {
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
}

// Store is where deliveries wait between the request that brought them and the
// start of their executions. It is safe for concurrent use.
type Store struct {
	Queue QueueAPI
	// URL is the queue's.
	URL string
	// Objects holds deliveries that are too large for a message, in Bucket. Nil
	// where there is none. Who sets up the bucket has objects expire once the
	// queue's retention is over.
	Objects BucketAPI
	Bucket  string
}

// message is what is on the queue: an event, or where it is.
type message struct {
	Event  *event.Event `json:"event,omitempty"`
	Object *object      `json:"object,omitempty"`
}

type object struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
}

// put puts an event on the queue, durably, when it returns nil.
func (s *Store) put(ctx context.Context, ev *event.Event) error {
	text, err := json.Marshal(message{Event: ev})
	if err != nil {
		return fmt.Errorf("encode the delivery: %w", err)
	}
	if len(text) > maxMessage && s.Objects != nil {
		sum := sha256.Sum256(text)
		o := &object{s.Bucket, "deliveries/" + hex.EncodeToString(sum[:]) + ".json"}
		if _, err := s.Objects.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &o.Bucket, Key: &o.Key, Body: bytes.NewReader(text), ContentType: aws.String("application/json"),
		}); err != nil {
			return fmt.Errorf("put a delivery of %d bytes into bucket %s: %v", len(text), s.Bucket, err)
		}
		if text, err = json.Marshal(message{Object: o}); err != nil {
			return fmt.Errorf("encode the delivery: %w", err)
		}
	}
	if _, err := s.Queue.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &s.URL, MessageBody: aws.String(string(text))}); err != nil {
		return fmt.Errorf("put a delivery of %d bytes on queue %s: %v", len(text), s.URL, err)
	}
	return nil
}

// take reads what is on the queue. It returns nil for a message that put has not
// made.
func (s *Store) take(ctx context.Context, body string) (*event.Event, error) {
	var m message
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		return nil, nil //nolint:nilerr // not of put
	}
	if at := m.Object; at != nil {
		if s.Objects == nil {
			return nil, fmt.Errorf("the delivery is in bucket %s, and serverless.bucket is not set", at.Bucket)
		}
		out, err := s.Objects.GetObject(ctx, &s3.GetObjectInput{Bucket: &at.Bucket, Key: &at.Key})
		if err != nil {
			return nil, fmt.Errorf("get s3://%s/%s: %v", at.Bucket, at.Key, err)
		}
		defer out.Body.Close()
		text, err := io.ReadAll(out.Body)
		if err != nil {
			return nil, fmt.Errorf("read s3://%s/%s: %v", at.Bucket, at.Key, err)
		}
		m = message{}
		if err := json.Unmarshal(text, &m); err != nil {
			return nil, fmt.Errorf("s3://%s/%s holds no delivery: %w", at.Bucket, at.Key, err)
		}
	}
	return m.Event, nil
}

// Sink takes deliveries from the doors. It is a webhook.Sink.
type Sink struct {
	Store *Store
	// Planner names the executions in the answer; what starts them plans anew.
	Planner dispatch.Planner
	Metrics *Metrics
}

// Accept puts the delivery on the queue. Deliveries that come twice are put there
// twice: their executions have the same names, and start once.
func (s *Sink) Accept(ctx context.Context, ev event.Event) (event.Receipt, error) {
	r := event.Receipt{Delivery: dispatch.DeliveryID(ev.Source, ev.DeliveryID)}
	if err := s.Store.put(ctx, &ev); err != nil {
		return r, err
	}
	s.Metrics.count(metricDeliveries)
	plan := s.Planner.Plan(ev)
	for i := range plan.Requests {
		r.Executions = append(r.Executions, plan.Requests[i].ID)
	}
	switch {
	case ev.Kind == event.Command:
		r.Note = "the command is carried out if its author may write to the repository"
	case ev.Truncated && (plan.Unlisted || ev.Kind == event.Push):
		r.Note = "the delivery lists a part of its commits; the host is asked for the others before any is started"
	case len(plan.Requests) == 0:
		r.Ignored = dispatch.Summary(plan.Ignored)
	}
	return r, nil
}
