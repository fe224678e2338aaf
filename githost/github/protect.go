package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/google/go-github/v60/github"

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
	var b struct {
		Protection struct {
			Required requiredStatuses `json:"required_status_checks"`
		} `json:"protection"`
	}
	if _, err := q.get(ctx, "branches/"+url.PathEscape(branch), &b); err != nil {
		return nil, q.refused(ctx, op, toRead, err)
	}
	all := b.Protection.Required.names()
	for page := 1; page != 0; {
		var rules []struct {
			Type       string           `json:"type"`
			Parameters requiredStatuses `json:"parameters"`
		}
		response, err := q.get(ctx, fmt.Sprintf("rules/branches/%s?per_page=%d&page=%d", url.PathEscape(branch), pageSize, page), &rules)
		if codeOf(err) == http.StatusNotFound {
			break // an older GitHub Enterprise Server has no rulesets
		}
		if err != nil {
			return nil, q.refused(ctx, op, toSeePeople, err)
		}
		for _, r := range rules {
			if r.Type == "required_status_checks" {
				all = append(all, r.Parameters.names()...)
			}
		}
		page = response.NextPage
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// requiredStatuses are those of a branch's protection or of a rule, of which the
// library knows no page, and not both forms.
type requiredStatuses struct {
	Contexts []string `json:"contexts"`
	Checks   []struct {
		Context string `json:"context"`
	} `json:"checks"`
	OfRule []struct {
		Context string `json:"context"`
	} `json:"required_status_checks"`
}

func (r *requiredStatuses) names() []string {
	all := slices.Clone(r.Contexts)
	for _, c := range append(r.Checks, r.OfRule...) {
		all = append(all, c.Context)
	}
	return all
}

// get reads a page of the repository's part of the API.
func (q *call) get(ctx context.Context, path string, into any) (*github.Response, error) {
	r, err := q.api.NewRequest(http.MethodGet, fmt.Sprintf("repos/%s/%s/%s", q.owner, q.name, path), nil)
	if err != nil {
		return nil, err
	}
	return q.api.Do(ctx, r, into)
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
	r, err := q.api.NewRequest(http.MethodPost, fmt.Sprintf("repos/%s/%s/branches/%s/protection/required_status_checks/contexts", q.owner, q.name, url.PathEscape(branch)), map[string]any{"contexts": missing})
	if err != nil {
		return err
	}
	var now []string
	_, err = q.api.Do(ctx, r, &now)
	var answer *github.ErrorResponse
	if errors.As(err, &answer) && codeOf(err) == http.StatusNotFound && answer.Message != "Not Found" {
		return &dispatch.PermanentError{Err: fmt.Errorf("branch %q of %s does not require statuses yet (%s): protect it and choose \"Require status checks to pass before merging\" under Settings, Branches, and try again", branch, repository, shown(errors.New(answer.Message)))}
	}
	if err != nil {
		return q.refused(ctx, fmt.Sprintf("require statuses of branch %q", branch), toAdminister, err)
	}
	return nil
}
