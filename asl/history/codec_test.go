package history

import (
	"testing"

	"github.com/google/go-cmp/cmp"
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

func encoded(events []Event) (Segment, []Event) {
	w := NewWriter(2)
	for i := range events {
		w.Add(&events[i])
	}
	return w.Segment(), events
}

func TestHistoryIsReadBackAsWritten(t *testing.T) {
	seg, want := encoded(someEvents())
	got, err := Decode(seg)
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
		_, _ = Decode(Segment{First: 2, Last: 1 + n, Body: body})
	})
}
