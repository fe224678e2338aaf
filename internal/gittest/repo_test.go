package gittest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCommitsAreTheSameEachTime(t *testing.T) {
	history := func() []string {
		r := New(t)
		ids := r.Chain("main", 3)
		ids = append(ids, r.Commit("topic", "aside", map[string]string{"a/b.txt": "x"}, ids[0]))
		return append(ids, r.Commit("main", "merge\n\nboth", map[string]string{"src/main/0/1.txt": ""}, ids[2], ids[3]))
	}
	first, second := history(), history()
	if got := strings.Join(second, " "); got != strings.Join(first, " ") || len(first) != 5 {
		t.Errorf("%v, then %v", first, second)
	}
}

func TestRepoIsWhatWasAsked(t *testing.T) {
	r := New(t)
	ids := r.Chain("main", 2)
	side := r.Add("side", Commit{Message: "by Bob", Name: "Bob", Email: "bob@example.test", Parents: ids[:1]})
	merge := r.Commit("main", "merge", nil, ids[1], side[0])
	if got := r.Git("log", "-1", "--format=%an %ae %ct %P", merge); got != "Ada ada@example.test 1793610180 "+ids[1]+" "+side[0]+"\n" {
		t.Errorf("%q", got)
	}
	if got := r.Git("log", "-1", "--format=%an %ae %B", side[0]); got != "Bob bob@example.test by Bob\n\n" {
		t.Errorf("%q", got)
	}
	if tip, err := r.Tip("main"); err != nil || tip != merge {
		t.Errorf("%s, %v", tip, err)
	}
	if tip, err := r.Tip("other"); err == nil {
		t.Errorf("a branch that is not there is at %s", tip)
	}
}

func TestServeIsReadByGit(t *testing.T) {
	r := New(t)
	r.Chain("main", 2)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.Serve(w, req, strings.TrimPrefix(req.URL.Path, "/acme/api.git/"))
	}))
	defer server.Close()
	tip, err := r.Tip("main")
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Git("ls-remote", server.URL+"/acme/api.git", "refs/heads/main"); got != tip+"\trefs/heads/main\n" {
		t.Errorf("%q", got)
	}
}
