package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"switchyard/dispatch"
)

// forkSettings has builds that tell by TOKEN whether they were given what their
// project has.
const forkSettings = `
server: {listen: "127.0.0.1:0"}
data_dir: data
sources: {github: {secrets: [%q]}}
engine: {embedded: {builds: {isolation: bubblewrap}, projects: {app: {repository: %s, environment: {TOKEN: of-the-project}}}}}
state_machines: {test: {definition: test.asl.json}, inner: {definition: inner.asl.json}}
routes:
  - {name: branches, branches: ["**"], state_machine: test, environment: "dev-{{ .Branch | slug }}"}
  - {name: forks, on: [pull_request], actions: [opened, closed], forks: allow, state_machine: test, environment: "pr-{{ .PullRequest }}"}
`

// forkMachine builds by way of an execution of its own that is not told where
// the commit comes from.
const (
	forkMachine = `{"StartAt": "Inner", "States": {"Inner": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "Parameters": {
		"StateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:inner", "Input": {"sha.$": "$.commit.sha", "source": {"fork": false}}}, "End": true}}}`
	innerMachine = `{"StartAt": "Build", "States": {"Build": {"Type": "Task", "Resource": "arn:aws:states:::codebuild:startBuild.sync", "Parameters": {
		"ProjectName": "app", "SourceVersion.$": "$.sha"}, "End": true}}}`
	forkSpec = "version: 0.2\nenv: {exported-variables: [SEEN]}\nphases: {build: {commands: ['SEEN=\"saw ${TOKEN-nothing}\"']}}\n"
)

// forkRepo is a bare repository with one commit of its own, and one that only
// the head of pull request 12 holds.
func forkRepo(t *testing.T) (bare, own, theirs string, git func(args ...string) string) {
	t.Helper()
	dir := t.TempDir()
	bare, work := filepath.Join(dir, "app.git"), filepath.Join(dir, "work")
	run := func(in string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = in
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@x", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@x")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run(dir, "init", "-q", "--bare", "-b", "main", bare)
	run(dir, "init", "-q", "-b", "main", work)
	if err := os.WriteFile(filepath.Join(work, "buildspec.yml"), []byte(forkSpec), 0o600); err != nil {
		t.Fatal(err)
	}
	git = func(args ...string) string { return run(work, args...) }
	git("add", "-A")
	git("commit", "-qm", "own")
	own = git("rev-parse", "HEAD")
	git("push", "-q", bare, "HEAD:refs/heads/main")
	git("commit", "-qm", "theirs", "--allow-empty")
	theirs = git("rev-parse", "HEAD")
	git("push", "-q", bare, "HEAD:refs/pull/12/head")
	return bare, own, theirs, git
}

// ofRepository is the part of a payload that names the repository.
const ofRepository = `"repository": {"id": 1, "full_name": "acme/api", "name": "api", "clone_url": "https://github.com/acme/api.git", "owner": {"login": "acme"}}, "sender": {"login": "eve"}`

func (s *service) pull(t *testing.T, id, action, sha string) {
	t.Helper()
	body := fmt.Sprintf(`{"action": %q, "number": 12, "pull_request": {"number": 12, "title": "x", "user": {"login": "eve"}, "labels": [], "merged": %v,
		"head": {"ref": "main", "sha": %q, "repo": {"id": 9, "full_name": "eve/api"}}, "base": {"ref": "main", "sha": %q, "repo": {"id": 1, "full_name": "acme/api"}}}, %s}`,
		action, action == "closed", sha, strings.Repeat("1", 40), ofRepository)
	if status, text := do(t, s.delivery(t, "pull_request", id, []byte(body))); status != http.StatusAccepted {
		t.Fatalf("%s: %d %s", id, status, text)
	}
}

func (s *service) pushed(t *testing.T, id, before, after string) {
	t.Helper()
	body := fmt.Sprintf(`{"ref": "refs/heads/main", "before": %q, "after": %q, "commits": [{"id": %q, "message": "m", "distinct": true, "author": {"name": "ada"}, "modified": ["a"]}], %s}`,
		before, after, after, ofRepository)
	if status, text := do(t, s.delivery(t, "push", id, []byte(body))); status != http.StatusAccepted {
		t.Fatalf("%s: %d %s", id, status, text)
	}
}

// saw waits for n executions to have ended and returns what the build of one
// saw. The execution is the only one whose ID has not been asked for.
func (s *service) saw(t *testing.T, asked map[string]bool, n int) (x dispatch.Execution, seen string) {
	t.Helper()
	for _, e := range s.settled(t, n) {
		if !asked[e.ID] {
			asked[e.ID] = true
			whole, err := s.client.Execution(t.Context(), e.ID)
			if err != nil {
				t.Fatal(err)
			}
			var out struct {
				Output struct {
					Build struct{ ExportedEnvironmentVariables []struct{ Value string } }
				}
			}
			if json.Unmarshal(whole.Output, &out) != nil || len(out.Output.Build.ExportedEnvironmentVariables) != 1 {
				t.Fatalf("%s ended %s: %s %s %s", e.ID, e.State, whole.Output, whole.Error, whole.Cause)
			}
			return whole, out.Output.Build.ExportedEnvironmentVariables[0].Value
		}
	}
	t.Fatal("there is no new execution")
	return x, ""
}

// Who has brought a commit decides what its builds get, whichever way it is
// asked for: by a pull request and its end, a rerun, by hand, and again once the
// repository itself has it.
func TestBuildsOfForksAreTrustedByWhoBroughtTheCommit(t *testing.T) {
	if _, err := exec.LookPath("bwrap"); err != nil {
		if os.Getenv("SWITCHYARD_REQUIRE_SERVERS") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	const trusted, stranger = "saw of-the-project", "saw nothing"
	bare, own, theirs, git := forkRepo(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "inner.asl.json"), []byte(innerMachine), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startWith(t, dir, fmt.Sprintf(forkSettings, secret, bare), forkMachine)
	asked := map[string]bool{}
	n := 0
	expect := func(what, want string) dispatch.Execution {
		t.Helper()
		n++
		x, seen := s.saw(t, asked, n)
		if seen != want {
			t.Errorf("%s: the build %s, want %q", what, seen, want)
		}
		return x
	}
	byHand := func(sha, source string) {
		t.Helper()
		if _, err := s.client.Start(t.Context(), "test", fmt.Appendf(nil, `{"commit": {"sha": %q}%s}`, sha, source), "ada"); err != nil {
			t.Fatal(err)
		}
	}
	s.pushed(t, "push-1", strings.Repeat("0", 40), own)
	expect("own commit", trusted)
	byHand(own, "")
	expect("own commit, by hand", trusted)
	byHand(own, `, "source": {"fork": true}`)
	expect("own commit, called a fork's by hand", stranger)

	s.pull(t, "pr-opened", "opened", theirs)
	x := expect("pull request of a fork", stranger)
	if !strings.Contains(x.Reason, `from the fork "eve/api"; its builds run without secrets, without network`) {
		t.Errorf("the reason is %s", x.Reason)
	}
	if _, page := s.get(t, strings.TrimPrefix(s.Page(x.ID), "http://"+s.Addr().String())); !strings.Contains(page, "<dt>fork</dt><dd>eve/api; its builds run without secrets, without network</dd>") {
		t.Errorf("the page does not say that it is a fork's:\n%s", page)
	}
	if _, err := s.client.Rerun(t.Context(), x.ID, "ada"); err != nil {
		t.Fatal(err)
	}
	expect("its rerun", stranger)
	byHand(theirs, "")
	expect("its commit, by hand", stranger)
	byHand(theirs, `, "source": {"ref": "refs/heads/main", "event": "push"}`)
	expect("its commit, called a push by hand", stranger)
	s.stop()
	s = startWith(t, dir, fmt.Sprintf(forkSettings, secret, bare), forkMachine)
	byHand(theirs, "")
	expect("its commit, by hand after a restart", stranger)

	git("push", "-q", bare, theirs+":refs/heads/main")
	s.pushed(t, "push-2", own, theirs)
	expect("its commit, merged by who may", trusted)
	byHand(theirs, "")
	expect("its commit, by hand after the merge", trusted)
	s.pull(t, "pr-closed", "closed", theirs)
	expect("the pull request's end", stranger)
	if _, err := s.client.Rerun(t.Context(), x.ID, "ada"); err != nil {
		t.Fatal(err)
	}
	expect("the pull request's rerun after the merge", stranger)
}
