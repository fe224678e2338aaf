// Package history is the history of an execution: its events by Step Functions'
// names, and the compact form in which the engine stores them.
//
// Source of the names and of which event has what: AWS Step Functions API
// reference, HistoryEvent.
package history

// Type says what a history event reports.
type Type uint8

// The events of an execution's history, by the names Step Functions gives
// them. Their values are stored: add new ones at the end.
const (
	ExecutionStarted Type = iota + 1
	ExecutionSucceeded
	ExecutionFailed
	ExecutionAborted
	ExecutionTimedOut
	ExecutionRedriven
	PassStateEntered
	PassStateExited
	ChoiceStateEntered
	ChoiceStateExited
	WaitStateEntered
	WaitStateExited
	WaitStateAborted
	SucceedStateEntered
	SucceedStateExited
	FailStateEntered
	TaskStateEntered
	TaskStateExited
	TaskStateAborted
	TaskScheduled
	TaskStarted
	TaskStartFailed
	TaskSubmitted
	TaskSubmitFailed
	TaskSucceeded
	TaskFailed
	TaskTimedOut
	LambdaFunctionScheduled
	LambdaFunctionScheduleFailed
	LambdaFunctionStarted
	LambdaFunctionStartFailed
	LambdaFunctionSucceeded
	LambdaFunctionFailed
	LambdaFunctionTimedOut
	ActivityScheduled
	ActivityScheduleFailed
	ActivityStarted
	ActivitySucceeded
	ActivityFailed
	ActivityTimedOut
	ParallelStateEntered
	ParallelStateExited
	ParallelStateStarted
	ParallelStateSucceeded
	ParallelStateFailed
	ParallelStateAborted
	MapStateEntered
	MapStateExited
	MapStateStarted
	MapStateSucceeded
	MapStateFailed
	MapStateAborted
	MapIterationStarted
	MapIterationSucceeded
	MapIterationFailed
	MapIterationAborted
	MapRunStarted
	MapRunSucceeded
	MapRunFailed
	MapRunAborted
	MapRunRedriven
	EvaluationFailed
)

var eventNames = [...]string{
	ExecutionStarted: "ExecutionStarted", ExecutionSucceeded: "ExecutionSucceeded", ExecutionFailed: "ExecutionFailed",
	ExecutionAborted: "ExecutionAborted", ExecutionTimedOut: "ExecutionTimedOut", ExecutionRedriven: "ExecutionRedriven",
	PassStateEntered: "PassStateEntered", PassStateExited: "PassStateExited",
	ChoiceStateEntered: "ChoiceStateEntered", ChoiceStateExited: "ChoiceStateExited",
	WaitStateEntered: "WaitStateEntered", WaitStateExited: "WaitStateExited", WaitStateAborted: "WaitStateAborted",
	SucceedStateEntered: "SucceedStateEntered", SucceedStateExited: "SucceedStateExited", FailStateEntered: "FailStateEntered",
	TaskStateEntered: "TaskStateEntered", TaskStateExited: "TaskStateExited", TaskStateAborted: "TaskStateAborted",
	TaskScheduled: "TaskScheduled", TaskStarted: "TaskStarted", TaskStartFailed: "TaskStartFailed",
	TaskSubmitted: "TaskSubmitted", TaskSubmitFailed: "TaskSubmitFailed", TaskSucceeded: "TaskSucceeded",
	TaskFailed: "TaskFailed", TaskTimedOut: "TaskTimedOut",
	LambdaFunctionScheduled: "LambdaFunctionScheduled", LambdaFunctionScheduleFailed: "LambdaFunctionScheduleFailed",
	LambdaFunctionStarted: "LambdaFunctionStarted", LambdaFunctionStartFailed: "LambdaFunctionStartFailed",
	LambdaFunctionSucceeded: "LambdaFunctionSucceeded", LambdaFunctionFailed: "LambdaFunctionFailed",
	LambdaFunctionTimedOut: "LambdaFunctionTimedOut",
	ActivityScheduled:      "ActivityScheduled", ActivityScheduleFailed: "ActivityScheduleFailed",
	ActivityStarted: "ActivityStarted", ActivitySucceeded: "ActivitySucceeded", ActivityFailed: "ActivityFailed",
	ActivityTimedOut:     "ActivityTimedOut",
	ParallelStateEntered: "ParallelStateEntered", ParallelStateExited: "ParallelStateExited",
	ParallelStateStarted: "ParallelStateStarted", ParallelStateSucceeded: "ParallelStateSucceeded",
	ParallelStateFailed: "ParallelStateFailed", ParallelStateAborted: "ParallelStateAborted",
	MapStateEntered: "MapStateEntered", MapStateExited: "MapStateExited", MapStateStarted: "MapStateStarted",
	MapStateSucceeded: "MapStateSucceeded", MapStateFailed: "MapStateFailed", MapStateAborted: "MapStateAborted",
	MapIterationStarted: "MapIterationStarted", MapIterationSucceeded: "MapIterationSucceeded",
	MapIterationFailed: "MapIterationFailed", MapIterationAborted: "MapIterationAborted",
	MapRunStarted: "MapRunStarted", MapRunSucceeded: "MapRunSucceeded", MapRunFailed: "MapRunFailed",
	MapRunAborted: "MapRunAborted", MapRunRedriven: "MapRunRedriven", EvaluationFailed: "EvaluationFailed",
}

// String is Step Functions' name of the event.
func (t Type) String() string {
	if int(t) < len(eventNames) && eventNames[t] != "" {
		return eventNames[t]
	}
	return "Unknown"
}

// Event is one entry of an execution's history. Which fields mean something
// depends on Type; the zero value of a field stands for its absence, but for
// those that Has names.
type Event struct {
	ID   int64
	Prev int64
	Type Type
	// Time is in Unix milliseconds.
	Time int64
	Has  Has
	// Name is the state's, for iterations the Map state's, for ActivityStarted
	// the worker's.
	Name string
	// Data is a JSON text: the input of what began, the output of what ended,
	// the parameters of what was scheduled.
	Data  string
	Error string
	Cause string
	// Assigned are the variables assigned as the state was left.
	Assigned []Assigned
	// Index is a Map iteration's, Length the number of them; for
	// ExecutionRedriven and MapRunRedriven it is the number of redrives.
	Index  int64
	Length int64
	// ResourceType and Resource are the two halves of a service integration;
	// for functions and activities Resource is the ARN, for EvaluationFailed the
	// field.
	ResourceType string
	Resource     string
	Region       string
	// Timeout and Heartbeat are in seconds.
	Timeout   int64
	Heartbeat int64
	// ARN is the role's of ExecutionStarted, the run's of MapRunStarted and
	// MapRunRedriven.
	ARN string
}

// Assigned is a variable with its value as JSON text.
type Assigned struct{ Name, Value string }

// Has tells an empty or zero field from one that is absent.
type Has uint16

// The fields whose presence Event.Has records.
const (
	HasName Has = 1 << iota
	HasData
	HasError
	HasCause
	HasAssigned
	HasIndex
	HasLength
	HasResource
	HasTimeout
	HasHeartbeat
	HasARN
	// dataIsRef says that the data was written before in the same segment.
	dataIsRef
)
