package bitbucketserver

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/githost/internal/rest"
	"switchyard/internal/event"
)

// adminRepository is the permission that managing takes.
const adminRepository = `the permission "Repository admin"`

type repository struct {
	ID      int    `json:"id"`
	Slug    string `json:"slug"`
	Project struct {
		Key string `json:"key"`
	} `json:"project"`
}

type end struct {
	ID           string     `json:"id"`
	LatestCommit string     `json:"latestCommit"`
	Repository   repository `json:"repository"`
}

type pullRequest struct {
	ID          int    `json:"id"`
	Title       string `json:"title"`
	Draft       bool   `json:"draft"`
	State       string `json:"state"`
	UpdatedDate int64  `json:"updatedDate"`
	Author      struct {
		User struct {
			Name        string `json:"name"`
			DisplayName string `json:"displayName"`
		} `json:"user"`
	} `json:"author"`
	FromRef end `json:"fromRef"`
	ToRef   end `json:"toRef"`
}

// PullRequests implements [githost.PullRequests]. Where there are more than a page
// of them, all are listed each time: the host does not sort by change.
func (c *Client) PullRequests(ctx context.Context, name, mark string) (open []event.Event, next string, err error) {
	at, err := path(api, name, "pull-requests")
	if err != nil {
		return nil, "", err
	}
	sum := sha256.New()
	call := rest.Call{Path: at, Query: query("state", "OPEN", "order", "OLDEST")}
	err = list(ctx, c, "list the pull requests", name, "", &call, func(more []pullRequest, last bool) (bool, error) {
		for i := range more {
			p := &more[i]
			fmt.Fprintf(sum, "%d %d %q %q %q\n", p.ID, p.UpdatedDate, p.FromRef.LatestCommit, p.ToRef.ID, p.Title)
			ev, err := opened(name, p)
			if err != nil {
				return false, err
			}
			open = append(open, ev)
		}
		if last {
			if next = hex.EncodeToString(sum.Sum(nil)); next == mark {
				return false, githost.ErrUnchanged
			}
		}
		return true, nil
	})
	if err != nil {
		return nil, next, err
	}
	return open, next, nil
}

// PullRequest implements [githost.PullRequestReader].
func (c *Client) PullRequest(ctx context.Context, name string, number int) (event.Event, error) {
	at, err := path(api, name, "pull-requests", strconv.Itoa(number))
	if err != nil {
		return event.Event{}, err
	}
	var p pullRequest
	if _, err := c.ask(ctx, fmt.Sprintf("read pull request %d", number), name, "", rest.Call{Path: at, Into: &p}); err != nil {
		return event.Event{}, err
	}
	if p.State != "OPEN" {
		return event.Event{}, &dispatch.PermanentError{Err: fmt.Errorf("pull request %d of %s is not open", number, name)}
	}
	return opened(name, &p)
}

// opened is an open pull request as the event of its head.
func opened(name string, p *pullRequest) (event.Event, error) {
	sha := strings.ToLower(p.FromRef.LatestCommit)
	if err := checkSHA(sha); err != nil {
		return event.Event{}, fmt.Errorf("pull request %d of %s: %w", p.ID, name, err)
	}
	author := cmp.Or(p.Author.User.Name, p.Author.User.DisplayName)
	from := &p.FromRef.Repository
	return event.Event{
		Kind: event.PullRequest, Action: "synchronize", Repository: event.Repository{FullName: name},
		Ref: p.FromRef.ID, After: sha, Sender: author, Truncated: true,
		Commits: []event.Commit{{SHA: sha, Author: author, Distinct: true}},
		PullRequest: &event.PullReq{
			Number: p.ID, Base: strings.TrimPrefix(p.ToRef.ID, "refs/heads/"), Title: p.Title, Author: author, Draft: p.Draft,
			Fork: from.ID == 0 || from.ID != p.ToRef.Repository.ID, HeadRepo: from.Project.Key + "/" + from.Slug,
		},
	}, nil
}

// MayWrite implements [githost.Judge] for a user name. The host counts what a
// person may by groups and by the project too.
func (c *Client) MayWrite(ctx context.Context, name, login string) (bool, error) {
	if _, err := path(api, name); err != nil || login == "" {
		return false, err
	}
	key, slug, _ := strings.Cut(name, "/")
	type user struct {
		Name   string `json:"name"`
		Active *bool  `json:"active"`
	}
	may := false
	call := rest.Call{Path: api + "/users", Query: query("filter", login, "permission.1", "REPO_WRITE", "permission.1.projectKey", key, "permission.1.repositorySlug", slug)}
	err := list(ctx, c, "list who may write", name, adminRepository, &call, func(more []user, _ bool) (bool, error) {
		for _, u := range more { // names that contain it are there too
			may = may || strings.EqualFold(u.Name, login) && (u.Active == nil || *u.Active)
		}
		return !may, nil
	})
	return may, err
}

// Comment implements [githost.Commenter].
func (c *Client) Comment(ctx context.Context, name string, pullRequest int, text string) error {
	at, err := path(api, name, "pull-requests", strconv.Itoa(pullRequest), "comments")
	if err != nil {
		return err
	}
	_, err = c.ask(ctx, fmt.Sprintf("comment on pull request %d", pullRequest), name, "", rest.Call{Method: http.MethodPost, Path: at, Body: map[string]string{"text": text}})
	return err
}

type hook struct {
	ID            int               `json:"id,omitempty"`
	Name          string            `json:"name"`
	URL           string            `json:"url"`
	Active        bool              `json:"active"`
	Events        []string          `json:"events"`
	Configuration map[string]string `json:"configuration,omitempty"`
}

func (h *hook) hook() githost.Hook {
	return githost.Hook{ID: strconv.Itoa(h.ID), URL: h.URL, Events: slices.Sorted(slices.Values(h.Events)), Active: h.Active}
}

// HookEvents implements [githost.Hooks].
func (c *Client) HookEvents() []string {
	return []string{"pr:comment:added", "pr:declined", "pr:deleted", "pr:from_ref_updated", "pr:merged", "pr:modified", "pr:opened", "repo:refs_changed"}
}

// Hooks implements [githost.Hooks]: those of the repository itself, and not of its
// project.
func (c *Client) Hooks(ctx context.Context, name string) ([]githost.Hook, error) {
	at, err := path(api, name, "webhooks")
	if err != nil {
		return nil, err
	}
	var all []githost.Hook
	err = list(ctx, c, "list the webhooks", name, adminRepository, &rest.Call{Path: at}, func(more []hook, _ bool) (bool, error) {
		for i := range more {
			all = append(all, more[i].hook())
		}
		return true, nil
	})
	for i := range all {
		if err == nil {
			all[i].Trouble, err = c.trouble(ctx, name, all[i].ID)
		}
	}
	return all, err
}

// trouble is what the host says of a webhook's last delivery.
func (c *Client) trouble(ctx context.Context, name, id string) (string, error) {
	at, err := path(api, name, "webhooks", id, "latest")
	if err != nil {
		return "", err
	}
	var last struct {
		Result struct {
			Outcome     string `json:"outcome"`
			Description string `json:"description"`
		} `json:"result"`
	}
	if _, err := c.ask(ctx, "read a webhook's last delivery", name, adminRepository, rest.Call{Path: at, Into: &last}); err != nil {
		return "", err
	}
	if last.Result.Outcome == "" /* no delivery yet */ || last.Result.Outcome == "SUCCESS" {
		return "", nil
	}
	return strings.TrimSuffix(last.Result.Outcome+": "+last.Result.Description, ": "), nil
}

// CreateHook implements [githost.Hooks].
func (c *Client) CreateHook(ctx context.Context, name string, h githost.Hook) (githost.Hook, error) {
	at, err := path(api, name, "webhooks")
	if err != nil {
		return githost.Hook{}, err
	}
	if h.Secret == "" {
		return githost.Hook{}, &dispatch.PermanentError{Err: errors.New("a webhook without a secret would be refused here")}
	}
	var made hook
	body := hook{Name: "Switchyard", URL: h.URL, Active: true, Events: c.HookEvents(), Configuration: map[string]string{"secret": h.Secret}}
	if _, err := c.ask(ctx, "create a webhook", name, adminRepository, rest.Call{Method: http.MethodPost, Path: at, Body: body, Into: &made}); err != nil {
		return githost.Hook{}, err
	}
	return made.hook(), nil
}

func hookID(id string) error {
	if n, err := strconv.Atoi(id); err != nil || n <= 0 {
		return &dispatch.PermanentError{Err: fmt.Errorf("%q is not a webhook's number", id)}
	}
	return nil
}

// RemoveHook implements [githost.Hooks].
func (c *Client) RemoveHook(ctx context.Context, name, id string) error {
	at, err := path(api, name, "webhooks", id)
	if err = cmp.Or(err, hookID(id)); err != nil {
		return err
	}
	_, err = c.ask(ctx, "remove a webhook", name, adminRepository, rest.Call{Method: http.MethodDelete, Path: at})
	return err
}

// TestHook implements [githost.Hooks]. The host sends diagnostics:ping, which
// carries no signature.
func (c *Client) TestHook(ctx context.Context, name, id string) error {
	of, err := path(api, name, "webhooks", id)
	if err = cmp.Or(err, hookID(id)); err != nil {
		return err
	}
	var h hook
	if _, err := c.ask(ctx, "read a webhook", name, adminRepository, rest.Call{Path: of, Into: &h}); err != nil {
		return err
	}
	at, err := path(api, name, "webhooks", "test")
	if err != nil {
		return err
	}
	_, err = c.ask(ctx, "test a webhook", name, adminRepository, rest.Call{Method: http.MethodPost, Path: at, Query: query("url", h.URL, "webhookId", id), Body: struct{}{}})
	return err
}

// Standing implements [githost.Standings]. What a token may, the host does not say.
func (c *Client) Standing(ctx context.Context, name string) (githost.Standing, error) {
	at, err := path(api, name)
	if err != nil {
		return githost.Standing{}, err
	}
	h, err := c.ask(ctx, "read the repository", name, "", rest.Call{Path: at})
	if err != nil {
		return githost.Standing{}, err
	}
	// Where an administrator limits calls, each person has a bucket of them.
	s := githost.Standing{Login: h.Get("X-Ausername")}
	s.Limit, _ = strconv.Atoi(h.Get("X-RateLimit-Limit"))
	s.Left, _ = strconv.Atoi(h.Get("X-RateLimit-Remaining"))
	s.Clock, _ = http.ParseTime(h.Get("Date"))
	return s, nil
}
