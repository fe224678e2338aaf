// Package codecommit tells how executions fare to AWS CodeCommit, which has no
// commit statuses: as comments on pull requests and commits, and as an approval.
//
// There is one comment for each route and pull request, and it is kept up to
// date. What a comment is about stands in its first line, a link definition of
// Markdown, which nobody sees; so it is found again after a restart. Facts are
// from the API reference of CodeCommit.
package codecommit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codecommit/types"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
	githost "switchyard/githost/codecommit"
)

// Config is what an operator sets.
type Config struct {
	// PullRequests asks for comments on pull requests whose head the commit is,
	// Commits for comments on every commit.
	PullRequests, Commits bool
	// Approve are the contexts of statuses, as [dispatch.StatusContext] makes
	// them, that must all be a success on a pull request's head for the pull
	// request to be approved. None means that nothing is approved.
	Approve []string
	// Limits bound the pace of statuses, each of which is a few calls.
	Limits status.Limits
}

// Poster is a [status.Poster].
type Poster struct {
	cfg  Config
	host *githost.Client
	// turn is held while a pull request's comment is changed and its approval
	// follows from all of them; a channel, so that waiting for it ends with ctx.
	turn chan struct{}

	mu sync.Mutex
	// sources are the source refs of pull requests, which never change, by
	// repository and ID.
	sources map[string]map[string]string
	// comments are the IDs of our comments, by thread and context.
	comments map[[2]string]string
	// self is who we are in the words of the API, once it has told; others are
	// those who are not.
	self   string
	others map[string]bool
}

var _ status.Poster = (*Poster)(nil)

// maxRemembered is how many comments' IDs are remembered. The others are looked
// for again.
const maxRemembered = 10_000

// New calls nothing.
func New(host *githost.Client, cfg Config) (*Poster, error) {
	if !cfg.PullRequests && !cfg.Commits {
		return nil, errors.New("codecommit: neither pull requests nor commits are to be commented on")
	}
	if len(cfg.Approve) > 0 && !cfg.PullRequests {
		return nil, errors.New("codecommit: approving needs comments on pull requests, in which is kept what succeeded")
	}
	return &Poster{
		cfg: cfg, host: host, turn: make(chan struct{}, 1),
		sources: map[string]map[string]string{}, comments: map[[2]string]string{}, others: map[string]bool{},
	}, nil
}

// Limits returns the configured pace.
func (p *Poster) Limits() status.Limits { return p.cfg.Limits }

// Post writes s on the pull requests whose head the commit is, and on the
// commit, as far as the config asks for it. A commit that is no head any more is
// not told of on pull requests.
func (p *Poster) Post(ctx context.Context, s dispatch.Status, targetURL string) error {
	if err := githost.Check(s.Repository, s.SHA); err != nil {
		return err
	}
	text := newNote(s, targetURL)
	if p.cfg.PullRequests && strings.HasPrefix(s.Ref, "refs/heads/") {
		pulls, err := p.pullRequests(ctx, s)
		if err != nil {
			return err
		}
		for _, pr := range pulls {
			if err := p.onPullRequest(ctx, pr, text); err != nil {
				return err
			}
		}
	}
	if p.cfg.Commits {
		return p.write(ctx, thread{Poster: p, repository: s.Repository, after: s.SHA}, text)
	}
	return nil
}

// pullRequest is one whose head is the commit.
type pullRequest struct {
	id, revision, repository string
	before, after            string
}

// pullRequests are the open ones whose head is the status's commit. They are
// asked for each time: one may have been opened meanwhile.
func (p *Poster) pullRequests(ctx context.Context, s dispatch.Status) ([]pullRequest, error) {
	open, err := p.open(ctx, s.Repository)
	if err != nil {
		return nil, err
	}
	var found []pullRequest
	for _, id := range open {
		if source, known := p.source(s.Repository, id); known && source != s.Ref {
			continue
		}
		got, err := githost.Ask(ctx, p.host, p.host.API().GetPullRequest, &codecommit.GetPullRequestInput{PullRequestId: &id})
		switch {
		case githost.Code(err) == "PullRequestDoesNotExistException":
			continue
		case err != nil:
			return nil, p.verdict(ctx, "GetPullRequest", s.Repository, err)
		case got.PullRequest == nil:
			continue
		}
		for _, t := range got.PullRequest.PullRequestTargets {
			if aws.ToString(t.RepositoryName) != s.Repository {
				continue
			}
			source := aws.ToString(t.SourceReference)
			p.remember(s.Repository, id, source)
			if source == s.Ref && aws.ToString(t.SourceCommit) == s.SHA && got.PullRequest.PullRequestStatus == types.PullRequestStatusEnumOpen {
				found = append(found, pullRequest{
					id: id, revision: aws.ToString(got.PullRequest.RevisionId), repository: s.Repository,
					before: aws.ToString(t.DestinationCommit), after: s.SHA,
				})
			}
		}
	}
	return found, nil
}

// open are the IDs of a repository's open pull requests. Of others nothing is
// remembered any more.
func (p *Poster) open(ctx context.Context, repository string) ([]string, error) {
	var open []string
	in := &codecommit.ListPullRequestsInput{RepositoryName: &repository, PullRequestStatus: types.PullRequestStatusEnumOpen}
	for {
		page, err := githost.Ask(ctx, p.host, p.host.API().ListPullRequests, in)
		if err != nil {
			return nil, p.verdict(ctx, "ListPullRequests", repository, err)
		}
		open = append(open, page.PullRequestIds...)
		if in.NextToken = page.NextToken; in.NextToken == nil {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.sources[repository] {
		if !slices.Contains(open, id) {
			delete(p.sources[repository], id)
		}
	}
	return open, nil
}

func (p *Poster) source(repository, id string) (ref string, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ref, known = p.sources[repository][id]
	return ref, known
}

func (p *Poster) remember(repository, id, source string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sources[repository] == nil {
		p.sources[repository] = map[string]string{}
	}
	p.sources[repository][id] = source
}

// onPullRequest writes the comment of a pull request, and approves the pull
// request or takes that back where the comments say so.
func (p *Poster) onPullRequest(ctx context.Context, pr pullRequest, n note) error {
	counts := slices.Contains(p.cfg.Approve, n.context)
	if counts {
		select {
		case p.turn <- struct{}{}:
			defer func() { <-p.turn }()
		case <-ctx.Done():
			return fmt.Errorf("pull request %s: %w", pr.id, ctx.Err())
		}
	}
	if err := p.write(ctx, thread{p, pr.repository, pr.before, pr.after, pr.id}, n); err != nil {
		return err
	}
	if counts {
		return p.approve(ctx, pr)
	}
	return nil
}

// write makes n the content of our comment in a thread.
func (p *Poster) write(ctx context.Context, t thread, n note) error {
	content := n.String()
	if id := p.comment(t, n.context); id != "" {
		if done, err := p.update(ctx, t, n, id, content); done {
			return err
		}
	}
	if err := t.complete(ctx); err != nil {
		return err
	}
	found, err := t.comments(ctx)
	if err != nil {
		return err
	}
	for _, c := range found {
		if c.context != n.context || p.notOurs(c.author) {
			continue
		}
		if p.isSelf(c.author) && c.content == content {
			p.keep(t, n.context, c.id)
			return nil
		}
		if done, err := p.update(ctx, t, n, c.id, content); done {
			return err
		} else if !p.isSelf(c.author) {
			p.disown(c.author)
		}
	}
	c, err := t.post(ctx, content)
	if err != nil {
		return err
	}
	p.meet(c)
	p.keep(t, n.context, aws.ToString(c.CommentId))
	return nil
}

// update changes a comment; done is false where it is not there, or not ours.
func (p *Poster) update(ctx context.Context, t thread, n note, id, content string) (done bool, err error) {
	got, err := githost.Ask(ctx, p.host, p.host.API().UpdateComment, &codecommit.UpdateCommentInput{CommentId: &id, Content: &content})
	switch githost.Code(err) {
	case "CommentDoesNotExistException", "CommentDeletedException", "CommentNotCreatedByCallerException":
		p.keep(t, n.context, "")
		return false, nil
	}
	if err != nil {
		return true, p.verdict(ctx, "UpdateComment", t.repository, err)
	}
	p.meet(got.Comment)
	p.keep(t, n.context, id)
	return true, nil
}

func (p *Poster) comment(t thread, name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.comments[[2]string{t.key(), name}]
}

// keep remembers a comment, or forgets it where id is empty.
func (p *Poster) keep(t thread, name, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if id == "" {
		delete(p.comments, [2]string{t.key(), name})
		return
	}
	if len(p.comments) >= maxRemembered {
		clear(p.comments)
	}
	p.comments[[2]string{t.key(), name}] = id
}

// meet learns who we are from a comment that we have just written.
func (p *Poster) meet(c *types.Comment) {
	if c == nil || c.AuthorArn == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.self = identity(*c.AuthorArn)
}

// disown notes that somebody is not us, since their comment is not ours to
// change.
func (p *Poster) disown(author string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.others) >= maxRemembered {
		clear(p.others)
	}
	p.others[author] = true
}

func (p *Poster) isSelf(author string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.self != "" && identity(author) == p.self
}

// notOurs reports whether a comment is known not to be ours.
func (p *Poster) notOurs(author string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.others[author] || p.self != "" && identity(author) != p.self
}

// identity is the ARN of a caller without the name of the session, which may
// change: arn:aws:sts::123456789012:assumed-role/switchyard/<session>.
func identity(arn string) string {
	if at := strings.LastIndexByte(arn, '/'); at > 0 && strings.Contains(arn, ":assumed-role/") && strings.Count(arn, "/") > 1 {
		return arn[:at]
	}
	return arn
}

// verdict gives an error of a call the meaning that a [status.Poster]'s has.
func (p *Poster) verdict(ctx context.Context, action, repository string, err error) error {
	denies, unknown := githost.Denied(err)
	told := p.host.Verdict(ctx, action, repository, err)
	switch {
	case ctx.Err() != nil:
		return told
	case unknown:
		return &status.UnauthorizedError{Err: told}
	case denies:
		return &status.RefusedError{Err: told}
	}
	return told
}
