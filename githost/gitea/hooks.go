package gitea

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"

	"code.gitea.io/sdk/gitea"

	"switchyard/dispatch"
	"switchyard/githost"
)

var _ githost.Hooks = (*Client)(nil)

// hookEvents are what webhook/gitea makes something of. A deleted branch is told
// by delete alone, and changes of a pull request by events of their own.
var hookEvents = []string{"delete", "pull_request", "pull_request_comment", "pull_request_label", "pull_request_sync", "push"}

// hookScope is what it takes to see and change webhooks.
const hookScope = ScopeWrite + ", and administer the repository"

// HookEvents implements [githost.Hooks].
func (c *Client) HookEvents() []string { return slices.Clone(hookEvents) }

// Hooks implements [githost.Hooks]. What became of deliveries the host's API does
// not tell.
func (c *Client) Hooks(ctx context.Context, repository string) ([]githost.Hook, error) {
	q, err := c.about(ctx, repository)
	if err != nil {
		return nil, err
	}
	var all []githost.Hook
	opts := gitea.ListHooksOptions{}
	for opts.Page, opts.PageSize = 1, pageSize; opts.Page != 0; {
		page, r, err := q.api.ListRepoHooks(q.owner, q.name, opts)
		if err != nil {
			return nil, q.failed(ctx, "list the webhooks", hookScope, r, err)
		}
		for _, h := range page {
			all = append(all, hook(h))
		}
		if opts.Page = r.NextPage; len(page) == 0 {
			break
		}
	}
	return all, nil
}

func hook(h *gitea.Hook) githost.Hook {
	return githost.Hook{ID: strconv.FormatInt(h.ID, 10), URL: h.Config["url"], Events: slices.Sorted(slices.Values(h.Events)), Active: h.Active}
}

// CreateHook implements [githost.Hooks].
func (c *Client) CreateHook(ctx context.Context, repository string, h githost.Hook) (githost.Hook, error) {
	q, err := c.about(ctx, repository)
	if err != nil {
		return githost.Hook{}, err
	}
	if h.Secret == "" {
		return githost.Hook{}, &dispatch.PermanentError{Err: fmt.Errorf("%s: a webhook without a secret is refused", repository)}
	}
	made, r, err := q.api.CreateRepoHook(q.owner, q.name, gitea.CreateHookOption{
		Type: gitea.HookTypeGitea, Active: true, Events: hookEvents,
		Config: map[string]string{"url": h.URL, "content_type": "json", "secret": h.Secret},
	})
	if err != nil {
		return githost.Hook{}, q.failed(ctx, "create a webhook", hookScope, r, err)
	}
	return hook(made), nil
}

// RemoveHook implements [githost.Hooks].
func (c *Client) RemoveHook(ctx context.Context, repository, id string) error {
	q, err := c.about(ctx, repository)
	if err != nil {
		return err
	}
	number, err := hookNumber(id)
	if err != nil {
		return err
	}
	if r, err := q.api.DeleteRepoHook(q.owner, q.name, number); err != nil {
		return q.failed(ctx, "remove webhook "+id, hookScope, r, err)
	}
	return nil
}

// TestHook implements [githost.Hooks]. The test is a push of the default branch
// from its head to its head; a repository without commits sends none.
func (c *Client) TestHook(ctx context.Context, repository, id string) error {
	q, err := c.about(ctx, repository)
	if err != nil {
		return err
	}
	number, err := hookNumber(id)
	if err != nil {
		return err
	}
	// The library has no call for it.
	address := fmt.Sprintf("%s%s/repos/%s/%s/hooks/%d/tests", c.base, apiPath, q.owner, q.name, number)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, http.NoBody)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return q.failed(ctx, "test webhook "+id, hookScope, nil, err)
	}
	defer response.Body.Close()
	if response.StatusCode/100 == 2 {
		return nil
	}
	said, err := io.ReadAll(response.Body)
	if err == nil {
		err = fmt.Errorf("%s: %s", response.Status, said)
	}
	return q.failed(ctx, "test webhook "+id, hookScope, &gitea.Response{Response: response}, err)
}

func hookNumber(id string) (int64, error) {
	number, err := strconv.ParseInt(id, 10, 64)
	if err != nil || number <= 0 {
		return 0, &dispatch.PermanentError{Err: fmt.Errorf("%q is not the ID of a webhook", id)}
	}
	return number, nil
}
