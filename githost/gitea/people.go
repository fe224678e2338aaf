package gitea

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strconv"

	"code.gitea.io/sdk/gitea"

	"switchyard/dispatch"
	"switchyard/githost"

	"fmt"
)

var (
	_ githost.Judge     = (*Client)(nil)
	_ githost.Commenter = (*Client)(nil)
	_ githost.Unlabeler = (*Client)(nil)
	_ githost.Standings = (*Client)(nil)
	_ githost.Protector = (*Client)(nil)
)

var loginName = regexp.MustCompile(`^[\w.-]{1,255}$`)

// MayWrite implements [githost.Judge]. The host tells it to who administers the
// repository.
func (c *Client) MayWrite(ctx context.Context, repository, login string) (bool, error) {
	q, err := c.about(ctx, repository)
	if err != nil {
		return false, err
	}
	if !loginName.MatchString(login) || isDots(login) {
		return false, nil
	}
	has, r, err := q.api.CollaboratorPermission(q.owner, q.name, login)
	if StatusOf(r) == http.StatusNotFound {
		// Of the two it is the person who is not there, if the repository is.
		if _, r, err = q.api.GetRepo(q.owner, q.name); err == nil {
			return false, nil
		}
	}
	if err != nil {
		return false, q.failed(ctx, "read who may write", ScopeRead+", and administer the repository", r, err)
	}
	return slices.Contains([]gitea.AccessMode{gitea.AccessModeWrite, gitea.AccessModeAdmin, gitea.AccessModeOwner}, has.Permission), nil
}

// Comment implements [githost.Commenter].
func (c *Client) Comment(ctx context.Context, repository string, pullRequest int, text string) error {
	q, err := c.about(ctx, repository)
	if err != nil {
		return err
	}
	if _, r, err := q.api.CreateIssueComment(q.owner, q.name, int64(pullRequest), gitea.CreateIssueCommentOption{Body: text}); err != nil {
		return q.failed(ctx, "comment on pull request "+strconv.Itoa(pullRequest), ScopeIssues, r, err)
	}
	return nil
}

// Unlabel implements [githost.Unlabeler].
func (c *Client) Unlabel(ctx context.Context, repository string, pullRequest int, label string) error {
	q, err := c.about(ctx, repository)
	if err != nil {
		return err
	}
	op := "take a label off pull request " + strconv.Itoa(pullRequest)
	pr, r, err := q.api.GetPullRequest(q.owner, q.name, int64(pullRequest))
	if err != nil {
		return q.failed(ctx, op, ScopeRead, r, err)
	}
	for _, l := range pr.Labels {
		if l.Name != label {
			continue
		}
		if r, err := q.api.DeleteIssueLabel(q.owner, q.name, pr.Index, l.ID); err != nil && StatusOf(r) != http.StatusNotFound {
			return q.failed(ctx, op, ScopeIssues, r, err)
		}
	}
	return nil
}

// Standing implements [githost.Standings]. The host does not tell which scopes a
// token has but by refusing; it has no limit of calls.
func (c *Client) Standing(ctx context.Context, repository string) (githost.Standing, error) {
	q, err := c.about(ctx, repository)
	if err != nil {
		return githost.Standing{}, err
	}
	var s githost.Standing
	repo, r, err := q.api.GetRepo(q.owner, q.name)
	if err != nil {
		return s, q.failed(ctx, "read the repository", ScopeRead, r, err)
	}
	s.Clock, _ = http.ParseTime(r.Header.Get("Date"))
	if p := repo.Permissions; p == nil || !p.Push {
		s.Missing = append(s.Missing, "write access to "+repository+", for commit statuses")
	}
	me, r, err := q.api.GetMyUserInfo()
	switch {
	case err == nil:
		s.Login = me.UserName
	case StatusOf(r) != http.StatusForbidden: // without the scope read:user, which nothing else needs
		return s, q.failed(ctx, "read whose token it is", "read:user", r, err)
	}
	return s, nil
}

// Required implements [githost.Protector].
func (c *Client) Required(ctx context.Context, repository, branch string) ([]string, error) {
	q, err := c.about(ctx, repository)
	if err != nil {
		return nil, err
	}
	b, err := q.branch(ctx, branch)
	if err != nil || !b.EnableStatusCheck {
		return nil, err
	}
	return slices.Sorted(slices.Values(b.StatusCheckContexts)), nil
}

func (q *call) branch(ctx context.Context, branch string) (*gitea.Branch, error) {
	if branch == "" {
		return nil, &dispatch.PermanentError{Err: fmt.Errorf("%s: no branch is named", q.repository)}
	}
	b, r, err := q.api.GetRepoBranch(q.owner, q.name, branch)
	if err != nil {
		return nil, q.failed(ctx, "read branch "+strconv.Quote(branch), ScopeRead, r, err)
	}
	return b, nil
}

// Require implements [githost.Protector]. A branch that no rule protects gets one
// of its own, which asks for the statuses and nothing else: who may push may still
// push. A rule that covers several branches then asks for them of all.
func (c *Client) Require(ctx context.Context, repository, branch string, contexts []string) error {
	q, err := c.about(ctx, repository)
	if err != nil {
		return err
	}
	b, err := q.branch(ctx, branch)
	if err != nil {
		return err
	}
	yes := true
	const scope = ScopeWrite + ", and administer the repository"
	if !b.Protected {
		_, r, err := q.api.CreateBranchProtection(q.owner, q.name, gitea.CreateBranchProtectionOption{
			BranchName: branch, RuleName: branch, EnablePush: true, EnableStatusCheck: true, StatusCheckContexts: sortedSet(contexts),
		})
		if err != nil {
			return q.failed(ctx, "protect branch "+strconv.Quote(branch), scope, r, err)
		}
		return nil
	}
	rule := b.EffectiveBranchProtectionName
	now, r, err := q.api.GetBranchProtection(q.owner, q.name, rule)
	if err != nil {
		return q.failed(ctx, "read the protection "+strconv.Quote(rule), scope, r, err)
	}
	wanted := contexts
	if now.EnableStatusCheck {
		wanted = slices.Concat(now.StatusCheckContexts, contexts)
	}
	wanted = sortedSet(wanted)
	if now.EnableStatusCheck && slices.Equal(wanted, sortedSet(now.StatusCheckContexts)) {
		return nil
	}
	if _, r, err = q.api.EditBranchProtection(q.owner, q.name, rule, gitea.EditBranchProtectionOption{EnableStatusCheck: &yes, StatusCheckContexts: wanted}); err != nil {
		return q.failed(ctx, "change the protection "+strconv.Quote(rule), scope, r, err)
	}
	return nil
}

func sortedSet(texts []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(texts)))
}
