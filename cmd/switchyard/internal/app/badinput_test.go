package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/deploy/pipelines"
	"switchyard/dispatch"
)

// instant is a state machine that ends at once.
const instant = `{"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}`

type commit struct{ sha, message string }

// buildOf is the test pipeline, with builds of the repository at path: a source
// of GitHub's kind never has builds clone from this machine.
func buildOf(path string) string {
	return strings.Replace(string(pipelines.Test), `"SourceLocationOverride.$": "$.source.clone_url"`, fmt.Sprintf(`"SourceLocationOverride": %q`, path), 1)
}

// pushOf is a push of real commits.
func pushOf(branch string, commits ...commit) []byte {
	type m map[string]any
	var list []m
	for _, c := range commits {
		list = append(list, m{"id": c.sha, "message": c.message, "distinct": true, "author": m{"name": "Ada", "username": "ada"},
			"added": []string{}, "removed": []string{}, "modified": []string{"buildspec.yml"}})
	}
	body, err := json.Marshal(m{"ref": "refs/heads/" + branch, "before": strings.Repeat("1", 40), "after": commits[len(commits)-1].sha, "commits": list,
		"repository": m{"id": 1, "full_name": "acme/api", "name": "api"}, "sender": m{"login": "ada"}})
	if err != nil {
		panic(err)
	}
	return body
}

// recorded is how many deliveries and executions there are.
func (s *service) recorded(t *testing.T) (deliveries, executions int) {
	t.Helper()
	d, err := s.client.Deliveries(t.Context(), dispatch.DeliveryFilter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	e, err := s.client.Executions(t.Context(), dispatch.ExecutionFilter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return len(d.Deliveries), len(e.Executions)
}

// What is not genuine or not understood is refused in the right words, and
// leaves nothing behind.
func TestRefusedDeliveriesLeaveNothingBehind(t *testing.T) {
	s := startWith(t, t.TempDir(), strings.Replace(fmt.Sprintf(settings, secret), "data_dir: data", "data_dir: data\nlimits: {body: 1MB}", 1), instant)
	good := push("feature/a", "one")
	signature := s.delivery(t, "push", "x", good).Header.Get("X-Hub-Signature-256")
	signed := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("X-Hub-Signature-256", value) }
	}
	for name, row := range map[string]struct {
		body   []byte
		change func(*http.Request)
		status int
		want   string
	}{
		"no signature":                {good, func(r *http.Request) { r.Header.Del("X-Hub-Signature-256") }, 401, "X-Hub-Signature-256"},
		"wrong signature":             {good, signed("sha256=" + strings.Repeat("0", 64)), 401, "signature does not match"},
		"truncated signature":         {good, signed(signature[:len(signature)-1]), 401, "X-Hub-Signature-256"},
		"signature that is not hex":   {good, signed("sha256=" + strings.Repeat("z", 64)), 401, "X-Hub-Signature-256"},
		"signature of another body":   {append(slices.Clone(good), ' '), signed(signature), 401, "signature does not match"},
		"too large":                   {append(slices.Clone(good), make([]byte, 1<<20)...), nil, 413, "larger than 1048576 bytes"},
		"truncated JSON":              {good[:len(good)/2], nil, 400, "ends"},
		"not JSON":                    {[]byte("<html>"), nil, 400, "not JSON"},
		"wrong shape":                 {[]byte(`{"ref": ["refs/heads/feature/a"]}`), nil, 400, "ref"},
		"deeply nested":               {[]byte(strings.Repeat(`{"repository":`, 50_000)), nil, 400, "deeper than 64"},
		"invalid UTF-8":               {[]byte(strings.Replace(string(good), "one", "o\xffe", 1)), nil, 400, "invalid UTF-8"},
		"the same key twice":          {[]byte(strings.Replace(string(good), `{`, `{"after":"`+strings.Repeat("a", 40)+`",`, 1)), nil, 400, `\"after\" is there twice`},
		"control character in branch": {push("feature/a\x1b[2J", "one"), nil, 400, `\\x1b`},
		"no delivery ID":              {good, func(r *http.Request) { r.Header.Del("X-GitHub-Delivery") }, 400, "X-GitHub-Delivery"},
		"another media type":          {good, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415, "application/json"},
		"another source":              {good, func(r *http.Request) { r.URL.Path = "/webhooks/gitlab" }, 404, "sources"},
	} {
		t.Run(name, func(t *testing.T) {
			req := s.delivery(t, "push", "d-"+name[:1], row.body)
			if row.change != nil {
				row.change(req)
			}
			status, text := do(t, req)
			if status != row.status || !strings.Contains(text, row.want) {
				t.Errorf("%d %s, want %d with %q", status, text, row.status, row.want)
			}
			if deliveries, executions := s.recorded(t); deliveries != 0 || executions != 0 {
				t.Errorf("%d deliveries, %d executions", deliveries, executions)
			}
		})
	}
	if status, text := s.deliver(t, "d1", good); status != http.StatusAccepted {
		t.Errorf("a good delivery afterwards: %d %s", status, text)
	}
}

// GitHub lists at most so many commits in one push.
func TestLargestPushStartsEveryCommitOnce(t *testing.T) {
	const n = 2048
	s := startWith(t, t.TempDir(), fmt.Sprintf(settings, secret), instant)
	messages := make([]string, n)
	for i := range messages {
		messages[i] = fmt.Sprintf("commit %d", i)
	}
	status, text := s.deliver(t, "d1", push("feature/large", messages...))
	var answer struct{ Executions []string }
	if err := json.Unmarshal([]byte(text), &answer); err != nil || status != http.StatusAccepted || len(answer.Executions) != n {
		t.Fatalf("%d, %d executions, %v", status, len(answer.Executions), err)
	}
	eventually(t, "all work done", func() bool {
		left, err := s.Dispatcher().Depth(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// A list as full as this may lack commits, so the host would be asked
		// first; here there is no access to it.
		begun, err := s.client.Executions(t.Context(), dispatch.ExecutionFilter{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		return len(begun.Executions) > 0 && left.Deliveries+left.Waiting+left.Ready+left.Running == 0
	})
	commits, more := map[string]int{}, true
	for before := int64(0); more; more = before != 0 {
		page, err := s.client.Executions(t.Context(), dispatch.ExecutionFilter{Before: before, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Executions {
			if commits[e.SHA]++; e.State != dispatch.StateSucceeded {
				t.Errorf("%s is %s", e.ID, e.State)
			}
		}
		before = page.Next
	}
	if len(commits) != n {
		t.Errorf("%d commits ran", len(commits))
	}
	for sha, times := range commits {
		if times != 1 {
			t.Errorf("%s ran %d times", sha, times)
		}
	}
}

// A branch made on a commit that is there already lists no commits: it starts
// its head.
func TestPushWithoutCommitsStartsItsHead(t *testing.T) {
	s := startWith(t, t.TempDir(), fmt.Sprintf(settings, secret), instant)
	head := strings.Repeat("ab", 20)
	body := fmt.Appendf(nil, `{"ref": "refs/heads/feature/empty", "before": %q, "after": %q, "created": true, "commits": [], "head_commit": null,
		"repository": {"id": 1, "full_name": "acme/api", "name": "api"}, "sender": {"login": "ada"}}`, strings.Repeat("0", 40), head)
	if status, text := s.deliver(t, "d1", body); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, text)
	}
	if got := s.settled(t, 1)[0]; got.SHA != head || got.State != dispatch.StateSucceeded {
		t.Errorf("%s of %s", got.State, got.SHA)
	}
}

func TestForkOfADeletedRepositoryStartsNothing(t *testing.T) {
	s := startWith(t, t.TempDir(), strings.Replace(fmt.Sprintf(settings, secret), "name: features,", "name: features, on: [push, pull_request],", 1), instant)
	for _, name := range []string{"pull_request-fork.json", "pull_request-fork-deleted.json"} {
		body, err := os.ReadFile(filepath.Join("../../../../webhook/github/testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		status, text := do(t, s.delivery(t, "pull_request", name, body))
		if status != http.StatusOK || !strings.Contains(text, "fork") {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	if _, executions := s.recorded(t); executions != 0 {
		t.Errorf("%d executions", executions)
	}
	// The same route takes the same pull request from the repository itself.
	body, err := os.ReadFile("../../../../webhook/github/testdata/pull_request-opened.json")
	if err != nil {
		t.Fatal(err)
	}
	if status, text := do(t, s.delivery(t, "pull_request", "own", body)); status != http.StatusAccepted {
		t.Errorf("the repository's own: %d %s", status, text)
	}
}

// hostileBranches are names that some git host lets pass.
var hostileBranches = map[string]string{
	"command":   "feature/$(touch x)",
	"backticks": "feature/`touch x`;touch x;\"'&&touch x",
	"upwards":   "feature/../../x",
	"option":    "feature/--upload-pack=touch x",
	"markup":    "feature/<script>alert(1)</script>",
	"long":      "feature/" + strings.Repeat("é", 123) + "x", // 255 bytes
	"script":    "feature/ünïcödé-分支-\u202e",
	"template":  "feature/{{ .Branch }}${HOME}%s",
}

// tellingBuildspec hands on what the build was given and what lies around it.
const tellingBuildspec = `version: 0.2
env: {exported-variables: [GIT_REF, COMMIT_MESSAGE]}
phases:
  build:
    commands:
      - 'printf "ref <%s>\n" "$GIT_REF"'
      - ls -A
artifacts: {files: [buildspec.yml]}
`

func TestHostileNamesReachBuildsAsDataAlone(t *testing.T) {
	github := newGitHub(t)
	repo := github.clone(t)
	const message = "\x1b]0;owned\x07\x1b[2Jgone\r$(touch x) \u009b31m <b>bold</b>"
	dir := t.TempDir()
	s := startWith(t, dir, fmt.Sprintf(buildSettings, secret, github.URL)+fmt.Sprintf("engine: {embedded: {projects: {local: {repository: %q}}}}\n", repo.bare), buildOf(repo.bare))
	before := outside(t, dir, repo)
	branchOf := map[string]string{}
	for name, branch := range hostileBranches {
		sha := repo.commit(message+name, tellingBuildspec)
		branchOf[sha] = branch
		if status, text := s.deliver(t, "d-"+name, pushOf(branch, commit{sha, message + name})); status != http.StatusAccepted {
			t.Fatalf("%s: %d %s", name, status, text)
		}
	}
	ended := s.settled(t, len(hostileBranches))
	links := github.final(t, len(hostileBranches))
	for _, e := range ended {
		t.Run(branchOf[e.SHA], func(t *testing.T) {
			if e.State != dispatch.StateSucceeded || e.Ref != "refs/heads/"+branchOf[e.SHA] {
				t.Fatalf("%s of %q", e.State, e.Ref)
			}
			whole, err := s.client.Execution(t.Context(), e.ID)
			if err != nil {
				t.Fatal(err)
			}
			given := exported(t, whole.Output)
			if given["GIT_REF"] != e.Ref || !strings.HasPrefix(given["COMMIT_MESSAGE"], message) {
				t.Errorf("the build was given %q", given)
			}
			_, page := s.get(t, strings.TrimPrefix(links[e.SHA].URL, "http://"+s.Addr().String()))
			for _, bad := range []string{"<script", "<b>", "\x1b", "\x07", "\u009b", "\u202e", "\r"} {
				if strings.Contains(page, bad) {
					t.Errorf("the page holds %q", bad)
				}
			}
			if !strings.Contains(page, "buildspec.yml\n") || strings.Contains(page, "\nx\n") {
				t.Errorf("the build's folder does not hold the buildspec alone:\n%s", page)
			}
			if d := links[e.SHA].Description; strings.ContainsAny(d, "\x1b\x07\r\n") {
				t.Errorf("status description %q", d)
			}
		})
	}
	if diff := cmp.Diff(before, outside(t, dir, repo)); diff != "" {
		t.Errorf("files outside the data folder: %s", diff)
	}
	walk(t, dir, func(path string) {
		if filepath.Base(path) == "x" {
			t.Errorf("%s was made", path)
		}
	})
	if artifacts, err := os.ReadDir(filepath.Join(dir, "data/builds/artifacts")); err != nil || len(artifacts) != len(hostileBranches) {
		t.Errorf("%d folders of artifacts, %v", len(artifacts), err)
	}
	if _, err := os.Stat("x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("x was made beside the test: %v", err)
	}
}

// exported are the variables that a build handed on.
func exported(t *testing.T, output []byte) map[string]string {
	t.Helper()
	var out struct {
		Build struct {
			Exported []struct{ Name, Value string }
		}
	}
	if err := json.Unmarshal(output, &out); err != nil {
		t.Fatalf("%s: %v", output, err)
	}
	values := map[string]string{}
	for _, v := range out.Build.Exported {
		values[v.Name] = v.Value
	}
	return values
}

// outside lists the files of the test that no build may touch.
func outside(t *testing.T, dir string, repo *repository) []string {
	t.Helper()
	var all []string
	walk(t, dir, func(path string) {
		if !strings.HasPrefix(path, filepath.Join(dir, "data")) {
			all = append(all, path)
		}
	})
	walk(t, filepath.Dir(repo.bare), func(path string) {
		if !strings.HasPrefix(path, repo.bare) && !strings.HasPrefix(path, repo.work+"/.git") {
			all = append(all, path)
		}
	})
	return slices.DeleteFunc(all, func(path string) bool { return filepath.Base(path) == "buildspec.yml" })
}

func walk(t *testing.T, dir string, each func(path string)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // SQLite's log may go meanwhile
		}
		each(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
