package github

import (
	"context"
	"fmt"

	"github.com/google/go-github/v60/github"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/internal/event"
)

// pulled lists the commits that the head of a pull request has and its base has
// not, oldest first, by a comparison: "List commits on a pull request" ends at 250. The base is the branch as it is now: the payload names where
// it was when the pull request last changed, and what was merged into the head
// from it since is not the pull request's. Where the branch is gone, or has the
// head by now, only the payload's commit still tells.
func (q *call) pulled(ctx context.Context, ev *event.Event) ([]*github.RepositoryCommit, error) {
	pr := ev.PullRequest
	if pr == nil {
		return nil, &dispatch.PermanentError{Err: fmt.Errorf("%s: the event does not say which pull request it is about", q.repository)}
	}
	most := githost.MostCommits(pr, maxCommits)
	found, err := q.compare(ctx, pr.Base, ev.After, most)
	if pr.BaseSHA != "" && (unrelated(err) || err == nil && !lists(found, ev)) {
		found, err = q.compare(ctx, pr.BaseSHA, ev.After, most)
	}
	return found, err
}
