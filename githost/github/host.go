package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-github/v60/github"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

const (
	// pageSize is the most that the host lists at once.
	pageSize = 100
	// maxCommits is for how many commits of one push the host is asked.
	maxCommits = 10_000
	// maxFiles is how many files of a commit the host lists; 300 a page,
	// unless it is asked for fewer.
	maxFiles = 3000
	// listedByDelivery is how many commits a delivery lists at most.
	listedByDelivery = 2048
	// maxError bounds what is kept of an error's text, in characters.
	maxError = 500
)

var objectID = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)

var _ dispatch.Host = (*Client)(nil)

// call is a question about one repository.
type call struct {
	*Client
	api         *github.Client
	owner, name string
	repository  string
}

func (c *Client) about(ctx context.Context, repository string, shas ...string) (*call, error) {
	owner, name, err := Split(repository)
	if err != nil {
		return nil, err
	}
	for _, sha := range shas {
		if !objectID.MatchString(sha) {
			return nil, &dispatch.PermanentError{Err: fmt.Errorf("%q is not a commit ID", sha)}
		}
	}
	api, err := c.For(ctx, owner, name)
	if err != nil {
		return nil, c.verdict(ctx, "authorise a GitHub App for "+repository, repository, toRead, err)
	}
	return &call{Client: c, api: api, owner: owner, name: name, repository: repository}, nil
}

// Commits implements [dispatch.Host]. The commits of a push are those that its
// head has and the commit before it has not. Of a created branch they are those
// that the default branch has not, which may be more than the push brought. Of a
// pull request they are those that its base has not.
func (c *Client) Commits(ctx context.Context, push *event.Event) ([]event.Commit, error) {
	shas := []string{push.After}
	if push.Kind == event.PullRequest && push.PullRequest != nil && push.PullRequest.BaseSHA != "" {
		shas = append(shas, push.PullRequest.BaseSHA)
	}
	if push.Before != "" {
		shas = append(shas, push.Before)
	}
	q, err := c.about(ctx, push.Repository.FullName, shas...)
	if err != nil {
		return nil, err
	}
	list := q.pushed
	if push.Kind == event.PullRequest {
		list = q.pulled
	}
	found, err := list(ctx, push)
	if err != nil {
		return nil, err
	}
	return inOrder(found), nil
}

func (q *call) pushed(ctx context.Context, push *event.Event) ([]*github.RepositoryCommit, error) {
	if push.Before != "" {
		found, err := q.compare(ctx, push.Before, push.After, q.most)
		if !unrelated(err) {
			return found, err
		}
		return q.sinceKnown(ctx, push)
	}
	branch := push.Repository.DefaultBranch
	if branch == "" {
		r, _, err := q.api.Repositories.Get(ctx, q.owner, q.name)
		if err != nil {
			return nil, q.failed(ctx, "read the repository", err)
		}
		if branch = r.GetDefaultBranch(); branch == "" {
			return nil, fmt.Errorf("%s: the host names no default branch", q.repository)
		}
	}
	if branch == push.Branch() {
		return q.history(ctx, push.After) // the first push: all of it is new
	}
	found, err := q.compare(ctx, branch, push.After, q.most)
	if unrelated(err) {
		return q.history(ctx, push.After)
	}
	if err == nil && !lists(found, push) {
		return nil, &dispatch.PermanentError{Err: fmt.Errorf("%s has the commits of %s by now, so that %s no longer tells which of them the push brought", branch, push.Ref, q.repository)}
	}
	return found, err
}

// sinceKnown lists the commits of a push whose predecessor the host has no
// longer, as after a forced push. Where the delivery is so full that the newest
// are missing, it ends at those that are there. Else nobody can tell any more
// which commits are new, and guessing would run old ones.
func (q *call) sinceKnown(ctx context.Context, push *event.Event) ([]*github.RepositoryCommit, error) {
	if len(push.Commits) <= listedByDelivery {
		if _, _, err := q.api.Repositories.GetCommitSHA1(ctx, q.owner, q.name, push.After, ""); err != nil {
			return nil, q.failed(ctx, fmt.Sprintf("look for commit %.12s", push.After), err)
		}
		return nil, &dispatch.PermanentError{Err: fmt.Errorf("%s no longer has commit %.12s, at which %s was before the push: which commits are new cannot be told", q.repository, push.Before, push.Ref)}
	}
	missing := make(map[string]bool, len(push.Commits))
	for i := range push.Commits {
		missing[push.Commits[i].SHA] = true
	}
	return q.list(ctx, &github.CommitsListOptions{SHA: push.After}, func(sha string) bool {
		delete(missing, sha)
		return len(missing) == 0
	})
}

// lists reports whether every commit of the delivery is among those found.
func lists(found []*github.RepositoryCommit, push *event.Event) bool {
	at := make(map[string]bool, len(found))
	for _, f := range found {
		at[f.GetSHA()] = true
	}
	return !slices.ContainsFunc(push.Commits, func(c event.Commit) bool { return !at[c.SHA] })
}

// unrelatedError says that the host knows no history from one commit to the
// other.
type unrelatedError struct{ error }

func (e unrelatedError) Unwrap() error { return e.error }

func unrelated(err error) bool { return errors.As(err, new(unrelatedError)) }

// compare lists what head has and base has not, oldest first, unless that is more
// than most.
func (q *call) compare(ctx context.Context, base, head string, most int) ([]*github.RepositoryCommit, error) {
	var all []*github.RepositoryCommit
	total := 0
	for page := 1; page != 0; {
		got, response, err := q.api.Repositories.CompareCommits(ctx, q.owner, q.name, base, head, &github.ListOptions{Page: page, PerPage: pageSize})
		if err != nil {
			verdict := q.failed(ctx, fmt.Sprintf("compare %.12s with %.12s", base, head), err)
			if response != nil && (response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusUnprocessableEntity) {
				return nil, unrelatedError{verdict}
			}
			return nil, verdict
		}
		total = got.GetTotalCommits()
		if total > most {
			return nil, tooMany(q.repository, most)
		}
		all = append(all, got.Commits...)
		page = response.NextPage
		if len(got.Commits) == 0 {
			break
		}
	}
	if len(all) < total {
		return nil, &dispatch.PermanentError{Err: fmt.Errorf("%s: from %.12s to %.12s there are %d commits, of which the host lists %d", q.repository, base, head, total, len(all))}
	}
	return all, nil
}

// history lists all that head has, oldest first.
func (q *call) history(ctx context.Context, head string) ([]*github.RepositoryCommit, error) {
	return q.list(ctx, &github.CommitsListOptions{SHA: head}, func(string) bool { return false })
}

// list goes back from a commit until last says so, and returns what it met, oldest
// first.
func (q *call) list(ctx context.Context, opts *github.CommitsListOptions, last func(sha string) bool) ([]*github.RepositoryCommit, error) {
	var all []*github.RepositoryCommit
	opts.ListOptions = github.ListOptions{Page: 1, PerPage: pageSize}
	for opts.Page != 0 {
		got, response, err := q.api.Repositories.ListCommits(ctx, q.owner, q.name, opts)
		if err != nil {
			return nil, q.failed(ctx, fmt.Sprintf("list the commits of %.12s", opts.SHA), err)
		}
		for _, c := range got {
			all = append(all, c)
			if last(c.GetSHA()) {
				slices.Reverse(all)
				return all, nil
			}
		}
		if len(all) > q.most {
			return nil, tooMany(q.repository, q.most)
		}
		opts.Page = response.NextPage
	}
	slices.Reverse(all)
	return all, nil
}

func tooMany(repository string, most int) error {
	return &dispatch.PermanentError{Err: fmt.Errorf("%s: there are more than %d commits, which is for how many the host is asked", repository, most)}
}

// Commit implements [dispatch.Host]. The paths of a commit with 3,000 files or
// more are unknown: the host lists no further ones.
func (c *Client) Commit(ctx context.Context, _, repository, sha string) (event.Commit, error) {
	q, err := c.about(ctx, repository, sha)
	if err != nil {
		return event.Commit{}, err
	}
	var made event.Commit
	files := 0
	for page := 1; page != 0; {
		got, response, err := q.api.Repositories.GetCommit(ctx, q.owner, q.name, sha, &github.ListOptions{Page: page})
		if err != nil {
			return event.Commit{}, q.failed(ctx, fmt.Sprintf("read commit %.12s", sha), err)
		}
		if page == 1 {
			made = commit(got)
		}
		for _, f := range got.Files {
			// A renamed file was removed under its former name.
			if former := f.GetPreviousFilename(); former != "" && f.GetStatus() == "renamed" {
				made.Paths = append(made.Paths, former)
			}
			made.Paths = append(made.Paths, f.GetFilename())
		}
		files += len(got.Files)
		page = response.NextPage
		if len(got.Files) == 0 {
			break
		}
	}
	if made.PathsKnown = files < maxFiles; !made.PathsKnown {
		made.Paths = nil
	}
	return made, nil
}

// commit is what the host says of a commit anywhere; paths come elsewhere.
func commit(c *github.RepositoryCommit) event.Commit {
	author := c.GetAuthor().GetLogin()
	if author == "" {
		author = c.GetCommit().GetAuthor().GetName()
	}
	return event.Commit{
		SHA: strings.ToLower(c.GetSHA()), Message: c.GetCommit().GetMessage(), MessageKnown: true,
		Author: author, AuthorEmail: c.GetCommit().GetAuthor().GetEmail(), URL: c.GetHTMLURL(), Distinct: true,
	}
}
