// Package sqs is the door for queues of SQS: it asks for messages instead of
// being called, so the service needs no address that AWS can reach.
//
// A message is deleted once the sink has taken all of its events, and not before:
// what a crash leaves undone comes again, and is recognised by its delivery ID.
// One that asks for nothing is deleted with a log line. One that is not
// understood is never deleted: it is left for the queue's dead-letter queue.
//
// Nothing is signed here. What may be sent to the queue is what its access
// policy lets in.
package sqs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"go.uber.org/zap"

	"switchyard/internal/calmlog"
	"switchyard/internal/safetext"
	"switchyard/webhook"
)

const (
	batch    = 10 // the most that SQS hands out at once
	longPoll = 20 * time.Second
	// acceptTimeout bounds one wait for the sink, after which it is asked again.
	acceptTimeout = 8 * time.Second
	// callTimeout bounds a call that does not wait for messages.
	callTimeout = 10 * time.Second
	// lastCalls bounds those by which a queue is left.
	lastCalls = 5 * time.Second
	// firstRetry and lastRetry are how long is waited after calls that fail.
	firstRetry = time.Second
	lastRetry  = time.Minute
	// firstLeave and lastLeave are for how long a message that is not understood
	// is out of the way; each time twice as long.
	firstLeave = 30 * time.Second
	lastLeave  = time.Hour
)

// API is what is called of SQS.
type API interface {
	ReceiveMessage(context.Context, *sqs.ReceiveMessageInput, ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessageBatch(context.Context, *sqs.DeleteMessageBatchInput, ...func(*sqs.Options)) (*sqs.DeleteMessageBatchOutput, error)
	ChangeMessageVisibilityBatch(context.Context, *sqs.ChangeMessageVisibilityBatchInput, ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityBatchOutput, error)
	GetQueueAttributes(context.Context, *sqs.GetQueueAttributesInput, ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error)
}

var _ API = (*sqs.Client)(nil)

// Config is what an operator sets. Zero values take the defaults named here.
type Config struct {
	// Queue is its URL.
	Queue string
	// Receivers is how many ask for messages at once. Default 2.
	Receivers int
	// Visibility is for how long a message that is being worked on is hidden from
	// others; it is extended for as long as the work takes. A crash delays it by
	// as much. From 1 s to 12 h. Default 1 min.
	Visibility time.Duration
}

// Option replaces what wiring or a test supplies.
type Option func(*Poller)

// WithLogger sets where messages are logged; the default is nowhere. Their text
// never is.
func WithLogger(log *zap.Logger) Option {
	return func(p *Poller) { p.log = log.Named("sqs").With(zap.String("source", p.source)) }
}

// WithObserver has f called once for each message with its outcome, as
// [webhook.WithObserver] has it called for each answered request, and whenever
// the sink does not take one.
func WithObserver(f func(source, outcome string, took time.Duration)) Option {
	return func(p *Poller) { p.observe = f }
}

// Poller takes the messages of one queue.
type Poller struct {
	source  string
	api     API
	decoder webhook.Decoder
	sink    webhook.Sink
	cfg     Config
	log     *zap.Logger
	calls   *calmlog.Failures // of SQS
	accepts *calmlog.Failures // of the sink
	observe func(source, outcome string, took time.Duration)
}

// New returns a poller whose events are of the given source.
func New(source string, api API, decoder webhook.Decoder, sink webhook.Sink, cfg Config, opts ...Option) (*Poller, error) {
	if api == nil || decoder == nil || sink == nil {
		return nil, errors.New("sqs: needs an API, a decoder and a sink")
	}
	if err := CheckQueue(cfg.Queue); err != nil {
		return nil, fmt.Errorf("sqs: queue: %w", err)
	}
	if cfg.Receivers == 0 {
		cfg.Receivers = 2
	}
	if cfg.Visibility == 0 {
		cfg.Visibility = time.Minute
	}
	if cfg.Receivers < 0 || cfg.Visibility < time.Second || cfg.Visibility > 12*time.Hour {
		return nil, errors.New("sqs: receivers must be at least 1, and visibility from 1s to 12h")
	}
	p := &Poller{source: source, api: api, decoder: decoder, sink: sink, cfg: cfg, log: zap.NewNop(), observe: func(string, string, time.Duration) {}}
	for _, opt := range opts {
		opt(p)
	}
	p.calls = calmlog.New(p.log, "queue not reached", "the queue is reached again")
	p.accepts = calmlog.New(p.log, "delivery not accepted", "deliveries are accepted again")
	return p, nil
}

// Run takes messages until ctx ends. Then it finishes what the sink is being
// asked to take, deletes what was taken, and gives the rest back to the queue.
func (p *Poller) Run(ctx context.Context) {
	p.lookAtQueue(ctx)
	var receivers sync.WaitGroup
	for range p.cfg.Receivers {
		receivers.Go(func() { p.receive(ctx) })
	}
	receivers.Wait()
}

// lookAtQueue warns of a queue that keeps what is not understood in circulation.
func (p *Poller) lookAtQueue(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	got, err := p.api.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &p.cfg.Queue, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameRedrivePolicy},
	})
	switch {
	case err != nil:
		if ctx.Err() == nil {
			p.log.Info("cannot tell whether the queue has a dead-letter queue", zap.String("queue", p.cfg.Queue), zap.Error(err))
		}
	case got.Attributes[string(types.QueueAttributeNameRedrivePolicy)] == "":
		p.log.Warn("the queue has no dead-letter queue: messages that are not understood come again until they expire, and are lost then; give it a redrive policy", zap.String("queue", p.cfg.Queue))
	}
}

// receive asks for messages, batch after batch.
func (p *Poller) receive(ctx context.Context) {
	wait := firstRetry
	for ctx.Err() == nil {
		got, err := p.api.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: &p.cfg.Queue, MaxNumberOfMessages: batch, WaitTimeSeconds: seconds(longPoll), VisibilityTimeout: seconds(p.cfg.Visibility),
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameApproximateReceiveCount},
		})
		if ctx.Err() != nil && err != nil {
			return // what SQS was about to hand out comes again
		}
		if err != nil {
			p.calls.Failed("receive", errors.New(shown(err.Error())), zap.String("queue", p.cfg.Queue))
			pause(ctx, wait)
			wait = min(2*wait, lastRetry)
			continue
		}
		p.calls.Succeeded("receive")
		wait = firstRetry
		if len(got.Messages) > 0 {
			p.work(ctx, got.Messages)
		}
	}
}

// work takes a batch, in the order in which it came.
func (p *Poller) work(ctx context.Context, messages []types.Message) {
	stopExtending := p.hold(ctx, messages)
	var taken []types.Message
	left := map[time.Duration][]types.Message{}
	for i := range messages {
		m := &messages[i]
		if ctx.Err() != nil {
			left[0] = append(left[0], *m) // for others, at once
			continue
		}
		began := time.Now()
		outcome := p.take(ctx, m)
		switch outcome {
		case "":
			left[0] = append(left[0], *m)
			continue
		case webhook.OutcomeUndecodable, webhook.OutcomeUnsure, webhook.OutcomeFault:
			left[leaveFor(m)] = append(left[leaveFor(m)], *m)
		default:
			taken = append(taken, *m)
		}
		p.observe(p.source, outcome, time.Since(began))
	}
	stopExtending()
	// Whatever ends ctx, what was taken must not come again for that.
	ctx, cancel := outlasting(ctx, lastCalls)
	defer cancel()
	p.remove(ctx, taken)
	for after, some := range left {
		p.hide(ctx, some, after)
	}
}

// outlasting returns a context that ends d after ctx does.
func outlasting(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		pause(longer, d)
		cancel()
	})
	return longer, func() { stop(); cancel() }
}

// leaveFor is for how long a message that is not understood is out of the way.
func leaveFor(m *types.Message) time.Duration {
	count, _ := strconv.Atoi(m.Attributes[string(types.MessageSystemAttributeNameApproximateReceiveCount)])
	return min(firstLeave<<min(max(count-1, 0), 16), lastLeave)
}

// remove deletes messages. Those that it cannot delete come again, and are
// recognised.
func (p *Poller) remove(ctx context.Context, messages []types.Message) {
	if len(messages) == 0 {
		return
	}
	rest := make(map[string]types.DeleteMessageBatchRequestEntry, len(messages))
	for i := range messages {
		id := strconv.Itoa(i)
		rest[id] = types.DeleteMessageBatchRequestEntry{Id: aws.String(id), ReceiptHandle: messages[i].ReceiptHandle}
	}
	var err error
	for try, wait := 0, firstRetry; try < 4 && len(rest) > 0; try++ {
		if try > 0 {
			if !pause(ctx, wait) {
				break
			}
			wait *= 2
		}
		in := &sqs.DeleteMessageBatchInput{QueueUrl: &p.cfg.Queue}
		for _, e := range rest {
			in.Entries = append(in.Entries, e)
		}
		var out *sqs.DeleteMessageBatchOutput
		call, cancel := context.WithTimeout(ctx, callTimeout)
		out, err = p.api.DeleteMessageBatch(call, in)
		cancel()
		if err != nil {
			continue
		}
		for _, done := range out.Successful {
			delete(rest, aws.ToString(done.Id))
		}
		for _, f := range out.Failed {
			err = fmt.Errorf("%s: %s", aws.ToString(f.Code), aws.ToString(f.Message))
		}
	}
	if len(rest) > 0 {
		p.log.Warn("messages that were taken could not be deleted; they come again, and start nothing twice", zap.Int("messages", len(rest)), zap.Error(err))
	}
}

// hide has messages stay hidden for so long from now.
func (p *Poller) hide(ctx context.Context, messages []types.Message, d time.Duration) {
	if len(messages) == 0 {
		return
	}
	in := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &p.cfg.Queue}
	for i := range messages {
		in.Entries = append(in.Entries, types.ChangeMessageVisibilityBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), ReceiptHandle: messages[i].ReceiptHandle, VisibilityTimeout: seconds(d),
		})
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err := p.api.ChangeMessageVisibilityBatch(ctx, in); err != nil && ctx.Err() == nil {
		p.calls.Failed("hide", errors.New(shown(err.Error())), zap.String("queue", p.cfg.Queue))
		return
	}
	p.calls.Succeeded("hide")
}

// hold keeps a batch hidden, for as long as it takes, until stop is called.
func (p *Poller) hold(ctx context.Context, messages []types.Message) (stop func()) {
	// Interrupted work is finished.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var extending sync.WaitGroup
	extending.Go(func() {
		for pause(ctx, p.cfg.Visibility/3) {
			p.hide(ctx, messages, p.cfg.Visibility)
		}
	})
	return func() { cancel(); extending.Wait() }
}

func seconds(d time.Duration) int32 { return int32(d / time.Second) }

// pause reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func shown(s string) string { return safetext.Cut(safetext.Line(s), 300) }
