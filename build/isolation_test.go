//go:build linux

package build

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
)

// findByArgument is the PID of a sleep with that argument, or 0.
func findByArgument(argument string) int {
	found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range found {
		if text, err := os.ReadFile(path); err == nil && strings.HasSuffix(string(text), "sleep\x00"+argument+"\x00") {
			if pid, err := strconv.Atoi(strings.Split(path, "/")[2]); err == nil && running(pid) {
				return pid
			}
		}
	}
	return 0
}

// The same as an ordinary user, when this one is root.
func TestIsolationAsAnOrdinaryUser(t *testing.T) {
	sequential(t)
	if os.Geteuid() != 0 {
		t.Skip("this user is an ordinary one: the tests have shown it")
	}
	needBubblewrap(t)
	const nobody = 65534
	dir, err := os.MkdirTemp("/tmp", "switchyard-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = removeAll(dir) })
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "build.test")
	if err := os.WriteFile(binary, program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, "-test.v", "-test.run", "^(TestForkBomb|TestDiskBomb|TestBuildCantChangeTheMirror|TestIsolatedBuildDoesNotOutliveTheNextSwitchyard|TestPhasesShareASandbox|TestMemoryIsBounded|TestProcessesAreBounded|TestGroupsOfAKilled|TestLimitsOfAProcess)")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "SWITCHYARD_REQUIRE_SERVERS=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestPhasesShareASandbox") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestBuildCantChangeTheMirror(t *testing.T) {
	needBubblewrap(t)
	r := newRepo(t)
	r.commit(map[string]string{"said": "by git\n"})
	commit := r.spec("version: 0.2\nphases: {build: {commands: [cat said, git log --oneline, git describe --always, git diff HEAD~1]}}\n")
	for _, isolation := range []string{IsolationNone, IsolationBubblewrap} {
		t.Run(isolation, func(t *testing.T) {
			h := newHandler(t, Config{Isolation: isolation, Writable: []string{}})
			first := run(t, h, newTask(t, "first", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
			if first.err != nil {
				t.Fatalf("%v\n%s", first.err, first.log)
			}
			// A loose object with other content under the ID of the file.
			evil := run(t, h, newTask(t, "evil", input{"SourceVersion": commit, "SourceLocationOverride": r.bare, "BuildspecOverride": `version: 0.2
phases:
  build:
    commands:
      - objects=$(cat .git/objects/info/alternates)
      - id=$(git rev-parse HEAD:said)
      - evil=$(echo evil | GIT_OBJECT_DIRECTORY=$TMPDIR git hash-object -w --stdin)
      - from=$TMPDIR/$(echo $evil | cut -c1-2)/$(echo $evil | cut -c3-)
      - to=$objects/$(echo $id | cut -c1-2)/$(echo $id | cut -c3-)
      - rm -f $objects/pack/*
      - rm -f $to; mkdir -p $(dirname $to) && cp $from $to
`}))
			if isolation == IsolationNone && evil.err != nil || isolation != IsolationNone && (evil.err == nil || !strings.Contains(evil.log, "Read-only file system")) {
				t.Errorf("%v\n%s", evil.err, evil.log)
			}
			again := run(t, h, newTask(t, "again", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
			if again.err != nil || strings.Contains(again.log, "\nevil\n") || !strings.Contains(again.log, "\nby git\n") {
				t.Errorf("%v\n%s", again.err, again.log)
			}
			if healed := strings.Contains(again.log, "is damaged"); healed != (isolation == IsolationNone) {
				t.Errorf("the mirror was healed: %v\n%s", healed, again.log)
			}
		})
	}
}

func TestForkBombIsBounded(t *testing.T) {
	needBubblewrap(t)
	r := newRepo(t)
	commit := r.spec("version: 0.2\nphases: {build: {commands: ['i=0; while [ $i -lt 400 ]; do sleep 60 & i=$((i+1)); done; sleep 30; echo all of them']}}\n")
	h := newHandler(t, Config{Isolation: IsolationBubblewrap, MaxProcesses: 100})
	b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
	if b.err == nil || strings.Contains(b.log, "\nall of them\n") {
		t.Errorf("%v\n%s", b.err, b.log)
	}
	if os.Geteuid() == 0 && b.err != nil && b.err.Name != errLimit {
		t.Errorf("error %s: %s", b.err.Name, b.messages())
	}
}

func TestDiskBombIsBounded(t *testing.T) {
	needBubblewrap(t)
	r := newRepo(t)
	commit := r.spec("version: 0.2\nphases: {build: {commands: ['for i in 1 2 3 4; do head -c 7M /dev/zero > $TMPDIR/$i; done; sleep 60']}}\n")
	for _, isolation := range []string{IsolationNone, IsolationBubblewrap} {
		h := newHandler(t, Config{Isolation: isolation, MaxDisk: 8 << 20})
		b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
		if b.err == nil || b.err.Name != errLimit || !strings.Contains(b.messages(), "8 MB") || b.result.BuildStatus != statusFailed {
			t.Errorf("%s: %v %s\n%s", isolation, b.err, b.messages(), b.log)
		}
	}
}

// What one phase leaves in the background is there for the next.
func TestPhasesShareASandbox(t *testing.T) {
	needBubblewrap(t)
	r := newRepo(t)
	commit := r.spec(`version: 0.2
env: {exported-variables: [A]}
phases:
  install: {commands: ['sleep 300 & echo $! > pid', 'A=1']}
  build: {commands: ['kill -0 $(cat pid)', 'test "$(id -un)" = build', 'echo x > /tmp/x', 'test -w "$HOME"', 'exit 0', 'A=$A-2']}
  post_build: {commands: ['kill -0 $(cat pid)', 'cat /tmp/x', 'test "$PPID" = 1', 'false']}
`)
	h := newHandler(t, Config{Isolation: IsolationBubblewrap, Writable: []string{}})
	b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
	want := "DOWNLOAD_SOURCE=SUCCEEDED INSTALL=SUCCEEDED PRE_BUILD=SUCCEEDED BUILD=SUCCEEDED POST_BUILD=FAILED UPLOAD_ARTIFACTS=SUCCEEDED"
	if b.phases() != want || !strings.Contains(b.messages(), "exit status 1") {
		t.Errorf("%s\n%s\n%s", b.phases(), b.messages(), b.log)
	}
	if v := b.result.ExportedEnvironmentVariables; len(v) != 1 || v[0].Value != "1-2" {
		t.Errorf("exported %v", v)
	}
}

// A build's shells write for us where the build can put links and pipes.
func TestControlFilesLeadNowhere(t *testing.T) {
	needBubblewrap(t)
	r := newRepo(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("VALUE=top-secret\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	commit := r.spec(strings.ReplaceAll(`version: 0.2
env: {exported-variables: [VALUE]}
phases:
  build:
    commands:
      - (while :; do for f in at vars name done saved; do ln -sf SECRET ../control/$f; done; done) &
      - (while :; do ln -sf SECRET ../control/env.new; done) &
      - sleep .2; exit 0
  post_build: {commands: ['rm -f ../control/at; mkfifo ../control/at || :; exit 0']}
`, "SECRET", secret))
	h := newHandler(t, Config{Isolation: IsolationBubblewrap, Writable: []string{}})
	b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
	if text, err := os.ReadFile(secret); err != nil || string(text) != "VALUE=top-secret\x00" {
		t.Errorf("%q %v", text, err)
	}
	if v := b.result.ExportedEnvironmentVariables; len(v) > 0 || strings.Contains(b.log, "top-secret") {
		t.Errorf("exported %v\n%s", v, b.log)
	}
}

// A killed Switchyard leaves the command at hand to come to its end. Nothing of
// the build outlives that, or the start of the next Switchyard, whatever it did
// to get away.
func TestIsolatedBuildDoesNotOutliveTheNextSwitchyard(t *testing.T) {
	for name, next := range map[string]bool{"the command ends": false, "the next begins": true} {
		t.Run(name, func(t *testing.T) { outlives(t, next) })
	}
}

func outlives(t *testing.T, next bool) {
	t.Helper()
	last := map[bool]string{false: "while ! test -f go; do sleep .01; done", true: "sleep 300"}[next]
	needBubblewrap(t)
	r := newRepo(t)
	commit := r.spec("unused")
	dataDir := filepath.Join(t.TempDir(), "data")
	in := `{"ProjectName": "app", "SourceVersion": "` + commit + `", "SourceLocationOverride": "` + r.bare + `", "BuildspecOverride": ` +
		strconv.Quote("version: 0.2\nphases: {build: {commands: ['env -i setsid sleep "+sleepSeconds+" & sleep "+sleepSeconds+" & echo ready; "+last+"']}}") + `}`
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BUILD_TEST_DATA_DIR="+dataDir, "BUILD_TEST_INPUT="+in, "BUILD_TEST_ISOLATION=bubblewrap")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitForLog(t, t.Context(), filepath.Join(dataDir, "logs", "run-1", "t.log"), "\nready\n")
	eventually(t, "the build runs, without which the test shows nothing", func() bool { return findByArgument(sleepSeconds) != 0 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if next {
		newHandler(t, Config{DataDir: dataDir, Isolation: IsolationBubblewrap, KillGrace: 100 * time.Millisecond})
	} else {
		checkouts, err := filepath.Glob(filepath.Join(dataDir, "work", "*", "src"))
		if err != nil || len(checkouts) != 1 {
			t.Fatalf("checkouts %v, %v", checkouts, err)
		}
		if err := os.WriteFile(filepath.Join(checkouts[0], "go"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the build ends", func() bool { return findByArgument(sleepSeconds) == 0 })
}

// What can't be shown is the config's mistake. It does not mean that isolation
// does not work, where auto would go on without.
func TestPathsThatCantBeShownAreRefused(t *testing.T) {
	dir := t.TempDir()
	data, inside := filepath.Join(dir, "data"), filepath.Join(dir, "data", "tools")
	if err := os.MkdirAll(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		cfg  Config
		want []string
	}{
		"not there":        {Config{Visible: []string{filepath.Join(dir, "tolos")}}, []string{"engine.embedded.builds.visible", "tolos", "no such file"}},
		"in the data":      {Config{Writable: []string{inside}}, []string{"engine.embedded.builds.writable", inside, "must not see"}},
		"not there, write": {Config{Writable: []string{"/nowhere"}}, []string{"engine.embedded.builds.writable", "/nowhere"}},
	} {
		for _, isolation := range []string{IsolationAuto, IsolationBubblewrap} {
			t.Run(name+" "+isolation, func(t *testing.T) {
				cfg := row.cfg
				cfg.Isolation, cfg.DataDir = isolation, data
				h, err := New(zap.NewNop(), cfg)
				if err == nil {
					t.Fatalf("builds run without isolation: %s", errors.Join(errors.New(h.Exposed()), h.Close()))
				}
				for _, want := range row.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%q does not say %q", err, want)
					}
				}
			})
		}
	}
}

// Only a machine that has no isolation has builds run without, by auto.
func TestAutoIsWithoutIsolationWhereThereIsNone(t *testing.T) {
	for name, row := range map[string]struct {
		bwrap   string
		exposed string // "" where it is refused to start
	}{
		"not allowed": {"echo bwrap: No permissions to create new namespace >&2; exit 1", "No permissions to create new namespace"},
		"killed":      {"kill -KILL $$", ""},
		"no program":  {"", "install bubblewrap"},
	} {
		t.Run(name, func(t *testing.T) {
			bin := t.TempDir()
			if row.bwrap != "" {
				if err := os.WriteFile(filepath.Join(bin, "bwrap"), []byte("#!/bin/sh\n"+row.bwrap+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for _, program := range []string{"git", "sh"} {
				path, err := exec.LookPath(program)
				if err == nil {
					err = os.Symlink(path, filepath.Join(bin, program))
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", bin)
			h, err := New(zap.NewNop(), Config{Isolation: IsolationAuto, DataDir: t.TempDir()})
			if err == nil {
				defer h.Close()
			}
			switch {
			case row.exposed == "" && err == nil:
				t.Errorf("builds run without isolation: %s", h.Exposed())
			case row.exposed == "" && !strings.Contains(err.Error(), "builds can't be isolated"):
				t.Error(err)
			case row.exposed != "" && (err != nil || !strings.Contains(h.Exposed(), row.exposed)):
				t.Errorf("%v; want the reason %q", err, row.exposed)
			}
		})
	}
}
