package journaltest

import (
	"testing"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// formerIdentity has a request in the journal as a version before environments
// were part of a request's ID wrote it.
func formerIdentity(t *testing.T, f *fixture) {
	into := func(id, env string, former ...string) dispatch.NewRequest {
		r := f.request(id)
		r.Environment = env
		if len(former) > 0 {
			r.Former = &event.FormerIdentity{ID: former[0], Environment: former[1]}
		}
		return r
	}
	first, _ := f.push(into("old", "dev-a"), into("other", "dev-a"))
	for _, row := range []struct {
		name    string
		request dispatch.NewRequest
		found   string // "" makes it a new request
	}{
		{"the environment is spelt as before", into("n1", "dev-a", "old", "dev-a"), "old"},
		{"the environment was spelt otherwise then", into("n2", "dev-a-1f2e", "old", "dev-a"), "old"},
		{"the environment is spelt today as the row has it", into("n3", "dev-a", "old", "dev-b"), "old"},
		{"another environment", into("n4", "dev-b", "old", "dev-b"), ""},
		{"no environment then", into("n5", "dev-b", "old", ""), ""},
		{"another name", into("n6", "dev-a", "none", "dev-a"), ""},
		{"the ID of today is known, and no former one", into("other", "dev-a", "none", "dev-a"), "other"},
	} {
		delivery, changes := f.push(row.request)
		d, err := f.j.Delivery(t.Context(), delivery)
		f.must(err)
		if row.found == "" {
			f.diff(row.name, []string{row.request.ID + " ready"}, changed(changes))
			f.diff(row.name+": reasons", 0, len(d.Reasons))
			continue
		}
		f.diff(row.name, []string{}, changed(changes))
		f.diff(row.name+": reasons", []dispatch.Ignored{
			dispatch.AlreadyRequested("branches", row.request.Commit.SHA, row.found, first),
		}, d.Reasons)
	}
}

// lanes holds requests that differ from one another in one thing each: none
// stops another, and each is stopped by the next of its own kind.
func lanes(t *testing.T, f *fixture) {
	differing := map[string]option{
		"plain":      func(*dispatch.NewRequest) {},
		"route":      onRoute("nightly"),
		"source":     func(r *dispatch.NewRequest) { r.Source = "gitlab" },
		"repository": func(r *dispatch.NewRequest) { r.Repository = "acme/web" },
		"fork":       func(r *dispatch.NewRequest) { r.HeadRepository = "stranger/api" },
		"other-fork": func(r *dispatch.NewRequest) { r.HeadRepository = "stranger2/api" },
		"ref":        onRef("refs/heads/next"),
		"kind":       func(r *dispatch.NewRequest) { r.Kind = event.PullRequest },
		"pull-7":     func(r *dispatch.NewRequest) { r.Kind, r.PullRequest = event.PullRequest, 7 },
		"pull-8":     func(r *dispatch.NewRequest) { r.Kind, r.PullRequest = event.PullRequest, 8 },
		"closed-7":   func(r *dispatch.NewRequest) { r.Kind, r.PullRequest, r.Teardown = event.PullRequest, 7, true },
		"delete":     func(r *dispatch.NewRequest) { r.Kind, r.Teardown = event.Delete, true },
	}
	for name, option := range differing {
		f.push(f.request(name, superseding, option))
	}
	for name := range differing {
		f.diff(name+" was stopped", "", f.execution(name).StopReason)
	}
	for name, option := range differing {
		f.push(f.request(name+"-2", superseding, option))
		f.diff(name+" is superseded by", name+"-2", f.execution(name).SupersededBy)
	}
	for name := range differing {
		f.diff(name+"-2 was stopped", "", f.execution(name+"-2").StopReason)
	}
	x := f.execution("closed-7")
	if f.execution("fork").HeadRepository != "stranger/api" || !x.Teardown || x.Kind != event.PullRequest {
		t.Errorf("%+v", x)
	}
}
