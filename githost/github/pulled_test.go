package github

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// pulledInto is a pull request with the given head into a branch that was at
// base when it last changed.
func pulledInto(branch string, base, head int) *event.Event {
	return &event.Event{Source: "work", Kind: event.PullRequest, Action: "synchronize", Ref: "refs/heads/topic", After: id(head), Truncated: true,
		Repository:  event.Repository{FullName: "acme/api", DefaultBranch: "main"},
		Commits:     []event.Commit{{SHA: id(head)}},
		PullRequest: &event.PullReq{Number: 7, Base: branch, BaseSHA: id(base)}}
}

func TestCommitsOfAPullRequest(t *testing.T) {
	for name, row := range map[string]struct {
		set  func(*fixture)
		pull *event.Event
		want []int
	}{
		"one page":                               {pull: pulledInto("main", 300, 503), want: between(501, 503)},
		"more than GitHub's list of commits has": {set: func(f *fixture) { f.chain("topic", 501, 800, 290) }, pull: pulledInto("main", 300, 800), want: between(501, 800)},
		"several pages":                          {set: func(f *fixture) { f.chain("topic", 501, 740, 290) }, pull: pulledInto("main", 300, 740), want: between(501, 740)},
		"Gitea's order":                          {set: func(f *fixture) { f.NewestFirst = true }, pull: pulledInto("main", 300, 503), want: between(501, 503)},
		// The base has moved on since the payload was made, and was merged into the
		// head: what came from there is not the pull request's.
		"the base merged in": {set: func(f *fixture) { f.chain("topic", 504, 504, 503, 300) }, pull: pulledInto("main", 295, 504), want: between(501, 504)},
		// Merged before the host was asked.
		"merged by now":    {set: func(f *fixture) { f.chain("main", 504, 504, 300, 503) }, pull: pulledInto("main", 300, 503), want: between(501, 503)},
		"the base is gone": {pull: pulledInto("release", 300, 503), want: between(501, 503)},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.chain("main", 1, 300)
			f.chain("topic", 501, 503, 290)
			if row.set != nil {
				row.set(f)
			}
			got, err := f.client().Commits(t.Context(), f.real(row.pull))
			if err != nil {
				t.Fatal(err)
			}
			if numbers := f.numbers(got); !slices.Equal(numbers, row.want) {
				t.Errorf("%v, want %v", numbers, row.want)
			}
		})
	}
}

func TestCommitsOfAPullRequestThatCannotBeTold(t *testing.T) {
	for name, row := range map[string]struct {
		set  func(*fixture)
		pull *event.Event
		want string
	}{
		"too many": {set: func(f *fixture) { f.chain("topic", 501, 751, 290) }, pull: func() *event.Event {
			ev := pulledInto("main", 300, 751)
			ev.PullRequest.Fork = true
			return ev
		}(), want: "more than 250 commits"},
		"nothing in common, and no base commit": {set: func(f *fixture) { f.chain("topic", 501, 503) }, pull: func() *event.Event {
			ev := pulledInto("main", 300, 503)
			ev.PullRequest.BaseSHA = ""
			return ev
		}(), want: "404"},
		"a base that is an option": {pull: func() *event.Event {
			ev := pulledInto("main", 300, 503)
			ev.PullRequest.BaseSHA = "--help"
			return ev
		}(), want: "is not a commit ID"},
		"no number": {pull: &event.Event{Kind: event.PullRequest, After: id(503), Repository: event.Repository{FullName: "acme/api"}}, want: "which pull request"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.chain("main", 1, 300)
			f.chain("topic", 501, 503, 290)
			if row.set != nil {
				row.set(f)
			}
			got, err := f.client().Commits(t.Context(), f.real(row.pull))
			var permanent *dispatch.PermanentError
			if !errors.As(err, &permanent) || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v, %v, want %q", got, err, row.want)
			}
		})
	}
}
