package stepfn

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/internal/awsmodel"
)

// m is a JSON object.
type m = map[string]any

// happened is a history: what happened in which order, led to by what.
type happened struct {
	kind     string
	previous int
	details  m
}

// entered and left are the events of a state.
func entered(kind, name string, previous int) happened {
	return happened{kind + "StateEntered", previous, m{"stateEnteredEventDetails": m{"name": name, "input": `{"a":1}`}}}
}

func left(kind, name string, previous int) happened {
	return happened{kind + "StateExited", previous, m{"stateExitedEventDetails": m{"name": name}}}
}

// histories is GetExecutionHistory of one execution, in pages as small as it
// likes. Its model holds requests and answers.
type histories struct {
	t      *testing.T
	model  *awsmodel.Model
	events []happened
	page   int
	calls  int
}

func (h *histories) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.calls++
	body, err := io.ReadAll(r.Body)
	if err != nil {
		h.t.Error(err)
	}
	const op = "GetExecutionHistory"
	if r.Header.Get("X-Amz-Target") != "AWSStepFunctions."+op {
		h.t.Errorf("unexpected call of %s", r.Header.Get("X-Amz-Target"))
	}
	if err := h.model.Input(op, body); err != nil {
		h.t.Errorf("a request that Step Functions would refuse: %v", err)
	}
	var in struct {
		ReverseOrder         bool
		IncludeExecutionData *bool
		MaxResults           int
		NextToken            string
	}
	if err := json.Unmarshal(body, &in); err != nil {
		h.t.Error(err)
	}
	var all []m
	for i, e := range h.events {
		event := m{"id": i + 1, "previousEventId": e.previous, "type": e.kind, "timestamp": 1_700_000_000 + float64(i)}
		for k, v := range e.details {
			if d := v.(m); in.IncludeExecutionData != nil && !*in.IncludeExecutionData && d["input"] != nil {
				without := maps.Clone(d)
				delete(without, "input")
				v = without
			}
			event[k] = v
		}
		all = append(all, event)
	}
	if in.ReverseOrder {
		slices.Reverse(all)
	}
	from := 0
	if in.NextToken != "" {
		if _, err := fmt.Sscanf(in.NextToken, "from %d", &from); err != nil {
			h.t.Error(err)
		}
	}
	to := min(from+min(in.MaxResults, h.page), len(all))
	out := m{"events": all[from:to]}
	if to < len(all) {
		out["nextToken"] = fmt.Sprintf("from %d", to)
	}
	text, err := json.Marshal(out)
	if err != nil {
		h.t.Error(err)
	}
	if err := h.model.Output(op, text); err != nil {
		h.t.Errorf("an answer that Step Functions would not give: %v", err)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	_, _ = w.Write(text)
}

func newHistories(t *testing.T, page int, events ...happened) (*Client, *histories) {
	h := &histories{t: t, model: awsmodel.ForTest(t, "stepfunctions"), events: events, page: page}
	return newClient(t, handlerTransport{h}), h
}

// aMapThatFails is the history of a Map over two items, the second of which
// fails; its error is caught, and a state after it fails the execution.
var aMapThatFails = []happened{
	{"ExecutionStarted", 0, m{"executionStartedEventDetails": m{"input": `{"b":2}`}}}, // 1
	entered("Pass", "First", 0), // 2
	left("Pass", "First", 2),    // 3
	entered("Map", "Each", 3),   // 4
	{"MapStateStarted", 4, m{"mapStateStartedEventDetails": m{"length": 2}}},                        // 5
	{"MapIterationStarted", 5, m{"mapIterationStartedEventDetails": m{"name": "Each", "index": 0}}}, // 6
	entered("Pass", "Inner", 6), // 7
	left("Pass", "Inner", 7),    // 8
	{"MapIterationSucceeded", 8, m{"mapIterationSucceededEventDetails": m{"name": "Each", "index": 0}}}, // 9
	{"MapIterationStarted", 5, m{"mapIterationStartedEventDetails": m{"name": "Each", "index": 1}}},     // 10
	entered("Task", "Deploy", 10), // 11
	{"TaskScheduled", 11, m{"taskScheduledEventDetails": m{"resourceType": "codebuild", "resource": "startBuild.sync", "region": "eu-west-1", "parameters": "{}"}}}, // 12
	{"TaskFailed", 12, m{"taskFailedEventDetails": m{"resourceType": "codebuild", "resource": "startBuild.sync", "error": "E", "cause": "because"}}},                // 13
	{"MapIterationFailed", 13, m{"mapIterationFailedEventDetails": m{"name": "Each", "index": 1}}},                                                                  // 14
	{"MapStateFailed", 14, nil}, // 15
	left("Map", "Each", 15),     // 16
	entered("Fail", "Last", 16), // 17
	{"ExecutionFailed", 17, m{"executionFailedEventDetails": m{"error": "Gone", "cause": "wrong"}}}, // 18
}

var placesOfTheMap = []string{
	"", "First", "First", "Each", "Each", "Each", "Inner", "Inner", "Each", "Each", "Deploy", "Deploy", "Deploy", "Deploy", "Deploy", "Each", "Last", "Last",
}

// However it is paged, here or there, the same events come, each in its state.
func TestHistoryIsTheSameInAnyPages(t *testing.T) {
	for _, reverse := range []bool{false, true} {
		for _, there := range []int{1, 4, 1000} {
			for _, here := range []int{1, 5, 18, 100} {
				c, _ := newHistories(t, there, aMapThatFails...)
				var ids []int64
				var places []string
				q := dispatch.HistoryQuery{Limit: here, NewestFirst: reverse, Data: true}
				for first := true; first || q.After != 0; first = false {
					events, next, err := c.History(t.Context(), executionARN, q)
					if err != nil || len(events) == 0 || len(events) > here {
						t.Fatalf("%d events, %v", len(events), err)
					}
					for _, e := range events {
						ids, places = append(ids, e.ID), append(places, e.State)
					}
					q.After = next
				}
				want := slices.Clone(placesOfTheMap)
				if reverse {
					slices.Reverse(ids)
					slices.Reverse(places)
				}
				for i, id := range ids {
					if id != int64(i+1) {
						t.Fatalf("events %v", ids)
					}
				}
				// With small pages the engine's own are read so far back only.
				for i := range places {
					if reverse && there == 1 && places[i] == "" {
						want[i] = ""
					}
				}
				if d := cmp.Diff(want, places); d != "" {
					t.Errorf("reverse %v, pages of %d and %d (-want +got):\n%s", reverse, there, here, d)
				}
			}
		}
	}
}

func TestHistoryHasDetails(t *testing.T) {
	c, _ := newHistories(t, 1000, aMapThatFails...)
	for _, row := range []struct {
		data bool
		want []string
	}{
		{true, []string{`{"input":"{\"b\":2}"}`, `{"input":"{\"a\":1}","name":"First"}`}},
		{false, []string{`{}`, `{"name":"First"}`}},
	} {
		events, next, err := c.History(t.Context(), executionARN, dispatch.HistoryQuery{Limit: 13, Data: row.data})
		if err != nil || next != 13 {
			t.Fatal(next, err)
		}
		want := append(slices.Clone(row.want), `{"cause":"because","error":"E","resource":"startBuild.sync","resourceType":"codebuild"}`)
		if d := cmp.Diff(want, []string{string(events[0].Details), string(events[1].Details), string(events[12].Details)}); d != "" {
			t.Errorf("data %v: %s", row.data, d)
		}
		if e := events[12]; e.Type != "TaskFailed" || e.Previous != 12 || e.Line() != "E: because" || !e.Failed() || e.At.Unix() != 1_700_000_012 || e.Cut {
			t.Errorf("%+v", e)
		}
	}
}

// Texts are cut, and a page ends early, so that no history fills the memory.
func TestHistoryIsBounded(t *testing.T) {
	long := strings.Repeat("й", 100_000)
	events := []happened{{"ExecutionStarted", 0, m{"executionStartedEventDetails": m{"input": long}}}}
	for i := range 300 {
		events = append(events, happened{"TaskFailed", i + 1, m{"taskFailedEventDetails": m{"resourceType": "r", "resource": "r", "error": "E", "cause": long[:32_000]}}})
	}
	c, _ := newHistories(t, 1000, events...)
	seen := 0
	q := dispatch.HistoryQuery{Limit: 1000, Data: true}
	for first := true; first || q.After != 0; first = false {
		page, next, err := c.History(t.Context(), executionARN, q)
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, e := range page {
			if size += len(e.Details); !e.Cut || !json.Valid(e.Details) || len(e.Details) > maxDetail+200 {
				t.Fatalf("event %d has %d bytes of details", e.ID, len(e.Details))
			}
		}
		if size > maxDetails+2*maxDetail {
			t.Errorf("a page of %d bytes", size)
		}
		seen += len(page)
		q.After = next
	}
	if seen != len(events) {
		t.Errorf("%d events of %d", seen, len(events))
	}
}

// The newest events are shown without reading all that was before them.
func TestNewestEventsAreReadFromTheEnd(t *testing.T) {
	events := []happened{{"ExecutionStarted", 0, nil}, entered("Task", "Long", 1)}
	for i := range 20_000 {
		events = append(events, happened{"TaskScheduled", i + 2, m{"taskScheduledEventDetails": m{"resourceType": "r", "resource": "r", "region": "r", "parameters": "{}"}}})
	}
	c, h := newHistories(t, 1000, events...)
	h.model = nil // it has been held against that above, and this is much
	page, next, err := c.History(t.Context(), executionARN, dispatch.HistoryQuery{Limit: 10, NewestFirst: true})
	if err != nil || len(page) != 10 || page[0].ID != 20_002 || next != 19_993 {
		t.Fatal(len(page), next, err)
	}
	if h.calls > 1+readFurther {
		t.Errorf("%d calls", h.calls)
	}
}

func TestHistoryOfWhatTheEngineDoesNotKnow(t *testing.T) {
	c, _ := newFake(t, map[string]answer{"GetExecutionHistory": apiError(400, "ExecutionDoesNotExist", "no")})
	if _, _, err := c.History(t.Context(), executionARN, dispatch.HistoryQuery{Limit: 1}); !errors.Is(err, dispatch.ErrNotFound) {
		t.Errorf("%v", err)
	}
}
