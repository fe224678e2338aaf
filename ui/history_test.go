package ui_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/ui"
)

func TestPageShowsTheLastEvents(t *testing.T) {
	start := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	var asked dispatch.HistoryQuery
	p := pages(t, journal{"x": {ID: "x", State: dispatch.StateFailed, ARN: "arn:x", StartedAt: start}, "waits": {ID: "waits", State: dispatch.StateWaiting}},
		ui.WithHistory(func(_ context.Context, id string, q dispatch.HistoryQuery) (dispatch.HistoryPage, error) {
			if id != "x" {
				t.Errorf("asked for the history of %s", id)
			}
			asked = q
			return dispatch.HistoryPage{StartedAt: start, Next: 6, Events: []dispatch.HistoryEvent{
				{ID: 7, Type: "ExecutionFailed", At: start.Add(90 * time.Second), State: "Deploy", Details: json.RawMessage(`{"error":"E"}`)},
				{ID: 6, Type: "TaskFailed", At: start.Add(-time.Hour), State: "Deploy", Details: json.RawMessage(`{"error":"E","cause":"exit status 1"}`)},
			}}, nil
		}))
	body := get(t, p, p.Link("x")).Body.String()
	last := -1
	for _, part := range []string{
		"switchyard executions history x", `<tr class="failed"><td>0s</td><td>TaskFailed</td><td>Deploy</td><td>E: exit status 1</td></tr>`,
		`<tr class="failed"><td>1m30s</td><td>ExecutionFailed</td><td>Deploy</td><td>E</td></tr>`,
	} {
		at := strings.Index(body, part)
		if at <= last {
			t.Errorf("%s is not in its place in\n%s", part, body)
		}
		last = at
	}
	if want := (dispatch.HistoryQuery{NewestFirst: true, Limit: 20}); asked != want {
		t.Errorf("asked for %+v", asked)
	}
	if body := get(t, p, p.Link("waits")).Body.String(); strings.Contains(body, "History") {
		t.Errorf("one that waits has a history:\n%s", body)
	}
}

// An engine that does not answer takes nothing else from the page.
func TestPageWithoutHistory(t *testing.T) {
	p := pages(t, journal{"x": {ID: "x", State: dispatch.StateRunning, ARN: "arn:x", Title: "the title"}},
		ui.WithHistory(func(context.Context, string, dispatch.HistoryQuery) (dispatch.HistoryPage, error) {
			return dispatch.HistoryPage{}, errors.New("secret detail")
		}))
	w := get(t, p, p.Link("x"))
	body := w.Body.String()
	if w.Code != http.StatusOK || !strings.Contains(body, "does not tell now what happened") || !strings.Contains(body, "the title") || strings.Contains(body, "secret") {
		t.Errorf("%d %s", w.Code, body)
	}
}
