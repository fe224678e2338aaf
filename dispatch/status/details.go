package status

import (
	"context"

	"switchyard/dispatch"
)

// Details are what a host can show of an execution beside its status, where it has
// room for more than a line.
type Details struct {
	// Tests is what its test reports say, nil where there are none.
	Tests *Tests
	// Log is the end of what its builds printed, as they printed it.
	Log string
	// Annotations are about lines of files, the gravest first.
	Annotations []Annotation
}

// Tests counts the tests of an execution.
type Tests struct {
	Total, Failed, Skipped int
	// Failures are the first tests that failed, by name.
	Failures []TestFailure
}

// TestFailure is a test that failed.
type TestFailure struct{ Name, Message string }

// Level is how grave an annotation is.
type Level string

// The levels of annotations.
const (
	Failure Level = "failure"
	Warning Level = "warning"
)

// Annotation is a message about lines of a file. Its texts are a stranger's.
type Annotation struct {
	// Path is relative to the repository's root, with slashes.
	Path string
	// Line is the first, from 1; EndLine the last. Column is 0 for unknown.
	Line, EndLine, Column int
	Level                 Level
	Title, Message        string
}

// Describer finds the details of an execution that has ended. It is asked only by
// a [Poster] whose host shows them, and safe for concurrent use. Calls for the same
// execution return the same. An error is for the log: the status is told without
// them.
type Describer func(ctx context.Context, s dispatch.Status) (Details, error)
