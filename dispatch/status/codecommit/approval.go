package codecommit

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codecommit/types"

	"switchyard/dispatch"
	githost "switchyard/githost/codecommit"
)

// approve brings the approval of a pull request's revision in line with what our
// comments on it say. Comments of others say nothing, whatever they look like.
//
// An approval belongs to a revision: a new commit begins without one.
func (p *Poster) approve(ctx context.Context, pr pullRequest) error {
	comments, err := thread{p, pr.repository, pr.before, pr.after, pr.id}.comments(ctx)
	if err != nil {
		return err
	}
	succeeded := map[string]bool{}
	for _, c := range slices.Backward(comments) { // the last word counts
		if p.isSelf(c.author) {
			succeeded[c.context] = c.sha == pr.after && c.state == dispatch.StatusSuccess
		}
	}
	wanted := types.ApprovalStateApprove
	for _, name := range p.cfg.Approve {
		if !succeeded[name] {
			wanted = types.ApprovalStateRevoke
		}
	}
	is, err := p.approval(ctx, pr)
	if err != nil || is == wanted {
		return err
	}
	_, err = githost.Ask(ctx, p.host, p.host.API().UpdatePullRequestApprovalState, &codecommit.UpdatePullRequestApprovalStateInput{
		PullRequestId: &pr.id, RevisionId: &pr.revision, ApprovalState: wanted,
	})
	switch githost.Code(err) {
	case "RevisionNotCurrentException", "PullRequestAlreadyClosedException":
		return nil // what comes now is about another commit
	case "PullRequestCannotBeApprovedByAuthorException":
		return &dispatch.PermanentError{Err: fmt.Errorf("pull request %s was opened with the credentials of Switchyard, which cannot approve it; the comment is written", pr.id)}
	}
	if err != nil {
		return p.verdict(ctx, "UpdatePullRequestApprovalState", pr.repository, err)
	}
	return nil
}

// approval is what we said of a pull request's revision; nothing is as good as
// revoked.
func (p *Poster) approval(ctx context.Context, pr pullRequest) (types.ApprovalState, error) {
	got, err := githost.Ask(ctx, p.host, p.host.API().GetPullRequestApprovalStates, &codecommit.GetPullRequestApprovalStatesInput{
		PullRequestId: &pr.id, RevisionId: &pr.revision,
	})
	if err != nil {
		return "", p.verdict(ctx, "GetPullRequestApprovalStates", pr.repository, err)
	}
	state := types.ApprovalStateRevoke
	for _, a := range got.Approvals {
		if p.isSelf(aws.ToString(a.UserArn)) {
			state = a.ApprovalState
		}
	}
	return state, nil
}
