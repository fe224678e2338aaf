package github

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-github/v60/github"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/internal/event"
)

var (
	_ githost.PullRequestReader = (*Client)(nil)
	_ githost.Unlabeler         = (*Client)(nil)
	_ githost.Merger            = (*Client)(nil)
)

// PullRequest implements [githost.PullRequestReader].
func (c *Client) PullRequest(ctx context.Context, repository string, number int) (event.Event, error) {
	q, err := c.about(ctx, repository)
	if err != nil {
		return event.Event{}, err
	}
	got, _, err := q.api.PullRequests.Get(ctx, q.owner, q.name, number)
	switch {
	case err != nil:
		return event.Event{}, q.refused(ctx, fmt.Sprintf("read pull request #%d", number), toReadPulls, err)
	case got.GetState() != "open":
		return event.Event{}, &dispatch.PermanentError{Err: fmt.Errorf("%s: pull request #%d is not open", repository, number)}
	}
	ev := pullEvent(repository, got)
	ev.Total, ev.Truncated = got.GetCommits(), got.GetCommits() != 1
	ev.Sender, ev.Commits[0].Author = ev.PullRequest.Author, ev.PullRequest.Author
	if page := cmp.Or(got.GetHead().GetRepo().GetHTMLURL(), got.GetBase().GetRepo().GetHTMLURL()); page != "" {
		ev.Commits[0].URL = page + "/commit/" + ev.After
	}
	if !objectID.MatchString(ev.After) {
		return event.Event{}, &dispatch.PermanentError{Err: fmt.Errorf("%s: the host names no head of pull request #%d", repository, number)}
	}
	return ev, nil
}

// Unlabel implements [githost.Unlabeler]. It needs "Issues: write" or "Pull
// requests: write" ("Remove a label from an issue").
func (c *Client) Unlabel(ctx context.Context, repository string, pullRequest int, label string) error {
	q, err := c.about(ctx, repository)
	if err != nil {
		return err
	}
	_, err = q.api.Issues.RemoveLabelForIssue(ctx, q.owner, q.name, pullRequest, url.PathEscape(label))
	if err == nil || codeOf(err) == http.StatusNotFound && !strings.Contains(err.Error(), "Not Found") {
		return nil // "Label does not exist"
	}
	return q.refused(ctx, fmt.Sprintf("take a label off pull request #%d", pullRequest), toComment, err)
}

// Merge implements [githost.Merger]. GitHub merges on a branch of its own,
// refs/pull/N/merge, some time after a pull request or its base has moved: until
// then mergeable is null ("Get a pull request"). The commit is taken only where
// the head that was asked for is one of its parents.
func (c *Client) Merge(ctx context.Context, pull *event.Event) (sha, conflict string, err error) {
	if pull.PullRequest == nil {
		return "", "", &dispatch.PermanentError{Err: errors.New("the event does not say which pull request it is about")}
	}
	q, err := c.about(ctx, pull.Repository.FullName, pull.After)
	if err != nil {
		return "", "", err
	}
	n := pull.PullRequest.Number
	got, _, err := q.api.PullRequests.Get(ctx, q.owner, q.name, n)
	if err != nil {
		return "", "", q.refused(ctx, fmt.Sprintf("read pull request #%d", n), toReadPulls, err)
	}
	switch head := strings.ToLower(got.GetHead().GetSHA()); {
	case got.GetState() != "open":
		return "", "it is not open any more", nil
	case head != pull.After:
		return "", fmt.Sprintf("its head has moved on to %.12s, of which another delivery tells", head), nil
	case got.Mergeable == nil:
		return "", "", fmt.Errorf("%s has not tried yet to merge pull request #%d", q.repository, n)
	case !got.GetMergeable():
		return "", "it conflicts with its base " + got.GetBase().GetRef(), nil
	}
	sha = strings.ToLower(got.GetMergeCommitSHA())
	if !objectID.MatchString(sha) {
		return "", "", fmt.Errorf("%s names no commit for the merge of pull request #%d", q.repository, n)
	}
	made, _, err := q.api.Repositories.GetCommit(ctx, q.owner, q.name, sha, &github.ListOptions{PerPage: 1})
	if err != nil {
		return "", "", q.failed(ctx, fmt.Sprintf("read commit %.12s", sha), err)
	}
	if !slices.ContainsFunc(made.Parents, func(p *github.Commit) bool { return strings.EqualFold(p.GetSHA(), pull.After) }) {
		return "", "", fmt.Errorf("%s still has the merge of another head of pull request #%d", q.repository, n)
	}
	return sha, "", nil
}
