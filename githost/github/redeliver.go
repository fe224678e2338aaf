package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"switchyard/dispatch"
	"switchyard/githost"
)

const (
	// keptFor is how long deliveries can be asked for again ("Redelivering
	// webhooks").
	keptFor = 3 * 24 * time.Hour
	// maxLog is how many deliveries of a hook are looked at.
	maxLog = 5000
	// maxAttempts is after how many attempts a delivery is given up: the audit
	// finds what it told of.
	maxAttempts = 5
)

var _ githost.Redeliverer = (*Client)(nil)

// deliveries is the log of one hook, and how to ask for one of them again.
type deliveries struct {
	name  string
	needs string
	list  func(*github.ListCursorOptions) ([]*github.HookDelivery, *github.Response, error)
	again func(id int64) (*github.HookDelivery, *github.Response, error)
}

// Redeliver implements [githost.Redeliverer] for the hooks of the repository, of
// its organisation and of the App. The mark is the time of the first delivery that
// has not arrived, or of the last one where all have.
//
// An organisation's hook and an App's tell of other repositories too, which are
// left to those repositories.
func (c *Client) Redeliver(ctx context.Context, repository, url, mark string, since time.Time) (asked int, next string, err error) {
	if mark != "" {
		if since, err = time.Parse(time.RFC3339, mark); err != nil {
			return 0, mark, &dispatch.PermanentError{Err: fmt.Errorf("mark %q is not a time", mark)}
		}
	}
	if kept := c.now().Add(-keptFor); since.Before(kept) {
		since = kept
	}
	q, err := c.about(ctx, repository)
	if err != nil {
		return 0, mark, err
	}
	repo, _, err := q.api.Repositories.Get(ctx, q.owner, q.name)
	if err != nil {
		return 0, mark, q.refused(ctx, "read the repository", toSeePeople, err)
	}
	logs, err := q.logs(ctx, url)
	if err != nil {
		return 0, mark, err
	}
	settled, waiting := since, time.Time{}
	for _, log := range logs {
		found, err := q.log(ctx, log, repo.GetID(), since)
		if err != nil {
			return asked, mark, err
		}
		for _, d := range found {
			gone := !d.arrived && d.attempts >= maxAttempts
			if gone {
				d.last = d.last.Add(time.Second) // it is not to be looked at again
			}
			if d.last.After(settled) {
				settled = d.last
			}
			if d.arrived || gone {
				continue
			}
			if waiting.IsZero() || d.first.Before(waiting) {
				waiting = d.first
			}
			_, _, err := log.again(d.id)
			if err != nil && !errors.As(err, new(*github.AcceptedError)) {
				if code := codeOf(err); code == http.StatusNotFound || code == http.StatusUnprocessableEntity {
					continue // too old by now
				}
				return asked, mark, q.refused(ctx, "ask for deliveries of "+log.name+" again", log.needs, err)
			}
			asked++
		}
	}
	if !waiting.IsZero() {
		settled = waiting
	}
	return asked, settled.UTC().Format(time.RFC3339), nil
}

// logs finds the hooks that lead to url. What we may not see is left out, unless
// nothing else leads there.
func (q *call) logs(ctx context.Context, url string) (all []deliveries, err error) {
	var unseen error
	hooks, err := q.hooks(ctx)
	if err != nil {
		unseen = q.refused(ctx, "list the webhooks", toWriteHooks, err)
	}
	for _, h := range hooks {
		if githost.SameURL(h.GetConfig().GetURL(), url) {
			id := h.GetID()
			all = append(all, deliveries{
				name: "the repository's webhook", needs: toWriteHooks,
				list: func(opts *github.ListCursorOptions) ([]*github.HookDelivery, *github.Response, error) {
					return q.api.Repositories.ListHookDeliveries(ctx, q.owner, q.name, id, opts)
				},
				again: func(delivery int64) (*github.HookDelivery, *github.Response, error) {
					return q.api.Repositories.RedeliverHookDelivery(ctx, q.owner, q.name, id, delivery)
				},
			})
		}
	}
	hooks, err = pages(func(opts *github.ListOptions) ([]*github.Hook, *github.Response, error) {
		return q.api.Organizations.ListHooks(ctx, q.owner, opts)
	})
	if err != nil && !seldom(err) {
		unseen = errors.Join(unseen, q.refused(ctx, "list the organization's webhooks", toReadOrgHooks, err))
	}
	for _, h := range hooks {
		if githost.SameURL(h.GetConfig().GetURL(), url) {
			id := h.GetID()
			all = append(all, deliveries{
				name: "the organization's webhook", needs: toReadOrgHooks,
				list: func(opts *github.ListCursorOptions) ([]*github.HookDelivery, *github.Response, error) {
					return q.api.Organizations.ListHookDeliveries(ctx, q.owner, id, opts)
				},
				again: func(delivery int64) (*github.HookDelivery, *github.Response, error) {
					return q.api.Organizations.RedeliverHookDelivery(ctx, q.owner, id, delivery)
				},
			})
		}
	}
	if q.app != nil {
		apps := q.app.self.Apps
		own, _, err := apps.GetHookConfig(ctx)
		if err != nil && codeOf(err) != http.StatusNotFound {
			unseen = errors.Join(unseen, q.refused(ctx, "read the App's webhook", "of the App itself", err))
		}
		if err == nil && githost.SameURL(own.GetURL(), url) {
			all = append(all, deliveries{
				name: "the App's webhook", needs: "of the App itself",
				list: func(opts *github.ListCursorOptions) ([]*github.HookDelivery, *github.Response, error) {
					return apps.ListHookDeliveries(ctx, opts)
				},
				again: func(delivery int64) (*github.HookDelivery, *github.Response, error) {
					return apps.RedeliverHookDelivery(ctx, delivery)
				},
			})
		}
	}
	if len(all) == 0 && unseen != nil {
		return nil, unseen
	}
	return all, ctx.Err()
}

// seldom reports whether an error says that the owner is no organisation, or that
// we may not see its hooks, which few tokens may.
func seldom(err error) bool {
	code := codeOf(err)
	return code == http.StatusNotFound || code == http.StatusForbidden && !strings.Contains(err.Error(), "rate limit")
}

// delivered is what became of one delivery in all its attempts.
type delivered struct {
	id          int64 // of the newest attempt
	first, last time.Time
	arrived     bool
	attempts    int
}

// log lists a repository's deliveries since a time, oldest first. The attempts of
// one have the same GUID.
func (q *call) log(ctx context.Context, of deliveries, repository int64, since time.Time) ([]*delivered, error) {
	var newestFirst []*github.HookDelivery
	opts := &github.ListCursorOptions{PerPage: pageSize}
	for whole := false; !whole && len(newestFirst) < maxLog; {
		page, response, err := of.list(opts)
		if err != nil {
			return nil, q.refused(ctx, "list the deliveries of "+of.name, of.needs, err)
		}
		whole = response.Cursor == ""
		opts.Cursor = response.Cursor
		for _, d := range page {
			if whole = whole || d.GetDeliveredAt().Before(since); whole && d.GetDeliveredAt().Before(since) {
				break
			}
			newestFirst = append(newestFirst, d)
		}
	}
	byGUID := map[string]*delivered{}
	var all []*delivered
	for i := len(newestFirst) - 1; i >= 0; i-- {
		d := newestFirst[i]
		// Those of an organisation or an App that are about no repository are not
		// for us.
		if d.RepositoryID != nil && d.GetRepositoryID() != repository {
			continue
		}
		known := byGUID[d.GetGUID()]
		if known == nil {
			known = &delivered{first: d.GetDeliveredAt().Time}
			byGUID[d.GetGUID()] = known
			all = append(all, known)
		}
		known.id, known.last = d.GetID(), d.GetDeliveredAt().Time
		known.attempts++
		known.arrived = known.arrived || d.GetStatusCode() >= 200 && d.GetStatusCode() < 300
	}
	return all, nil
}
