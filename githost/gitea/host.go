package gitea

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"code.gitea.io/sdk/gitea"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/internal/event"
	"switchyard/internal/history"
)

const (
	// pageSize is the most that the host lists at once unless its administrator
	// chose another number (MAX_RESPONSE_ITEMS).
	pageSize = 50
	// maxCommits is for how many commits of one push the host is asked.
	maxCommits = 10_000
)

var (
	objectID = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)

	_ dispatch.Host = (*Client)(nil)
)

func checkIDs(shas ...string) error {
	for _, sha := range shas {
		if !objectID.MatchString(sha) {
			return &dispatch.PermanentError{Err: fmt.Errorf("%q is not a commit ID", sha)}
		}
	}
	return nil
}

// Commits implements [dispatch.Host]. The commits of a push are those that its
// head has and the commit before it has not. Of a created branch, and where the
// commit before is gone, they are those that neither the default branch has nor
// another branch that ends at one of them; these may be more than the push brought.
func (c *Client) Commits(ctx context.Context, ev *event.Event) ([]event.Commit, error) {
	q, err := c.about(ctx, ev.Repository.FullName)
	if err != nil {
		return nil, err
	}
	if err = checkIDs(ev.After); err != nil {
		return nil, err
	}
	if ev.Kind == event.PullRequest {
		return q.pulled(ctx, ev)
	}
	if ev.Before == "" {
		return q.created(ctx, ev)
	}
	if err = checkIDs(ev.Before); err != nil {
		return nil, err
	}
	found, err := q.list(ctx, ev.After, ev.Before, maxCommits)
	if gone, asked := q.gone(ctx, ev.Before, err); asked != nil {
		return nil, asked
	} else if gone {
		return q.created(ctx, ev) // a forced push left it behind
	}
	return found, err
}

// lost reports whether a list failed in the way that it does where the host does
// not have one of its ends: with a 500 for the one that is to be left out, and for
// the other with a 404 or, in older versions, with a 500 too.
func lost(listErr error) bool {
	var failed *listError
	return errors.As(listErr, &failed) && (failed.status == http.StatusNotFound || failed.status == http.StatusInternalServerError)
}

// gone reports whether a list failed because the host no longer has a commit that
// it was to leave out.
func (q *call) gone(ctx context.Context, sha string, listErr error) (bool, error) {
	if !lost(listErr) {
		return false, nil
	}
	_, r, err := q.api.GetSingleCommit(q.owner, q.name, sha)
	switch {
	case err == nil:
		return false, nil
	case StatusOf(r) == http.StatusNotFound:
		return true, nil
	}
	return false, q.failed(ctx, fmt.Sprintf("look for commit %.12s", sha), ScopeRead, r, err)
}

// pulled lists the commits that the head of a pull request has and its base has
// not. The base is the branch as it is now: what was merged into the head from it
// is not the pull request's. Where the branch is gone, or has the head by now, the
// base that the payload names still tells.
func (q *call) pulled(ctx context.Context, ev *event.Event) ([]event.Commit, error) {
	pr := ev.PullRequest
	if pr == nil || pr.Base == "" {
		return nil, &dispatch.PermanentError{Err: fmt.Errorf("%s: the event does not say which pull request it is about", q.repository)}
	}
	most := githost.MostCommits(pr, maxCommits)
	found, err := q.list(ctx, ev.After, "refs/heads/"+pr.Base, most)
	if objectID.MatchString(pr.BaseSHA) && (lost(err) || err == nil && !ends(found, ev.After)) {
		return q.list(ctx, ev.After, pr.BaseSHA, most)
	}
	return found, err
}

func ends(found []event.Commit, sha string) bool {
	return slices.ContainsFunc(found, func(c event.Commit) bool { return c.SHA == sha })
}

// created lists what no other branch is known to have.
func (q *call) created(ctx context.Context, ev *event.Event) ([]event.Commit, error) {
	branch := ev.Repository.DefaultBranch
	if branch == "" {
		r, response, err := q.api.GetRepo(q.owner, q.name)
		if err != nil {
			return nil, q.failed(ctx, "read the repository", ScopeRead, response, err)
		}
		branch = r.DefaultBranch
	}
	if branch == "" || branch == ev.Branch() {
		if ev.Before != "" {
			return nil, &dispatch.PermanentError{Err: fmt.Errorf("%s no longer has commit %.12s, at which %s was before the push: which commits are new cannot be told", q.repository, ev.Before, ev.Ref)}
		}
		return q.list(ctx, ev.After, "", maxCommits) // the first push: all of it is new
	}
	refs, err := q.Refs(ctx, q.repository)
	if err != nil {
		return nil, err
	}
	found, err := q.list(ctx, ev.After, refs["refs/heads/"+branch], maxCommits) // all of it where there is no such branch
	if err != nil {
		return nil, err
	}
	if missing := slices.IndexFunc(ev.Commits, func(c event.Commit) bool { return len(ev.Commits) > 1 && !ends(found, c.SHA) }); missing >= 0 {
		return nil, &dispatch.PermanentError{Err: fmt.Errorf("%s has commit %.12s by now, so that %s no longer tells which of them the push to %s brought", branch, ev.Commits[missing].SHA, q.repository, ev.Ref)}
	}
	return without(found, refs, ev), nil
}

// without leaves out the commits that are on other branches: those at which one
// ends, and all before them. A branch that ends at the same commit as the pushed
// one says nothing: it may have come with the same push.
func without(found []event.Commit, refs map[string]string, ev *event.Event) []event.Commit {
	tips := map[string]bool{}
	for ref, tip := range refs {
		if ref != ev.Ref && tip != ev.After {
			tips[tip] = true
		}
	}
	last := -1
	for i := range found {
		if tips[found[i].SHA] {
			last = i
		}
	}
	if last < 0 || slices.ContainsFunc(ev.Commits, func(c event.Commit) bool {
		return slices.ContainsFunc(found[:last+1], func(f event.Commit) bool { return f.SHA == c.SHA })
	}) {
		return found
	}
	return found[last+1:]
}

// listError is an answer in the place of a list of commits.
type listError struct {
	status int
	err    error
}

func (e *listError) Error() string { return e.err.Error() }
func (e *listError) Unwrap() error { return e.err }

// list returns what head has and not has not, oldest first; an empty not leaves
// nothing out.
func (q *call) list(ctx context.Context, head, not string, most int) ([]event.Commit, error) {
	var found []*gitea.Commit
	err := q.pages(ctx, head, not, func(page []*gitea.Commit, total int) (bool, error) {
		if found = append(found, page...); max(total, len(found)) > most {
			return false, &dispatch.PermanentError{Err: fmt.Errorf("%s: there are more than %d commits, which is for how many the host is asked", q.repository, most)}
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	slices.Reverse(found)
	history.ParentsFirst(found, func(i int) string { return found[i].SHA }, func(i int) []string {
		var shas []string
		for _, p := range found[i].Parents {
			shas = append(shas, p.SHA)
		}
		return shas
	})
	all := make([]event.Commit, len(found))
	for i, f := range found {
		all[i] = commit(f)
	}
	return all, nil
}

// pages lists what head has and not has not, newest first, until each says that it
// is enough. total is how many there are, by the host. The comparison of two
// commits would be one answer, however many there are.
func (q *call) pages(ctx context.Context, head, not string, each func(page []*gitea.Commit, total int) (more bool, err error)) error {
	opts := gitea.ListCommitOptions{SHA: head, Not: not, Files: true}
	for opts.Page, opts.PageSize = 1, pageSize; opts.Page != 0; {
		page, r, err := q.api.ListRepoCommits(q.owner, q.name, opts)
		if err != nil {
			return &listError{StatusOf(r), q.failed(ctx, fmt.Sprintf("list the commits of %.12s", head), ScopeRead, r, err)}
		}
		if slices.ContainsFunc(page, func(c *gitea.Commit) bool { return c == nil || c.CommitMeta == nil || !objectID.MatchString(c.SHA) }) {
			return fmt.Errorf("list the commits of %.12s at %s: the host lists one without an ID", head, q.repository)
		}
		total := 0
		_, _ = fmt.Sscan(r.Header.Get("X-Total-Count"), &total) // older versions do not tell
		more, err := each(page, total)
		if err != nil || !more || len(page) == 0 {
			return err
		}
		opts.Page = r.NextPage
	}
	return nil
}

// Commit implements [dispatch.Host].
func (c *Client) Commit(ctx context.Context, _, repository, sha string) (event.Commit, error) {
	q, err := c.about(ctx, repository)
	if err != nil {
		return event.Commit{}, err
	}
	if err = checkIDs(sha); err != nil {
		return event.Commit{}, err
	}
	found, r, err := q.api.GetSingleCommit(q.owner, q.name, sha)
	if err != nil {
		return event.Commit{}, q.failed(ctx, fmt.Sprintf("read commit %.12s", sha), ScopeRead, r, err)
	}
	if found.CommitMeta == nil || found.SHA != sha {
		return event.Commit{}, fmt.Errorf("read commit %.12s at %s: the host answers with another", sha, repository)
	}
	return commit(found), nil
}

// commit is what the host says of a commit, with the files that it changed
// against its first parent. A renamed file is there under both names.
func commit(c *gitea.Commit) event.Commit {
	made := event.Commit{SHA: strings.ToLower(c.SHA), URL: c.HTMLURL, Distinct: true, PathsKnown: c.Files != nil}
	if c.Author != nil {
		made.Author = c.Author.UserName
	}
	if about := c.RepoCommit; about != nil {
		made.Message, made.MessageKnown = about.Message, true
		if about.Author != nil {
			made.Author, made.AuthorEmail = cmp.Or(made.Author, about.Author.Name), about.Author.Email
		}
	}
	for _, f := range c.Files {
		made.Paths = append(made.Paths, f.Filename)
	}
	return made
}
