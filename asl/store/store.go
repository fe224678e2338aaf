// Package store keeps what the embedded engine must not forget: documents
// (state machines, their revisions, …), executions, their history, and the
// records from which a running execution is resumed.
//
// The store knows nothing of Amazon States Language. Histories and records are
// bytes that the engine wrote and alone understands. There are two stores:
// [SQLite], durable, and [Memory], which forgets everything when the process
// ends. The suite in storetest holds both to the same behaviour.
package store

import (
	"context"
	"errors"
	"time"
)

// ErrNotFound is returned for a document or execution the store does not hold.
var ErrNotFound = errors.New("not found")

// ErrExists is given to [Write.Done] when the execution to be created has the
// name of another one of the same machine. Nothing of that write is applied.
var ErrExists = errors.New("execution exists")

// ErrClosed is given to writes and reads after Close.
var ErrClosed = errors.New("store is closed")

// Limits of the keys: a history may be this long, and an execution may have
// this many records.
const (
	MaxEventID  = 1<<16 - 1
	MaxRecordID = 1<<28 - 1
	MaxExecID   = 1<<35 - 1
)

// Status is where an execution is.
type Status uint8

// The statuses of an execution. Every status but Running is final until a
// redrive.
const (
	Running Status = iota
	Succeeded
	Failed
	TimedOut
	Aborted
	PendingRedrive
)

var statusNames = [...]string{"RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE"}

// String is Step Functions' word for s.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "UNKNOWN"
}

// ParseStatus reads Step Functions' word for a status.
func ParseStatus(s string) (Status, bool) {
	for i, name := range statusNames {
		if name == s {
			return Status(i), true
		}
	}
	return 0, false
}

// Execution is the durable record of one execution. Its JSON texts are kept as
// they were given.
type Execution struct {
	// ID is given by the engine: it grows with every start and is at most
	// MaxExecID.
	ID int64
	// Machine and Name identify the execution; together they are unique.
	Machine string
	Name    string
	// Revision is the key of the definition the execution started with.
	Revision string
	Status   Status
	// Started and Stopped are in Unix milliseconds; Stopped is 0 while the
	// execution runs.
	Started int64
	Stopped int64
	// Wake is when the execution must be looked at again, in Unix
	// milliseconds: 0 at once, [Never] when only a call from outside can move
	// it on.
	Wake  int64
	Input []byte
	// Output is nil unless the execution succeeded; Error and Cause are empty
	// when the state machine gave none.
	Output []byte
	Error  string
	Cause  string
	// Attrs is whatever else the engine keeps, written at creation and when
	// the execution is reopened.
	Attrs []byte
}

// Never is the Wake of an execution that no timer moves on.
const Never int64 = 1<<63 - 1

// Ending is how an execution ended.
type Ending struct {
	Status  Status
	Stopped int64
	Output  []byte
	Error   string
	Cause   string
}

// Reopening is what changes of an execution that runs again.
type Reopening struct {
	Attrs []byte
}

// Segment is a run of history events, encoded by the engine, that became
// durable together.
type Segment struct {
	// First and Last are the IDs of the segment's events; the first event of
	// an execution has ID 1.
	First int64
	Last  int64
	Body  []byte
}

// Record is a piece of a running execution's state.
type Record struct {
	ID   int64
	Body []byte
}

// Doc is a document: a small body under a kind and a key.
type Doc struct {
	Kind string
	Key  string
	// Body is nil in a write to delete the document.
	Body []byte
}

// Write is applied whole or not at all. Repeating one that was reported failed
// but had been applied changes nothing further. A Create whose name is taken by
// an execution with its own ID is such a repetition; only another ID makes it
// ErrExists.
//
// The store reads the write's slices until Done is called; the caller leaves
// them alone till then.
type Write struct {
	// Create adds an execution.
	Create *Execution
	// Exec is the execution that the fields below belong to.
	Exec int64
	// History is added to the execution's; it is nil when nothing happened.
	History *Segment
	// Put replaces records, Drop deletes them; Put comes first.
	Put  []Record
	Drop []int64
	// Wake, when not nil, replaces the execution's Wake.
	Wake *int64
	// End, when not nil, closes the execution and deletes its records.
	End *Ending
	// Reopen, when not nil, lets a closed execution run again: its status is
	// Running, its Wake 0, and what End had set is empty.
	Reopen *Reopening
	// Docs are put or deleted.
	Docs []Doc
	// Done is called once, when the write is durable or has failed, perhaps
	// before Apply returns, and perhaps on the goroutine that all writes wait
	// for: it must not block and must not call the store.
	Done func(error)

	// prune deletes executions with all that is their own; took is how long
	// that took, without the commit.
	prune []int64
	took  time.Duration
	// probe writes nothing of interest.
	probe bool
}

// Query selects executions of one machine, newest first.
type Query struct {
	Machine string
	// Status filters unless nil.
	Status *Status
	// Before is the ID of the last execution of the page before; 0 starts at
	// the newest.
	Before int64
	Limit  int
}

// Reader answers with durable state only. It is safe for concurrent use.
type Reader interface {
	// Doc returns ErrNotFound for a document the store does not hold.
	Doc(ctx context.Context, kind, key string) ([]byte, error)
	// Docs lists a kind in order of key, from the first key after after.
	Docs(ctx context.Context, kind, after string, limit int) ([]Doc, error)
	// Execution and ExecutionByID return ErrNotFound for one the store does
	// not hold.
	Execution(ctx context.Context, machine, name string) (*Execution, error)
	ExecutionByID(ctx context.Context, id int64) (*Execution, error)
	// Executions leaves Input, Output, Error and Cause out.
	Executions(ctx context.Context, q Query) ([]*Execution, error)
	// Revisions are those, in no order, with which executions of a state machine
	// started, and those of the children of its Map runs.
	Revisions(ctx context.Context, machine string) ([]string, error)
	// Segments returns up to limit segments: ascending from the one that
	// holds event from, or, in reverse, descending from it.
	Segments(ctx context.Context, exec, from int64, reverse bool, limit int) ([]Segment, error)
	// Records returns the records of a running execution in order of ID.
	Records(ctx context.Context, exec int64) ([]Record, error)
	// Running calls f with the ID and Wake of every running execution, in
	// order of ID, until f returns an error, which it passes on.
	Running(ctx context.Context, f func(id, wake int64) error) error
	// LastID is the highest execution ID ever given out, 0 for none.
	LastID(ctx context.Context) (int64, error)
}

// Store is what the engine needs. It is safe for concurrent use.
type Store interface {
	Reader
	// Apply queues w. Writes become durable in the order of the calls.
	Apply(w *Write)
	// Prune deletes up to limit closed executions that stopped before a time,
	// with all that is theirs, and returns how many it deleted. It may take its
	// time, and refuse while the system's clock cannot be believed.
	Prune(ctx context.Context, before time.Time, limit int) (int, error)
	// Close waits for the queued writes and releases the store.
	Close() error
}

// Retry is how long a read or write that failed waits for its next attempt.
const Retry = time.Second

// Do applies w and waits until it is durable or has failed. When ctx ends
// first the write may still happen.
func Do(ctx context.Context, s Store, w *Write) error {
	done := make(chan error, 1)
	w.Done = func(err error) { done <- err }
	s.Apply(w)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// EachDoc calls f with every document of a kind, in order of key, until f
// returns an error, which it passes on.
func EachDoc(ctx context.Context, r Reader, kind string, f func(Doc) error) error {
	const page = 500
	for after := ""; ; {
		docs, err := r.Docs(ctx, kind, after, page)
		if err != nil {
			return err
		}
		for _, d := range docs {
			if err := f(d); err != nil {
				return err
			}
			after = d.Key
		}
		if len(docs) < page {
			return nil
		}
	}
}
