package dispatch

import (
	"encoding/json"
	"time"

	"switchyard/internal/event"
)

// State is where a request is on its way through the journal.
type State string

// The states of a request. There is none between "not started" and "running":
// names are deterministic and starting is idempotent, so a crash between a
// start and its bookkeeping is repaired by starting again.
const (
	// StateWaiting waits for a slot of its environment.
	StateWaiting State = "waiting"
	// StateReady is to be started, at once or when its backoff has passed. It
	// holds its environment's slot.
	StateReady State = "ready"
	// StateRunning is held by the engine, and holds its environment's slot.
	StateRunning   State = "running"
	StateSucceeded State = "succeeded"
	StateFailed    State = "failed"
	StateTimedOut  State = "timed_out"
	// StateAborted was stopped: by a person, or because a newer commit came.
	StateAborted State = "aborted"
	// StateDead was refused by the engine for good; see [Dispatcher.Redrive].
	StateDead State = "dead"
	// StateSuperseded was never started, because a newer request of a route
	// with cancel_superseded came first.
	StateSuperseded State = "superseded"
)

// States lists every state, in the order in which a request meets them.
func States() []State {
	return []State{
		StateWaiting, StateReady, StateRunning,
		StateSucceeded, StateFailed, StateTimedOut, StateAborted, StateDead, StateSuperseded,
	}
}

// Finished reports whether nothing more happens to a request by itself.
func (s State) Finished() bool {
	switch s {
	case StateWaiting, StateReady, StateRunning:
		return false
	default:
		return true
	}
}

// stateOf translates the engine's word. Only closed statuses have a state of
// their own; all others are running.
func stateOf(s event.ExecutionStatus) State {
	switch s {
	case event.Succeeded:
		return StateSucceeded
	case event.Failed:
		return StateFailed
	case event.TimedOut:
		return StateTimedOut
	case event.Aborted:
		return StateAborted
	default:
		return StateRunning
	}
}

// Execution is a request together with what became of it.
type Execution struct {
	// Seq orders executions by arrival, and is their place in every queue.
	Seq int64 `json:"seq"`
	// ID is the execution's name at the engine.
	ID string `json:"id"`
	// Base is the ID of the first attempt, and Attempt counts from 1: a rerun
	// of "x" is "x-r2", with base "x" and attempt 2.
	Base    string `json:"base"`
	Attempt int    `json:"attempt"`
	// Delivery is the ID of the delivery that asked first; a rerun has that of
	// the attempt before.
	Delivery string `json:"delivery"`
	// AlsoAsked are later deliveries that asked for the same, such as the pull
	// request of a commit that was pushed, oldest first and at most 100. Lists leave
	// them out.
	AlsoAsked    []Asking   `json:"also_asked,omitempty"`
	Route        string     `json:"route"`
	StateMachine string     `json:"state_machine"`
	Environment  string     `json:"environment,omitempty"`
	Source       string     `json:"source"`
	Repository   string     `json:"repository"`
	Ref          string     `json:"ref"`
	Kind         event.Kind `json:"kind"`
	PullRequest  int        `json:"pull_request,omitempty"`
	SHA          string     `json:"sha"`
	// Title is the first line of the commit's message, cut to 200 bytes.
	Title  string `json:"title,omitempty"`
	Author string `json:"author,omitempty"`
	// Reason says why the request exists.
	Reason           string `json:"reason"`
	CancelSuperseded bool   `json:"cancel_superseded,omitempty"`
	// HeadRepository is where a pull request's head is, when that is another
	// repository.
	HeadRepository string `json:"head_repository,omitempty"`
	// Teardown is true for what the end of a branch or pull request asked for.
	Teardown bool `json:"teardown,omitempty"`
	// Rerun is true for an attempt that a person asked for, and not Delivery.
	Rerun bool `json:"rerun,omitempty"`
	// Redrives counts how often it was asked to go on from where it had ended,
	// and RedriveOf is the state in which it had, while it waits for that: until
	// then StoppedAt, Error and Cause are still those of that end.
	Redrives  int   `json:"redrives,omitempty"`
	RedriveOf State `json:"redrive_of,omitempty"`

	State State `json:"state"`
	// StopReason is why its end was asked for, empty when it was not, and
	// SupersededBy the newer execution that asked, if one did.
	StopReason   string `json:"stop_reason,omitempty"`
	SupersededBy string `json:"superseded_by,omitempty"`
	// WaitsFor is the title of the newest approval that it waits for, and Approval its ID.
	WaitsFor string `json:"waits_for,omitempty"`
	Approval string `json:"approval,omitempty"`
	// Tries counts start calls that failed; LastError is what the last said.
	// Interruption by a shutdown is not a failure.
	Tries     int    `json:"tries,omitempty"`
	LastError string `json:"last_error,omitempty"`
	// DueAt is when a ready request may be started.
	DueAt time.Time `json:"due_at,omitzero"`
	ARN   string    `json:"execution_arn,omitempty"`

	CreatedAt time.Time `json:"created_at"`
	StartedAt time.Time `json:"started_at,omitzero"`
	StoppedAt time.Time `json:"stopped_at,omitzero"`
	Error     string    `json:"error,omitempty"`
	Cause     string    `json:"cause,omitempty"`

	// Input and Output are JSON texts. Lists leave them out.
	Input  json.RawMessage `json:"input,omitempty"`
	Output json.RawMessage `json:"output,omitempty"`

	// Traceparent is the delivery's W3C trace context, empty when it had none.
	Traceparent string `json:"-"`
}

// Asking is a delivery that asked for an execution which there was.
type Asking struct {
	// Delivery is its ID.
	Delivery string     `json:"delivery"`
	Kind     event.Kind `json:"kind"`
	Ref      string     `json:"ref,omitempty"`
	// PullRequest is its number, 0 for none.
	PullRequest int `json:"pull_request,omitempty"`
}

// ExecutionFilter narrows a list of executions; zero fields match everything.
type ExecutionFilter struct {
	States      []State
	Repository  string
	Route       string
	Environment string
	// Ref matches a full ref name, or the short name of a branch.
	Ref string
	// SHA matches commits by prefix.
	SHA string
	// Author matches whole names.
	Author string
	// Search matches what begins the commit's ID, or is in the name of the ref or
	// in the title; capitals of ASCII do not matter.
	Search string
	// Delivery is a delivery's ID.
	Delivery string
	// Since matches executions that ended no earlier, and unfinished ones that
	// were requested no earlier.
	Since time.Time
	// Before is the cursor: only executions older than this Seq. Zero starts
	// at the newest.
	Before int64
	// Limit is the size of a page: default 50, at most 1000.
	Limit int
}

// ExecutionPage is a part of a list, newest first.
type ExecutionPage struct {
	Executions []Execution `json:"executions"`
	// Next is the Before of the next page, 0 at the end. A page may be short,
	// even empty, while Next is set: a rare match is looked for in steps.
	Next int64 `json:"next,omitempty"`
}

// DeliveryState says how far a delivery has come.
type DeliveryState string

// The states of a delivery.
const (
	// DeliveryPending is durable and waits to be expanded into requests.
	DeliveryPending DeliveryState = "pending"
	// DeliveryCompleting is set aside until the git host has told what the
	// delivery left out, or until one before it has come that far.
	DeliveryCompleting DeliveryState = "completing"
	DeliveryExpanded   DeliveryState = "expanded"
)

// ManualSource is the source under which starts by hand are recorded.
const ManualSource = "manual"

// Delivery is what the journal knows of one delivery, without its event.
type Delivery struct {
	Seq int64 `json:"seq"`
	// ID is "<source>:<the host's delivery ID>".
	ID         string        `json:"id"`
	Source     string        `json:"source"`
	DeliveryID string        `json:"delivery_id"`
	Kind       event.Kind    `json:"kind"`
	Repository string        `json:"repository"`
	Ref        string        `json:"ref"`
	Commits    int           `json:"commits"`
	ReceivedAt time.Time     `json:"received_at"`
	State      DeliveryState `json:"state"`
	// WaitsFor says what one that is completing waits for, NextTry when the git
	// host is asked next, zero when it is not this delivery's turn, and Tries
	// how often it was asked in vain.
	WaitsFor string    `json:"waits_for,omitempty"`
	NextTry  time.Time `json:"next_try,omitzero"`
	Tries    int       `json:"tries,omitempty"`
	// Requested counts the executions this delivery was the first to ask for.
	Requested int `json:"requested"`
	// Ignored counts the reasons why a route or commit of it starts nothing.
	Ignored int `json:"ignored"`
	// Traceparent is the W3C trace context it came with, or "".
	Traceparent string `json:"-"`
}

// DeliveryDetail is a delivery with its event and what became of it.
type DeliveryDetail struct {
	Delivery
	Event event.Event `json:"event"`
	// Executions lists those this delivery was the first to ask for, in order,
	// without input and output.
	Executions []Execution `json:"executions"`
	// Reasons says what it started nothing for, and why.
	Reasons []Ignored `json:"ignored_reasons,omitempty"`
}

// Ignored is a reason why a delivery starts nothing for a route or commit.
type Ignored struct {
	event.Ignored
	// Execution is the one that another delivery had asked for already, when
	// that is the reason.
	Execution string `json:"execution,omitempty"`
}

// DeliveryFilter narrows a list of deliveries; zero fields match everything.
type DeliveryFilter struct {
	Source     string
	Repository string
	// Before is the cursor: only deliveries older than this Seq. Zero starts
	// at the newest.
	Before int64
	// Limit is the size of a page: default 50, at most 1000.
	Limit int
}

// DeliveryPage is a part of a list, newest first; see [ExecutionPage] for Next.
type DeliveryPage struct {
	Deliveries []Delivery `json:"deliveries"`
	Next       int64      `json:"next,omitempty"`
}

// Change says that an execution has entered a state. It carries no more, so
// that a reader who lost one loses nothing by reading the execution again.
type Change struct {
	ID          string `json:"id"`
	State       State  `json:"state"`
	Environment string `json:"environment,omitempty"`
	// StopRequested is true when a request that is running now is to be
	// stopped.
	StopRequested bool `json:"-"`
	// Withdrawn is true when it has not ended anew, but is again as it had.
	Withdrawn bool `json:"-"`
}
