// Package events brings events that a state machine puts on EventBridge, by
// arn:aws:states:::events:putEvents, to rules on this machine. What they do not take
// goes on to EventBridge itself, where there is a way to it.
//
// The facts are from the Step Functions developer guide ("Add EventBridge events
// with Step Functions") and the EventBridge API reference (PutEvents).
package events

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"switchyard/asl/task"
)

// Resource is that of the integration, with and without a task token.
const Resource = "arn:aws:states:::events:putEvents"

// Names of errors. The first is documented for events that the bus refuses.
const (
	errorFailedEntry = "EventBridge.FailedEntry"
	errorInvalid     = "EventBridge.ValidationException"
)

const (
	maxEntries = 10
	// maxEntry is EventBridge's limit for the entries of a call, in bytes.
	maxEntry = 256 << 10
)

// Rule is where events go that have a source and a detail-type.
type Rule struct {
	Source, DetailType string
	// Deliver takes an event as EventBridge delivers it. It returns once the event
	// is durable where it belongs, and is called again with the same event after an
	// error that [task.Error] does not wrap, until ctx ends. One that is a
	// [*task.Error] is how the task fails.
	Deliver func(ctx context.Context, event []byte) error
}

// Handler runs tasks that put events.
type Handler struct {
	next  task.Handler
	rules []Rule
	now   func() time.Time
}

var _ task.Handler = (*Handler)(nil)

// New returns a handler of tasks whose events match rules. All others are for next,
// and fail where that is nil.
func New(next task.Handler, rules ...Rule) *Handler {
	return &Handler{next: next, rules: rules, now: time.Now}
}

// entry is a PutEventsRequestEntry.
type entry struct {
	Source       string          `json:"Source"`
	DetailType   string          `json:"DetailType"`
	Detail       json.RawMessage `json:"Detail"`
	Resources    []string        `json:"Resources"`
	EventBusName string          `json:"EventBusName"`
	Time         time.Time       `json:"Time"`
}

// event is what a rule's target gets.
type event struct {
	Version    string          `json:"version"`
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Time       string          `json:"time"`
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`
}

// result is what the task's state gets.
type result struct {
	Entries          []resultEntry `json:"Entries"`
	FailedEntryCount int           `json:"FailedEntryCount"`
}

type resultEntry struct {
	EventID string `json:"EventId"`
}

// Run implements [task.Handler]. The IDs of the events are those of the attempt:
// after a crash they are the same.
func (h *Handler) Run(ctx context.Context, t task.Task) (json.RawMessage, error) {
	var in struct{ Entries []entry }
	if err := json.Unmarshal(t.Input, &in); err != nil {
		return nil, invalid("Entries: %v", err)
	}
	if n := len(in.Entries); n == 0 || n > maxEntries {
		return nil, invalid("Entries: %d of them, 1 to %d are expected", n, maxEntries)
	}
	if ours, err := h.takes(in.Entries); err != nil {
		return nil, err
	} else if !ours {
		return h.next.Run(ctx, t)
	}
	out := result{Entries: make([]resultEntry, len(in.Entries))}
	made := make([][]byte, len(in.Entries))
	for i := range in.Entries {
		e, err := h.event(&t, i, &in.Entries[i])
		if err != nil {
			return nil, err
		}
		out.Entries[i].EventID = e.ID
		if made[i], err = json.Marshal(e); err != nil {
			return nil, invalid("Entries[%d]: %v", i, err)
		}
	}
	for i := range in.Entries {
		if err := h.deliver(ctx, &in.Entries[i], made[i]); err != nil {
			return nil, err
		}
	}
	return json.Marshal(out)
}

// takes reports whether the rules take all entries, and not next.
func (h *Handler) takes(entries []entry) (bool, error) {
	var foreign *entry
	taken := 0
	for i := range entries {
		if h.rule(&entries[i]) != nil {
			taken++
		} else if foreign == nil {
			foreign = &entries[i]
		}
	}
	switch {
	case foreign == nil:
		return true, nil
	case h.next == nil:
		return false, &task.Error{Name: "States.Runtime", Cause: fmt.Sprintf("Nothing takes events of source %q and detail-type %q here: say under engine.embedded.aws in the configuration how EventBridge is called.", foreign.Source, foreign.DetailType)}
	case taken > 0:
		return false, invalid("Entries: events of source %q and detail-type %q are taken on this machine, and those of %q and %q are for EventBridge: put them in states of their own",
			h.rules[0].Source, h.rules[0].DetailType, foreign.Source, foreign.DetailType)
	}
	return false, nil
}

// rule is the one that takes an entry, nil if none does.
func (h *Handler) rule(e *entry) *Rule {
	for i := range h.rules {
		if r := &h.rules[i]; r.Source == e.Source && r.DetailType == e.DetailType {
			return r
		}
	}
	return nil
}

func invalid(format string, args ...any) error {
	return &task.Error{Name: errorInvalid, Cause: fmt.Sprintf(format, args...)}
}

// event checks an entry and makes its event.
func (h *Handler) event(t *task.Task, i int, e *entry) (*event, error) {
	detail, err := detailOf(e.Detail)
	size := len(detail) + len(e.Source) + len(e.DetailType)
	for _, r := range e.Resources {
		size += len(r)
	}
	switch {
	case err != nil:
		return nil, invalid("Entries[%d].Detail: %v", i, err)
	case size > maxEntry:
		return nil, invalid("Entries[%d]: %d bytes; at most %d are taken", i, size, maxEntry)
	case e.EventBusName != "" && e.EventBusName != "default" && !strings.HasSuffix(e.EventBusName, ":event-bus/default"):
		return nil, &task.Error{Name: errorFailedEntry, Cause: fmt.Sprintf("Event bus %s does not exist: there is the default one here.", e.EventBusName)}
	}
	if e.Time.IsZero() {
		e.Time = h.now()
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "event %s %d", t.ID, i))
	id := hex.EncodeToString(sum[:16])
	region, account, machine := placeOf(t.ExecutionARN)
	return &event{
		Version: "0", ID: strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:]}, "-"),
		DetailType: e.DetailType, Source: e.Source, Account: account, Region: region, Time: e.Time.UTC().Format(time.RFC3339),
		Resources: append(e.Resources[:len(e.Resources):len(e.Resources)], t.ExecutionARN, machine), Detail: detail,
	}, nil
}

// detailOf is the object that a Detail is, or that the text has which it is.
func detailOf(raw json.RawMessage) (json.RawMessage, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		raw = json.RawMessage(text)
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil || object == nil {
		return nil, errors.New("a JSON object is expected")
	}
	return raw, nil
}

// placeOf tells from an execution's ARN where it is, and its state machine.
func placeOf(executionARN string) (region, account, machine string) {
	f := strings.Split(executionARN, ":")
	if len(f) < 7 {
		return "", "", ""
	}
	f[5] = "stateMachine"
	return f[3], f[4], strings.Join(f[:7], ":")
}

// Waits between calls of a rule's target that cannot take an event now.
const (
	firstWait = 100 * time.Millisecond
	lastWait  = 10 * time.Second
)

func (h *Handler) deliver(ctx context.Context, e *entry, event []byte) error {
	r := h.rule(e)
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		err := r.Deliver(ctx, event)
		if err == nil || errors.As(err, new(*task.Error)) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}
