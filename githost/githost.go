// Package githost holds the nouns of what is asked of a git host's API, beside
// commits, for which dispatch.Host stands. Each host's package below offers
// what its API can do as methods of a Client; who needs one of these faces asks
// for it by a type assertion, and does without where a host has none.
//
// Errors are those of dispatch.Host, plus those of this package. The methods
// are safe for concurrent use, and return when their context ends. Repositories
// are named by their full name; what is not one of the host's names is refused
// before it could lead to another path of the API.
package githost

import (
	"context"
	"errors"
	"time"

	"switchyard/internal/event"
)

// ErrUnchanged says that nothing is otherwise than it was at the given mark.
var ErrUnchanged = errors.New("nothing changed")

// maxOffered is how many commits of a pull request from a fork are listed: anybody
// can offer one.
const maxOffered = 250

// MostCommits is the most commits that a pull request may have for all of them to be
// listed, where most is that of a push.
func MostCommits(pr *event.PullReq, most int) int {
	if pr.Fork {
		return min(most, maxOffered)
	}
	return most
}

// Refs lists what a repository has, for an audit.
type Refs interface {
	// Refs returns the full names of the branches, refs/heads/…, with the commit
	// that each is at. It is one moment's truth, however many there are.
	Refs(ctx context.Context, repository string) (map[string]string, error)
}

// History lists the commits of a branch by date, for an audit of what lies before
// the first one.
type History interface {
	// CommitsSince returns the commits that head has and that were committed at
	// the given time or later, oldest first.
	CommitsSince(ctx context.Context, repository, head string, since time.Time) ([]event.Commit, error)
}

// PullRequests lists a repository's open pull requests, for an audit.
type PullRequests interface {
	// PullRequests returns each as the event that its last change of head would
	// have been, action synchronize, with the head as its only commit. Source and
	// DeliveryID are the caller's to set. mark is what the last call returned, or
	// empty: where nothing changed since, [ErrUnchanged], for one request.
	PullRequests(ctx context.Context, repository, mark string) (open []event.Event, next string, err error)
}

// PullRequestReader reads single pull requests, for commands about them.
type PullRequestReader interface {
	// PullRequest returns an open one as [PullRequests] does; for any other a
	// dispatch.PermanentError.
	PullRequest(ctx context.Context, repository string, number int) (event.Event, error)
}

// Merger tells what pull requests would be merged to. It is that of dispatch.
type Merger interface {
	Merge(ctx context.Context, pull *event.Event) (sha, conflict string, err error)
}

// Unlabeler takes labels off pull requests.
type Unlabeler interface {
	// Unlabel takes a label off; one that is not there is no error.
	Unlabel(ctx context.Context, repository string, pullRequest int, label string) error
}

// Redeliverer asks a host to send again what it could not deliver.
type Redeliverer interface {
	// Redeliver looks through the deliveries since the mark, or since the given
	// time where that is empty, of the hooks that lead to url, and asks for those
	// again of which no attempt succeeded. It returns how many it asked for, and
	// the next mark, from which on an answer is still to be waited for.
	Redeliver(ctx context.Context, repository, url, mark string, since time.Time) (asked int, next string, err error)
}

// Judge knows who may do what.
type Judge interface {
	// MayWrite reports whether a person may push to a repository. Nobody who is
	// unknown may.
	MayWrite(ctx context.Context, repository, login string) (bool, error)
}

// Namer knows people by all their names.
type Namer interface {
	// Names returns the other names of a person who writes to a repository, as
	// [event.OtherNames] has them. Nobody who is unknown has any.
	Names(ctx context.Context, repository, login string) ([]string, error)
}

// Commenter answers people where they asked.
type Commenter interface {
	// Comment writes text, in the host's Markdown, below a pull request.
	Comment(ctx context.Context, repository string, pullRequest int, text string) error
}

// Hook is a webhook of a repository.
type Hook struct {
	// ID is the host's own.
	ID string
	// URL is where it leads to, as the host shows it.
	URL string
	// Events are the host's own names of what it tells of, sorted.
	Events []string
	Active bool
	// Secret is set only on one that is to be created: hosts do not show it.
	Secret string
	// Trouble is what the host says of its last delivery, empty when that went
	// well or the host does not say.
	Trouble string
}

// Hooks manages webhooks.
type Hooks interface {
	// HookEvents are the names of the events that a hook of ours must tell of.
	HookEvents() []string
	Hooks(ctx context.Context, repository string) ([]Hook, error)
	// CreateHook makes one that leads to h.URL and tells of all HookEvents.
	CreateHook(ctx context.Context, repository string, h Hook) (Hook, error)
	RemoveHook(ctx context.Context, repository, id string) error
	// TestHook has the host deliver a test, which arrives as any delivery does.
	TestHook(ctx context.Context, repository, id string) error
}

// Standing is how we stand with a host's API.
type Standing struct {
	// Login is as whom it knows us.
	Login string
	// Missing lists for a person what we may not do and should, such as
	// `Commit statuses: write`; empty when nothing is, or the host does not say.
	Missing []string
	// Limit is how many calls a period allows, Left how many are left and Reset
	// when there are more. Zero where the host has no such limit.
	Limit, Left int
	Reset       time.Time
	// Clock is the host's time as the answer told, zero where it did not.
	Clock time.Time
	// Expires is when the credential ends, zero when it does not or the host does
	// not say.
	Expires time.Time
}

// Standings tells how we stand.
type Standings interface {
	// Standing asks what a repository's credential may do, changing nothing.
	Standing(ctx context.Context, repository string) (Standing, error)
}

// Protector requires statuses before a branch is merged into.
type Protector interface {
	// Required returns the contexts that a branch requires, sorted.
	Required(ctx context.Context, repository, branch string) ([]string, error)
	// Require adds contexts to those that it requires, and changes nothing else
	// of its protection.
	Require(ctx context.Context, repository, branch string, contexts []string) error
}
