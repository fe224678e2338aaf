package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/asl/task"
	"switchyard/asl/task/events"
)

func put(t *testing.T, h *events.Handler, input string) (string, error) {
	t.Helper()
	out, err := h.Run(t.Context(), task.Task{ID: "t1", Resource: events.Resource + ".waitForTaskToken", Input: json.RawMessage(input),
		ExecutionARN: "arn:aws:states:us-east-1:123456789012:execution:deploy:x"})
	return string(out), err
}

func TestEventsReachTheRuleThatMatches(t *testing.T) {
	var got []map[string]any
	h := events.New(nil, events.Rule{Source: "mine", DetailType: "Asked", Deliver: func(_ context.Context, event []byte) error {
		var e map[string]any
		if err := json.Unmarshal(event, &e); err != nil {
			return err
		}
		got = append(got, e)
		return nil
	}})
	const input = `{"Entries":[
		{"Source":"mine","DetailType":"Asked","Detail":{"a":1},"Resources":["r"],"Time":"2026-11-26T10:00:00.5Z"},
		{"Source":"mine","DetailType":"Asked","Detail":"{\"a\":3}","EventBusName":"default","Time":"2026-11-26T11:00:00Z"}]}`
	out, err := put(t, h, input)
	if err != nil {
		t.Fatal(err)
	}
	resources := []any{"arn:aws:states:us-east-1:123456789012:execution:deploy:x", "arn:aws:states:us-east-1:123456789012:stateMachine:deploy"}
	event := func(id any, a float64, at string, more ...any) map[string]any {
		return map[string]any{"version": "0", "id": id, "detail-type": "Asked", "source": "mine", "account": "123456789012", "region": "us-east-1",
			"time": at, "resources": append(more, resources...), "detail": map[string]any{"a": a}}
	}
	var result struct {
		Entries          []struct{ EventId string }
		FailedEntryCount *int
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil || len(result.Entries) != 2 || result.FailedEntryCount == nil || *result.FailedEntryCount != 0 {
		t.Fatalf("%s, %v", out, err)
	}
	want := []map[string]any{event(result.Entries[0].EventId, 1, "2026-11-26T10:00:00Z", "r"), event(result.Entries[1].EventId, 3, "2026-11-26T11:00:00Z")}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if again, err := put(t, h, input); err != nil || again != out || result.Entries[0].EventId == result.Entries[1].EventId {
		t.Errorf("the same attempt has other IDs: %s, then %s, %v", out, again, err)
	}
}

func TestEntriesThatAreRefused(t *testing.T) {
	delivered := 0
	h := events.New(nil, events.Rule{Source: "mine", DetailType: "Asked", Deliver: func(context.Context, []byte) error { delivered++; return nil }})
	for says, entry := range map[string]string{
		"Entries[1].Detail: a JSON object is expected": `{"Source":"mine","DetailType":"Asked","Detail":[1]}`,
		"Entries[1].Detail: a JSON object":             `{"Source":"mine","DetailType":"Asked","Detail":"text"}`,
		"Event bus own does not exist":                 `{"Source":"mine","DetailType":"Asked","Detail":{},"EventBusName":"own"}`,
		"at most 262144":                               `{"Source":"mine","DetailType":"Asked","Detail":{"a":"` + strings.Repeat("x", 256<<10) + `"}}`,
		"Entries: ":                                    `{"Source":7}`,
	} {
		_, err := put(t, h, `{"Entries":[{"Source":"mine","DetailType":"Asked","Detail":{}},`+entry+`]}`)
		var failure *task.Error
		if !errors.As(err, &failure) || !strings.Contains(failure.Cause, says) || !strings.HasPrefix(failure.Name, "EventBridge.") {
			t.Errorf("%q: %v", says, err)
		}
	}
	for _, input := range []string{`{}`, `{"Entries":[]}`, `{"Entries":[` + strings.Repeat("{},", 10) + `{}]}`} {
		if _, err := put(t, h, input); err == nil {
			t.Errorf("%s is taken", input)
		}
	}
	if delivered != 0 {
		t.Errorf("%d events went out beside one that is refused", delivered)
	}
}

func TestTargetIsAskedUntilItTakesTheEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		var refusal error
		h := events.New(nil, events.Rule{Source: "mine", DetailType: "Asked", Deliver: func(context.Context, []byte) error {
			if tries++; tries < 4 {
				return errors.New("the journal is full")
			}
			return refusal
		}})
		const input = `{"Entries":[{"Source":"mine","DetailType":"Asked","Detail":{}}]}`
		if _, err := put(t, h, input); err != nil || tries != 4 {
			t.Errorf("%d tries, %v", tries, err)
		}
		refusal = &task.Error{Name: "No", Cause: "way"}
		if _, err := put(t, h, input); !errors.Is(err, refusal) || tries != 5 {
			t.Errorf("%d tries, %v", tries, err)
		}
		tries = -1 << 20
		stop := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(stop) })
		if _, err := h.Run(ctx, task.Task{Input: json.RawMessage(input)}); !errors.Is(err, stop) {
			t.Errorf("%v", err)
		}
	})
}

// bus stands for EventBridge.
type bus struct{ put []string }

func (b *bus) Run(_ context.Context, t task.Task) (json.RawMessage, error) {
	b.put = append(b.put, string(t.Input))
	return json.RawMessage(`{"FailedEntryCount":0}`), nil
}

func TestOtherEventsAreForEventBridge(t *testing.T) {
	delivered := 0
	rule := events.Rule{Source: "mine", DetailType: "Asked", Deliver: func(context.Context, []byte) error { delivered++; return nil }}
	const other, both = `{"Entries":[{"Source":"mine","DetailType":"Other"}]}`, `{"Entries":[{"Source":"mine","DetailType":"Asked","Detail":{}},{"Source":"theirs","DetailType":"Asked"}]}`
	b := &bus{}
	h := events.New(b, rule)
	if out, err := put(t, h, other); err != nil || out != `{"FailedEntryCount":0}` || len(b.put) != 1 || b.put[0] != other {
		t.Errorf("%s, %v, %q", out, err, b.put)
	}
	if _, err := put(t, h, both); err == nil || !strings.Contains(err.Error(), "states of their own") {
		t.Errorf("%v", err)
	}
	for _, input := range []string{other, both} {
		if _, err := put(t, events.New(nil, rule), input); err == nil || !strings.Contains(err.Error(), "engine.embedded.aws") {
			t.Errorf("without EventBridge: %v", err)
		}
	}
	if delivered != 0 || len(b.put) != 1 {
		t.Errorf("%d delivered, %q", delivered, b.put)
	}
}
