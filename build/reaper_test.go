//go:build linux

package build

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"switchyard/asl/task"
)

// reaped is a process that runs builds, to be killed, whose reaper does not wait
// as long as usual.
type reaped struct {
	cmd    *exec.Cmd
	reaper int
}

// reapedAfter is how long builds go on without that process.
const reapedAfter = time.Second

// inPodman is the isolation of a process whose builds run in containers.
const inPodman = "podman"

// startReaped runs the same build so many times at once; each has its number in
// the variable N.
func startReaped(t *testing.T, dataDir, isolation string, builds int, in input) *reaped {
	t.Helper()
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	p := &reaped{cmd: exec.CommandContext(t.Context(), os.Args[0])}
	p.cmd.Env = append(os.Environ(), "BUILD_TEST_REAPED="+strconv.Itoa(builds), "BUILD_TEST_DATA_DIR="+dataDir,
		"BUILD_TEST_INPUT="+string(text), "BUILD_TEST_ISOLATION="+isolation)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if p.reaper, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		t.Fatal(err)
	}
	return p
}

func init() {
	otherMains = append(otherMains, func() {
		if builds, err := strconv.Atoi(os.Getenv("BUILD_TEST_REAPED")); err == nil {
			fmt.Println(reapedMain(os.Getenv("BUILD_TEST_DATA_DIR"), os.Getenv("BUILD_TEST_INPUT"), builds))
			os.Exit(1)
		}
	})
}

// reapedMain is that process.
func reapedMain(dataDir, text string, builds int) error {
	var in input
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return err
	}
	cfg := Config{DataDir: dataDir, Isolation: os.Getenv("BUILD_TEST_ISOLATION"), KillGrace: 200 * time.Millisecond, MaxParallel: builds}
	if cfg.Isolation != IsolationNone {
		cfg.Writable = []string{filepath.Dir(dataDir)}
	}
	cfg.isolate()
	h, err := New(zap.NewNop(), cfg, WithAccess(anything{}), func(h *Handler) {
		h.reapAfter = reapedAfter
		h.reaperStarted = func(pid int) { fmt.Println(pid) }
	})
	if err != nil {
		return err
	}
	var g sync.WaitGroup
	for n := range builds {
		g.Go(func() {
			_, _ = h.Run(context.Background(), reapedTask(in, n))
		})
	}
	g.Wait()
	<-time.After(10 * time.Minute) // to be killed
	return errors.New("nobody has killed this process")
}

// isolate takes inPodman for an isolation.
func (c *Config) isolate() {
	if c.Isolation == inPodman {
		c.Isolation, c.Container.Image = IsolationAuto, smallImage
	}
}

func reapedTask(in input, n int) task.Task {
	one := input{"EnvironmentVariablesOverride": []variable{{Name: "N", Value: strconv.Itoa(n)}}}
	for name, value := range in {
		one[name] = value
	}
	text, err := json.Marshal(one)
	if err != nil {
		panic(err)
	}
	return task.Task{ID: fmt.Sprint("t", n), Resource: ResourceSync, Input: text, ExecutionName: "run-1", Heartbeat: func() {}}
}

func (p *reaped) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait()
}

// eventually waits until something is so, for as long as a busy machine may take.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	const within = 2 * time.Minute
	for deadline := time.Now().Add(within); !is(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %v", what, within)
		}
	}
}

// isolations runs a test with isolation and without.
func isolations(t *testing.T, f func(t *testing.T, isolation string)) {
	t.Helper()
	for _, isolation := range []string{IsolationNone, IsolationBubblewrap} {
		t.Run(isolation, func(t *testing.T) {
			if isolation == IsolationBubblewrap {
				needBubblewrap(t)
			}
			f(t, isolation)
		})
	}
}

// sleepSeconds is for how long builds sleep that only these tests run.
var sleepSeconds = strconv.Itoa(1_000_000 + os.Getpid())

// sleepers are the processes that do.
func sleepers(t *testing.T) (found []string) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if text, err := os.ReadFile(path); err == nil && strings.HasSuffix(string(text), "sleep\x00"+sleepSeconds+"\x00") {
			found = append(found, path)
		}
	}
	return found
}

// Whatever a build does to get away.
var runaways = strings.ReplaceAll(`version: 0.2
phases:
  build:
    commands:
      - sleep 76543 &
      - setsid sleep 76543 &
      - (nohup setsid sleep 76543 >/dev/null 2>&1 &)
      - env -i setsid sleep 76543 &
      - (trap "" TERM HUP; exec setsid sleep 76543) &
      - sleep 76543 & sleep .1; kill -STOP $!
      - (setsid sh -c 'kill -STOP $$; exec sleep 1' &)
      - sleep .1; echo ready; sleep 76543
`, "76543", sleepSeconds)

func TestBuildsEndWhenTheServiceIsKilled(t *testing.T) {
	isolations(t, func(t *testing.T, isolation string) {
		r := newRepo(t)
		dataDir := filepath.Join(t.TempDir(), "data")
		p := startReaped(t, dataDir, isolation, 2, input{"ProjectName": "app", "SourceVersion": r.spec(runaways), "SourceLocationOverride": r.bare})
		for _, id := range []string{"t0", "t1"} {
			waitForLog(t, t.Context(), filepath.Join(dataDir, "logs", "run-1", id+".log"), "\nready\n")
		}
		const each = 7
		eventually(t, "all run", func() bool { return len(sleepers(t)) == 2*each })
		p.kill(t)
		killed := time.Now()
		<-time.After(reapedAfter / 2)
		if n := len(sleepers(t)); n != 2*each && time.Since(killed) < reapedAfter {
			t.Errorf("%d processes are left before the time", n)
		}
		eventually(t, "the builds end", func() bool { return len(sleepers(t)) == 0 && len(survivors(t)) == 0 })
		t.Logf("ended %v after the kill", time.Since(killed))
		eventually(t, "the reaper ends", func() bool { return !running(p.reaper) })
		h := newHandler(t, Config{DataDir: dataDir, Isolation: isolation})
		if n := h.swept[workName(reapedTask(input{}, 0))]; n < each {
			t.Errorf("the next service knows of %d processes that were ended", n)
		}
		if left, err := readReaped(dataDir); err != nil || len(left) > 0 {
			t.Errorf("and keeps %v, %v", left, err)
		}
	})
}

// The reaper comes at the very moment at which commands end. Each has its effect
// once.
func TestReaperCutsNothingOffThatHasEnded(t *testing.T) {
	each := func(t *testing.T, isolation string) {
		builds := 16
		if isolation == inPodman {
			builds = 6
		}
		r := newRepo(t)
		dir := t.TempDir()
		dataDir := filepath.Join(dir, "data")
		commit := r.spec(strings.ReplaceAll(strings.ReplaceAll(`version: 0.2
phases:
  build:
    commands:
      - echo x > DIR/begun-$N; while ! test -f DIR/go; do sleep .02; done; sleep $(printf '%d.%03d' $(((850 + N * STEP) / 1000)) $(((850 + N * STEP) % 1000))); sh -c "echo x >> DIR/ended-$N"
`, "DIR", dir), "STEP", strconv.Itoa(320/builds)))
		in := input{"ProjectName": "app", "SourceVersion": commit, "SourceLocationOverride": r.bare}
		p := startReaped(t, dataDir, isolation, builds, in)
		files := func(pattern string) int {
			found, err := filepath.Glob(pattern)
			if err != nil {
				t.Fatal(err)
			}
			return len(found)
		}
		eventually(t, "all builds begin", func() bool { return files(filepath.Join(dir, "begun-*")) == builds })
		if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		p.kill(t)
		eventually(t, "the reaper ends", func() bool { return !running(p.reaper) })
		ended := files(filepath.Join(dir, "ended-*"))
		noted := files(filepath.Join(dataDir, "work", "*", "control", doneFile))
		t.Logf("%d of %d commands had ended, of which %d are noted", ended, builds, noted)
		cfg := Config{DataDir: dataDir, Isolation: isolation, MaxParallel: builds, Writable: []string{dir}}
		cfg.isolate()
		h := newHandler(t, cfg)
		var g sync.WaitGroup
		for n := range builds {
			g.Go(func() {
				tk := reapedTask(in, n)
				tk.Restarted = true
				if _, err := h.Run(t.Context(), tk); err != nil {
					t.Errorf("build %d: %v", n, err)
				}
			})
		}
		g.Wait()
		for n := range builds {
			if text, err := os.ReadFile(filepath.Join(dir, fmt.Sprint("ended-", n))); err != nil || string(text) != "x\n" {
				t.Errorf("command %d: %q %v", n, text, err)
			}
		}
	}
	isolations(t, each)
	t.Run(inPodman, func(t *testing.T) {
		needPodman(t)
		each(t, inPodman)
	})
}

func TestReaperLeavesBuildsToTheNextService(t *testing.T) {
	r := newRepo(t)
	dataDir := filepath.Join(t.TempDir(), "data")
	p := startReaped(t, dataDir, IsolationNone, 1, input{"ProjectName": "app", "SourceLocationOverride": r.bare,
		"SourceVersion": r.spec("version: 0.2\nphases: {build: {commands: ['echo ready; sleep " + sleepSeconds + "']}}\n")})
	waitForLog(t, t.Context(), filepath.Join(dataDir, "logs", "run-1", "t0.log"), "\nready\n")
	eventually(t, "the command runs", func() bool { return len(sleepers(t)) == 1 })
	p.kill(t)
	lock, err := lockFile(filepath.Join(dataDir, lockName))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the reaper ends", func() bool { return !running(p.reaper) })
	if n := len(sleepers(t)); n != 1 {
		t.Errorf("%d processes are left to the next service", n)
	}
	lock.Close()
	newHandler(t, Config{DataDir: dataDir, Isolation: IsolationNone})
	if n := len(sleepers(t)); n != 0 {
		t.Errorf("the next service leaves %d processes", n)
	}
}

// A reaper without a service or builds has nothing to stay for, and one that
// ends is replaced.
func TestReaperLivesAsLongAsItsService(t *testing.T) {
	core, logged := observer.New(zapcore.WarnLevel)
	pids := make(chan int, 10)
	h, err := New(zap.New(core), Config{DataDir: t.TempDir(), Isolation: IsolationNone}, func(h *Handler) { h.reaperStarted = func(pid int) { pids <- pid } })
	if err != nil {
		t.Fatal(err)
	}
	first := <-pids
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := <-pids
	if n := logged.FilterMessageSnippet("another is started").Len(); n != 1 {
		t.Errorf("%d lines say that the reaper was killed", n)
	}
	if second == first || !running(second) || running(first) {
		t.Errorf("the reapers are %d and %d", first, second)
	}
	// What ends the service in an orderly way does not end it before.
	eventually(t, "the reaper waits", func() bool { return ignoresSignals(second) })
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		if err := syscall.Kill(second, sig); err != nil {
			t.Fatal(err)
		}
	}
	if !running(second) {
		t.Error("the reaper ends when it is asked to")
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if running(second) {
		t.Error("the reaper lives on")
	}

	p := startReaped(t, filepath.Join(t.TempDir(), "data"), IsolationNone, 0, input{})
	p.kill(t)
	eventually(t, "the reaper of a killed service without builds ends", func() bool { return !running(p.reaper) })
}

// ignoresSignals tells a reaper that is about to wait for the end of its pipe.
func ignoresSignals(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && strings.Contains(string(text), "SigIgn:\t0000000000004003")
}

func TestReaperHoldsNothing(t *testing.T) {
	t.Setenv("SERVICE_TOKEN", "secret")
	// As one that the service was started with.
	var inherited [2]int
	if err := syscall.Pipe(inherited[:]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(syscall.Close(inherited[0]), syscall.Close(inherited[1])) })
	pids := make(chan int, 1)
	newHandler(t, Config{Isolation: IsolationNone}, func(h *Handler) { h.reaperStarted = func(pid int) { pids <- pid } })
	pid := <-pids
	eventually(t, "the reaper waits", func() bool { return ignoresSignals(pid) })
	proc := fmt.Sprintf("/proc/%d", pid)
	if env, err := os.ReadFile(proc + "/environ"); err != nil || string(env) != "GOMAXPROCS=1\x00" {
		t.Errorf("its environment is %q, %v", env, err)
	}
	if at, err := os.Readlink(proc + "/cwd"); err != nil || at != "/" {
		t.Errorf("it works in %s, %v", at, err)
	}
	if held := heldFiles(t, proc); len(held) > 0 {
		t.Errorf("it has %v", held)
	}
}

// heldFiles are those that a reaper must not have.
func heldFiles(t *testing.T, proc string) (names []string) {
	t.Helper()
	files, err := os.ReadDir(proc + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		to, err := os.Readlink(filepath.Join(proc, "fd", f.Name()))
		allowed := []string{"/dev/null", "anon_inode:", "/sys/fs/cgroup/"} // the last are the Go runtime's own
		if f.Name() == "0" {
			allowed = []string{"pipe:"}
		}
		if err == nil && !slices.ContainsFunc(allowed, func(prefix string) bool { return strings.HasPrefix(to, prefix) }) {
			names = append(names, f.Name()+" is "+to)
		}
	}
	return names
}
