//go:build linux

package build

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// everyLimit runs a test with and without isolation, and with and without
// cgroups, where there are such things.
func everyLimit(t *testing.T, cfg Config, test func(t *testing.T, h *Handler)) {
	t.Helper()
	isolations := []string{IsolationBubblewrap, IsolationNone}
	if raceDetector { // which sees the service's own code in one of them as well
		isolations = isolations[:1]
	}
	for _, isolation := range isolations {
		for _, watched := range []bool{false, true} {
			t.Run(fmt.Sprintf("isolation %s, watched %v", isolation, watched), func(t *testing.T) {
				if isolation == IsolationBubblewrap {
					needBubblewrap(t)
				}
				cfg := cfg
				cfg.Isolation = isolation
				h := newHandler(t, cfg)
				switch {
				case watched && h.groups != nil:
					if err := h.groups.Close(); err != nil {
						t.Fatal(err)
					}
					h.groups, h.limitedBy = nil, limitedByWatching
				case !watched && h.groups == nil:
					if os.Geteuid() == 0 {
						skipOnLaptop(t, "there are no cgroups here")
					}
					t.Skip("this user has no cgroups")
				}
				test(t, h)
				if left := cgroupsOf(t, h); len(left) > 0 {
					t.Errorf("cgroups are left: %v", left)
				}
			})
		}
	}
}

// cgroupsOf are the directories of the cgroups of builds.
func cgroupsOf(t *testing.T, h *Handler) (dirs []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(h.cfg.DataDir, "cgroups"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for base := range strings.Lines(string(text)) {
		entries, err := os.ReadDir(strings.TrimSpace(base))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.IsDir() {
				dirs = append(dirs, filepath.Join(strings.TrimSpace(base), e.Name()))
			}
		}
	}
	return dirs
}

// wantLimit is a build that was ended for taking more than the key allows.
func wantLimit(t *testing.T, b built, key string) {
	t.Helper()
	if b.err == nil || b.err.Name != errLimit || !strings.Contains(b.messages(), "engine.embedded.builds."+key) {
		t.Fatalf("%v: %s\n%s", b.err, b.messages(), b.log)
	}
	for _, p := range b.result.Phases {
		if p.PhaseStatus == statusFailed && p.Contexts[0].StatusCode != codeLimit {
			t.Errorf("%s has the status code %s", p.PhaseType, p.Contexts[0].StatusCode)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	r := newRepo(t)
	// Without a line break tail keeps all that it reads.
	for name, command := range map[string]string{
		"in one process":    "head -c 400M /dev/zero | tail -n 1 | wc -c; sleep 60",
		"in many":           "for i in 1 2 3 4 5 6; do (head -c 30M /dev/zero; sleep 60) | tail -n 1 & done; wait",
		"in the background": "setsid sh -c 'head -c 400M /dev/zero | tail -n 1; sleep 60' & sleep 60",
	} {
		t.Run(name, func(t *testing.T) {
			commit := r.spec("version: 0.2\nphases: {build: {commands: [" + strconvQuote(command) + "]}}\n")
			everyLimit(t, Config{MaxMemory: 100 << 20}, func(t *testing.T, h *Handler) {
				b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
				wantLimit(t, b, "memory")
				if !strings.Contains(b.messages(), "100 MB") {
					t.Error(b.messages())
				}
			})
		})
	}
	t.Run("what is shared counts once", func(t *testing.T) {
		const script = `import os, time
block = bytearray(60 << 20)
for i in range(3):
    if os.fork() == 0:
        time.sleep(1)
        os._exit(0)
for i in range(3):
    os.wait()
`
		r.commit(map[string]string{"shared.py": script})
		commit := r.spec("version: 0.2\nphases: {build: {commands: [python3 shared.py]}}\n")
		everyLimit(t, Config{MaxMemory: 160 << 20}, func(t *testing.T, h *Handler) {
			if b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare})); b.err != nil {
				t.Errorf("%s\n%s", b.messages(), b.log)
			}
		})
	})
}

func strconvQuote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }

func TestProcessesAreBounded(t *testing.T) {
	r := newRepo(t)
	for name, command := range map[string]string{
		"processes": "i=0; while [ $i -lt 300 ]; do sleep 60 & i=$((i+1)); done; sleep 60",
		"threads":   "python3 -c 'import threading, time; [threading.Thread(target=time.sleep, args=(60,)).start() for i in range(300)]'; sleep 60",
	} {
		t.Run(name, func(t *testing.T) {
			commit := r.spec("version: 0.2\nphases: {build: {commands: [" + strconvQuote(command) + "]}}\n")
			everyLimit(t, Config{MaxProcesses: 100}, func(t *testing.T, h *Handler) {
				b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
				wantLimit(t, b, "processes")
			})
		})
	}
}

// A build's group is limited from outside of what the build can change.
func TestBuildCantLeaveItsGroup(t *testing.T) {
	r := newRepo(t)
	commit := r.spec(`version: 0.2
phases:
  build:
    commands:
      - |
        unshare --user --map-root-user --mount --cgroup sh -c '
          mkdir -p $TMPDIR/m; mount -t cgroup -o memory none $TMPDIR/m || mount -t cgroup2 none $TMPDIR/m || exit 0
          for f in $TMPDIR/m/memory.max $TMPDIR/m/memory.limit_in_bytes; do test ! -f $f || echo 10000000000 > $f; done
          echo $$ > $TMPDIR/m/../cgroup.procs
          mkdir $TMPDIR/m/below && echo $$ > $TMPDIR/m/below/cgroup.procs
          test "$(head -c 400M /dev/zero | tail -n 1 | wc -c)" = 419430400 && echo free of it'
`)
	everyLimit(t, Config{MaxMemory: 100 << 20}, func(t *testing.T, h *Handler) {
		if h.bubblewrap == nil {
			t.Skip("without isolation a build is root like the service")
		}
		b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
		if strings.Contains(b.log, "\nfree of it\n") {
			t.Errorf("%s\n%s", b.messages(), b.log)
		}
	})
}

// What gets away from everything else is ended with its group.
func TestGroupEndsWhatGotAway(t *testing.T) {
	r := newRepo(t)
	pid := filepath.Join(t.TempDir(), "pid")
	// Neither environment, nor session, nor parent of the build's.
	commit := r.spec("version: 0.2\nphases: {build: {commands: ['(env -i setsid sh -c \"sleep 300 & echo \\$! > " + pid + "\" &) ; while ! test -s " + pid + "; do sleep .01; done']}}\n")
	h := newHandler(t, Config{Isolation: IsolationNone})
	if h.groups == nil {
		if os.Geteuid() == 0 {
			skipOnLaptop(t, "there are no cgroups here")
		}
		t.Skip("this user has no cgroups")
	}
	if b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare})); b.err != nil {
		t.Fatalf("%s\n%s", b.messages(), b.log)
	}
	text, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if _, err := fmt.Sscan(string(text), &n); err != nil {
		t.Fatal(err)
	}
	if running(n) {
		t.Error("it lives")
		_ = syscall.Kill(n, syscall.SIGKILL)
	}
}

// A killed Switchyard leaves groups; the next one ends and removes them.
func TestGroupsOfAKilledSwitchyardAreRemoved(t *testing.T) {
	r := newRepo(t)
	commit := r.spec("version: 0.2\nphases: {build: {commands: ['echo ready; sleep 300']}}\n")
	for _, isolation := range []string{IsolationBubblewrap, IsolationNone} {
		t.Run(isolation, func(t *testing.T) {
			if isolation == IsolationBubblewrap {
				needBubblewrap(t)
			}
			dataDir := t.TempDir()
			victim := startVictim(t, dataDir, isolation, input{"ProjectName": "app", "SourceVersion": commit, "SourceLocationOverride": r.bare})
			waitForLog(t, t.Context(), filepath.Join(dataDir, "logs", "run-1", "t.log"), "\nready\n")
			if err := victim.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = victim.Wait()
			before := &Handler{cfg: Config{DataDir: dataDir}}
			if len(cgroupsOf(t, before)) == 0 {
				if os.Geteuid() == 0 {
					skipOnLaptop(t, "there are no cgroups here")
				}
				t.Skip("this user has no cgroups")
			}
			h := newHandler(t, Config{DataDir: dataDir, Isolation: isolation})
			if left := cgroupsOf(t, h); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			if left := survivors(t); len(left) > 0 {
				t.Errorf("processes survive: %v", left)
			}
		})
	}
}

// What the kernel holds each process to fails the command that wants more; the
// message names the key.
func TestLimitsOfAProcessNameTheirKey(t *testing.T) {
	r := newRepo(t)
	for key, command := range map[string]string{
		"open_files": "python3 -c 'import os; [os.open(\"/dev/null\", 0) for i in range(100)]'",
		"disk":       "head -c 20M /dev/zero > zeros",
	} {
		commit := r.spec("version: 0.2\nphases: {build: {commands: ['" + strings.ReplaceAll(command, "'", "''") + "']}}\n")
		for _, isolation := range []string{IsolationBubblewrap, IsolationNone} {
			if isolation == IsolationBubblewrap {
				needBubblewrap(t)
			}
			h := newHandler(t, Config{Isolation: isolation, MaxOpenFiles: 64, MaxDisk: 10 << 20})
			b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
			if b.err == nil || !strings.Contains(b.messages(), "engine.embedded.builds."+key) {
				t.Errorf("%s, isolation %s: %s\n%s", key, isolation, b.messages(), b.log)
			}
		}
	}
}

// A few objects can be more files than any disk has room for: each tree here has
// ten times the one below it. To look at each path would already be too much.
func TestCommitOfMoreThanThereIsRoomFor(t *testing.T) {
	for _, depth := range []int{4, 40} {
		t.Run(strconv.Itoa(depth), func(t *testing.T) {
			r := newRepo(t)
			r.commit(map[string]string{"buildspec.yml": trueSpec})
			entry := strings.Fields(r.git(r.work, "ls-tree", "HEAD"))
			for range depth {
				var tree strings.Builder
				for i := range 10 {
					fmt.Fprintf(&tree, "%s %s %s\t%d\n", entry[0], entry[1], entry[2], i)
				}
				cmd := exec.Command("git", "mktree")
				cmd.Dir, cmd.Stdin = r.work, strings.NewReader(tree.String())
				id, err := cmd.Output()
				if err != nil {
					t.Fatal(err)
				}
				entry = []string{"040000", "tree", strings.TrimSpace(string(id))}
			}
			id := r.git(r.work, "commit-tree", "-m", "c", entry[2])
			r.git(r.work, "push", "--quiet", "origin", id+":refs/heads/main")
			h := newHandler(t, Config{MaxDisk: 32 << 20})
			b := run(t, h, newTask(t, "t1", input{"SourceLocationOverride": r.bare, "SourceVersion": id, "BuildspecOverride": trueSpec}))
			wantLimit(t, b, "disk")
			if !strings.Contains(b.phases(), "DOWNLOAD_SOURCE") || strings.Contains(b.phases(), "BUILD") {
				t.Errorf("phases: %s", b.phases())
			}
		})
	}
}

func TestBuildWithFoldersTooDeepIsEnded(t *testing.T) {
	r := newRepo(t)
	commit := r.spec("version: 0.2\nphases:\n  build:\n    commands:\n      - i=0; while [ $i -lt " + fmt.Sprint(maxFolderDepth+10) + " ]; do mkdir d && cd d || break; i=$((i+1)); done; sleep 60\n")
	h := newHandler(t, Config{})
	b := run(t, h, newTask(t, "t", input{"SourceLocationOverride": r.bare, "SourceVersion": commit}))
	wantLimit(t, b, "disk")
	b.wantLog(t, "folders")
}
