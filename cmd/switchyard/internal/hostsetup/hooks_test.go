package hostsetup

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/githost"
)

const ourURL = "https://ci.example.com/webhooks/github"

var (
	events  = []string{"pull_request", "push"}
	foreign = githost.Hook{ID: "1", URL: "https://other.example.com/webhooks/github", Events: []string{"push"}, Active: true}
)

func ours(id string, active bool, events ...string) githost.Hook {
	return githost.Hook{ID: id, URL: ourURL, Events: events, Active: active}
}

func TestCreateHook(t *testing.T) {
	for name, c := range map[string]struct {
		before   []githost.Hook
		anew     bool
		noCreate int
		noRemove int
		inPlace  bool
		did, why string
		err      string
		after    []string // IDs
	}{
		"none":                     {did: Created, after: []string{"new1"}},
		"another's stays":          {before: []githost.Hook{foreign}, did: Created, after: []string{"1", "new1"}},
		"right already":            {before: []githost.Hook{ours("2", true, events...)}, did: Unchanged, after: []string{"2"}},
		"right, all events":        {before: []githost.Hook{ours("2", true, "*")}, did: Unchanged, after: []string{"2"}},
		"right, more events":       {before: []githost.Hook{ours("2", true, "create", "pull_request", "push")}, did: Unchanged, after: []string{"2"}},
		"too few events":           {before: []githost.Hook{ours("2", true, "push")}, did: Repaired, why: "it did not tell of pull_request", after: []string{"new1"}},
		"switched off":             {before: []githost.Hook{ours("2", false, events...)}, did: Repaired, why: "it was switched off", after: []string{"new1"}},
		"two":                      {before: []githost.Hook{ours("2", false, events...), ours("3", true, events...)}, did: Repaired, why: "removed 1 more that led to the same URL", after: []string{"3"}},
		"new secret":               {before: []githost.Hook{ours("2", true, events...)}, anew: true, did: Repaired, why: "it has the newest secret now", after: []string{"new1"}},
		"host changes in place":    {before: []githost.Hook{ours("2", true, events...)}, anew: true, inPlace: true, did: Repaired, why: "it has the newest secret now", after: []string{"2"}},
		"host fails":               {before: []githost.Hook{ours("2", false, "push")}, noCreate: 1, err: "create the webhook: 502", after: []string{"2"}},
		"may not remove":           {before: []githost.Hook{ours("2", true, "push")}, noRemove: 1, err: "remove the webhook 2: 403", after: []string{"2", "new1"}},
		"may not remove for a new": {before: []githost.Hook{ours("2", true, events...)}, anew: true, noRemove: 1, err: "remove the webhook 2: 403", after: []string{"2"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeHooks{all: c.before, noCreate: c.noCreate, noRemove: c.noRemove, inPlace: c.inPlace, secrets: map[string]string{}}
			did, why, err := Create(t.Context(), f, Hook{Repository: "acme/api", URL: ourURL, Secret: "s3cret"}, c.anew)
			switch {
			case c.err == "" && (err != nil || did != c.did || why != c.why):
				t.Errorf("%q, %q, %v; want %q, %q", did, why, err, c.did, c.why)
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("error %v, want %s", err, c.err)
			}
			var after []string
			for _, h := range f.all {
				after = append(after, h.ID)
			}
			if diff := cmp.Diff(c.after, after); diff != "" {
				t.Errorf("webhooks (-want +got):\n%s", diff)
			}
			for id, secret := range f.secrets {
				if secret != "s3cret" {
					t.Errorf("webhook %s has the secret %q", id, secret)
				}
			}
		})
	}
}

// A host that fails after the old one had to go is told of as what it is: nothing
// is delivered.
func TestCreateHookSaysThatNothingIsDelivered(t *testing.T) {
	f := &refusesSecond{fakeHooks{all: []githost.Hook{ours("2", true, events...)}}}
	_, _, err := Create(t.Context(), f, Hook{URL: ourURL}, true)
	if err == nil || !strings.Contains(err.Error(), "nothing is delivered now") || len(f.all) != 0 {
		t.Errorf("%v with %d left", err, len(f.all))
	}
}

// refusesSecond fails to create once the old one is gone.
type refusesSecond struct{ fakeHooks }

func (r *refusesSecond) RemoveHook(ctx context.Context, repository, id string) error {
	r.noCreate = 1
	return r.fakeHooks.RemoveHook(ctx, repository, id)
}

func TestRemoveHook(t *testing.T) {
	f := &fakeHooks{all: []githost.Hook{foreign, ours("2", true, "push"), ours("3", false)}}
	if did, err := Remove(t.Context(), f, "acme/api", ourURL); err != nil || did != Removed || len(f.all) != 1 || f.all[0].ID != "1" {
		t.Errorf("%q, %v, left %+v", did, err, f.all)
	}
	if did, err := Remove(t.Context(), f, "acme/api", ourURL); err != nil || did != Absent {
		t.Errorf("again: %q, %v", did, err)
	}
}
