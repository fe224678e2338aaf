package sqs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/sqs"
)

const queueURL = "https://sqs.eu-west-1.amazonaws.com/123456789012/switchyard"

// words makes an event of each word; some are not events.
type words struct{}

func (words) DecodeMessage(text []byte) ([]event.Event, error) {
	var evs []event.Event
	for word := range strings.FieldsSeq(string(text)) {
		evs = append(evs, event.Event{DeliveryID: word})
	}
	switch {
	case strings.HasPrefix(string(text), "ignored"):
		return evs, &webhook.Ignored{Reason: "of no use"}
	case strings.HasPrefix(string(text), "bad"):
		return nil, errors.New("what is \x1b[2J this")
	case strings.HasPrefix(string(text), "unsure"):
		return nil, &webhook.UnsureError{Err: errors.New("the journal is busy")}
	case strings.HasPrefix(string(text), "panic"):
		panic("a secret: hunter2")
	}
	return evs, nil
}

// journal is a sink that keeps each delivery once. fail, unless nil, is asked
// first.
type journal struct {
	mu   sync.Mutex
	kept []string
	asks int
	fail func(ctx context.Context, id string) error
}

func (j *journal) Accept(ctx context.Context, ev event.Event) (event.Receipt, error) {
	j.mu.Lock()
	j.asks++
	fail := j.fail
	j.mu.Unlock()
	if fail != nil {
		if err := fail(ctx, ev.DeliveryID); err != nil {
			return event.Receipt{}, err
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	receipt := event.Receipt{Delivery: ev.DeliveryID, Executions: []string{"x"}, Duplicate: slices.Contains(j.kept, ev.DeliveryID)}
	if ev.Source != "codecommit" {
		return receipt, fmt.Errorf("source %q", ev.Source)
	}
	if !receipt.Duplicate {
		j.kept = append(j.kept, ev.DeliveryID)
	}
	return receipt, nil
}

func (j *journal) has() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.kept)
}

func (j *journal) asked() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.asks
}

// polling is a poller that runs until stop is called, which returns when it has
// ended.
type polling struct {
	stop     func()
	mu       sync.Mutex
	outcomes []string
	logs     *observer.ObservedLogs
}

func (p *polling) told() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.outcomes)
}

func poll(t *testing.T, q *queue, j *journal, cfg sqs.Config) *polling {
	t.Helper()
	cfg.Queue = queueURL
	core, logs := observer.New(zapcore.DebugLevel)
	run := &polling{logs: logs}
	p, err := sqs.New("codecommit", q, words{}, j, cfg, sqs.WithLogger(zap.New(core)), sqs.WithObserver(func(source, outcome string, _ time.Duration) {
		run.mu.Lock()
		defer run.mu.Unlock()
		run.outcomes = append(run.outcomes, outcome)
	}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); p.Run(ctx) }()
	run.stop = func() { cancel(); <-done }
	return run
}

func equal(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestTakenMessagesAreDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, j := newQueue("a", "b c d", "ignored", "a"), &journal{}
		run := poll(t, q, j, sqs.Config{Receivers: 1})
		synctest.Wait()
		equal(t, "kept", j.has(), "a", "b", "c", "d")
		equal(t, "left", q.left())
		equal(t, "outcomes", run.told(), "accepted", "accepted", "ignored", "duplicate")
		for i := range 25 {
			q.send(fmt.Sprint("n-", i))
		}
		time.Sleep(time.Minute)
		if n := len(j.has()); n != 29 || len(q.left()) != 0 {
			t.Errorf("%d kept, %q left", n, q.left())
		}
		if run.logs.FilterMessage("message ignored").Len() != 1 {
			t.Error("what was ignored is not on record")
		}
		run.stop()
	})
}

// A message is deleted after the sink has it, and not while it does not.
func TestNothingIsDeletedThatTheSinkHasNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue("a", "b", "c")
		var full atomic.Bool
		full.Store(true)
		j := &journal{fail: func(_ context.Context, id string) error {
			if id == "b" && full.Load() {
				return &unavailable{30 * time.Second}
			}
			return nil
		}}
		run := poll(t, q, j, sqs.Config{Receivers: 3, Visibility: time.Minute})
		time.Sleep(2 * time.Hour)
		equal(t, "kept", j.has(), "a")
		equal(t, "left", q.left(), "a", "b", "c")
		for _, body := range []string{"a", "b", "c"} {
			if n := q.receivedTimes(body); n != 1 {
				t.Errorf("%s was handed out %d times while it was held: it would go to the dead-letter queue", body, n)
			}
		}
		if n := j.asked(); n < 200 || n > 300 {
			t.Errorf("the sink was asked %d times in 2 hours, and wanted 30 s each", n)
		}
		full.Store(false)
		time.Sleep(time.Minute)
		equal(t, "kept", j.has(), "a", "b", "c")
		equal(t, "left", q.left())
		if told := run.told(); !slices.Contains(told, "unavailable") || told[len(told)-1] != "accepted" {
			t.Errorf("outcomes: %q", told[len(told)-3:])
		}
		run.stop()
	})
}

type unavailable struct{ after time.Duration }

func (e *unavailable) Error() string          { return "disk full" }
func (e *unavailable) RetryIn() time.Duration { return e.after }

func TestMessagesThatAreNotUnderstoodStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, j := newQueue("bad", "a", "panic", "b", "unsure"), &journal{}
		run := poll(t, q, j, sqs.Config{Receivers: 1})
		time.Sleep(8 * time.Minute)
		equal(t, "kept", j.has(), "a", "b")
		equal(t, "left", q.left(), "bad", "panic", "unsure")
		// After 30 s, 1, 2 and 4 minutes.
		if n := q.receivedTimes("bad"); n != 5 {
			t.Errorf("handed out %d times", n)
		}
		time.Sleep(24 * time.Hour)
		if n := q.receivedTimes("bad"); n > 40 {
			t.Errorf("handed out %d times in a day", n)
		}
		for _, entry := range run.logs.All() {
			if text := fmt.Sprint(entry.Message, entry.ContextMap()); strings.Contains(text, "hunter2") || strings.Contains(text, "\x1b") {
				t.Errorf("the log says %q", text)
			}
		}
		if told := run.told(); told[0] != webhook.OutcomeUndecodable || told[2] != webhook.OutcomeFault || told[4] != webhook.OutcomeUnsure {
			t.Errorf("%q", told[:5])
		}
		run.stop()
	})
}

func TestStoppingFinishesWhatTheSinkTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue("a", "b", "c")
		j := &journal{fail: func(ctx context.Context, id string) error {
			if id == "b" {
				time.Sleep(5 * time.Second)
			}
			return ctx.Err()
		}}
		run := poll(t, q, j, sqs.Config{Receivers: 1})
		time.Sleep(time.Second)
		run.stop()
		equal(t, "kept", j.has(), "a", "b")
		equal(t, "left", q.left(), "c")
		equal(t, "given back", q.hides(), "c 0s")
		// What the sink has not taken is given back too.
		j.fail = func(context.Context, string) error { return errors.New("disk full") }
		run = poll(t, q, j, sqs.Config{Receivers: 1})
		time.Sleep(time.Minute)
		run.stop()
		equal(t, "left", q.left(), "c")
		if h := q.hides(); h[len(h)-1] != "c 0s" {
			t.Errorf("given back: %q", h)
		}
	})
}

// A queue that answers no more does not keep the service from stopping.
func TestStoppingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, j := newQueue("a"), &journal{}
		q.hangs = map[string]bool{"delete": true}
		run := poll(t, q, j, sqs.Config{Receivers: 1})
		time.Sleep(time.Second)
		equal(t, "kept", j.has(), "a")
		began := time.Now()
		run.stop()
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("stopping took %v", took)
		}
		equal(t, "left", q.left(), "a")
	})
}

func TestAnEmptyQueueIsAskedSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		run := poll(t, q, &journal{}, sqs.Config{Receivers: 2})
		time.Sleep(time.Hour + time.Second)
		if n := q.count("receive"); n > 2*181 {
			t.Errorf("%d calls in an hour", n)
		}
		run.stop()
	})
}

func TestCallsThatFailAreRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, j := newQueue("a", "b"), &journal{}
		q.redrive = ""
		for range 100 {
			q.faults["receive"] = append(q.faults["receive"], errors.New("AccessDenied"))
		}
		q.faults["delete"] = []error{errors.New("503"), nil, errors.New("503")}
		q.failing["1/1"] = true
		run := poll(t, q, j, sqs.Config{Receivers: 1})
		time.Sleep(10 * time.Minute)
		if n := q.count("receive"); n < 10 || n > 20 {
			t.Errorf("%d calls of a queue that refuses, in 10 minutes", n)
		}
		time.Sleep(2 * time.Hour)
		equal(t, "kept", j.has(), "a", "b")
		equal(t, "left", q.left())
		if n := run.logs.FilterMessageSnippet("no dead-letter queue").Len(); n != 1 {
			t.Errorf("%d warnings of the missing dead-letter queue", n)
		}
		run.stop()
	})
}

// A message that cannot be deleted comes again and is recognised.
func TestMessagesThatCannotBeDeletedStartNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, j := newQueue("a b"), &journal{}
		for range 10 {
			q.faults["delete"] = append(q.faults["delete"], errors.New("503"))
		}
		run := poll(t, q, j, sqs.Config{Receivers: 1})
		time.Sleep(10 * time.Minute)
		equal(t, "kept", j.has(), "a", "b")
		equal(t, "left", q.left())
		equal(t, "outcomes", run.told(), "accepted", "duplicate", "duplicate")
		run.stop()
	})
}

func TestConfigIsChecked(t *testing.T) {
	for name, cfg := range map[string]sqs.Config{
		"no queue": {}, "an ARN": {Queue: "arn:aws:sqs:eu-west-1:123456789012:q"}, "no account": {Queue: "https://sqs.eu-west-1.amazonaws.com/q"},
		"a query": {Queue: queueURL + "?x"}, "a user": {Queue: "https://u:p@sqs.eu-west-1.amazonaws.com/123456789012/q"}, "a file": {Queue: "file:///123456789012/q"},
		"a fraction": {Queue: queueURL, Visibility: time.Millisecond}, "a day": {Queue: queueURL, Visibility: 24 * time.Hour}, "below zero": {Queue: queueURL, Receivers: -1},
	} {
		if _, err := sqs.New("s", newQueue(), words{}, &journal{}, cfg); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	for queue, region := range map[string]string{
		queueURL: "eu-west-1", "https://sqs-fips.us-gov-west-1.amazonaws.com/123456789012/q.fifo": "us-gov-west-1",
		"https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q":                 "cn-north-1",
		"https://vpce-0a-b.sqs.ap-southeast-2.vpce.amazonaws.com/123456789012/q": "ap-southeast-2",
		"http://127.0.0.1:5000/123456789012/q":                                   "",
		"http://127.0.0.1:4566/queue/eu-west-1/123456789012/q":                   "",
	} {
		if err := sqs.CheckQueue(queue); err != nil || sqs.Region(queue) != region {
			t.Errorf("%s: %q, %v", queue, sqs.Region(queue), err)
		}
	}
}
