//go:build unix

package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"switchyard/deploy/pipelines"
	"switchyard/dispatch"
	"switchyard/dispatch/api"
	"switchyard/internal/freeport"
)

const processSecret = "a secret of the test"

// process is a `switchyard serve` in a process of its own.
type process struct {
	t      *testing.T
	dir    string
	addr   string
	client *api.Client
	cmd    *exec.Cmd
	stderr lockedBuffer
	done   chan struct{}
}

// lockedBuffer is a buffer that a process writes while the test reads.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// newProcess writes a config for dir, with the given keys besides.
func newProcess(t *testing.T, dir, machine, more string) *process {
	t.Helper()
	addr, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, dir: dir, addr: addr}
	settings := fmt.Sprintf(`
server: {listen: %q, api_tokens: [%q]}
data_dir: data
sources: {github: {secrets: [%q]}}
state_machines: {test: {definition: test.asl.json}}
routes: [{name: all, state_machine: test}]
log: {level: warn}
%s
`, p.addr, processSecret, processSecret, more)
	for name, text := range map[string]string{"switchyard.yaml": settings, "test.asl.json": machine} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.client = api.NewClient("http://"+p.addr, processSecret)
	t.Cleanup(func() {
		p.end(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("standard error of the service:\n%.8000s", p.stderr.String())
		}
	})
	return p
}

// start runs the service and waits until it is ready.
func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command("switchyard", "serve", "--config", filepath.Join(p.dir, "switchyard.yaml"))
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.done = make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	p.eventually("the service is ready", func() bool {
		select {
		case <-p.done:
			p.t.Fatalf("the service ended: %v", p.cmd.ProcessState)
		default:
		}
		resp, err := http.Get("http://" + p.addr + "/readyz")
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
}

// end sends the signal and waits for the process.
func (p *process) end(sig syscall.Signal) {
	p.t.Helper()
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(sig) // it may have ended
	select {
	case <-p.done:
	case <-time.After(2 * time.Minute):
		p.t.Errorf("the service does not end on %v", sig)
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	if sig == syscall.SIGTERM && !p.cmd.ProcessState.Success() {
		p.t.Errorf("the service ended with %v", p.cmd.ProcessState)
	}
	p.cmd = nil
}

func (p *process) eventually(what string, is func() bool) {
	p.t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s: not so after 90 s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// buildOf is the test pipeline, with builds of the repository at path: a source
// of GitHub's kind never has builds clone from this machine.
func buildOf(path string) string {
	return strings.Replace(string(pipelines.Test), `"SourceLocationOverride.$": "$.source.clone_url"`, fmt.Sprintf(`"SourceLocationOverride": %q`, path), 1)
}

// deliver sends a push of the commits as GitHub would.
func (p *process) deliver(id string, shas ...string) (status int, header http.Header, text string) {
	p.t.Helper()
	type m map[string]any
	var commits []m
	for _, sha := range shas {
		commits = append(commits, m{"id": sha, "message": "commit " + sha, "distinct": true, "author": m{"name": "Ada"}})
	}
	body, err := json.Marshal(m{"ref": "refs/heads/main", "before": strings.Repeat("1", 40), "after": shas[len(shas)-1], "commits": commits,
		"repository": m{"id": 1, "full_name": "acme/api"}, "sender": m{"login": "ada"}})
	if err != nil {
		p.t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte(processSecret))
	mac.Write(body)
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, "http://"+p.addr+"/webhooks/github", bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", "push")
	req.Header.Set("X-GitHub-Delivery", id)
	req.Header.Set("X-Hub-Signature-256", fmt.Sprintf("sha256=%x", mac.Sum(nil)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(answer)
}

// executions lists all there are, by commit; a commit with two is an error.
func (p *process) executions() map[string]dispatch.Execution {
	p.t.Helper()
	page, err := p.client.Executions(p.t.Context(), dispatch.ExecutionFilter{Limit: 1000})
	if err != nil {
		p.t.Fatal(err)
	}
	byCommit := map[string]dispatch.Execution{}
	for _, e := range page.Executions {
		if _, twice := byCommit[e.SHA]; twice {
			p.t.Errorf("%s has two executions", e.SHA)
		}
		byCommit[e.SHA] = e
	}
	return byCommit
}

// finished waits until n executions have ended.
func (p *process) finished(n int) map[string]dispatch.Execution {
	p.t.Helper()
	var all map[string]dispatch.Execution
	p.eventually(fmt.Sprintf("%d executions have ended", n), func() bool {
		ended := 0
		all = p.executions()
		for _, e := range all {
			if e.State.Finished() {
				ended++
			}
		}
		return ended >= n
	})
	return all
}

// commits makes n commits with a buildspec in a bare repository.
func commits(t *testing.T, n int, buildspec string) (bare string, shas []string) {
	t.Helper()
	dir := t.TempDir()
	bare = filepath.Join(dir, "api.git")
	work := filepath.Join(dir, "api")
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
			"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "--quiet", "--bare", "--initial-branch=main", bare)
	git("init", "--quiet", "--initial-branch=main", work)
	if err := os.WriteFile(filepath.Join(work, "buildspec.yml"), []byte(buildspec), 0o600); err != nil {
		t.Fatal(err)
	}
	git("-C", work, "add", "--all")
	for i := range n {
		git("-C", work, "commit", "--quiet", "--allow-empty", "--message", fmt.Sprint(i))
		shas = append(shas, git("-C", work, "rev-parse", "HEAD"))
	}
	git("-C", work, "push", "--quiet", bare, "HEAD:main")
	return bare, shas
}

// The process is killed again and again while builds run. What was acknowledged
// ends as one execution for each commit, and every build that was cut off ran
// again to its end.
func TestKilledServiceRunsEveryCommitOnce(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	marks := t.TempDir()
	bare, shas := commits(t, 8, fmt.Sprintf(`version: 0.2
phases:
  build:
    commands:
      - echo begin >> %[1]s/$CODEBUILD_RESOLVED_SOURCE_VERSION
      - while ! test -f %[1]s/go; do sleep .05; done
      - echo end >> %[1]s/$CODEBUILD_RESOLVED_SOURCE_VERSION
`, marks))
	p := newProcess(t, t.TempDir(), buildOf(bare), fmt.Sprintf("engine: {embedded: {max_builds: 3, builds: {writable: [%q]}, projects: {local: {repository: %q}}}}", marks, bare))
	p.start()
	status, _, first := p.deliver("d1", shas...)
	if status != http.StatusAccepted {
		t.Fatalf("%d %s", status, first)
	}
	count := func(what string) (n int) {
		for _, sha := range shas {
			text, _ := os.ReadFile(filepath.Join(marks, sha)) // none before its first build
			n += strings.Count(string(text), what)
		}
		return n
	}
	for range 3 {
		before := count("begin")
		p.eventually("a build runs", func() bool { return count("begin") > before })
		p.end(syscall.SIGKILL)
		p.start()
	}
	if err := os.WriteFile(filepath.Join(marks, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	all := p.finished(len(shas))
	if len(all) != len(shas) {
		t.Errorf("%d executions of %d commits", len(all), len(shas))
	}
	for _, sha := range shas {
		if e := all[sha]; e.State != dispatch.StateSucceeded {
			t.Errorf("%s is %q: %s", sha, e.State, e.Error)
		}
		if text, err := os.ReadFile(filepath.Join(marks, sha)); err != nil || strings.Count(string(text), "end") != 1 {
			t.Errorf("the build of %s: %q %v", sha, text, err)
		}
	}
	if begun, ended := count("begin"), count("end"); begun <= ended {
		t.Errorf("%d builds began and %d ended: no kill hit one", begun, ended)
	}
	want := strings.Replace(first, fmt.Sprintf(`"new":%d`, len(shas)), `"new":0`, 1)
	if status, _, again := p.deliver("d1", shas...); status != http.StatusAccepted || again != want {
		t.Errorf("the delivery again: %d %s, expected %s", status, again, want)
	}
	if n := len(p.executions()); n != len(shas) {
		t.Errorf("%d executions after it", n)
	}
}

// SIGTERM ends the process with 0 while builds run; they go on at the next
// start, as the same executions.
func TestStoppedServiceGoesOnWhereItWas(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	marks := t.TempDir()
	bare, shas := commits(t, 2, fmt.Sprintf("version: 0.2\nphases: {build: {commands: ['echo x >> %s/begun', 'sleep .5']}}\n", marks))
	p := newProcess(t, t.TempDir(), buildOf(bare), fmt.Sprintf("engine: {embedded: {builds: {writable: [%q]}, projects: {local: {repository: %q}}}}", marks, bare))
	p.start()
	p.deliver("d1", shas...)
	p.eventually("a build runs", func() bool { _, err := os.Stat(filepath.Join(marks, "begun")); return err == nil })
	p.end(syscall.SIGTERM)
	p.start()
	for sha, e := range p.finished(2) {
		if e.State != dispatch.StateSucceeded {
			t.Errorf("%s is %s", sha, e.State)
		}
	}
}

// SIGHUP reads the config again, also one that has not changed.
func TestHangupReadsTheConfigAgain(t *testing.T) {
	p := newProcess(t, t.TempDir(), `{"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}`, "")
	p.start()
	applied := func() string {
		resp, err := http.Get("http://" + p.addr + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if count, ok := strings.CutPrefix(line, `switchyard_config_reloads_total{outcome="applied"} `); ok {
				return strings.TrimSpace(count)
			}
		}
		return "0"
	}
	for _, want := range []string{"1", "2"} {
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		p.eventually(want+" reloads", func() bool { return applied() == want })
	}
}
