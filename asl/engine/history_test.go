package engine

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/asl/store"
	"switchyard/asl/task"
)

func someEvents() []Event {
	long := `{"a":"a text that several events share"}`
	return []Event{
		{Prev: 0, Type: PassStateEntered, Time: 1_700_000_000_123, Has: HasName | HasData, Name: "A", Data: long},
		{Prev: 2, Type: PassStateExited, Time: 1_700_000_000_120, Has: HasName | HasData | HasAssigned, Name: "A", Data: long, Assigned: []Assigned{{"x", "1"}, {"y", `""`}}},
		{Prev: 3, Type: MapStateStarted, Has: HasLength, Length: 0},
		{Prev: 1, Type: MapIterationStarted, Has: HasName | HasIndex, Name: "M", Index: 9999},
		{Prev: 5, Type: TaskScheduled, Has: HasData | HasResource | HasTimeout | HasHeartbeat, Data: long, ResourceType: "codebuild", Resource: "startBuild.sync", Region: "r", Timeout: 99_999_999, Heartbeat: 1},
		{Prev: 6, Type: ExecutionFailed, Has: HasError | HasCause, Error: "", Cause: "because"},
		{Prev: 7, Type: MapRunStarted, Has: HasARN, ARN: "arn"},
		{Prev: 8, Type: ExecutionSucceeded, Has: HasData, Data: ""},
	}
}

func encoded(events []Event) (store.Segment, []Event) {
	h := history{next: 2}
	h.reset()
	for i := range events {
		h.add(&events[i])
	}
	return store.Segment{First: h.first, Last: h.next - 1, Body: h.buf}, events
}

func TestHistoryIsReadBackAsWritten(t *testing.T) {
	seg, want := encoded(someEvents())
	got, err := decodeEvents(seg)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestHistoryWritesASharedTextOnce(t *testing.T) {
	one, _ := encoded(someEvents()[:1])
	two, _ := encoded(someEvents()[:2])
	if more := len(two.Body) - len(one.Body); more > 25 {
		t.Errorf("the second event with the same text takes %d bytes", more)
	}
}

func FuzzDecodeEvents(f *testing.F) {
	seg, _ := encoded(someEvents())
	f.Add(seg.Body, int64(len(someEvents())))
	f.Fuzz(func(t *testing.T, body []byte, n int64) {
		_, _ = decodeEvents(store.Segment{First: 2, Last: 1 + n, Body: body})
	})
}

func FuzzGlobMatch(f *testing.F) {
	for _, row := range []struct{ pattern, s string }{
		{"arn:aws:lambda:*", "arn:aws:lambda:eu-west-1:1:function:f"}, {"a*b*c", "abc"}, {"*", ""}, {"a", "b"},
	} {
		f.Add(row.pattern, row.s)
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if globMatch(pattern, s) && !globMatch("*"+pattern+"*", "x"+s+"y") {
			t.Errorf("%q matches %q, but not with more around both", pattern, s)
		}
	})
}

func TestHandlersAreFoundByTheClosestPattern(t *testing.T) {
	e := &Engine{}
	for _, pattern := range []string{"*", "arn:aws:lambda:*", "arn:aws:lambda:*:function:f", "arn:aws:lambda:eu-west-1:1:function:f"} {
		e.handlers = append(e.handlers, handler{pattern, fakeHandler{pattern}})
	}
	if err := sortHandlers(e.handlers); err != nil {
		t.Fatal(err)
	}
	for resource, want := range map[string]string{
		"arn:aws:lambda:eu-west-1:1:function:f": "arn:aws:lambda:eu-west-1:1:function:f",
		"arn:aws:lambda:eu-west-1:2:function:f": "arn:aws:lambda:*:function:f",
		"arn:aws:lambda:eu-west-1:2:function:g": "arn:aws:lambda:*",
		"arn:aws:states:::sns:publish":          "*",
	} {
		if got := e.handlerFor(resource); got != (fakeHandler{want}) {
			t.Errorf("%s is done by %v, want %s", resource, got, want)
		}
	}
}

type fakeHandler struct{ pattern string }

func (fakeHandler) Run(context.Context, task.Task) (json.RawMessage, error) { return nil, nil }
