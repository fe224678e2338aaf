//go:build unix

package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"switchyard/asl/task"
)

const trueSpec = "version: 0.2\nphases: {build: {commands: ['true']}}\n"

// repo is a bare repository and a clone to commit with.
type repo struct {
	t          testing.TB
	bare, work string
}

func newRepo(t testing.TB) *repo {
	t.Helper()
	dir := t.TempDir()
	r := &repo{t: t, bare: filepath.Join(dir, "app.git"), work: filepath.Join(dir, "app")}
	r.git(dir, "init", "--quiet", "--bare", "--initial-branch=main", r.bare)
	r.git(dir, "init", "--quiet", "--initial-branch=main", r.work)
	r.git(r.work, "remote", "add", "origin", r.bare)
	return r
}

func (r *repo) git(dir string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit writes the files, commits and returns the commit's ID, not pushed.
func (r *repo) commit(files map[string]string) string {
	r.t.Helper()
	for name, text := range files {
		path := filepath.Join(r.work, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	r.git(r.work, "add", "--all")
	r.git(r.work, "commit", "--quiet", "--allow-empty", "--message", "c")
	return r.git(r.work, "rev-parse", "HEAD")
}

func (r *repo) push() { r.t.Helper(); r.git(r.work, "push", "--quiet", "--force", "origin", "HEAD") }

// spec commits and pushes a buildspec.
func (r *repo) spec(text string) string {
	r.t.Helper()
	id := r.commit(map[string]string{"buildspec.yml": text})
	r.push()
	return id
}

// isolated lets builds see the files beside the data directory by which tests
// watch them. SWITCHYARD_TEST_ISOLATION=none runs all of them without isolation.
func isolated(t testing.TB, cfg *Config) {
	t.Helper()
	if cfg.Isolation == "" {
		cfg.Isolation = os.Getenv("SWITCHYARD_TEST_ISOLATION")
	}
	if cfg.Isolation != IsolationNone && cfg.Writable == nil {
		cfg.Writable = []string{filepath.Dir(t.TempDir())}
	}
}

func newHandler(t testing.TB, cfg Config, opts ...Option) *Handler {
	t.Helper()
	if cfg.DataDir == "" {
		cfg.DataDir = t.TempDir()
	}
	if cfg.KillGrace == 0 {
		cfg.KillGrace = 300 * time.Millisecond
	}
	isolated(t, &cfg)
	h, err := New(zap.NewNop(), cfg, append([]Option{WithAccess(anything{})}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	h.firstWait = time.Millisecond
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// anything is a config whose sources have all repositories, and no tokens.
type anything struct{ noAccess }

func (anything) Configured(string) bool { return true }

type input map[string]any

func newTask(t testing.TB, id string, in input) task.Task {
	t.Helper()
	if _, ok := in["ProjectName"]; !ok {
		in["ProjectName"] = "app"
	}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	return task.Task{
		ID: id, Resource: ResourceSync, Input: b,
		ExecutionARN:  "arn:aws:states:eu-west-1:123456789012:execution:deploy:run-1",
		ExecutionName: "run-1", StateName: "Build", Heartbeat: func() {},
	}
}

// built is what the tests look at of a build.
type built struct {
	result buildResult
	err    *task.Error
	log    string
}

func (b built) phases() string {
	var s []string
	for _, p := range b.result.Phases {
		if p.PhaseType != "QUEUED" && p.PhaseType != "COMPLETED" {
			s = append(s, p.PhaseType+"="+p.PhaseStatus)
		}
	}
	return strings.Join(s, " ")
}

func (b built) messages() string {
	var s []string
	for _, p := range b.result.Phases {
		for _, c := range p.Contexts {
			s = append(s, c.Message)
		}
	}
	return strings.Join(s, "\n")
}

func run(t testing.TB, h *Handler, tk task.Task) built {
	t.Helper()
	out, err := h.Run(t.Context(), tk)
	var b built
	if err != nil {
		if !errors.As(err, &b.err) {
			t.Fatalf("Run: %v", err)
		}
		out = json.RawMessage(b.err.Cause)
	}
	if b.err == nil || b.err.Name == errFailed || b.err.Name == errLimit || b.err.Name == task.MachineFault {
		var r struct{ Build *buildResult }
		r.Build = &b.result
		if err := json.Unmarshal(out, &r); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
	}
	if log, err := os.ReadFile(h.logs.path(tk.ExecutionName, tk.ID)); err == nil {
		b.log = string(log)
	}
	return b
}

func (b built) wantLog(t testing.TB, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(b.log, want) {
			t.Errorf("log has no %q:\n%s", want, b.log)
		}
	}
}

func TestBuildRunsTheExactCommit(t *testing.T) {
	r := newRepo(t)
	first := r.spec("version: 0.2\nphases:\n  build:\n    commands:\n      - cat who\n      - WHO=$(cat who)\nenv:\n  exported-variables: [WHO]\n")
	one := r.commit(map[string]string{"who": "one\n"})
	r.commit(map[string]string{"who": "two\n"})
	r.push()
	h := newHandler(t, Config{})
	b := run(t, h, newTask(t, "t1", input{"SourceVersion": one, "SourceLocationOverride": r.bare}))
	if b.err != nil {
		t.Fatalf("build failed: %v\n%s", b.err, b.log)
	}
	if got := b.result.ExportedEnvironmentVariables; !cmp.Equal(got, []nameValue{{"WHO", "one"}}) {
		t.Errorf("exported %v", got)
	}
	if b.result.BuildStatus != "SUCCEEDED" || !b.result.BuildComplete || b.result.ResolvedSourceVersion != one {
		t.Errorf("result %+v", b.result)
	}
	want := "DOWNLOAD_SOURCE=SUCCEEDED INSTALL=SUCCEEDED PRE_BUILD=SUCCEEDED BUILD=SUCCEEDED POST_BUILD=SUCCEEDED UPLOAD_ARTIFACTS=SUCCEEDED"
	if got := b.phases(); got != want {
		t.Errorf("phases %s", got)
	}
	b.wantLog(t, "running command: cat who", "\none\n", "checked out commit "+one)
	left, err := filepath.Glob(filepath.Join(h.cfg.DataDir, "work", "*", "*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != resultFile {
		t.Errorf("work directory still has %v, %v", left, err)
	}
	h.Forget(newTask(t, "t1", input{}))
	for deadline := time.Now().Add(2 * time.Minute); exists(left[0]) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if exists(left[0]) {
		t.Error("the result is kept although it is stored")
	}
	// A commit before the file was there.
	b = run(t, h, newTask(t, "t2", input{"SourceVersion": first, "SourceLocationOverride": r.bare}))
	if b.err == nil || b.err.Name != "States.TaskFailed" || b.result.BuildStatus != "FAILED" {
		t.Errorf("build of %s: %v", first, b.err)
	}
}

func TestFiftyCommitsShareOneClone(t *testing.T) {
	r := newRepo(t)
	commits := []string{r.commit(map[string]string{
		"buildspec.yml": "version: 0.2\nenv: {exported-variables: [N]}\nphases:\n  build:\n    commands: [N=$(cat n), git tag same-name, git checkout --quiet -b same-branch]\n",
		"n":             "0",
	})}
	for i := 1; i < 50; i++ {
		commits = append(commits, r.commit(map[string]string{"n": fmt.Sprint(i)}))
	}
	r.push()
	h := newHandler(t, Config{MaxParallel: 4})
	var wg sync.WaitGroup
	for i, c := range commits {
		wg.Go(func() {
			b := run(t, h, newTask(t, fmt.Sprintf("t%d", i), input{"SourceVersion": c, "SourceLocationOverride": r.bare}))
			if b.err != nil {
				t.Errorf("commit %d: %v\n%s", i, b.err, b.log)
				return
			}
			if got := b.result.ExportedEnvironmentVariables[0].Value; got != fmt.Sprint(i) {
				t.Errorf("commit %d was built as %s", i, got)
			}
		})
	}
	wg.Wait()
	if n := h.mirrors.get(r.bare, "sha1").fetches.Load(); n != 1 {
		t.Errorf("fetched %d times, want once", n)
	}
}

func TestHostileValuesStayData(t *testing.T) {
	r := newRepo(t)
	commit := r.spec(`version: 0.2
env: {exported-variables: [BRANCH, MESSAGE]}
phases:
  build:
    commands:
      - echo "building $BRANCH"
      - printf '%s' "$MESSAGE" > message
      - 'test ! -e pwned && test "$(ls | wc -l)" -eq 2'
`)
	message := "fix\n$(touch pwned)`touch pwned`'; touch pwned; \"\x1b[31m\\"
	b := run(t, newHandler(t, Config{}), newTask(t, "t", input{
		"SourceVersion": commit, "SourceLocationOverride": r.bare,
		"EnvironmentVariablesOverride": []variable{
			{Name: "BRANCH", Value: "feature/$(touch pwned)"}, {Name: "MESSAGE", Value: message, Type: "PLAINTEXT"},
		},
	}))
	if b.err != nil {
		t.Fatalf("%v\n%s", b.err, b.log)
	}
	want := []nameValue{{"BRANCH", "feature/$(touch pwned)"}, {"MESSAGE", message}}
	if diff := cmp.Diff(want, b.result.ExportedEnvironmentVariables); diff != "" {
		t.Error(diff)
	}
}

func TestBuildEnvironmentIsClean(t *testing.T) {
	t.Setenv("SERVICE_TOKEN", "from the service")
	t.Setenv("INHERITED", "yes")
	r := newRepo(t)
	commit := r.spec("version: 0.2\nenv: {variables: {LEVEL: spec, PROJECT: spec, INPUT: spec, NUMBER: 1.10}}\nphases: {build: {commands: [env | sort]}}\n")
	h := newHandler(t, Config{
		InheritEnv: []string{"PATH", "INHERITED"},
		Projects:   map[string]Project{"app": {CloneURL: r.bare, Env: map[string]string{"PROJECT": "project", "INPUT": "project"}}},
	})
	b := run(t, h, newTask(t, "t", input{
		"SourceVersion":                commit,
		"EnvironmentVariablesOverride": []variable{{Name: "INPUT", Value: "input"}, {Name: "CODEBUILD_SRC_DIR", Value: "/"}},
	}))
	if b.err != nil {
		t.Fatal(b.err)
	}
	b.wantLog(t, "\nLEVEL=spec\n", "\nPROJECT=project\n", "\nINPUT=input\n", "\nNUMBER=1.10\n", "\nINHERITED=yes\n", "\nCI=true\n",
		"\nCODEBUILD_BUILD_SUCCEEDING=1\n", "\nCODEBUILD_RESOLVED_SOURCE_VERSION="+commit+"\n", "\nSWITCHYARD_EXECUTION=run-1\n",
		"\nCODEBUILD_BUILD_NUMBER=1\n", "\nCODEBUILD_SOURCE_REPO_URL="+r.bare+"\n", "CODEBUILD_SRC_DIR: names that begin with CODEBUILD_ are reserved")
	for _, secret := range []string{"SERVICE_TOKEN", "CODEBUILD_SRC_DIR=/\n", "SSH_AUTH_SOCK", "GIT_"} {
		if strings.Contains(b.log, secret) {
			t.Errorf("%s leaked into the build:\n%s", secret, b.log)
		}
	}
}

func TestInputIsRefused(t *testing.T) {
	sha := strings.Repeat("a", 40)
	tests := []struct {
		name  string
		in    input
		error string
		want  string
	}{
		{"project without source", input{"ProjectName": "other"}, errNotFound, `project "other" is not configured`},
		{"no project", input{"ProjectName": ""}, errInvalidInput, "ProjectName is missing"},
		{"option as URL", input{"SourceLocationOverride": "--upload-pack=touch pwned"}, errInvalidInput, "begins with -"},
		{"transport helper", input{"SourceLocationOverride": "ext::sh -c touch%20pwned"}, errInvalidInput, "neither a URL"},
		{"transport helper as URL", input{"SourceLocationOverride": "ext::sh://x"}, errInvalidInput, "neither a URL"},
		{"scheme", input{"SourceLocationOverride": "git://example.com/a.git"}, errInvalidInput, `scheme "git"`},
		{"host is an option", input{"SourceLocationOverride": "ssh://-oProxyCommand=x/a.git"}, errInvalidInput, "no valid host"},
		{"relative path", input{"SourceLocationOverride": "../other.git"}, errInvalidInput, "neither a URL"},
		{"line break in URL", input{"SourceLocationOverride": "https://example.com/\nx"}, errInvalidInput, "control character"},
		{"version is an option", input{"SourceLocationOverride": "/r", "SourceVersion": "--exec=x"}, errInvalidInput, "neither a commit ID"},
		{"version with dots", input{"SourceLocationOverride": "/r", "SourceVersion": "a..b"}, errInvalidInput, "neither a commit ID"},
		{"version is a lock", input{"SourceLocationOverride": "/r", "SourceVersion": "a.lock/b"}, errInvalidInput, "neither a commit ID"},
		{"source type", input{"SourceLocationOverride": "/r", "SourceTypeOverride": "S3"}, errInvalidInput, `"S3" can't be built locally`},
		{"secret that is not configured", input{"SourceLocationOverride": "/r", "SourceVersion": sha,
			"EnvironmentVariablesOverride": []variable{{"TOKEN", "prod/token", "SECRETS_MANAGER"}}}, errInvalidInput, `TOKEN needs secrets-manager prod/token: add engine.embedded.projects.app.secrets["prod/token"] to the configuration`},
		{"variable type", input{"SourceLocationOverride": "/r", "EnvironmentVariablesOverride": []variable{{"A", "b", "FILE"}}}, errInvalidInput, `type "FILE"`},
		{"NUL byte", input{"SourceLocationOverride": "/r", "EnvironmentVariablesOverride": []variable{{"A", "b\x00c", ""}}}, errInvalidInput, "NUL byte"},
		{"variable name", input{"SourceLocationOverride": "/r", "EnvironmentVariablesOverride": []variable{{"A=B", "c", ""}}}, errInvalidInput, "must be letters"},
		{"variable too long", input{"SourceLocationOverride": "/r", "EnvironmentVariablesOverride": []variable{{"A", strings.Repeat("x", maxVariable), ""}}}, errInvalidInput, "the system allows 131071"},
		{"timeout", input{"SourceLocationOverride": "/r", "TimeoutInMinutesOverride": 0.5}, errInvalidInput, "must be a whole number"},
		{"not an object of the right shape", input{"SourceLocationOverride": []int{1}}, errInvalidInput, "not a StartBuild request"},
	}
	h := newHandler(t, Config{})
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			b := run(t, h, newTask(t, "t", tc.in))
			if b.err == nil || b.err.Name != tc.error || !strings.Contains(b.err.Cause, tc.want) {
				t.Errorf("got %v, want %s with %q", b.err, tc.error, tc.want)
			}
		})
	}
	if _, err := os.Stat("pwned"); err == nil {
		t.Error("a clone URL was executed")
	}
}

func TestStartBuildWithoutSyncIsRefused(t *testing.T) {
	tk := newTask(t, "t", input{})
	tk.Resource = resourceAsync
	_, err := newHandler(t, Config{}).Run(t.Context(), tk)
	var te *task.Error
	if !errors.As(err, &te) || te.Name != "States.Runtime" || !strings.Contains(te.Cause, ResourceSync) {
		t.Errorf("got %v", err)
	}
}

func TestBuildsWaitForASlotInOrder(t *testing.T) {
	r := newRepo(t)
	commit := r.spec("version: 0.2\nphases: {build: {commands: [echo building]}}\n")
	gate := filepath.Join(t.TempDir(), "gate")
	slow := "version: 0.2\nphases:\n  build:\n    commands: [\"while [ ! -e " + gate + " ]; do sleep 0.02; done\"]\n"
	h := newHandler(t, Config{MaxParallel: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	first := newTask(t, "first", input{"SourceVersion": commit, "SourceLocationOverride": r.bare, "BuildspecOverride": slow})
	second := newTask(t, "second", input{"SourceVersion": commit, "SourceLocationOverride": r.bare})
	var wg sync.WaitGroup
	wg.Go(func() { run(t, h, first) })
	waitForLog(t, ctx, h.logs.path("run-1", "first"), "running command")
	var b built
	wg.Go(func() { b = run(t, h, second) })
	waitForLog(t, ctx, h.logs.path("run-1", "second"), "waiting for one of 1 build slots")

	// A build that is stopped while it waits leaves the queue.
	stopped, stop := context.WithCancelCause(ctx)
	cause := errors.New("stopped by a person")
	stop(cause)
	if _, err := h.Run(stopped, newTask(t, "third", input{"SourceVersion": commit, "SourceLocationOverride": r.bare})); !errors.Is(err, cause) {
		t.Errorf("Run of a stopped task: %v", err)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if b.err != nil {
		t.Errorf("second build: %v", b.err)
	}
}

// waitForLog returns once the log at path has the text.
func waitForLog(t testing.TB, ctx context.Context, path, text string) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		b, _ := os.ReadFile(path)
		if bytes.Contains(b, []byte(text)) {
			return
		}
		select {
		case <-ctx.Done():
			t.Errorf("%s never had %q:\n%s", path, text, b)
			return
		case <-tick.C:
		}
	}
}

// BenchmarkBuild is the cost of one build that does nothing: its checkout, its
// shell and its end, with the commit already in the mirror.
func BenchmarkBuild(b *testing.B) {
	r := newRepo(b)
	commit := r.spec("version: 0.2\nphases: {build: {commands: ['true']}}\n")
	h := newHandler(b, Config{})
	run(b, h, newTask(b, "warm", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		run(b, h, newTask(b, fmt.Sprint("t", n), input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
	}
}
