package gitlab_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"switchyard/githost/gitlab"
	"switchyard/internal/event"
	"switchyard/internal/gitlabtest"
)

// name lies in a group within a group.
const name = "acme/platform/api"

// rig is a project on a stand-in, and a client of it.
type rig struct {
	*gitlabtest.Project
	server *gitlabtest.Server
	client *gitlab.Client
}

func newRig(t *testing.T, opts ...gitlab.Option) *rig {
	t.Helper()
	s := gitlabtest.New(t)
	return &rig{Project: s.Project(name), server: s, client: newClient(t, s, opts...)}
}

func newClient(t *testing.T, s *gitlabtest.Server, opts ...gitlab.Option) *gitlab.Client {
	t.Helper()
	c, err := gitlab.New(gitlab.Config{Source: "gitlab", BaseURL: s.URL, Token: s.Secret}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pushed is the event of a push that listed too few commits.
func pushed(ref, before, after string, listed ...string) *event.Event {
	ev := &event.Event{
		Source: "gitlab", Kind: event.Push, Ref: ref, Before: before, After: after, Truncated: true,
		Repository: event.Repository{FullName: name, DefaultBranch: "main"},
	}
	for _, sha := range listed {
		ev.Commits = append(ev.Commits, event.Commit{SHA: sha})
	}
	return ev
}

func pulled(m *gitlabtest.MergeRequest) *event.Event {
	ev := pushed("refs/heads/"+m.Source, "", m.SHA, m.SHA)
	ev.Kind, ev.Action = event.PullRequest, "opened"
	ev.PullRequest = &event.PullReq{Number: m.IID, Base: m.Target}
	return ev
}

func shas(commits []event.Commit) []string {
	all := []string{}
	for _, c := range commits {
		all = append(all, c.SHA)
	}
	return all
}

// soon is a context for one call.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func concat(lists ...[]string) []string { return slices.Concat(lists...) }
