package hostsetup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"switchyard/dispatch"
	"switchyard/githost"
)

// fakeHooks are the webhooks of one repository, at a host that refuses a second
// one with the same URL and events as GitHub does, and shows no secret.
type fakeHooks struct {
	all     []githost.Hook
	secrets map[string]string // by ID
	// noCreate and noRemove refuse those calls, once for each that is left.
	noCreate, noRemove int
	// inPlace has a created one take the place of what leads to the same URL.
	inPlace bool
	made    int
}

func (f *fakeHooks) HookEvents() []string { return []string{"pull_request", "push"} }

func (f *fakeHooks) Hooks(context.Context, string) ([]githost.Hook, error) {
	return slices.Clone(f.all), nil
}

func (f *fakeHooks) CreateHook(_ context.Context, _ string, h githost.Hook) (githost.Hook, error) {
	if f.noCreate > 0 {
		f.noCreate--
		return githost.Hook{}, errors.New("502 Bad Gateway")
	}
	h.Events = f.HookEvents()
	secret := h.Secret
	h.Secret = ""
	for i := range f.all {
		if f.all[i].URL != h.URL {
			continue
		}
		if f.inPlace {
			h.ID = f.all[i].ID
			f.all[i] = h
			f.secrets[h.ID] = secret
			return h, nil
		}
		if slices.Equal(f.all[i].Events, h.Events) {
			return githost.Hook{}, &dispatch.PermanentError{Err: errors.New("422 Hook already exists on this repository")}
		}
	}
	f.made++
	h.ID = "new" + strconv.Itoa(f.made)
	f.all = append(f.all, h)
	if f.secrets == nil {
		f.secrets = map[string]string{}
	}
	f.secrets[h.ID] = secret
	return h, nil
}

func (f *fakeHooks) RemoveHook(_ context.Context, _, id string) error {
	if f.noRemove > 0 {
		f.noRemove--
		return &dispatch.PermanentError{Err: errors.New("403 Forbidden")}
	}
	i := slices.IndexFunc(f.all, func(h githost.Hook) bool { return h.ID == id })
	if i < 0 {
		return fmt.Errorf("no hook %s", id)
	}
	f.all = slices.Delete(f.all, i, i+1)
	return nil
}

func (f *fakeHooks) TestHook(context.Context, string, string) error { return nil }
