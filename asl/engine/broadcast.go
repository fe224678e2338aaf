package engine

import (
	"encoding/json"
	"sync"

	"switchyard/internal/uuid"

	"go.uber.org/zap"

	"switchyard/asl/arns"
	"switchyard/asl/store"
)

// broadcast hands status changes to its subscribers.
type broadcast struct {
	mu     sync.RWMutex
	subs   map[*subscription]struct{}
	closed bool
}

type subscription struct{ c chan []byte }

// subscriberBuffer is how many events may wait for a subscriber; what comes on
// top is lost to it, as EventBridge's delivery is best effort too.
const subscriberBuffer = 1024

// OnStatusChange calls f with each change of an execution's status, as the
// JSON of an EventBridge event (source aws.states, detail-type "Step Functions
// Execution Status Change"), after the change is durable. f is called on a
// goroutine of its own, one event after the other; when it falls far behind,
// events are dropped: they are hints, DescribeExecution is the truth. stop
// ends the subscription and waits for f to return.
func (e *Engine) OnStatusChange(f func(event []byte)) (stop func()) {
	s := &subscription{c: make(chan []byte, subscriberBuffer)}
	b := e.events
	b.mu.Lock()
	if b.subs == nil {
		b.subs = map[*subscription]struct{}{}
	}
	closed := b.closed
	if !closed {
		b.subs[s] = struct{}{}
	}
	b.mu.Unlock()
	if closed {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for event := range s.c {
			f(event)
		}
	}()
	return func() {
		b.mu.Lock()
		if _, ok := b.subs[s]; ok {
			delete(b.subs, s)
			close(s.c)
		}
		b.mu.Unlock()
		<-done
	}
}

func (b *broadcast) wanted() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.subs) > 0
}

func (b *broadcast) send(event []byte) (dropped int) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for s := range b.subs {
		select {
		case s.c <- event:
		default:
			dropped++
		}
	}
	return dropped
}

func (b *broadcast) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for s := range b.subs {
		delete(b.subs, s)
		close(s.c)
	}
}

// statusChange is the event as EventBridge delivers it; times are in Unix
// milliseconds.
type statusChange struct {
	Version    string             `json:"version"`
	ID         string             `json:"id"`
	DetailType string             `json:"detail-type"`
	Source     string             `json:"source"`
	Account    string             `json:"account"`
	Time       string             `json:"time"`
	Region     string             `json:"region"`
	Resources  []string           `json:"resources"`
	Detail     statusChangeDetail `json:"detail"`
}

type statusChangeDetail struct {
	ExecutionARN    string       `json:"executionArn"`
	StateMachineARN string       `json:"stateMachineArn"`
	VersionARN      *string      `json:"stateMachineVersionArn"`
	AliasARN        *string      `json:"stateMachineAliasArn"`
	Name            string       `json:"name"`
	Status          string       `json:"status"`
	StartDate       int64        `json:"startDate"`
	StopDate        *int64       `json:"stopDate"`
	Input           *string      `json:"input"`
	Output          *string      `json:"output"`
	InputDetails    *dataDetails `json:"inputDetails"`
	OutputDetails   *dataDetails `json:"outputDetails"`
	Error           *string      `json:"error"`
	Cause           *string      `json:"cause"`
	RedriveCount    int          `json:"redriveCount"`
	RedriveDate     *int64       `json:"redriveDate"`
}

type dataDetails struct {
	Included bool `json:"included"`
}

// maxEventData is what EventBridge has room for; a longer input or output is
// left out and marked as not included.
const maxEventData = 248_000

func (e *Engine) announce(x *store.Execution) {
	// EXPRESS executions have no events, as with Step Functions; a Map run's
	// children are its own affair.
	if x.ID < 0 || arns.IsChild(x.Machine) || !e.events.wanted() {
		return
	}
	arn := e.names.Execution(x.Machine, x.Name)
	d := statusChangeDetail{
		ExecutionARN: arn, StateMachineARN: e.names.Machine(x.Machine), Name: x.Name,
		Status: x.Status.String(), StartDate: x.Started,
	}
	room := maxEventData
	include := func(data []byte) (*string, *dataDetails) {
		if data == nil {
			return nil, nil
		}
		if len(data) > room {
			return nil, &dataDetails{}
		}
		room -= len(data)
		text := string(data)
		return &text, &dataDetails{Included: true}
	}
	d.Input, d.InputDetails = include(x.Input)
	d.Output, d.OutputDetails = include(x.Output)
	if x.Status != store.Running {
		d.StopDate = &x.Stopped
	}
	seen, err := e.view(x)
	if err != nil {
		e.log.Error("cannot announce status change", zap.String("execution", arn), zap.Error(err))
		return
	}
	if d.RedriveCount = seen.Redrives; seen.Redriven > 0 {
		d.RedriveDate = &seen.Redriven
	}
	if seen.VersionARN != "" {
		d.VersionARN = &seen.VersionARN
	}
	if seen.AliasARN != "" {
		d.AliasARN = &seen.AliasARN
	}
	if x.Error != "" {
		d.Error = &x.Error
	}
	if x.Cause != "" {
		d.Cause = &x.Cause
	}
	event, err := json.Marshal(statusChange{
		Version: "0", ID: uuid.New(), DetailType: "Step Functions Execution Status Change", Source: "aws.states",
		Account: e.cfg.Account, Region: e.cfg.Region, Time: e.now().UTC().Format("2006-01-02T15:04:05Z"),
		Resources: []string{arn}, Detail: d,
	})
	if err != nil {
		e.log.Error("cannot encode status change", zap.String("execution", arn), zap.Error(err))
		return
	}
	if n := e.events.send(event); n > 0 {
		e.log.Debug("status change dropped: a subscriber is behind", zap.String("execution", arn), zap.Int("subscribers", n))
	}
}
