package gitlab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/internal/event"
	"switchyard/internal/history"
)

const (
	// pageSize is the most that GitLab lists at once ("Pagination").
	pageSize = 100
	// maxCommits is for how many commits of one push GitLab is asked.
	maxCommits = 10_000
	// maxPaths is how many paths of a commit are kept. Those of one with more are
	// unknown.
	maxPaths = 10_000

	branchPrefix = "refs/heads/"
)

// call is a question about one project.
type call struct {
	*Client
	repository string
}

func (c *Client) about(repository string, shas ...string) (*call, error) {
	if err := CheckName(repository); err != nil {
		return nil, err
	}
	for _, sha := range shas {
		if err := CheckSHA(sha); err != nil {
			return nil, err
		}
	}
	return &call{c, repository}, nil
}

func (q *call) failed(ctx context.Context, op string, err error) error {
	return q.verdict(ctx, op, q.repository, toRead, err)
}

// Commits implements [dispatch.Host]. The commits of a push are those that its
// head has and the commit before it has not. Of a created branch they are those
// that the default branch has not, as in GitLab's own list, which may be more
// than the push brought. Of a merge request they are those that its target has
// not.
func (c *Client) Commits(ctx context.Context, ev *event.Event) ([]event.Commit, error) {
	shas := []string{ev.After}
	if ev.Before != "" {
		shas = append(shas, ev.Before)
	}
	q, err := c.about(ev.Repository.FullName, shas...)
	if err != nil {
		return nil, err
	}
	var found []*gl.Commit
	switch {
	case ev.Kind == event.PullRequest:
		found, err = q.pulled(ctx, ev)
	case ev.Tag() != "":
		var one *gl.Commit
		one, err = q.commit(ctx, ev.After) // a tag brings the commit that it names
		found = []*gl.Commit{one}
	default:
		found, err = q.pushed(ctx, ev)
	}
	if err != nil {
		return nil, err
	}
	return oldestFirst(found), nil
}

// oldestFirst is a list of GitLab's, which is newest first, with parents before
// their children whatever the clocks said.
func oldestFirst(found []*gl.Commit) []event.Commit {
	slices.Reverse(found)
	history.ParentsFirst(found, func(i int) string { return found[i].ID }, func(i int) []string { return found[i].ParentIDs })
	all := make([]event.Commit, len(found))
	for i, f := range found {
		all[i] = described(f)
	}
	return all
}

// described is what GitLab says of a commit anywhere; paths come elsewhere.
func described(c *gl.Commit) event.Commit {
	return event.Commit{
		SHA: strings.ToLower(c.ID), Message: c.Message, MessageKnown: true, Author: c.AuthorName, AuthorEmail: c.AuthorEmail,
		URL: c.WebURL, Distinct: true,
	}
}

func (q *call) pushed(ctx context.Context, ev *event.Event) ([]*gl.Commit, error) {
	if ev.Before != "" {
		found, err := q.list(ctx, ev.Before+".."+ev.After, maxCommits, time.Time{})
		if err == nil && len(found) > 0 || err != nil && !missing(err) {
			return found, err
		}
		// Nothing is what GitLab lists where nothing is new, and where it has one
		// of the two commits no longer.
		for _, sha := range []string{ev.After, ev.Before} {
			if _, err := q.commit(ctx, sha); err != nil {
				if missing(err) && sha == ev.Before {
					err = &dispatch.PermanentError{Err: fmt.Errorf("%s no longer has commit %.12s, at which %s was before the push: which commits are new cannot be told", q.repository, ev.Before, ev.Ref)}
				}
				return nil, err
			}
		}
		return nil, err
	}
	if ev.BeforeUnknown {
		return nil, &dispatch.PermanentError{Err: fmt.Errorf("%s: nobody tells where %s was before the push: which commits are new cannot be told", q.repository, ev.Ref)}
	}
	branch, err := q.defaultBranch(ctx, ev)
	if err != nil {
		return nil, err
	}
	base := ""
	if branch != "" && branch != ev.Branch() {
		if base, err = q.tip(ctx, branch); err != nil && !missing(err) {
			return nil, err
		}
	}
	if base == "" {
		return q.list(ctx, ev.After, maxCommits, time.Time{}) // the first push: all of it is new
	}
	found, err := q.list(ctx, base+".."+ev.After, maxCommits, time.Time{})
	if err == nil && !lists(found, ev) {
		return nil, &dispatch.PermanentError{Err: fmt.Errorf("%s has the commits of %s by now, so that %s no longer tells which of them the push brought", branch, ev.Ref, q.repository)}
	}
	return found, err
}

func (q *call) defaultBranch(ctx context.Context, ev *event.Event) (string, error) {
	if ev.Repository.DefaultBranch != "" {
		return ev.Repository.DefaultBranch, nil
	}
	p, _, err := q.api.Projects.GetProject(q.repository, nil, gl.WithContext(ctx))
	if err != nil {
		return "", q.failed(ctx, "read the project", err)
	}
	return p.DefaultBranch, nil
}

// pulled lists the commits that the head of a merge request has and its target
// has not. Where the target has them by now, the merge request itself still tells,
// as long as its head is the same.
func (q *call) pulled(ctx context.Context, ev *event.Event) ([]*gl.Commit, error) {
	pr := ev.PullRequest
	if pr == nil {
		return nil, &dispatch.PermanentError{Err: fmt.Errorf("%s: the event does not say which merge request it is about", q.repository)}
	}
	most := githost.MostCommits(pr, maxCommits)
	base, err := q.tip(ctx, pr.Base)
	if err == nil {
		found, problem := q.list(ctx, base+".."+ev.After, most, time.Time{})
		if problem == nil && has(found, ev.After) {
			return found, nil
		}
		err = problem
	}
	if err != nil && !missing(err) {
		return nil, err
	}
	op := fmt.Sprintf("list the commits of merge request %d", pr.Number)
	var all []*gl.Commit
	opts := &gl.GetMergeRequestCommitsOptions{ListOptions: gl.ListOptions{PerPage: pageSize, Page: 1}}
	for opts.Page != 0 {
		page, response, err := q.api.MergeRequests.GetMergeRequestCommits(q.repository, int64(pr.Number), opts, gl.WithContext(ctx))
		if err != nil {
			return nil, q.failed(ctx, op, err)
		}
		all = append(all, page...)
		if len(all) > most {
			return nil, q.tooMany(most)
		}
		opts.Page = response.NextPage
	}
	if len(all) == 0 || all[0].ID != ev.After {
		return nil, &dispatch.PermanentError{Err: fmt.Errorf("%s: merge request %d has another head by now than %.12s, so that GitLab no longer tells its commits", q.repository, pr.Number, ev.After)}
	}
	return all, nil
}

// missingError says that GitLab has no such commit, branch or project.
type missingError struct{ error }

func (e missingError) Unwrap() error { return e.error }

func missing(err error) bool { return errors.As(err, new(missingError)) }

// tip is the commit that a branch is at. Lists go by that: while one is read page
// by page, a branch may move.
func (q *call) tip(ctx context.Context, branch string) (string, error) {
	b, _, err := q.api.Branches.GetBranch(q.repository, branch, gl.WithContext(ctx))
	op := fmt.Sprintf("read branch %q", branch)
	switch {
	case notFound(err):
		return "", missingError{q.failed(ctx, op, err)}
	case err != nil:
		return "", q.failed(ctx, op, err)
	case b.Commit == nil || CheckSHA(b.Commit.ID) != nil:
		return "", fmt.Errorf("%s at %s: GitLab names no commit", op, q.repository)
	}
	return b.Commit.ID, nil
}

func (q *call) commit(ctx context.Context, sha string) (*gl.Commit, error) {
	found, _, err := q.api.Commits.GetCommit(q.repository, sha, &gl.GetCommitOptions{Stats: gl.Ptr(false)}, gl.WithContext(ctx))
	if err != nil {
		verdict := q.failed(ctx, fmt.Sprintf("read commit %.12s", sha), err)
		if notFound(err) {
			return nil, missingError{verdict}
		}
		return nil, verdict
	}
	return found, nil
}

// list lists the commits of a revision, newest first: a commit's ID stands for
// all that it has, and one..other for what the other has more. since, unless it is
// zero, is the earliest date of a commit. A call that ends before a long list does
// leaves what it has read to the next.
func (q *call) list(ctx context.Context, revision string, most int, since time.Time) ([]*gl.Commit, error) {
	key := q.repository + " " + revision + " " + since.String()
	all, page := q.resume(key)
	opts := &gl.ListCommitsOptions{RefName: &revision, ListOptions: gl.ListOptions{PerPage: pageSize, Page: page}}
	if !since.IsZero() {
		opts.Since = &since
	}
	for opts.Page != 0 {
		page, response, err := q.api.Commits.ListCommits(q.repository, opts, gl.WithContext(ctx))
		if err != nil {
			verdict := q.failed(ctx, "list the commits of "+revision, err)
			if notFound(err) {
				return nil, missingError{verdict}
			}
			if errors.Is(ctx.Err(), context.DeadlineExceeded) && len(all) > 0 {
				q.suspend(key, all, opts.Page)
				return nil, &dispatch.UnfinishedError{Err: fmt.Errorf("%s: %d commits are read so far", q.repository, len(all))}
			}
			return nil, verdict
		}
		all = append(all, page...)
		if len(all) > most {
			return nil, q.tooMany(most)
		}
		opts.Page = response.NextPage
	}
	return all, nil
}

func (q *call) tooMany(most int) error {
	return &dispatch.PermanentError{Err: fmt.Errorf("%s: there are more than %d commits, which is for how many GitLab is asked", q.repository, most)}
}

func has(found []*gl.Commit, sha string) bool {
	return slices.ContainsFunc(found, func(c *gl.Commit) bool { return c.ID == sha })
}

// lists reports whether every commit of the delivery is among those found.
func lists(found []*gl.Commit, ev *event.Event) bool {
	at := make(map[string]bool, len(found))
	for _, f := range found {
		at[f.ID] = true
	}
	return !slices.ContainsFunc(ev.Commits, func(c event.Commit) bool { return !at[c.SHA] })
}

// CommitsSince implements [githost.History].
func (c *Client) CommitsSince(ctx context.Context, repository, head string, since time.Time) ([]event.Commit, error) {
	q, err := c.about(repository, head)
	if err != nil {
		return nil, err
	}
	found, err := q.list(ctx, head, maxCommits, since)
	if err != nil {
		return nil, err
	}
	return oldestFirst(found), nil
}

// Commit implements [dispatch.Host]. The paths are those that differ from the
// first parent; of a renamed file both names are there.
//
// They come from a comparison: beyond GitLab's limits on files, lines and bytes
// ("Diff limits", 1,000 files unless the administrator allows more) that is cut,
// and says so by compare_timeout, while a commit's own diff says nothing.
func (c *Client) Commit(ctx context.Context, _, repository, sha string) (event.Commit, error) {
	q, err := c.about(repository, sha)
	if err != nil {
		return event.Commit{}, err
	}
	found, err := q.commit(ctx, sha)
	if err != nil {
		return event.Commit{}, err
	}
	made := described(found)
	if len(found.ParentIDs) == 0 {
		made.Paths, made.PathsKnown, err = q.tree(ctx, sha)
		return made, err
	}
	compared, _, err := q.api.Repositories.Compare(repository, &gl.CompareOptions{From: &found.ParentIDs[0], To: &sha, Straight: gl.Ptr(true)}, gl.WithContext(ctx))
	if err != nil {
		return event.Commit{}, q.failed(ctx, fmt.Sprintf("compare commit %.12s with its parent", sha), err)
	}
	if compared.CompareTimeout || len(compared.Diffs) > maxPaths {
		return made, nil
	}
	for _, d := range compared.Diffs {
		if d.RenamedFile && d.OldPath != d.NewPath {
			made.Paths = append(made.Paths, d.OldPath)
		}
		made.Paths = append(made.Paths, d.NewPath)
	}
	made.PathsKnown = true
	return made, nil
}

// tree lists the files of a commit without parents, all of which it added.
func (q *call) tree(ctx context.Context, sha string) (paths []string, known bool, err error) {
	opts := &gl.ListTreeOptions{Ref: &sha, Recursive: gl.Ptr(true), ListOptions: gl.ListOptions{PerPage: pageSize, Page: 1}}
	for opts.Page != 0 {
		page, response, err := q.api.Repositories.ListTree(q.repository, opts, gl.WithContext(ctx))
		if err != nil {
			return nil, false, q.failed(ctx, fmt.Sprintf("list the files of commit %.12s", sha), err)
		}
		for _, node := range page {
			if node.Type != "tree" {
				paths = append(paths, node.Path)
			}
		}
		if len(paths) > maxPaths {
			return nil, false, nil
		}
		opts.Page = response.NextPage
	}
	return paths, true, nil
}
