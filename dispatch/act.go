package dispatch

import (
	"context"
	"errors"
	"time"

	"switchyard/internal/event"
)

// Act is what a command does to one execution: another attempt at it where
// Again is set, a decision where there is one, or its end.
type Act struct {
	// Execution is the ID of the one it is about, and Route and Commit are its.
	Execution, Route, Commit string
	// Again asks for another attempt, recorded with Reason, as Resume says.
	// Decision is what is decided of an approval. Otherwise Stop is asked for.
	Again    bool
	Reason   string
	Resume   Resume
	Decision *Decision
	Stop     StopRequest
}

// Acted is the reason recorded with a command for one of its acts: what it did,
// or why it did nothing. made is the execution that another attempt is.
func Acted(a *Act, made string, err error) Ignored {
	i := Ignored{Ignored: event.Ignored{Route: a.Route, Commit: a.Commit, Reason: a.Reason}, Execution: a.Execution}
	var refused *RefusedError
	switch {
	case errors.As(err, &refused):
		i.Reason = refused.Reason
	case errors.Is(err, ErrNotFound):
		i.Reason = "it is not known any more"
	case errors.Is(err, ErrFinished):
		i.Reason = "it had ended already"
	case errors.Is(err, ErrUnfinished):
		i.Reason = "it has not ended, and cannot be run again before"
	case a.Again:
		i.Execution = made
	}
	return i
}

// Answer is what the author of a command is told below a pull request, or a label
// that is taken off it.
type Answer struct {
	// Seq names the answer once it is kept.
	Seq int64
	// Delivery is that of the command, by its number.
	Delivery           int64
	Source, Repository string
	PullRequest        int
	// Comment is the host's ID of the one that is answered, "" for none.
	Comment string
	// Text is Markdown in which nothing comes from outside but in code spans.
	Text string
	// Unlabel is the label to be taken off in the place of saying something, where
	// Head is still the pull request's: of a newer one another delivery tells.
	Unlabel, Head string
	Tries         int
	WantedAt      time.Time
}

// Answers is the queue of answers to commands. It is part of the journal: an
// answer is recorded in the same transaction as what it tells of.
type Answers interface {
	// NextAnswers returns the oldest that are due, at most limit; and when the
	// next one falls due if there were fewer, zero if there is none. Those of the
	// sources to be left out take no place in it.
	NextAnswers(ctx context.Context, now time.Time, limit int, except []string) ([]Answer, time.Time, error)
	// AnswerGiven removes one that the host has, or that is given up.
	AnswerGiven(ctx context.Context, seq int64) error
	// AnswerFailed counts a try in vain and sets the time of the next.
	AnswerFailed(ctx context.Context, seq int64, retryAt time.Time, reason string) error
}
