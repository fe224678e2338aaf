package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	gl "gitlab.com/gitlab-org/api/client-go"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// Merge implements [githost.Merger]. Asked for it, GitLab merges on a ref of its
// own, refs/merge-requests/N/merge, unless that is of this head and target
// already. The commit is taken only where the head that was asked for is one of
// its parents.
func (c *Client) Merge(ctx context.Context, pull *event.Event) (sha, conflict string, err error) {
	if pull.PullRequest == nil {
		return "", "", &dispatch.PermanentError{Err: errors.New("the event does not say which merge request it is about")}
	}
	q, err := c.about(pull.Repository.FullName, pull.After)
	if err != nil {
		return "", "", err
	}
	n := pull.PullRequest.Number
	var merged struct {
		CommitID string `json:"commit_id"`
	}
	op := fmt.Sprintf("merge merge request %d to try it", n)
	_, problem := q.do(ctx, http.MethodGet, fmt.Sprintf("merge_requests/%d/merge_ref", n), nil, &merged)
	if problem != nil && Status(problem) != http.StatusBadRequest {
		return "", "", q.failed(ctx, op, problem)
	}
	m, _, err := q.api.MergeRequests.GetMergeRequest(q.repository, int64(n), nil, gl.WithContext(ctx))
	switch {
	case err != nil:
		return "", "", q.failed(ctx, fmt.Sprintf("read merge request %d", n), err)
	case m.State != "opened":
		return "", "it is not open any more", nil
	case m.SHA != pull.After:
		return "", fmt.Sprintf("its head has moved on to %.12s, of which another delivery tells", m.SHA), nil
	case problem != nil && m.HasConflicts:
		return "", "it conflicts with its target " + m.TargetBranch, nil
	case problem != nil:
		// Of this head and target there may be a merge soon.
		return "", "", fmt.Errorf("%s at %s: %s", op, q.repository, Shown(problem))
	case CheckSHA(merged.CommitID) != nil:
		return "", "", fmt.Errorf("%s at %s: GitLab names no commit", op, q.repository)
	}
	made, err := q.commit(ctx, merged.CommitID)
	if err != nil {
		return "", "", err
	}
	if !slices.Contains(made.ParentIDs, pull.After) {
		return "", "", fmt.Errorf("%s still has the merge of another head of merge request %d", q.repository, n)
	}
	return merged.CommitID, "", nil
}
