package gitlab

import (
	"context"
	"fmt"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/internal/event"
)

// maxOpen is how many open merge requests of a project are looked at.
const maxOpen = 5000

// PullRequests implements [githost.PullRequests]. The mark is when a merge
// request of the project last changed, in whatever state it is: pushed code,
// another target, closing and reopening all change it. GitLab has ETags for this
// list too, but counts a conditional request as any other, and one of a single
// entry answers the same question.
func (c *Client) PullRequests(ctx context.Context, repository, mark string) (open []event.Event, next string, err error) {
	q, err := c.about(repository)
	if err != nil {
		return nil, "", err
	}
	newest, err := q.mergeRequests(ctx, "all", 1, 1)
	if err != nil {
		return nil, "", err
	}
	next = "none"
	if len(newest) > 0 {
		m := newest[0]
		next = fmt.Sprintf("%d %s", m.IID, m.SHA)
		if m.UpdatedAt != nil {
			next = m.UpdatedAt.UTC().Format(time.RFC3339Nano) + " " + next
		}
	}
	if mark == next {
		return nil, next, githost.ErrUnchanged
	}
	if len(newest) == 0 {
		return nil, next, nil
	}
	all, err := q.mergeRequests(ctx, "opened", pageSize, maxOpen)
	if err != nil {
		return nil, "", err
	}
	for _, m := range all {
		if CheckSHA(m.SHA) != nil || m.SourceBranch == "" {
			continue // its source branch is gone: there is nothing to run
		}
		ev, err := q.pullEvent(ctx, m)
		if err != nil {
			return nil, "", err
		}
		open = append(open, ev)
	}
	return open, next, nil
}

// pullEvent is the event that the last change of an open merge request's head
// would have been.
func (q *call) pullEvent(ctx context.Context, m *gl.BasicMergeRequest) (event.Event, error) {
	ev := event.Event{
		Kind: event.PullRequest, Action: "synchronize", Repository: event.Repository{FullName: q.repository},
		Ref: branchPrefix + m.SourceBranch, After: m.SHA,
		Commits: []event.Commit{{SHA: m.SHA, Distinct: true}},
		PullRequest: &event.PullReq{
			Number: int(m.IID), Base: m.TargetBranch, Title: m.Title, Draft: m.Draft, Labels: m.Labels,
			Fork: m.SourceProjectID == 0 || m.SourceProjectID != m.TargetProjectID, HeadRepo: q.repository,
		},
	}
	if m.Author != nil {
		ev.PullRequest.Author = m.Author.Username
	}
	if !ev.PullRequest.Fork {
		return ev, nil
	}
	var err error
	ev.PullRequest.HeadRepo, err = q.nameOf(ctx, m.SourceProjectID)
	return ev, err
}

// PullRequest implements [githost.PullRequestReader].
func (c *Client) PullRequest(ctx context.Context, repository string, number int) (event.Event, error) {
	q, err := c.about(repository)
	if err != nil {
		return event.Event{}, err
	}
	op := fmt.Sprintf("read merge request %d", number)
	m, _, err := c.api.MergeRequests.GetMergeRequest(repository, int64(number), nil, gl.WithContext(ctx))
	switch {
	case err != nil:
		return event.Event{}, q.failed(ctx, op, err)
	case m.State != "opened":
		return event.Event{}, &dispatch.PermanentError{Err: fmt.Errorf("%s: merge request %d is not open", repository, number)}
	case CheckSHA(m.SHA) != nil || m.SourceBranch == "":
		return event.Event{}, &dispatch.PermanentError{Err: fmt.Errorf("%s: GitLab names no head of merge request %d", repository, number)}
	}
	ev, err := q.pullEvent(ctx, &m.BasicMergeRequest)
	ev.Truncated, ev.Sender = true, ev.PullRequest.Author
	return ev, err
}

// Unlabel implements [githost.Unlabeler].
func (c *Client) Unlabel(ctx context.Context, repository string, pullRequest int, label string) error {
	q, err := c.about(repository)
	if err != nil {
		return err
	}
	opts := &gl.UpdateMergeRequestOptions{RemoveLabels: &gl.LabelOptions{label}}
	if _, _, err = c.api.MergeRequests.UpdateMergeRequest(repository, int64(pullRequest), opts, gl.WithContext(ctx)); err != nil {
		return q.verdict(ctx, fmt.Sprintf("take a label off merge request %d", pullRequest), repository, toWrite, err)
	}
	return nil
}

// mergeRequests lists those of a state, the last changed first.
func (q *call) mergeRequests(ctx context.Context, state string, size int64, most int) ([]*gl.BasicMergeRequest, error) {
	var all []*gl.BasicMergeRequest
	opts := &gl.ListProjectMergeRequestsOptions{
		State: &state, OrderBy: gl.Ptr("updated_at"), Sort: gl.Ptr("desc"),
		ListOptions: gl.ListOptions{PerPage: size, Page: 1},
	}
	for opts.Page != 0 && len(all) < most {
		page, response, err := q.api.MergeRequests.ListProjectMergeRequests(q.repository, opts, gl.WithContext(ctx))
		if err != nil {
			return nil, q.failed(ctx, "list the merge requests", err)
		}
		all = append(all, page...)
		opts.Page = response.NextPage
	}
	return all, nil
}

// maxNames bounds how many names of forks are remembered.
const maxNames = 10_000

// nameOf is the full name of another project, empty where we may not see it or
// it is gone.
func (q *call) nameOf(ctx context.Context, id int64) (string, error) {
	q.mu.Lock()
	name, known := q.names[id]
	q.mu.Unlock()
	if known || id == 0 {
		return name, nil
	}
	p, _, err := q.api.Projects.GetProject(id, nil, gl.WithContext(ctx))
	switch {
	case notFound(err):
	case err != nil:
		return "", q.failed(ctx, fmt.Sprintf("read project %d, a fork,", id), err)
	default:
		name = p.PathWithNamespace
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.names) >= maxNames {
		clear(q.names)
	}
	q.names[id] = name
	return name, nil
}
