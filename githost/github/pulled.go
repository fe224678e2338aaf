package github

import (
	"context"
	"fmt"

	"github.com/google/go-github/v60/github"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// maxPulled is the most commits that a pull request may have for all of them to
// be listed. GitHub shows no more of them itself ("List commits on a pull
// request"), and anybody can offer a pull request.
const maxPulled = 250

// pulled lists the commits that the head of a pull request has and its base has
// not, oldest first. The base is the branch as it is now: the payload names where
// it was when the pull request last changed, and what was merged into the head
// from it since is not the pull request's. Where the branch is gone, or has the
// head by now, only the payload's commit still tells.
func (q *call) pulled(ctx context.Context, ev *event.Event) ([]*github.RepositoryCommit, error) {
	pr := ev.PullRequest
	if pr == nil {
		return nil, &dispatch.PermanentError{Err: fmt.Errorf("%s: the event does not say which pull request it is about", q.repository)}
	}
	found, err := q.compare(ctx, pr.Base, ev.After, maxPulled)
	if pr.BaseSHA != "" && (unrelated(err) || err == nil && !lists(found, ev)) {
		found, err = q.compare(ctx, pr.BaseSHA, ev.After, maxPulled)
	}
	return found, err
}
