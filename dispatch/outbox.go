package dispatch

import (
	"context"
	"time"
)

// StatusState is what a commit status says, in the words that git hosts share.
type StatusState string

// The states of a commit status.
const (
	StatusPending StatusState = "pending"
	StatusSuccess StatusState = "success"
	StatusFailure StatusState = "failure"
	// StatusError says that the run itself could not be done: refused by the
	// engine, stopped, superseded or lost.
	StatusError StatusState = "error"
)

// StatusContext is the context of the statuses of a route: "switchyard/<route>",
// which is what a branch protection names. environment is empty but where the
// route has sent the same commit to another environment before: one status
// cannot tell of two executions, so each further environment has its own,
// "switchyard/<route> (<environment>)".
func StatusContext(route, environment string) string {
	if environment == "" {
		return "switchyard/" + route
	}
	return "switchyard/" + route + " (" + environment + ")"
}

// Status is the newest state that a commit should show for a route, and has
// not shown yet. There is at most one for each source, repository, commit and
// context: a final state takes the place of a pending one that was not posted.
type Status struct {
	Source     string
	Repository string
	SHA        string
	// Context is that of [StatusContext].
	Context string
	State   StatusState
	// Description is for a person, one line of at most 140 characters.
	Description string
	// Approval is that of [StatusChange].
	Approval string
	// Execution is the ID to link to; Ref is the full ref it ran for.
	Execution string
	Ref       string
	// Version grows with each new desired state. [Outbox.StatusPosted] for an
	// older version changes nothing, so that a newer state is never lost.
	Version int64
	// Tries counts the posts that failed since the state was wanted.
	Tries int
	// WantedAt is when the state was recorded.
	WantedAt time.Time
}

// StatusQuery says which statuses are asked for.
type StatusQuery struct {
	Source string
	// Now is the time by which they are due.
	Now time.Time
	// Horizon is the latest time to which anything can have been put off by
	// now. What falls due later was recorded while the clock was ahead, and is
	// due. Zero means that there is none.
	Horizon time.Time
	// Except names repositories to leave out. However many statuses of them
	// wait, they take no place in the answer.
	Except []string
	// Limit is how many are returned at most.
	Limit int
}

// Outbox is the queue of commit statuses to be posted. It is part of the
// journal: a status is recorded in the same transaction as the change it
// tells of. It is safe for concurrent use; one worker per source should
// consume it, because NextStatuses hands out the same row again until it is
// posted or has failed.
type Outbox interface {
	// NextStatuses returns what is due to be posted: final states before
	// pending ones, since people and other machines wait for them, and of each
	// the statuses of the requests that came last first, so that the newest
	// commit of a branch does not wait for the rest of its push.
	NextStatuses(ctx context.Context, q StatusQuery) ([]Status, error)
	// StatusPosted records that the git host has s.
	StatusPosted(ctx context.Context, s Status) error
	// StatusFailed records that s could not be posted, and why. It is due again
	// at retryAt; the zero time gives up on it, until a newer state is wanted.
	StatusFailed(ctx context.Context, s Status, retryAt time.Time, reason string) error
}
