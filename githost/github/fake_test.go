package github

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// fakeHost is the part of GitHub's API that is asked, with its limits: at most
// 100 commits and 300 files a page, 3,000 files a commit, files of a comparison
// on its first page only, and Link headers to go on by.
type fakeHost struct {
	*httptest.Server
	t       *testing.T
	commits map[string]*fakeCommit
	refs    map[string]string // short branch name → SHA
	// answer, when set, answers in the host's place if it returns true.
	answer func(w http.ResponseWriter, r *http.Request) bool
	// newestFirst makes it compare as Gitea does: newest first, and whole
	// whatever page is asked for.
	newestFirst bool

	mu    sync.Mutex
	calls []string
}

type fakeCommit struct {
	sha, message, login string
	parents             []string
	files               []string
}

func id(n int) string { return fmt.Sprintf("%040x", n) }

func newFakeHost(t *testing.T) *fakeHost {
	f := &fakeHost{t: t, commits: map[string]*fakeCommit{}, refs: map[string]string{}}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

// chain adds commits from first to last, each on the one before it, the first on
// the given ones, and points the branch at the last.
func (f *fakeHost) chain(branch string, first, last int, on ...int) {
	for n := first; n <= last; n++ {
		parents := []string{id(n - 1)}
		if n == first {
			parents = nil
			for _, p := range on {
				parents = append(parents, id(p))
			}
		}
		f.commits[id(n)] = &fakeCommit{sha: id(n), message: fmt.Sprint("commit ", n), login: "ada", parents: parents}
	}
	f.refs[branch] = id(last)
}

func (f *fakeHost) resolve(name string) string {
	if sha, ok := f.refs[name]; ok {
		return sha
	}
	if f.commits[name] != nil {
		return name
	}
	return ""
}

// reachable lists all that a commit has, newest first. IDs grow with time.
func (f *fakeHost) reachable(sha string) []string {
	seen := map[string]bool{}
	for todo := []string{sha}; len(todo) > 0; {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !seen[at] {
			seen[at] = true
			todo = append(todo, f.commits[at].parents...)
		}
	}
	var all []string
	for s := range seen {
		all = append(all, s)
	}
	slices.Sort(all)
	slices.Reverse(all)
	return all
}

type object = map[string]any

func (f *fakeHost) describe(sha string) object {
	c := f.commits[sha]
	o := object{"sha": sha, "html_url": "https://host/c/" + sha, "commit": object{"message": c.message, "author": object{"name": "Ada L.", "email": "ada@example.test"}}}
	parents := []object{}
	for _, p := range c.parents {
		parents = append(parents, object{"sha": p})
	}
	o["parents"] = parents
	if c.login != "" {
		o["author"] = object{"login": c.login}
	}
	return o
}

// page cuts a list, and sets the Link header where it goes on.
func page[T any](w http.ResponseWriter, r *http.Request, list []T, usual, most int) []T {
	number := func(key string, otherwise int) int {
		if n, err := strconv.Atoi(r.URL.Query().Get(key)); err == nil && n > 0 {
			return n
		}
		return otherwise
	}
	size, at := min(number("per_page", usual), most), number("page", 1)
	from := min((at-1)*size, len(list))
	to := min(from+size, len(list))
	if to < len(list) {
		next := *r.URL
		q := next.Query()
		q.Set("page", strconv.Itoa(at+1))
		next.RawQuery = q.Encode()
		w.Header().Set("Link", fmt.Sprintf(`<http://%s%s>; rel="next"`, r.Host, next.RequestURI()))
	}
	return list[from:to]
}

func (f *fakeHost) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.calls = append(f.calls, r.URL.Path)
	f.mu.Unlock()
	if f.answer != nil && f.answer(w, r) {
		return
	}
	if r.Header.Get("Authorization") != "Bearer t0ken" {
		f.t.Errorf("Authorization = %q", r.Header.Get("Authorization"))
	}
	rest, ok := strings.CutPrefix(r.URL.Path, "/repos/acme/api")
	var answer any
	switch {
	case !ok:
	case rest == "":
		answer = object{"default_branch": "main"}
	case rest == "/commits":
		if sha := f.resolve(r.URL.Query().Get("sha")); sha != "" {
			var list []object
			for _, s := range page(w, r, f.reachable(sha), 30, 100) {
				list = append(list, f.describe(s))
			}
			answer = list
		}
	case strings.HasPrefix(rest, "/commits/"):
		sha := f.resolve(strings.TrimPrefix(rest, "/commits/"))
		if sha == "" {
			break
		}
		o := f.describe(sha)
		files := []object{}
		all := f.commits[sha].files
		for _, name := range page(w, r, all[:min(len(all), 3000)], 300, 300) {
			former, now, renamed := strings.Cut(name, " => ")
			file := object{"filename": former, "status": "modified"}
			if renamed {
				file = object{"filename": now, "previous_filename": former, "status": "renamed"}
			}
			files = append(files, file)
		}
		o["files"] = files
		answer = o
	case strings.HasPrefix(rest, "/compare/"):
		base, head, _ := strings.Cut(strings.TrimPrefix(rest, "/compare/"), "...")
		base, head = f.resolve(base), f.resolve(head)
		if base == "" || head == "" {
			break
		}
		old := f.reachable(base)
		var list []string
		related := false
		for _, s := range f.reachable(head) {
			if slices.Contains(old, s) {
				related = true
			} else {
				list = append(list, s)
			}
		}
		if !related {
			break // GitHub: "No common ancestor", 404
		}
		listed := list
		if !f.newestFirst {
			slices.Reverse(list)
			listed = page(w, r, list, 30, 100)
		}
		commits := []object{}
		for _, s := range listed {
			commits = append(commits, f.describe(s))
		}
		answer = object{"total_commits": len(list), "commits": commits}
	}
	if answer == nil {
		w.WriteHeader(http.StatusNotFound)
		answer = object{"message": "Not Found"}
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		f.t.Error(err)
	}
}
