package journaltest

import (
	"errors"
	"fmt"
	"testing"

	"switchyard/dispatch"
)

// auditState is kept by repository, and what a repository's deliveries told is
// found again in order, however much came in between.
func auditState(t *testing.T, f *fixture) {
	kept := func(source, repository string) string {
		state, err := f.j.Audited(t.Context(), source, repository)
		f.must(err)
		return string(state)
	}
	f.diff("nothing kept", "", kept("github", "acme/api"))
	if _, err := f.j.Reasons(t.Context(), "github:unknown"); !errors.Is(err, dispatch.ErrNotFound) {
		t.Errorf("reasons of an unknown delivery: %v", err)
	}
	f.must(f.j.KeepAudited(t.Context(), "github", "acme/web", []byte(`{"a":1}`), f.now))
	f.must(f.j.KeepAudited(t.Context(), "github", "acme/web", []byte(`{"b":2}`), f.now))
	f.must(f.j.KeepAudited(t.Context(), "gitlab", "acme/web", []byte(`{"c":3}`), f.now))
	f.diff("kept", []string{`{"b":2}`, `{"c":3}`, ""}, []string{kept("github", "acme/web"), kept("gitlab", "acme/web"), kept("gitlab", "acme/api")})

	m := &dispatch.Move{Source: "github", Repository: "acme/api", Ref: mainRef, After: "a"}
	_, err := f.j.Expand(t.Context(), []dispatch.Expansion{{Delivery: f.deliver("moved"), Move: m, At: f.now}})
	f.must(err)
	f.must(f.j.KeepAudited(t.Context(), "github", "ACME/api", []byte(`{}`), f.now)) // as somebody wrote it before it was heard of
	names, err := f.j.Repositories(t.Context(), "github")
	f.must(err)
	f.diff("repositories", []string{"acme/api", "acme/web"}, names)

	from := f.heard("github", 0, "moved")
	var want []string
	for i := range 450 {
		d := delivery(fmt.Sprintf("h%03d", i), f.now)
		if d.Repository = "acme/api"; i%3 == 1 {
			d.Repository = "acme/web"
		} else {
			want = append(want, d.DeliveryID)
		}
		d.Event = fmt.Appendf(nil, `{"source":"github","delivery_id":%q}`, d.DeliveryID)
		_, err := f.j.Append(t.Context(), d)
		f.must(err)
	}
	end := f.heard("github", from, want...)
	f.diff("nothing new", end, f.heard("github", end))
	f.heard("gitlab", 0)
}

// heard checks what is heard of acme/api at a source, and returns how far that goes.
func (f *fixture) heard(source string, after int64, want ...string) int64 {
	f.t.Helper()
	var got []string
	for more := true; more; {
		evs, last, further, err := f.j.Heard(f.t.Context(), source, "acme/api", after)
		f.must(err)
		for i := range evs {
			got = append(got, evs[i].DeliveryID)
		}
		if last < after || further && last == after {
			f.t.Fatalf("heard after %d goes to %d", after, last)
		}
		after, more = last, further
	}
	f.diff("heard of "+source, want, got)
	return after
}
