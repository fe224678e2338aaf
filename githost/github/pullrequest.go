package github

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/internal/event"
)

var (
	_ githost.PullRequestReader = (*Client)(nil)
	_ githost.Unlabeler         = (*Client)(nil)
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
