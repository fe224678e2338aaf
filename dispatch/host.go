package dispatch

import (
	"context"
	"errors"

	"switchyard/internal/event"
)

// Host is asked for what a delivery left out, at the API of the git host that
// sent it. It is safe for concurrent use, and every call returns when ctx ends.
//
// Errors: one that wraps [ErrCannotAsk] says that nobody can be asked; a
// [*PermanentError] that the host will not tell, which is believed once it has
// been asked a few times, since it may not know yet what it has just told of; a
// [*ThrottledError] that the host asks for fewer calls; an [*UnfinishedError]
// that the answer is a long one and the next call gets on with it; anything else
// is retried with backoff.
type Host interface {
	// Commits returns all commits that a push brought to its ref, or that the
	// After of a pull request has and its base has not, oldest first, with the
	// host's word on message and author where it has one, and paths where they come
	// along. It is asked for events that are Truncated. Of a pull request the list
	// is bounded: anybody can offer one.
	Commits(ctx context.Context, ev *event.Event) ([]event.Commit, error)
	// Commit returns one commit with its message and the paths it changed.
	Commit(ctx context.Context, source, repository, sha string) (event.Commit, error)
}

// Merger is a [Host] that tells what a pull request would be merged to.
type Merger interface {
	// Merge returns the commit that the host has made of merging the After of a
	// pull request into its base, to try that; or for a person why there is none
	// and will be none, such as a conflict. While the host is still at it, that is
	// an error.
	Merge(ctx context.Context, pull *event.Event) (sha, conflict string, err error)
}

// Refuser is a [Host] that knows beforehand which sources cannot be asked. What
// these leave out is not waited for.
type Refuser interface {
	// Refuses returns nil, or why a source cannot be asked; see [ErrCannotAsk].
	Refuses(source string) error
}

// ErrCannotAsk is wrapped by a [Host] that has no access to a source's API.
// The text says what is missing, for example a token.
var ErrCannotAsk = errors.New("the host's API cannot be asked")
