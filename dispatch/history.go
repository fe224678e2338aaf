package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"switchyard/internal/safetext"
)

// Historian is an [Engine] that tells what happened in its executions.
type Historian interface {
	// History returns a page of an execution's events, in the order that q says,
	// and what to give as After for the next page, 0 at the end. Errors are those
	// of [Engine]; an execution that the engine does not know wraps [ErrNotFound].
	History(ctx context.Context, executionARN string, q HistoryQuery) ([]HistoryEvent, int64, error)
}

// HistoryQuery says which events are wanted.
type HistoryQuery struct {
	// After is the ID of the event behind which the page begins; 0 begins with
	// the first, or with the newest.
	After int64
	// Limit is the size of a page, at least 1.
	Limit       int
	NewestFirst bool
	// Data asks for inputs and outputs too.
	Data bool
}

// HistoryEvent is something that happened in an execution.
type HistoryEvent struct {
	ID int64 `json:"id"`
	// Previous is the ID of the event that led to this one, 0 for the first.
	Previous int64     `json:"previous_id,omitempty"`
	Type     string    `json:"type"`
	At       time.Time `json:"timestamp"`
	// State is the name of the state in which it happened, where that is known.
	State string `json:"state,omitempty"`
	// Details are the event's own, with Step Functions' names. Cut is true when
	// texts in them were shortened.
	Details json.RawMessage `json:"details,omitempty"`
	Cut     bool            `json:"details_cut,omitempty"`
}

// HistoryPage is a part of an execution's history.
type HistoryPage struct {
	StartedAt time.Time      `json:"started_at"`
	Events    []HistoryEvent `json:"events"`
	// Next is the After of the next page, 0 at the end.
	Next int64 `json:"next,omitempty"`
}

// History returns a page of what happened in an execution. [ErrNotFound], and
// [ErrNotStarted] for one that the engine has not heard of.
func (d *Dispatcher) History(ctx context.Context, id string, q HistoryQuery) (HistoryPage, error) {
	x, err := d.journal.Execution(ctx, id)
	if err != nil {
		return HistoryPage{}, fmt.Errorf("history of %s: %w", id, err)
	}
	historian, ok := d.engine.(Historian)
	switch {
	case x.ARN == "":
		return HistoryPage{}, fmt.Errorf("history of %s: %w", id, ErrNotStarted)
	case !ok:
		return HistoryPage{}, fmt.Errorf("history of %s: %w", id, &PermanentError{errNoHistory})
	}
	page := HistoryPage{StartedAt: x.StartedAt}
	err = d.call(ctx, "history", func(ctx context.Context) (err error) {
		page.Events, page.Next, err = historian.History(ctx, x.ARN, q)
		return err
	})
	if err != nil {
		return HistoryPage{}, fmt.Errorf("history of %s: %w", id, err)
	}
	return page, nil
}

// Failed reports whether the event tells of something that went wrong.
func (e *HistoryEvent) Failed() bool {
	for _, end := range []string{"Failed", "TimedOut", "Aborted"} {
		if strings.HasSuffix(e.Type, end) {
			return true
		}
	}
	return false
}

// Line says in one line what the event is about: its error with what the cause
// says, or the resource that is called.
func (e *HistoryEvent) Line() string {
	var is struct {
		Error, Cause, ResourceType, Resource string
		Index, RedriveCount                  *int64
	}
	if json.Unmarshal(e.Details, &is) != nil {
		return ""
	}
	line := ""
	switch {
	case is.Error != "" || is.Cause != "":
		line = is.Error
		if said := sayCause(is.Cause); said != "" {
			line = strings.TrimPrefix(line+": "+said, ": ")
		}
	case is.Resource != "":
		line = strings.TrimSpace(is.ResourceType + " " + is.Resource)
	case is.Index != nil:
		line = fmt.Sprintf("item %d", *is.Index)
	case is.RedriveCount != nil:
		line = fmt.Sprintf("redrive %d", *is.RedriveCount)
	}
	return clip(safetext.Line(line), maxTitle)
}
