package github

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"switchyard/githost"
	"switchyard/githost/gitrefs"
	"switchyard/internal/event"
	"switchyard/internal/history"
)

var (
	_ githost.Refs         = (*Client)(nil)
	_ githost.History      = (*Client)(nil)
	_ githost.PullRequests = (*Client)(nil)
)

// cloneBase is where repositories are cloned from, by where the API is.
func cloneBase(api *url.URL) string {
	u := *api
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/api/v3")
	u.Host = strings.TrimPrefix(u.Host, "api.")
	return strings.TrimRight(u.String(), "/")
}

// Refs implements [githost.Refs] by git's own protocol.
func (c *Client) Refs(ctx context.Context, repository string) (map[string]string, error) {
	token, err := c.CloneToken(ctx, repository)
	if err != nil {
		return nil, err
	}
	return gitrefs.List(ctx, c.transport, c.cloneBase+"/"+repository+".git", "x-access-token", token)
}

// CommitsSince implements [githost.History].
func (c *Client) CommitsSince(ctx context.Context, repository, head string, since time.Time) ([]event.Commit, error) {
	q, err := c.about(ctx, repository, head)
	if err != nil {
		return nil, err
	}
	found, err := q.list(ctx, &github.CommitsListOptions{SHA: head, Since: since}, func(string) bool { return false })
	if err != nil {
		return nil, err
	}
	return inOrder(found), nil
}

// inOrder are commits with parents first: hosts with the same API list comparisons
// newest first.
func inOrder(found []*github.RepositoryCommit) []event.Commit {
	history.ParentsFirst(found, func(i int) string { return found[i].GetSHA() }, func(i int) []string {
		var shas []string
		for _, p := range found[i].Parents {
			shas = append(shas, p.GetSHA())
		}
		return shas
	})
	all := make([]event.Commit, len(found))
	for i, f := range found {
		all[i] = commit(f)
	}
	return all
}

// PullRequests implements [githost.PullRequests]. The newest change of any pull
// request, open or closed, tells whether one changed: it is asked for with the
// ETag of the last answer, which costs nothing where there was none. The mark is
// that ETag and what the answer said, since ETags change with an App's token.
func (c *Client) PullRequests(ctx context.Context, repository, mark string) (open []event.Event, next string, err error) {
	q, err := c.about(ctx, repository)
	if err != nil {
		return nil, "", err
	}
	tag, said, _ := strings.Cut(mark, " ")
	r, err := q.api.NewRequest(http.MethodGet, fmt.Sprintf("repos/%s/%s/pulls?state=all&sort=updated&direction=desc&per_page=1", q.owner, q.name), nil)
	if err != nil {
		return nil, "", err
	}
	if tag != "" {
		r.Header.Set("If-None-Match", tag)
	}
	var newest []*github.PullRequest
	response, err := q.api.Do(ctx, r, &newest)
	if codeOf(err) == http.StatusNotModified {
		return nil, mark, githost.ErrUnchanged
	}
	if err != nil {
		return nil, "", q.refused(ctx, "look for changed pull requests", toReadPulls, err)
	}
	now := digest(newest)
	next = strings.ReplaceAll(response.Header.Get("ETag"), " ", "") + " " + now
	if said == now {
		return nil, next, githost.ErrUnchanged
	}
	opts := &github.PullRequestListOptions{State: "open", Sort: "created", Direction: "asc", ListOptions: github.ListOptions{Page: 1, PerPage: pageSize}}
	for opts.Page != 0 {
		page, response, err := q.api.PullRequests.List(ctx, q.owner, q.name, opts)
		if err != nil {
			return nil, "", q.refused(ctx, "list the pull requests", toReadPulls, err)
		}
		for _, p := range page {
			open = append(open, pullEvent(repository, p))
		}
		opts.Page = response.NextPage
	}
	// A page moves when somebody closes one that an earlier page has.
	slices.SortStableFunc(open, func(a, b event.Event) int { return a.PullRequest.Number - b.PullRequest.Number })
	open = slices.CompactFunc(open, func(a, b event.Event) bool { return a.PullRequest.Number == b.PullRequest.Number })
	return open, next, nil
}

// digest is what the newest change was.
func digest(newest []*github.PullRequest) string {
	var change []any
	for _, p := range newest {
		change = append(change, p.GetNumber(), p.GetUpdatedAt().Time, p.GetState(), p.GetHead().GetSHA(), p.GetBase().GetRef(), p.GetDraft(), p.Labels)
	}
	text, err := json.Marshal(change)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// pullEvent is what the last change of a pull request's head was told as, or would
// have been.
func pullEvent(repository string, p *github.PullRequest) event.Event {
	head, base := p.GetHead(), p.GetBase()
	ev := event.Event{
		Kind: event.PullRequest, Action: "synchronize", Repository: event.Repository{FullName: repository, DefaultBranch: base.GetRepo().GetDefaultBranch()},
		Ref: "refs/heads/" + head.GetRef(), After: strings.ToLower(head.GetSHA()), Truncated: true,
		Commits: []event.Commit{{SHA: strings.ToLower(head.GetSHA()), Distinct: true}},
		PullRequest: &event.PullReq{
			Number: p.GetNumber(), Base: base.GetRef(), BaseSHA: strings.ToLower(base.GetSHA()), Title: p.GetTitle(), Author: p.GetUser().GetLogin(), Draft: p.GetDraft(),
			// The head's repository is null once it is deleted.
			Fork: head.GetRepo().GetID() == 0 || head.GetRepo().GetID() != base.GetRepo().GetID(), HeadRepo: head.GetRepo().GetFullName(),
		},
	}
	for _, l := range p.Labels {
		ev.PullRequest.Labels = append(ev.PullRequest.Labels, l.GetName())
	}
	return ev
}
