package bitbucket

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/githost/internal/rest"
)

// The scopes that calls take, as people find them where they make a token.
const (
	adminRepository = `the scope "repository:admin" (Repositories: Admin)`
	webhooks        = `the scope "webhook" (Webhooks: Read and write)`
)

// account is an account ID, or a UUID in braces, by which the host knows people.
// Nicknames are no such thing: anybody may choose anybody's.
var account = regexp.MustCompile(`^(?:\{[0-9a-fA-F-]{36}\}|[0-9a-f]{24}|[0-9]+:[0-9a-fA-F-]{36})$`)

// MayWrite implements [githost.Judge] for an account ID or UUID. Of a nickname
// nothing is known, so nobody may by that. The token must be able to administer the
// repository.
func (c *Client) MayWrite(ctx context.Context, repository, login string) (bool, error) {
	if _, err := path(repository); err != nil {
		return false, err
	}
	if !account.MatchString(login) {
		return false, nil
	}
	workspace, slug, _ := strings.Cut(repository, "/")
	type permission struct {
		Permission string `json:"permission"`
		User       struct {
			UUID      string `json:"uuid"`
			AccountID string `json:"account_id"`
		} `json:"user"`
	}
	may := false
	call := rest.Call{Path: rest.Path("workspaces", workspace, "permissions", "repositories", slug), Query: query("q", `permission>"read"`, "pagelen", strconv.Itoa(pageSize))}
	err := list(ctx, c, "list who may write", repository, adminRepository, &call, func(more []permission) (bool, error) {
		for _, p := range more {
			if (p.User.UUID == login || p.User.AccountID == login) && (p.Permission == "write" || p.Permission == "admin") {
				may = true
			}
		}
		return !may, nil
	})
	return may, err
}

// Comment implements [githost.Commenter].
func (c *Client) Comment(ctx context.Context, repository string, pullRequest int, text string) error {
	at, err := path(repository, "pullrequests", strconv.Itoa(pullRequest), "comments")
	if err != nil {
		return err
	}
	body := map[string]any{"content": map[string]string{"raw": text}}
	_, err = c.ask(ctx, fmt.Sprintf("comment on pull request %d", pullRequest), repository, `the scope "pullrequest" (Pull requests: Read)`, rest.Call{Method: http.MethodPost, Path: at, Body: body})
	return err
}

type hook struct {
	UUID        string   `json:"uuid,omitempty"`
	Description string   `json:"description,omitempty"`
	URL         string   `json:"url"`
	Active      bool     `json:"active"`
	Events      []string `json:"events"`
	Secret      string   `json:"secret,omitempty"`
}

func (h *hook) hook() githost.Hook {
	return githost.Hook{ID: h.UUID, URL: h.URL, Events: slices.Sorted(slices.Values(h.Events)), Active: h.Active}
}

// HookEvents implements [githost.Hooks].
func (c *Client) HookEvents() []string {
	return []string{"pullrequest:comment_created", "pullrequest:created", "pullrequest:fulfilled", "pullrequest:rejected", "pullrequest:updated", "repo:push"}
}

// Hooks implements [githost.Hooks]. Of deliveries the host tells people alone.
func (c *Client) Hooks(ctx context.Context, repository string) ([]githost.Hook, error) {
	at, err := path(repository, "hooks")
	if err != nil {
		return nil, err
	}
	var all []githost.Hook
	err = list(ctx, c, "list the webhooks", repository, webhooks, &rest.Call{Path: at, Query: query("pagelen", strconv.Itoa(pageSize))}, func(more []hook) (bool, error) {
		for i := range more {
			all = append(all, more[i].hook())
		}
		return true, nil
	})
	return all, err
}

// CreateHook implements [githost.Hooks].
func (c *Client) CreateHook(ctx context.Context, repository string, h githost.Hook) (githost.Hook, error) {
	at, err := path(repository, "hooks")
	if err != nil {
		return githost.Hook{}, err
	}
	if h.Secret == "" {
		return githost.Hook{}, &dispatch.PermanentError{Err: errors.New("a webhook without a secret would be refused here")}
	}
	var made hook
	body := hook{Description: "Switchyard", URL: h.URL, Active: true, Events: c.HookEvents(), Secret: h.Secret}
	if _, err := c.ask(ctx, "create a webhook", repository, webhooks, rest.Call{Method: http.MethodPost, Path: at, Body: body, Into: &made}); err != nil {
		return githost.Hook{}, err
	}
	return made.hook(), nil
}

// RemoveHook implements [githost.Hooks].
func (c *Client) RemoveHook(ctx context.Context, repository, id string) error {
	at, err := path(repository, "hooks", id)
	if err != nil {
		return err
	}
	if !account.MatchString(id) {
		return &dispatch.PermanentError{Err: fmt.Errorf("%q is not a webhook's UUID in braces", id)}
	}
	_, err = c.ask(ctx, "remove a webhook", repository, webhooks, rest.Call{Method: http.MethodDelete, Path: at})
	return err
}

// TestHook implements [githost.Hooks]: the host sends no tests.
func (c *Client) TestHook(context.Context, string, string) error {
	return &dispatch.PermanentError{Err: errors.New("Bitbucket Cloud sends no test deliveries: push a commit, and look at the webhook's requests there")} //nolint:staticcheck // a name
}

// Standing implements [githost.Standings]. The host names the scopes of a token
// with each answer, and the limit that an access token has.
func (c *Client) Standing(ctx context.Context, repository string) (githost.Standing, error) {
	at, err := path(repository)
	if err != nil {
		return githost.Standing{}, err
	}
	h, err := c.ask(ctx, "read the repository", repository, "", rest.Call{Path: at})
	if err != nil {
		return githost.Standing{}, err
	}
	s := githost.Standing{Login: c.cfg.User, Missing: missing(h)}
	s.Limit, _ = strconv.Atoi(h.Get("X-RateLimit-Limit"))
	s.Clock, _ = http.ParseTime(h.Get("Date"))
	return s, nil
}

// scopes are what calls take: any one of each.
var scopes = []struct {
	any   []string
	shown string
}{
	{[]string{"repository", "repository:write", "repository:admin", "read:repository:bitbucket", "write:repository:bitbucket"}, "Repositories: Read"},
	{[]string{"pullrequest", "pullrequest:write", "read:pullrequest:bitbucket", "write:pullrequest:bitbucket"}, "Pull requests: Read"},
}

// missing are the scopes that a token lacks, none where the host does not say
// which it has.
func missing(h http.Header) []string {
	if h.Get("X-Oauth-Scopes") == "" {
		return nil
	}
	has := map[string]bool{}
	for s := range strings.SplitSeq(h.Get("X-Oauth-Scopes"), ",") {
		has[strings.TrimSpace(s)] = true
	}
	var all []string
	for _, s := range scopes {
		if !slices.ContainsFunc(s.any, func(name string) bool { return has[name] }) {
			all = append(all, s.shown)
		}
	}
	return all
}
