package github

import (
	"fmt"
	"strconv"
	"testing"

	"switchyard/internal/event"
	"switchyard/internal/githubtest"
	"switchyard/internal/gittest"
)

// fixture is a repository whose commits tests call by numbers.
type fixture struct {
	*githubtest.Server
	repo *githubtest.Repo
	t    *testing.T
	shas map[int]string
	nums map[string]int
}

// id stands for the commit of that number until [fixture.real].
func id(n int) string { return fmt.Sprintf("%040x", n) }

func newFixture(t *testing.T) *fixture {
	t.Helper()
	s := githubtest.New(t)
	return &fixture{Server: s, repo: s.AddRepo("acme/api"), t: t, shas: map[int]string{}, nums: map[string]int{}}
}

// client is one for the fixture, with the token that may do everything.
func (f *fixture) client(opts ...Option) *Client {
	f.t.Helper()
	c, err := New(Config{Source: "work", BaseURL: githubtest.BaseURL, Token: githubtest.AnyToken}, append([]Option{WithTransport(f.Transport())}, opts...)...)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// chain adds commits from first to last, each on the one before it, the first on
// the given ones or on nothing, and points the branch at the last.
func (f *fixture) chain(branch string, first, last int, on ...int) {
	f.t.Helper()
	commits := make([]gittest.Commit, last-first+1)
	for i := range commits {
		n := strconv.Itoa(first + i)
		commits[i] = gittest.Commit{Message: "commit " + n, Files: map[string]string{"src/file" + n[len(n)-1:]: n}}
	}
	for _, p := range on {
		commits[0].Parents = append(commits[0].Parents, f.shas[p])
	}
	f.add(branch, first, commits...)
}

// add adds commits that are numbered from first.
func (f *fixture) add(branch string, first int, commits ...gittest.Commit) {
	f.t.Helper()
	f.repo.Branch(branch, "")
	for i, sha := range f.repo.Add(branch, commits...) {
		f.shas[first+i], f.nums[sha] = sha, first+i
	}
}

// real puts the commits' IDs in the place of id. A number that no commit has stays.
func (f *fixture) real(ev *event.Event) *event.Event {
	for n, sha := range f.shas {
		if ev.Before == id(n) {
			ev.Before = sha
		}
		if ev.After == id(n) {
			ev.After = sha
		}
		if ev.PullRequest != nil && ev.PullRequest.BaseSHA == id(n) {
			ev.PullRequest.BaseSHA = sha
		}
	}
	for i := range ev.Commits {
		if n, err := strconv.ParseInt(ev.Commits[i].SHA, 16, 64); err == nil && f.shas[int(n)] != "" {
			ev.Commits[i].SHA = f.shas[int(n)]
		}
	}
	return ev
}

// numbers are what tests call these commits.
func (f *fixture) numbers(commits []event.Commit) (all []int) {
	for _, c := range commits {
		all = append(all, f.nums[c.SHA])
	}
	return all
}
