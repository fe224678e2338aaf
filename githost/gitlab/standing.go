package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go"

	"switchyard/githost"
)

// Standing implements [githost.Standings]. A token of OAuth tells no scopes, and
// one with fine-grained permissions not which.
func (c *Client) Standing(ctx context.Context, repository string) (githost.Standing, error) {
	q, err := c.about(repository)
	if err != nil {
		return githost.Standing{}, err
	}
	user, response, err := c.api.Users.CurrentUser(gl.WithContext(ctx))
	if err != nil {
		return githost.Standing{}, q.failed(ctx, "ask who we are", err)
	}
	s := githost.Standing{Login: user.Username}
	budget(&s, response.Header)
	token, _, err := c.api.PersonalAccessTokens.GetSinglePersonalAccessToken(gl.WithContext(ctx))
	switch status := Status(err); {
	case err == nil:
		if token.ExpiresAt != nil {
			s.Expires = time.Time(*token.ExpiresAt) // the token ends as that day begins, UTC
		}
		if !slices.Contains(token.Scopes, "api") && !slices.Contains(token.Scopes, "granular") {
			s.Missing = append(s.Missing, "scope api")
		}
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound || status == http.StatusBadRequest:
		// A token of OAuth is none of these.
	default:
		return githost.Standing{}, q.failed(ctx, "read the token", err)
	}
	p, _, err := c.api.Projects.GetProject(repository, nil, gl.WithContext(ctx))
	switch {
	case notFound(err):
		s.Missing = append(s.Missing, "access to the project, with the role Developer")
	case err != nil:
		return githost.Standing{}, q.failed(ctx, "read the project", err)
	case role(p) < gl.DeveloperPermissions:
		s.Missing = append(s.Missing, "role Developer, to write commit statuses")
	}
	return s, nil
}

// role is the higher of our roles in the project and in the groups above it.
func role(p *gl.Project) (level gl.AccessLevelValue) {
	if p.Permissions == nil {
		return 0
	}
	if a := p.Permissions.ProjectAccess; a != nil {
		level = a.AccessLevel
	}
	if a := p.Permissions.GroupAccess; a != nil {
		level = max(level, a.AccessLevel)
	}
	return level
}

// budget reads the headers of rate limits, which a self-managed GitLab only sends
// where an administrator has set some, and the host's clock.
func budget(s *githost.Standing, h http.Header) {
	s.Limit, _ = strconv.Atoi(h.Get("RateLimit-Limit"))
	s.Left, _ = strconv.Atoi(h.Get("RateLimit-Remaining"))
	if reset, err := strconv.ParseInt(h.Get("RateLimit-Reset"), 10, 64); err == nil {
		s.Reset = time.Unix(reset, 0)
	}
	s.Clock, _ = http.ParseTime(h.Get("Date"))
}

// Required implements [githost.Protector]. GitLab requires no single status of a
// branch. What it has is a project's setting "Pipelines must succeed", by which
// every status of a merge request's newest pipeline must be a success: with it,
// those are required that the branch's newest commit has been given.
func (c *Client) Required(ctx context.Context, repository, branch string) ([]string, error) {
	q, err := c.about(repository)
	if err != nil {
		return nil, err
	}
	p, _, err := c.api.Projects.GetProject(repository, nil, gl.WithContext(ctx))
	if err != nil {
		return nil, q.failed(ctx, "read the project", err)
	}
	if !p.OnlyAllowMergeIfPipelineSucceeds {
		return nil, nil
	}
	b, _, err := c.api.Branches.GetBranch(repository, branch, gl.WithContext(ctx))
	if err != nil {
		return nil, q.failed(ctx, fmt.Sprintf("read branch %q", branch), err)
	}
	var names []string
	opts := &gl.GetCommitStatusesOptions{ListOptions: gl.ListOptions{PerPage: pageSize, Page: 1}}
	for opts.Page != 0 && b.Commit != nil {
		page, response, err := c.api.Commits.GetCommitStatuses(repository, b.Commit.ID, opts, gl.WithContext(ctx))
		if err != nil {
			return nil, q.failed(ctx, "list the statuses of the branch's newest commit", err)
		}
		for _, s := range page {
			if !s.AllowFailure {
				names = append(names, s.Name)
			}
		}
		opts.Page = response.NextPage
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Require implements [githost.Protector] by the setting "Pipelines must succeed".
// It is the whole project's, and makes every status count, not only the contexts
// given.
func (c *Client) Require(ctx context.Context, repository, _ string, contexts []string) error {
	q, err := c.about(repository)
	if err != nil || len(contexts) == 0 {
		return err
	}
	p, _, err := c.api.Projects.GetProject(repository, nil, gl.WithContext(ctx))
	if err != nil {
		return q.failed(ctx, "read the project", err)
	}
	if p.OnlyAllowMergeIfPipelineSucceeds {
		return nil
	}
	if _, _, err := c.api.Projects.EditProject(repository, &gl.EditProjectOptions{OnlyAllowMergeIfPipelineSucceeds: gl.Ptr(true)}, gl.WithContext(ctx)); err != nil {
		return q.verdict(ctx, "set \"Pipelines must succeed\"", repository, toAdmin, err)
	}
	return nil
}
