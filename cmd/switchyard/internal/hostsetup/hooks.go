// Package hostsetup sets repositories up at their git hosts: the webhooks that
// lead to the service, and the statuses that branches require.
package hostsetup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"switchyard/dispatch"
	"switchyard/githost"
)

// Hook is the webhook that a repository is to have.
type Hook struct {
	Repository string
	// URL is where it leads to, and Secret what deliveries are proved by.
	URL, Secret string
}

// What became of a repository's webhook.
const (
	Created   = "created"
	Repaired  = "repaired"
	Unchanged = "unchanged"
	Removed   = "removed"
	Absent    = "there was none"
)

// Create makes the webhook, or repairs what leads to its URL: one that is switched
// off or tells of too little is made anew, and there is one alone afterwards. anew
// has that done also with one that looks right, since hosts do not show which
// secret it has. why says what was repaired.
//
// The new one is made before the old one is removed, so that no delivery is lost;
// one that comes twice starts nothing twice.
func Create(ctx context.Context, host githost.Hooks, want Hook, anew bool) (did, why string, err error) {
	all, err := host.Hooks(ctx, want.Repository)
	if err != nil {
		return "", "", fmt.Errorf("list the webhooks: %w", err)
	}
	ours := Ours(all, want.URL)
	for i := range ours {
		if anew || Trouble(host, &ours[i]) != "" {
			continue
		}
		if len(ours) == 1 {
			return Unchanged, "", nil
		}
		return Repaired, fmt.Sprintf("removed %d more that led to the same URL", len(ours)-1),
			removeAll(ctx, host, want.Repository, ours, ours[i].ID)
	}
	made, err := create(ctx, host, want)
	if err != nil && len(ours) > 0 && errors.As(err, new(*dispatch.PermanentError)) {
		// Hosts may refuse a second one with the same URL.
		if err := removeAll(ctx, host, want.Repository, ours, ""); err != nil {
			return "", "", err
		}
		if _, err = create(ctx, host, want); err != nil {
			return "", "", fmt.Errorf("the old webhook is removed and nothing is delivered now; repair this and run it again: %w", err)
		}
	} else if err == nil {
		err = removeAll(ctx, host, want.Repository, ours, made.ID)
	}
	switch {
	case err != nil:
		return "", "", err
	case len(ours) == 0:
		return Created, "", nil
	}
	why = Trouble(host, &ours[0])
	if why == "" {
		why = "it has the newest secret now"
	}
	return Repaired, why, nil
}

func create(ctx context.Context, host githost.Hooks, want Hook) (githost.Hook, error) {
	made, err := host.CreateHook(ctx, want.Repository, githost.Hook{URL: want.URL, Events: host.HookEvents(), Active: true, Secret: want.Secret})
	if err != nil {
		return made, fmt.Errorf("create the webhook: %w", err)
	}
	return made, nil
}

// Trouble says in what a hook is not as a hook of ours must be; empty where it is.
func Trouble(host Events, h *githost.Hook) string {
	if !h.Active {
		return "it was switched off"
	}
	if missing := MissingEvents(host, h); len(missing) > 0 {
		return "it did not tell of " + strings.Join(missing, ", ")
	}
	return ""
}

// Remove removes all webhooks that lead to the URL.
func Remove(ctx context.Context, host githost.Hooks, repository, to string) (did string, err error) {
	all, err := host.Hooks(ctx, repository)
	if err != nil {
		return "", fmt.Errorf("list the webhooks: %w", err)
	}
	ours := Ours(all, to)
	if len(ours) == 0 {
		return Absent, nil
	}
	return Removed, removeAll(ctx, host, repository, ours, "")
}

// removeAll removes hooks but the one with the ID keep.
func removeAll(ctx context.Context, host githost.Hooks, repository string, hooks []githost.Hook, keep string) error {
	var errs []error
	for _, h := range hooks {
		if h.ID == keep {
			continue
		}
		if err := host.RemoveHook(ctx, repository, h.ID); err != nil {
			errs = append(errs, fmt.Errorf("remove the webhook %s: %w", h.ID, err))
		}
	}
	return errors.Join(errs...)
}

// Ours are the hooks that lead to a URL.
func Ours(all []githost.Hook, to string) []githost.Hook {
	var ours []githost.Hook
	for _, h := range all {
		if githost.SameURL(h.URL, to) {
			ours = append(ours, h)
		}
	}
	return ours
}

// Events knows of which events a hook of ours must tell.
type Events interface{ HookEvents() []string }

// MissingEvents are the events that a hook of ours must tell of and this one does
// not. The wildcard of GitHub's API is all.
func MissingEvents(host Events, h *githost.Hook) []string {
	if slices.Contains(h.Events, "*") {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(host.HookEvents()), func(event string) bool { return slices.Contains(h.Events, event) })
}
