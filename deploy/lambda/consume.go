package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"go.uber.org/zap"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

const (
	// starts is how many executions are started at once.
	starts = 16
	// reserve is how much of the invocation's time is left for the answer.
	reserve = 3 * time.Second
	// firstPause and longestPause bound how long a message stays hidden that is
	// given back, doubled with each time it was received: the queue's own
	// visibility timeout is for a function that died.
	firstPause   = 10 * time.Second
	longestPause = 15 * time.Minute
)

// Engine starts executions, as dispatch.Engine does.
type Engine interface {
	Start(ctx context.Context, stateMachine, name string, input []byte) (dispatch.Started, error)
	Describe(ctx context.Context, executionARN string) (event.Outcome, error)
}

// Decoder makes events of a message that no [Sink] has put on the queue, such as
// CodeCommit's from EventBridge or SNS. One that is of no use to it is a
// *webhook.Ignored error.
type Decoder func(body string) ([]event.Event, error)

// Consumer works on the messages of the queue. A message is done once every
// execution that it asks for has been started; until then it is given back, and
// in the end it is in the queue's dead-letter queue. Doing a message again starts
// nothing again: the names of executions are what their commits are.
type Consumer struct {
	Store   *Store
	Engine  Engine
	Planner dispatch.Planner
	// Host is asked for what deliveries leave out.
	Host dispatch.Host
	// Decode may be nil.
	Decode Decoder
	// Ignored reports whether an error of Decode means that there is nothing to
	// do.
	Ignored func(error) bool
	// Commands carries out commands; nil where nobody's are.
	Commands *Commands
	// Changes takes the status changes on the queue; it may be nil.
	Changes *Reporter
	Metrics *Metrics
	Log     *zap.Logger
}

// consume answers with the messages that are to come again.
func (c *Consumer) consume(ctx context.Context, payload []byte) ([]byte, error) {
	var batch events.SQSEvent
	if err := json.Unmarshal(payload, &batch); err != nil {
		return nil, fmt.Errorf("the event is not a batch of messages: %w", err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-reserve))
		defer cancel()
	}
	var mu sync.Mutex
	answer := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	var work sync.WaitGroup
	slots := make(chan struct{}, starts)
	for i := range batch.Records {
		m := &batch.Records[i]
		work.Go(func() {
			err := dispatch.Guard(func() error { return c.work(ctx, m, slots) })
			if err == nil {
				return
			}
			c.giveBack(m, err)
			mu.Lock()
			defer mu.Unlock()
			answer.BatchItemFailures = append(answer.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
		})
	}
	work.Wait()
	return json.Marshal(answer)
}

// work does one message.
func (c *Consumer) work(ctx context.Context, m *events.SQSMessage, slots chan struct{}) error {
	ev, err := c.Store.take(ctx, m.Body)
	if err != nil {
		return err
	}
	if ev != nil {
		if ev.Kind == event.Command {
			return c.command(ctx, ev, sent(m), received(m), slots)
		}
		return c.deliver(ctx, ev, received(m), slots)
	}
	if c.Changes != nil && c.Changes.knows(m.Body) {
		return c.Changes.Report(ctx, []byte(m.Body))
	}
	if c.Decode == nil {
		return errors.New("the message holds no delivery, and no source takes messages of this queue")
	}
	evs, err := c.Decode(m.Body)
	if err != nil {
		if c.Ignored != nil && c.Ignored(err) {
			c.Log.Info("a message asks for nothing", zap.String("message_id", m.MessageId), zap.String("reason", err.Error()))
			return nil
		}
		return err
	}
	for i := range evs {
		if err := c.deliver(ctx, &evs[i], received(m), slots); err != nil {
			return err
		}
	}
	return nil
}

// sent is when a message was put on the queue, in milliseconds as the executions of
// the engine are.
func sent(m *events.SQSMessage) time.Time {
	ms, err := strconv.ParseInt(m.Attributes["SentTimestamp"], 10, 64)
	if err != nil {
		return time.Now()
	}
	return time.UnixMilli(ms)
}

// received is how often a message has been received before.
func received(m *events.SQSMessage) int {
	n, err := strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	if err != nil {
		return 0
	}
	return max(n-1, 0)
}

// deliver starts an execution of every commit of a delivery.
func (c *Consumer) deliver(ctx context.Context, ev *event.Event, tries int, slots chan struct{}) error {
	plan, err := c.startAll(ctx, ev, tries, slots)
	if err != nil {
		return err
	}
	return c.unlabel(ctx, ev, plan.Outdated)
}

// unlabel takes labels off that speak for an older commit of a pull request.
func (c *Consumer) unlabel(ctx context.Context, ev *event.Event, outdated []string) error {
	if c.Commands == nil || ev.PullRequest == nil || ev.Late || len(outdated) == 0 {
		return nil
	}
	if c.Commands.Commander.RefusesCommands(ev.Source) != nil {
		return nil //nolint:nilerr // nobody can be asked
	}
	for _, label := range outdated {
		a := dispatch.Answer{Source: ev.Source, Repository: ev.Repository.FullName, PullRequest: ev.PullRequest.Number, Unlabel: label, Head: ev.After}
		err := dispatch.Give(ctx, c.Commands.Commander, &a)
		if errors.Is(err, dispatch.ErrCannotAsk) || errors.As(err, new(*dispatch.PermanentError)) {
			c.Log.Warn("a label that speaks for an older commit stays", zap.String("repo", a.Repository), zap.Int("pull_request", a.PullRequest), zap.Error(err))
			continue
		}
		if err != nil {
			return fmt.Errorf("delivery %s: %w", dispatch.DeliveryID(ev.Source, ev.DeliveryID), err)
		}
	}
	return nil
}

// startAll starts what routes make of an event, and returns that.
func (c *Consumer) startAll(ctx context.Context, ev *event.Event, tries int, slots chan struct{}) (event.Plan, error) {
	id := dispatch.DeliveryID(ev.Source, ev.DeliveryID)
	plan, unknown, err := dispatch.Complete(ctx, c.Host, c.Planner, ev, tries)
	if err != nil {
		return plan, fmt.Errorf("delivery %s: %w", id, err)
	}
	for _, i := range append(unknown, plan.Ignored...) {
		c.Log.Info("nothing is started", zap.String("delivery_id", id), zap.String("repo", ev.Repository.FullName),
			zap.String("route", i.Route), zap.String("commit", i.Commit), zap.String("reason", i.Reason))
	}
	var mu sync.Mutex
	var failed []error
	var work sync.WaitGroup
	for i := range plan.Requests {
		r := &plan.Requests[i]
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			mu.Lock()
			failed = append(failed, fmt.Errorf("time is up before %s and %d more were started", r.ID, len(plan.Requests)-i-1))
			mu.Unlock()
		}
		if ctx.Err() != nil {
			break
		}
		work.Go(func() {
			defer func() { <-slots }()
			err := dispatch.Guard(func() error { return c.start(ctx, id, r) })
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, err)
			}
		})
	}
	work.Wait()
	if len(failed) > 0 {
		return plan, fmt.Errorf("delivery %s: %d of %d executions not started: %w", id, len(failed), len(plan.Requests), worst(failed))
	}
	return plan, nil
}

// worst is the error that says how long to wait, else the first.
func worst(errs []error) error {
	for _, err := range errs {
		if errors.As(err, new(*dispatch.ThrottledError)) {
			return err
		}
	}
	return errs[0]
}

// start starts one execution. It is tried again within the invocation while the
// engine asks for fewer calls, and left to the queue after any other failure.
func (c *Consumer) start(ctx context.Context, delivery string, r *event.Request) error {
	for pause := 200 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		started, err := c.Engine.Start(ctx, r.StateMachine, r.ID, r.Input)
		if err == nil {
			name := metricStarted
			if started.Existed {
				name = metricExisted
			}
			c.Metrics.count(name)
			c.Log.Info("started", zap.String("delivery_id", delivery), zap.String("execution", r.ID), zap.String("repo", r.Repository),
				zap.String("route", r.Route), zap.Bool("existed", started.Existed), zap.String("reason", r.Reason))
			return nil
		}
		var throttled *dispatch.ThrottledError
		if !errors.As(err, &throttled) {
			return fmt.Errorf("start %s: %w", r.ID, err)
		}
		timer := time.NewTimer(max(pause, throttled.After))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("start %s: %w", r.ID, err)
		}
	}
}

// pauseAfter is how long a message stays hidden that was received tries times before.
func pauseAfter(tries int) time.Duration {
	if tries < 7 {
		return min(longestPause, firstPause<<tries)
	}
	return longestPause
}

// giveBack hides a message until it is worth trying again. Where that fails the
// queue's own visibility timeout holds.
func (c *Consumer) giveBack(m *events.SQSMessage, why error) {
	tries := received(m)
	pause := pauseAfter(tries)
	c.Log.Error("a message is given back; it comes again", zap.String("message_id", m.MessageId), zap.Int("attempt", tries+1),
		zap.Duration("wait", pause), zap.Error(why))
	// The invocation's time may be up.
	ctx, cancel := context.WithTimeout(context.Background(), reserve-time.Second)
	defer cancel()
	if _, err := c.Store.Queue.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &c.Store.URL, ReceiptHandle: &m.ReceiptHandle, VisibilityTimeout: int32(pause / time.Second),
	}); err != nil {
		c.Log.Warn("a message's visibility can't be set; the queue's own timeout holds", zap.String("message_id", m.MessageId), zap.Error(err))
	}
}
