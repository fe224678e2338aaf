package gitea

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"code.gitea.io/sdk/gitea"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/githost/gitrefs"
	"switchyard/internal/event"
)

// dateSlack is how far clocks are trusted: a list by date goes on until a whole
// page is older than this before what was asked for.
const dateSlack = 24 * time.Hour

var (
	_ githost.Refs              = (*Client)(nil)
	_ githost.History           = (*Client)(nil)
	_ githost.PullRequests      = (*Client)(nil)
	_ githost.PullRequestReader = (*Client)(nil)
)

// Refs implements [githost.Refs], by git's own protocol.
func (c *Client) Refs(ctx context.Context, repository string) (map[string]string, error) {
	owner, name, err := Split(repository)
	if err != nil {
		return nil, err
	}
	user, password := c.CloneCredentials()
	return gitrefs.List(ctx, c.transport, c.base.String()+"/"+owner+"/"+name+".git", user, password)
}

// CommitsSince implements [githost.History].
func (c *Client) CommitsSince(ctx context.Context, repository, head string, since time.Time) ([]event.Commit, error) {
	q, err := c.about(ctx, repository)
	if err != nil {
		return nil, err
	}
	if err = checkIDs(head); err != nil {
		return nil, err
	}
	var all []event.Commit
	err = q.pages(ctx, head, "", func(page []*gitea.Commit, _ int) (more bool, err error) {
		for _, f := range page {
			at := f.Created
			if f.RepoCommit != nil && f.RepoCommit.Committer != nil {
				if told, err := time.Parse(time.RFC3339, f.RepoCommit.Committer.Date); err == nil {
					at = told
				}
			}
			more = more || !at.Before(since.Add(-dateSlack))
			if !at.Before(since) {
				all = append(all, commit(f))
			}
		}
		if len(all) > maxCommits {
			return false, fmt.Errorf("%s: more than %d commits since %s", repository, maxCommits, since.Format(time.DateOnly))
		}
		return more, nil
	})
	slices.Reverse(all)
	return all, err
}

// PullRequests implements [githost.PullRequests]. The host cannot be asked whether
// anything changed: the mark is of the first page of the open pull requests, by
// their last update, and of how many there are.
func (c *Client) PullRequests(ctx context.Context, repository, mark string) (open []event.Event, next string, err error) {
	q, err := c.about(ctx, repository)
	if err != nil {
		return nil, "", err
	}
	var found []*gitea.PullRequest
	opts := gitea.ListPullRequestsOptions{State: gitea.StateOpen, Sort: "recentupdate"}
	for opts.Page, opts.PageSize = 1, pageSize; opts.Page != 0; {
		page, r, err := q.api.ListRepoPullRequests(q.owner, q.name, opts)
		if err != nil {
			return nil, "", q.failed(ctx, "list the pull requests", ScopeRead, r, err)
		}
		if opts.Page == 1 {
			if next = markOf(page, r.Header.Get("X-Total-Count")); next == mark {
				return nil, mark, githost.ErrUnchanged
			}
		}
		found = append(found, page...)
		opts.Page = r.NextPage
		if len(page) == 0 {
			break
		}
	}
	seen := map[int64]bool{}
	for _, pr := range found {
		// One that is updated meanwhile moves to another page.
		if ev, ok := q.pullRequest(pr); ok && !seen[pr.Index] {
			seen[pr.Index] = true
			open = append(open, ev)
		}
	}
	return open, next, nil
}

// PullRequest implements [githost.PullRequestReader].
func (c *Client) PullRequest(ctx context.Context, repository string, number int) (event.Event, error) {
	q, err := c.about(ctx, repository)
	if err != nil {
		return event.Event{}, err
	}
	pr, r, err := q.api.GetPullRequest(q.owner, q.name, int64(number))
	if err != nil {
		return event.Event{}, q.failed(ctx, fmt.Sprintf("read pull request %d", number), ScopeRead, r, err)
	}
	if pr.State != gitea.StateOpen {
		return event.Event{}, &dispatch.PermanentError{Err: fmt.Errorf("%s: pull request %d is not open", repository, number)}
	}
	ev, ok := q.pullRequest(pr)
	if !ok {
		return event.Event{}, &dispatch.PermanentError{Err: fmt.Errorf("%s: the host names no head of pull request %d", repository, number)}
	}
	return ev, nil
}

func markOf(page []*gitea.PullRequest, total string) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n", total)
	for _, pr := range page {
		updated := time.Time{}
		if pr.Updated != nil {
			updated = *pr.Updated
		}
		fmt.Fprintf(sum, "%d %d %t", pr.Index, updated.UnixNano(), pr.Draft)
		for _, side := range []*gitea.PRBranchInfo{pr.Head, pr.Base} {
			if side != nil {
				fmt.Fprintf(sum, " %q %s", side.Ref, side.Sha)
			}
		}
		fmt.Fprintln(sum)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// pullRequest is the event that the last change of its head would have been; false
// for one that names none.
func (q *call) pullRequest(pr *gitea.PullRequest) (event.Event, bool) {
	if pr.Head == nil || pr.Base == nil || !objectID.MatchString(pr.Head.Sha) || pr.Base.Ref == "" || pr.Head.Ref == "" {
		return event.Event{}, false
	}
	ev := event.Event{
		Kind: event.PullRequest, Action: "synchronize", Ref: "refs/heads/" + headBranch(pr.Head), After: pr.Head.Sha, Truncated: true,
		Repository: event.Repository{FullName: q.repository},
		PullRequest: &event.PullReq{
			Number: int(pr.Index), Base: pr.Base.Ref, BaseSHA: pr.Base.Sha, Title: pr.Title, Draft: pr.Draft,
			// One without a branch was pushed to refs/for/… by somebody who need not be
			// allowed to write.
			Fork: pr.Head.Name == "" || pr.Head.Repository == nil || pr.Base.Repository == nil || pr.Head.Repository.ID != pr.Base.Repository.ID,
		},
	}
	head := event.Commit{SHA: pr.Head.Sha, Distinct: true}
	if pr.Poster != nil {
		ev.PullRequest.Author, ev.Sender, head.Author = pr.Poster.UserName, pr.Poster.UserName, pr.Poster.UserName
	}
	if pr.Head.Repository != nil {
		ev.PullRequest.HeadRepo = pr.Head.Repository.FullName
		head.URL = pr.Head.Repository.HTMLURL + "/commit/" + head.SHA
	}
	if base := pr.Base.Repository; base != nil {
		ev.Repository.CloneURL, ev.Repository.HTMLURL, ev.Repository.DefaultBranch = base.CloneURL, base.HTMLURL, base.DefaultBranch
	}
	for _, l := range pr.Labels {
		ev.PullRequest.Labels = append(ev.PullRequest.Labels, l.Name)
	}
	ev.Commits = []event.Commit{head}
	return ev, true
}

// headBranch is the short name of a head's branch. Once that is deleted, the host
// names the pull request's own ref and keeps the name as the label.
func headBranch(head *gitea.PRBranchInfo) string {
	if !strings.HasPrefix(head.Ref, "refs/") || head.Name == "" {
		return head.Ref
	}
	if _, branch, owned := strings.Cut(head.Name, ":"); owned {
		return branch
	}
	return head.Name
}
