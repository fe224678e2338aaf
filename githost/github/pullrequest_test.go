package github

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// answering makes a client of a host that answers one path of a repository.
func answering(t *testing.T, method, path string, status int, body string) *Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method || r.URL.EscapedPath() != "/repos/acme/api"+path {
			t.Errorf("%s %s", r.Method, r.URL.EscapedPath())
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	c, err := New(Config{Source: "work", BaseURL: s.URL, Token: "t0ken"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// As the stand-in of GitHub answers, whose answers are checked by GitHub's own
// description.
func TestPullRequestOfTheStandIn(t *testing.T) {
	f := newFixture(t)
	f.chain("main", 1, 3)
	f.chain("topic", 4, 6, 2)
	n := f.repo.OpenPull("topic", "main")
	f.repo.Draft(n, true)
	got, err := f.client().PullRequest(t.Context(), "acme/api", n)
	if err != nil {
		t.Fatal(err)
	}
	if pr := got.PullRequest; got.After != f.shas[6] || got.Ref != "refs/heads/topic" || pr.Base != "main" || pr.BaseSHA != f.shas[3] || pr.Number != n || !pr.Draft || pr.Fork || got.Repository.FullName != "acme/api" {
		t.Errorf("%+v, %+v", got, got.PullRequest)
	}
	if all, err := f.client().Commits(t.Context(), &got); err != nil || len(all) != 3 || all[2].SHA != f.shas[6] {
		t.Errorf("%+v, %v", all, err)
	}
	f.repo.ClosePull(n)
	if _, err := f.client().PullRequest(t.Context(), "acme/api", n); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Error(err)
	}
}

func TestPullRequest(t *testing.T) {
	const repo = `"repo":{"id":%d,"full_name":"%s","html_url":"https://github.com/%[2]s","clone_url":"https://github.com/%[2]s.git","default_branch":"main"}`
	body := `{"number":7,"state":"%s","title":"A","draft":true,"commits":3,"user":{"login":"ben"},"labels":[{"name":"x"}],
		"head":{"ref":"topic","sha":"` + strings.ToUpper(id(503)) + `",` + fmt.Sprintf(repo, 9, "ben/api") + `},
		"base":{"ref":"main","sha":"` + id(300) + `",` + fmt.Sprintf(repo, 1, "acme/api") + `}}`
	got, err := answering(t, http.MethodGet, "/pulls/7", http.StatusOK, fmt.Sprintf(body, "open")).PullRequest(t.Context(), "acme/api", 7)
	if err != nil {
		t.Fatal(err)
	}
	want := event.Event{
		Kind: event.PullRequest, Action: "synchronize", Ref: "refs/heads/topic", After: id(503), Total: 3, Truncated: true, Sender: "ben",
		Repository: event.Repository{FullName: "acme/api", DefaultBranch: "main"},
		Commits:    []event.Commit{{SHA: id(503), Author: "ben", URL: "https://github.com/ben/api/commit/" + id(503), Distinct: true}},
		PullRequest: &event.PullReq{
			Number: 7, Base: "main", BaseSHA: id(300), Title: "A", Author: "ben", Labels: []string{"x"}, Draft: true, Fork: true, HeadRepo: "ben/api"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for name, c := range map[string]*Client{
		"closed":  answering(t, http.MethodGet, "/pulls/7", http.StatusOK, fmt.Sprintf(body, "closed")),
		"unknown": answering(t, http.MethodGet, "/pulls/7", http.StatusNotFound, `{"message":"Not Found"}`),
		"no head": answering(t, http.MethodGet, "/pulls/7", http.StatusOK, `{"number":7,"state":"open"}`),
	} {
		if _, err := c.PullRequest(t.Context(), "acme/api", 7); !errors.As(err, new(*dispatch.PermanentError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnlabel(t *testing.T) {
	const path = "/issues/7/labels/safe%20to%2Ftest"
	for name, row := range map[string]struct {
		status int
		body   string
		fails  bool
	}{
		"taken off":     {http.StatusOK, `[]`, false},
		"was not there": {http.StatusNotFound, `{"message":"Label does not exist"}`, false},
		"no access":     {http.StatusNotFound, `{"message":"Not Found"}`, true},
		"an error":      {http.StatusBadGateway, `{"message":"oops"}`, true},
	} {
		if err := answering(t, http.MethodDelete, path, row.status, row.body).Unlabel(t.Context(), "acme/api", 7, "safe to/test"); (err != nil) != row.fails {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMerge(t *testing.T) {
	const pull = `{"number":7,"state":%q,"head":{"sha":"` + "%s" + `"},"base":{"ref":"main"},"mergeable":%s,"merge_commit_sha":%q}`
	head, merge := id(503), id(900)
	for name, row := range map[string]struct {
		pull, parents         string
		sha, conflict, failed string
	}{
		"merged":         {fmt.Sprintf(pull, "open", strings.ToUpper(head), "true", merge), `{"sha":"` + id(300) + `"},{"sha":"` + head + `"}`, merge, "", ""},
		"not tried yet":  {fmt.Sprintf(pull, "open", head, "null", merge), "", "", "", "has not tried yet"},
		"a conflict":     {fmt.Sprintf(pull, "open", head, "false", merge), "", "", "it conflicts with its base main", ""},
		"pushed since":   {fmt.Sprintf(pull, "open", id(504), "true", merge), "", "", "its head has moved on to 000000000000", ""},
		"closed":         {fmt.Sprintf(pull, "closed", head, "true", merge), "", "", "it is not open any more", ""},
		"an older merge": {fmt.Sprintf(pull, "open", head, "true", merge), `{"sha":"` + id(300) + `"},{"sha":"` + id(502) + `"}`, "", "", "another head"},
		"no name":        {fmt.Sprintf(pull, "open", head, "true", "main"), "", "", "", "names no commit"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				switch r.URL.Path {
				case "/repos/acme/api/pulls/7":
					fmt.Fprint(w, row.pull)
				case "/repos/acme/api/commits/" + merge:
					fmt.Fprintf(w, `{"sha":%q,"parents":[%s]}`, merge, row.parents)
				default:
					t.Errorf("%s", r.URL)
				}
			}))
			defer s.Close()
			c, err := New(Config{Source: "work", BaseURL: s.URL, Token: "t0ken"})
			if err != nil {
				t.Fatal(err)
			}
			sha, conflict, err := c.Merge(t.Context(), &event.Event{After: head, Repository: event.Repository{FullName: "acme/api"}, PullRequest: &event.PullReq{Number: 7}})
			if sha != row.sha || !strings.HasPrefix(conflict, row.conflict) || row.conflict == "" && conflict != "" || (row.failed != "") != (err != nil) || err != nil && !strings.Contains(err.Error(), row.failed) {
				t.Errorf("%q, %q, %v", sha, conflict, err)
			}
		})
	}
}
