package distributed

import (
	"context"
	"encoding/json"
	"errors"

	"switchyard/asl/store"
)

// The kinds of document that describe Map runs. The key is the run's ID, which
// begins with that of its execution.
const (
	Kind = "maprun"
	// KindOpen lists the runs whose children may still be running.
	KindOpen = "maprun-open"
	// kindLimits is what UpdateMapRun has set. It is apart from the run
	// so that neither can overwrite the other.
	kindLimits = "maprun-limits"
)

// The statuses of a Map run.
const (
	RunRunning   = "RUNNING"
	RunSucceeded = "SUCCEEDED"
	RunFailed    = "FAILED"
	RunAborted   = "ABORTED"
)

// Counts are how many items or child executions of a Map run are where.
type Counts struct {
	Pending        int64 `json:"pending"`
	Running        int64 `json:"running"`
	Succeeded      int64 `json:"succeeded"`
	Failed         int64 `json:"failed"`
	TimedOut       int64 `json:"timedOut"`
	Aborted        int64 `json:"aborted"`
	Total          int64 `json:"total"`
	ResultsWritten int64 `json:"resultsWritten"`
	// PendingRedrive have ended without success, and are still to be redriven;
	// FailuresNotRedrivable are among those that failed and stay so.
	PendingRedrive        int64 `json:"pendingRedrive"`
	FailuresNotRedrivable int64 `json:"failuresNotRedrivable"`
}

func (c *Counts) add(s store.Status, n int64) {
	switch s {
	case store.Succeeded:
		c.Succeeded += n
	case store.TimedOut:
		c.TimedOut += n
	case store.Aborted:
		c.Aborted += n
	case store.Running:
		c.Running += n
	default:
		c.Failed += n
	}
}

// withPending fills in what has not been started.
func (c Counts) withPending() Counts {
	started := c.Running + c.Succeeded + c.Failed + c.TimedOut + c.Aborted + c.PendingRedrive
	c.Total = max(c.Total, started)
	c.Pending = c.Total - started
	return c
}

// MapRun describes a Map run.
type MapRun struct {
	// Machine is the Machine, in the store, of the execution that started the
	// run, Execution its name, and Key the Machine of the run's children.
	Machine   string `json:"machine"`
	Execution string `json:"execution"`
	Key       string `json:"key"`
	Status    string `json:"status"`
	Started   int64  `json:"started"` // Unix milliseconds
	Stopped   int64  `json:"stopped,omitempty"`
	Batched   bool   `json:"batched,omitempty"`
	// Redrives counts redrives, Redriven is when the last one was, in Unix
	// milliseconds.
	Redrives int   `json:"redrives,omitempty"`
	Redriven int64 `json:"redriven,omitempty"`

	MaxConcurrency      int64   `json:"max_concurrency,omitempty"`
	ToleratedCount      int64   `json:"tolerated_count,omitempty"`
	ToleratedPercentage float64 `json:"tolerated_percentage,omitempty"`

	Items    Counts `json:"items"`
	Children Counts `json:"children"`

	ARN          string `json:"-"`
	ExecutionARN string `json:"-"`
	MachineARN   string `json:"-"`
}

// Limits are what UpdateMapRun may change: what is not nil.
type Limits struct {
	MaxConcurrency      *int64   `json:"max_concurrency,omitempty"`
	ToleratedCount      *int64   `json:"tolerated_count,omitempty"`
	ToleratedPercentage *float64 `json:"tolerated_percentage,omitempty"`
}

func (c *Coordinator) limits(ctx context.Context, id string) (l Limits, err error) {
	body, err := c.store.Doc(ctx, kindLimits, id)
	if errors.Is(err, store.ErrNotFound) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal(body, &l)
	}
	return l, err
}
