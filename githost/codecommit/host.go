package codecommit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codecommit/types"
	"golang.org/x/sync/errgroup"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

const (
	// maxBatch is the most that BatchGetCommits takes.
	maxBatch = 100
	// parallel is how many calls of one question are under way at once.
	parallel = 8
	// maxBranches is of how many other branches the tips are asked.
	maxBranches = 1000
	// maxPaths is how many paths of a commit are kept. Those of one with more
	// are unknown.
	maxPaths = 10_000
	// togetherFor is how long after a branch was created others may turn out to
	// have come with the same push.
	togetherFor = 10 * time.Minute
)

var _ dispatch.Host = (*Client)(nil)

// call is a question about one repository.
type call struct {
	*Client
	repository string
	// got counts the commits that the API told.
	got atomic.Int64
}

// Commits implements [dispatch.Host]. The commits of a push are those that its
// head has and the commit before it has not; of a pull request, those that its
// head has and the base it is to be merged into has not. Of a created branch, or where the
// repository no longer has the commit before, they are those that no other
// branch has. Where nobody knows the commit before, nothing is guessed. Every
// commit counts as distinct: the API does not tell.
func (c *Client) Commits(ctx context.Context, push *event.Event) ([]event.Commit, error) {
	shas := []string{push.After}
	if push.Before != "" {
		shas = append(shas, push.Before)
	}
	if err := Check(push.Repository.FullName, shas...); err != nil {
		return nil, err
	}
	q := &call{Client: c, repository: push.Repository.FullName}
	found, err := q.pushed(ctx, push)
	return q.answer(found, err)
}

// answer makes commits of what a walk has found, or says what kept it from ending.
func (q *call) answer(found []*node, err error) ([]event.Commit, error) {
	if err == nil {
		all := make([]event.Commit, len(found))
		for i, n := range found {
			all[i] = q.describe(n)
		}
		return all, nil
	}
	if errors.Is(err, context.DeadlineExceeded) && q.got.Load() > 0 {
		return nil, &dispatch.UnfinishedError{Err: fmt.Errorf("%s tells its history commit by commit, %d of them so far in this call", q.repository, q.got.Load())}
	}
	var missing *missingError
	if errors.As(err, &missing) {
		return nil, &dispatch.PermanentError{Err: fmt.Errorf("%s: %w", q.repository, missing)}
	}
	return nil, err
}

// pushed returns the commits of a push, oldest first.
func (q *call) pushed(ctx context.Context, push *event.Event) ([]*node, error) {
	if push.Kind == event.PullRequest {
		return q.pulled(ctx, push)
	}
	if push.Tag() != "" {
		return q.one(ctx, push.After) // a tag brings the commit that it names
	}
	var tips []string
	switch {
	case push.PullRequest != nil:
		if err := Check(q.repository, push.PullRequest.BaseSHA); err != nil {
			return nil, err
		}
		tips = []string{push.PullRequest.BaseSHA}
	case push.Before == "" && push.BeforeUnknown:
		// All of a long history may be new by what can be found out here, and
		// guessing would run it.
		return nil, &dispatch.PermanentError{Err: fmt.Errorf("%s: nobody tells where %s was before the push: which commits are new cannot be told", q.repository, push.Ref)}
	case push.Before != "":
		known, err := q.commits(ctx, []string{push.Before})
		if err != nil {
			return nil, err
		}
		if known[push.Before] != nil {
			tips = []string{push.Before}
		}
	}
	if tips == nil {
		var err error
		if tips, err = q.otherTips(ctx, push); err != nil {
			return nil, err
		}
		if len(tips) == 0 && push.Before != "" {
			return nil, &dispatch.PermanentError{Err: fmt.Errorf("%s no longer has commit %.12s, at which %s was before the push, and no other branch: which commits are new cannot be told", q.repository, push.Before, push.Ref)}
		}
	}
	found, err := between(ctx, q, push.After, tips, q.cfg.MaxCommits)
	if err != nil {
		return nil, err
	}
	return oldestFirst(found, push.After), nil
}

// pulled returns the commits that the source of a pull request has and its
// destination had not, oldest first.
func (q *call) pulled(ctx context.Context, ev *event.Event) ([]*node, error) {
	if ev.PullRequest == nil || ev.PullRequest.BaseSHA == "" {
		return nil, &dispatch.PermanentError{Err: fmt.Errorf("%s: the event does not say where the destination of the pull request is", q.repository)}
	}
	base := ev.PullRequest.BaseSHA
	if err := Check(q.repository, base); err != nil {
		return nil, err
	}
	known, err := q.commits(ctx, []string{base})
	if err != nil {
		return nil, err
	}
	if known[base] == nil {
		return nil, &missingError{base}
	}
	found, err := between(ctx, q, ev.After, []string{base}, q.cfg.MaxCommits)
	if err != nil {
		return nil, err
	}
	return oldestFirst(found, ev.After), nil
}

func (q *call) one(ctx context.Context, sha string) ([]*node, error) {
	got, err := q.commits(ctx, []string{sha})
	if err != nil {
		return nil, err
	}
	if got[sha] == nil {
		return nil, &missingError{sha}
	}
	return []*node{got[sha]}, nil
}

// otherTips are the commits of all other branches, but those that may have come
// with the same push: if each of two new branches left what they share to the
// other, nobody would run it.
func (q *call) otherTips(ctx context.Context, push *event.Event) ([]string, error) {
	if push.Before == "" {
		q.notice(push.Branch())
	}
	var names []string
	for token := (*string)(nil); ; {
		page, err := Ask(ctx, q.Client, q.api.ListBranches, &codecommit.ListBranchesInput{RepositoryName: &q.repository, NextToken: token})
		if err != nil {
			return nil, q.Verdict(ctx, "ListBranches", q.repository, err)
		}
		for _, name := range page.Branches {
			if name != push.Branch() && !q.noticed(name) {
				names = append(names, name)
			}
		}
		if token = page.NextToken; token == nil || len(names) > maxBranches {
			break
		}
	}
	if len(names) > maxBranches {
		return nil, &dispatch.PermanentError{Err: fmt.Errorf("%s has more than %d branches, so that what is new on %s cannot be told", q.repository, maxBranches, push.Ref)}
	}
	tips := make([]string, len(names))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, name := range names {
		group.Go(func() error {
			got, err := Ask(groupCtx, q.Client, q.api.GetBranch, &codecommit.GetBranchInput{RepositoryName: &q.repository, BranchName: &names[i]})
			switch {
			case Code(err) == "BranchDoesNotExistException": // deleted meanwhile
			case err != nil:
				return q.Verdict(ctx, "GetBranch", q.repository+" "+strconv.Quote(name), err)
			case got.Branch != nil:
				tips[i] = aws.ToString(got.Branch.CommitId)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var known []string
	for _, sha := range tips {
		if objectID.MatchString(sha) {
			known = append(known, sha)
		}
	}
	return known, nil
}

// notice remembers that a branch was created.
func (q *call) notice(branch string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for key, at := range q.created {
		if q.now().Sub(at) > togetherFor {
			delete(q.created, key)
		}
	}
	q.created[[2]string{q.repository, branch}] = q.now()
}

func (q *call) noticed(branch string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	at, ok := q.created[[2]string{q.repository, branch}]
	return ok && q.now().Sub(at) <= togetherFor
}

// commits implements [source].
func (q *call) commits(ctx context.Context, shas []string) (map[string]*node, error) {
	found := make(map[string]*node, len(shas))
	var ask []string
	for _, sha := range shas {
		if n := q.known.get(q.repository, sha); n != nil {
			found[sha] = n
		} else {
			ask = append(ask, sha)
		}
	}
	batches := make([][]types.Commit, (len(ask)+maxBatch-1)/maxBatch)
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i := range batches {
		group.Go(func() error {
			part := ask[i*maxBatch : min((i+1)*maxBatch, len(ask))]
			got, err := Ask(groupCtx, q.Client, q.api.BatchGetCommits, &codecommit.BatchGetCommitsInput{RepositoryName: &q.repository, CommitIds: part})
			if err != nil {
				return q.Verdict(ctx, "BatchGetCommits", q.repository, err)
			}
			batches[i] = got.Commits
			return nil
		})
	}
	err := group.Wait()
	// What came is remembered, whatever failed beside it.
	for _, batch := range batches {
		for i := range batch {
			n := newNode(&batch[i])
			q.known.put(q.repository, n)
			q.got.Add(1)
			found[n.sha] = n
		}
	}
	return found, err
}

// mergeBase implements [source]. Where the API does not tell, which some do not
// allow, the walk finds it by itself.
func (q *call) mergeBase(ctx context.Context, a, b string) (string, error) {
	got, err := Ask(ctx, q.Client, q.api.GetMergeCommit, &codecommit.GetMergeCommitInput{RepositoryName: &q.repository, SourceCommitSpecifier: &a, DestinationCommitSpecifier: &b})
	if err != nil {
		if denies, _ := Denied(err); denies || ctx.Err() == nil && !passing(err) && !outOfTime(err) {
			return "", nil
		}
		return "", q.Verdict(ctx, "GetMergeCommit", q.repository, err)
	}
	if base := aws.ToString(got.BaseCommitId); objectID.MatchString(base) {
		return base, nil
	}
	return "", nil
}

func newNode(c *types.Commit) *node {
	n := &node{sha: aws.ToString(c.CommitId), message: strings.TrimRight(aws.ToString(c.Message), "\n")}
	for _, p := range c.Parents {
		if objectID.MatchString(p) {
			n.parents = append(n.parents, p)
		}
	}
	if c.Author != nil {
		n.author, n.email = aws.ToString(c.Author.Name), aws.ToString(c.Author.Email)
	}
	if c.Committer != nil {
		// As in git: seconds and an offset, "1484167798 -0800".
		seconds, _, _ := strings.Cut(aws.ToString(c.Committer.Date), " ")
		n.date, _ = strconv.ParseInt(seconds, 10, 64)
	}
	return n
}

func (q *call) describe(n *node) event.Commit {
	return event.Commit{
		SHA: n.sha, Message: n.message, MessageKnown: true, Author: n.author, AuthorEmail: n.email,
		URL: q.console(q.repository, n.sha), Distinct: true,
	}
}

// Commit implements [dispatch.Host]. The paths are those that differ from the
// first parent; of a renamed file both names are there.
func (c *Client) Commit(ctx context.Context, _, repository, sha string) (event.Commit, error) {
	if err := Check(repository, sha); err != nil {
		return event.Commit{}, err
	}
	q := &call{Client: c, repository: repository}
	found, err := q.one(ctx, sha)
	if err != nil {
		var missing *missingError
		if errors.As(err, &missing) {
			err = &dispatch.PermanentError{Err: fmt.Errorf("%s: %w", repository, missing)}
		}
		return event.Commit{}, err
	}
	made := q.describe(found[0])
	in := &codecommit.GetDifferencesInput{RepositoryName: &repository, AfterCommitSpecifier: &sha}
	if parents := found[0].parents; len(parents) > 0 {
		in.BeforeCommitSpecifier = &parents[0]
	}
	for {
		page, err := Ask(ctx, c, c.api.GetDifferences, in)
		if err != nil {
			return event.Commit{}, c.Verdict(ctx, "GetDifferences", repository, err)
		}
		for _, d := range page.Differences {
			var former, path string
			if d.BeforeBlob != nil {
				former = aws.ToString(d.BeforeBlob.Path)
			}
			if d.AfterBlob != nil {
				path = aws.ToString(d.AfterBlob.Path)
			}
			if former != "" && former != path {
				made.Paths = append(made.Paths, former)
			}
			if path != "" {
				made.Paths = append(made.Paths, path)
			}
		}
		if len(made.Paths) > maxPaths {
			made.Paths = nil
			return made, nil
		}
		if in.NextToken = page.NextToken; in.NextToken == nil {
			made.PathsKnown = true
			return made, nil
		}
	}
}
