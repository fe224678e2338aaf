package github

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-github/v60/github"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/internal/safetext"
)

var _ githost.Hooks = (*Client)(nil)

// HookEvents implements [githost.Hooks]. What an App's checks are asked for again
// by, check_run and check_suite, reach its own webhook without being asked for.
func (c *Client) HookEvents() []string {
	return []string{"issue_comment", "merge_group", "pull_request", "push"}
}

// Hooks implements [githost.Hooks]. Those of the organisation and of an App are not
// the repository's.
func (c *Client) Hooks(ctx context.Context, repository string) ([]githost.Hook, error) {
	q, err := c.about(ctx, repository)
	if err != nil {
		return nil, err
	}
	found, err := q.hooks(ctx)
	if err != nil {
		return nil, q.refused(ctx, "list the webhooks", toReadHooks, err)
	}
	all := make([]githost.Hook, len(found))
	for i, h := range found {
		all[i] = hook(h)
	}
	return all, nil
}

func (q *call) hooks(ctx context.Context) ([]*github.Hook, error) {
	return pages(func(opts *github.ListOptions) ([]*github.Hook, *github.Response, error) {
		return q.api.Repositories.ListHooks(ctx, q.owner, q.name, opts)
	})
}

// pages lists all pages.
func pages[T any](list func(*github.ListOptions) ([]T, *github.Response, error)) (all []T, err error) {
	opts := &github.ListOptions{Page: 1, PerPage: pageSize}
	for opts.Page != 0 {
		page, response, err := list(opts)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		opts.Page = response.NextPage
	}
	return all, nil
}

func hook(h *github.Hook) githost.Hook {
	made := githost.Hook{ID: strconv.FormatInt(h.GetID(), 10), URL: h.GetConfig().GetURL(), Events: slices.Sorted(slices.Values(h.Events)), Active: h.GetActive()}
	// Status is unused, active, or what is the matter.
	state, _ := h.LastResponse["status"].(string)
	code, _ := h.LastResponse["code"].(float64)
	if state == "" || state == "unused" || code >= 200 && code < 300 {
		return made
	}
	message, _ := h.LastResponse["message"].(string)
	made.Trouble = safetext.Cut(safetext.Line(strings.TrimSpace(message)), maxError)
	if code != 0 {
		made.Trouble = strings.TrimSpace(fmt.Sprintf("it was answered %d: %s", int(code), made.Trouble))
	}
	if made.Trouble == "" {
		made.Trouble = safetext.Cut(safetext.Line(state), maxError)
	}
	return made
}

// CreateHook implements [githost.Hooks].
func (c *Client) CreateHook(ctx context.Context, repository string, h githost.Hook) (githost.Hook, error) {
	if h.Secret == "" {
		return githost.Hook{}, &dispatch.PermanentError{Err: errors.New("a webhook needs a secret: without one no delivery could be verified")}
	}
	q, err := c.about(ctx, repository)
	if err != nil {
		return githost.Hook{}, err
	}
	made, _, err := q.api.Repositories.CreateHook(ctx, q.owner, q.name, &github.Hook{
		Name: github.String("web"), Active: github.Bool(true), Events: c.HookEvents(),
		Config: &github.HookConfig{URL: &h.URL, ContentType: github.String("json"), InsecureSSL: github.String("0"), Secret: &h.Secret},
	})
	if err != nil {
		return githost.Hook{}, q.refused(ctx, "create a webhook", toWriteHooks, err)
	}
	return hook(made), nil
}

// RemoveHook implements [githost.Hooks].
func (c *Client) RemoveHook(ctx context.Context, repository, id string) error {
	q, number, err := c.aboutHook(ctx, repository, id)
	if err != nil {
		return err
	}
	if _, err := q.api.Repositories.DeleteHook(ctx, q.owner, q.name, number); err != nil {
		return q.refused(ctx, "remove webhook "+id, toWriteHooks, err)
	}
	return nil
}

// TestHook implements [githost.Hooks], by a ping.
func (c *Client) TestHook(ctx context.Context, repository, id string) error {
	q, number, err := c.aboutHook(ctx, repository, id)
	if err != nil {
		return err
	}
	if _, err := q.api.Repositories.PingHook(ctx, q.owner, q.name, number); err != nil {
		return q.refused(ctx, "test webhook "+id, toReadHooks, err)
	}
	return nil
}

func (c *Client) aboutHook(ctx context.Context, repository, id string) (*call, int64, error) {
	number, err := strconv.ParseInt(id, 10, 64)
	if err != nil || number <= 0 {
		return nil, 0, &dispatch.PermanentError{Err: fmt.Errorf("%q is not the ID of a webhook", safetext.Cut(safetext.Line(id), 64))}
	}
	q, err := c.about(ctx, repository)
	return q, number, err
}
