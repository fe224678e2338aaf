package codecommit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codecommit/types"

	githost "switchyard/githost/codecommit"
)

// thread is where comments are: a pull request, or a commit where that is empty.
type thread struct {
	*Poster
	repository, before, after string
	pullRequest               string
}

func (t thread) key() string {
	if t.pullRequest != "" {
		return t.repository + " pull request " + t.pullRequest
	}
	return t.repository + " commit " + t.after
}

// complete finds out what a commit's comments are compared with: its first
// parent, or nothing.
func (t *thread) complete(ctx context.Context) error {
	if t.pullRequest != "" {
		return nil
	}
	got, err := githost.Ask(ctx, t.host, t.host.API().GetCommit, &codecommit.GetCommitInput{RepositoryName: &t.repository, CommitId: &t.after})
	if err != nil {
		return t.verdict(ctx, "GetCommit", t.repository, err)
	}
	if got.Commit != nil && len(got.Commit.Parents) > 0 {
		t.before = got.Commit.Parents[0]
	}
	return nil
}

// found is a comment that has a marker.
type found struct {
	note
	id, author, content string
	changed             time.Time
}

// pageSize is the most that is listed at once.
const pageSize = 500

// comments lists those that have a marker, the last changed first.
func (t thread) comments(ctx context.Context) ([]found, error) {
	var all []found
	add := func(comments []types.Comment) {
		for _, c := range comments {
			content := aws.ToString(c.Content)
			if n, ok := parse(content); ok && !c.Deleted {
				all = append(all, found{n, aws.ToString(c.CommentId), aws.ToString(c.AuthorArn), content, aws.ToTime(c.LastModifiedDate)})
			}
		}
	}
	for token := (*string)(nil); ; {
		if t.pullRequest != "" {
			page, err := githost.Ask(ctx, t.host, t.host.API().GetCommentsForPullRequest, &codecommit.GetCommentsForPullRequestInput{
				PullRequestId: &t.pullRequest, MaxResults: aws.Int32(pageSize), NextToken: token,
			})
			if err != nil {
				return nil, t.verdict(ctx, "GetCommentsForPullRequest", t.repository, err)
			}
			for _, d := range page.CommentsForPullRequestData {
				add(d.Comments)
			}
			token = page.NextToken
		} else {
			page, err := githost.Ask(ctx, t.host, t.host.API().GetCommentsForComparedCommit, &codecommit.GetCommentsForComparedCommitInput{
				RepositoryName: &t.repository, BeforeCommitId: optional(t.before), AfterCommitId: &t.after, MaxResults: aws.Int32(pageSize), NextToken: token,
			})
			if err != nil {
				return nil, t.verdict(ctx, "GetCommentsForComparedCommit", t.repository, err)
			}
			for _, d := range page.CommentsForComparedCommitData {
				add(d.Comments)
			}
			token = page.NextToken
		}
		if token == nil {
			slices.SortStableFunc(all, func(a, b found) int { return b.changed.Compare(a.changed) })
			return all, nil
		}
	}
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// post adds a comment. Its token is a function of what it says and where, so
// that one whose answer was lost is not added again.
func (t thread) post(ctx context.Context, content string) (*types.Comment, error) {
	sum := sha256.Sum256([]byte(t.key() + "\n" + t.before + "\n" + t.after + "\n" + content))
	token := hex.EncodeToString(sum[:])
	if t.pullRequest != "" {
		got, err := githost.Ask(ctx, t.host, t.host.API().PostCommentForPullRequest, &codecommit.PostCommentForPullRequestInput{
			PullRequestId: &t.pullRequest, RepositoryName: &t.repository, BeforeCommitId: &t.before, AfterCommitId: &t.after, Content: &content, ClientRequestToken: &token,
		})
		if err != nil {
			return nil, t.verdict(ctx, "PostCommentForPullRequest", t.repository, err)
		}
		return comment(got.Comment), nil
	}
	got, err := githost.Ask(ctx, t.host, t.host.API().PostCommentForComparedCommit, &codecommit.PostCommentForComparedCommitInput{
		RepositoryName: &t.repository, BeforeCommitId: optional(t.before), AfterCommitId: &t.after, Content: &content, ClientRequestToken: &token,
	})
	if err != nil {
		return nil, t.verdict(ctx, "PostCommentForComparedCommit", t.repository, err)
	}
	return comment(got.Comment), nil
}

func comment(c *types.Comment) *types.Comment {
	if c == nil {
		return &types.Comment{}
	}
	return c
}
