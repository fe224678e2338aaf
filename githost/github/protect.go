package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/google/go-github/v88/github"

	"switchyard/dispatch"
	"switchyard/githost"
)

var _ githost.Protector = (*Client)(nil)

// Required implements [githost.Protector]: what the branch's protection requires,
// and what rulesets do.
func (c *Client) Required(ctx context.Context, repository, branch string) ([]string, error) {
	q, err := c.about(ctx, repository)
	if err != nil {
		return nil, err
	}
	return q.required(ctx, branch)
}

func (q *call) required(ctx context.Context, branch string) ([]string, error) {
	op := fmt.Sprintf("read what branch %q requires", branch)
	r, err := q.api.NewRequest(ctx, http.MethodGet, fmt.Sprintf("repos/%s/%s/branches/%s", q.owner, q.name, url.PathEscape(branch)), nil)
	if err != nil {
		return nil, err
	}
	b := new(github.Branch)
	if _, err := q.api.Do(r, b); err != nil {
		return nil, q.refused(ctx, op, toRead, err)
	}
	var all []string
	if checks := b.GetProtection().GetRequiredStatusChecks(); checks != nil {
		all = append(all, checks.GetContexts()...)
		if list := checks.Checks; list != nil {
			for _, c := range *list {
				all = append(all, c.Context)
			}
		}
	}
	opts := &github.ListOptions{Page: 1, PerPage: pageSize}
	for opts.Page != 0 {
		rules, response, err := q.api.Repositories.ListRulesForBranch(ctx, q.owner, q.name, url.PathEscape(branch), opts)
		if codeOf(err) == http.StatusNotFound {
			break // an older GitHub Enterprise Server has no rulesets
		}
		if err != nil {
			return nil, q.refused(ctx, op, toSeePeople, err)
		}
		for _, r := range rules.RequiredStatusChecks {
			for _, c := range r.Parameters.RequiredStatusChecks {
				all = append(all, c.Context)
			}
		}
		opts.Page = response.NextPage
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// Require implements [githost.Protector]. The branch's protection must require some
// status already: to begin with that would change who may push.
func (c *Client) Require(ctx context.Context, repository, branch string, contexts []string) error {
	q, err := c.about(ctx, repository)
	if err != nil {
		return err
	}
	there, err := q.required(ctx, branch)
	if err != nil {
		return err
	}
	missing := slices.DeleteFunc(slices.Clone(contexts), func(c string) bool { return slices.Contains(there, c) })
	if len(missing) == 0 {
		return nil
	}
	r, err := q.api.NewRequest(ctx, http.MethodPost, fmt.Sprintf("repos/%s/%s/branches/%s/protection/required_status_checks/contexts", q.owner, q.name, url.PathEscape(branch)), map[string]any{"contexts": missing})
	if err != nil {
		return err
	}
	var now []string
	_, err = q.api.Do(r, &now)
	var answer *github.ErrorResponse
	if errors.As(err, &answer) && codeOf(err) == http.StatusNotFound && answer.Message != "Not Found" {
		return &dispatch.PermanentError{Err: fmt.Errorf("branch %q of %s does not require statuses yet (%s): protect it and choose \"Require status checks to pass before merging\" under Settings, Branches, and try again", branch, repository, shown(errors.New(answer.Message)))}
	}
	if err != nil {
		return q.refused(ctx, fmt.Sprintf("require statuses of branch %q", branch), toAdminister, err)
	}
	return nil
}
