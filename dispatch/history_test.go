package dispatch_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"switchyard/dispatch"
)

// chronicler is an engine that keeps histories.
type chronicler struct {
	*engine
	asked string
}

func (c *chronicler) History(_ context.Context, arn string, q dispatch.HistoryQuery) ([]dispatch.HistoryEvent, int64, error) {
	c.asked = arn
	return []dispatch.HistoryEvent{{ID: 1, Type: "ExecutionStarted"}}, q.After + 1, nil
}

func TestHistoryOfAnExecution(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := &chronicler{engine: newEngine()}
		s := runOn(t, path, unchanged, e, planner{routes: []string{"r"}, env: "prod"}, dispatch.Config{EnvironmentLimit: func(string) int { return 1 }})
		defer s.stop()
		s.accept(push("d1", "a", "b"))
		settle()
		page, err := s.History(t.Context(), "a-r", dispatch.HistoryQuery{After: 4, Limit: 1})
		if err != nil || len(page.Events) != 1 || page.Next != 5 || e.asked != arnOf("a-r") || !page.StartedAt.Equal(s.get("a-r").StartedAt) {
			t.Errorf("%+v, %v, asked for %s", page, err, e.asked)
		}
		if _, err := s.History(t.Context(), "b-r", dispatch.HistoryQuery{Limit: 1}); !errors.Is(err, dispatch.ErrNotStarted) {
			t.Errorf("of one that waits: %v", err)
		}
		if _, err := s.History(t.Context(), "nope", dispatch.HistoryQuery{Limit: 1}); !errors.Is(err, dispatch.ErrNotFound) {
			t.Errorf("of none: %v", err)
		}
	})
}

func TestLineOfAnEvent(t *testing.T) {
	for details, want := range map[string]string{
		``:                                  "",
		`{"name":"Deploy","input":"{}"}`:    "",
		`{"error":"E"}`:                     "E",
		`{"cause":"it broke\nbadly"}`:       "it broke",
		`{"error":"E","cause":"because"}`:   "E: because",
		`{"error":"E","resource":"invoke"}`: "E",
		`{"resourceType":"codebuild","resource":"startBuild.sync"}`: "codebuild startBuild.sync",
		`{"resource":"arn:aws:lambda:x"}`:                           "arn:aws:lambda:x",
		`{"name":"Each","index":0}`:                                 "item 0",
		`{"redriveCount":2}`:                                        "redrive 2",
		`{"error":7}`:                                               "",
	} {
		e := dispatch.HistoryEvent{Details: json.RawMessage(details)}
		if got := e.Line(); got != want {
			t.Errorf("%s: %q, want %q", details, got, want)
		}
	}
	hostile, err := json.Marshal(map[string]string{"error": "\x1b[2J\u202e", "cause": "\r\x00"})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range (&dispatch.HistoryEvent{Details: hostile}).Line() {
		if r < ' ' || r == '\u202e' {
			t.Errorf("%q comes through", r)
		}
	}
}
