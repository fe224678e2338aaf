//go:build linux

package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// podmanDir has a podman with a storage and a configuration of its own, which
// also works where the machine gives it no control groups.
var podmanDir = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("/tmp", "switchyard-podman-")
	if err != nil {
		return "", err
	}
	afterTests = append(afterTests, func() { _ = removeAll(dir) })
	program, err := exec.LookPath("podman")
	if err != nil {
		return dir, errors.New("podman is not installed (Debian: podman, crun)")
	}
	for name, text := range map[string]string{
		"containers.conf": "[containers]\ncgroups = \"disabled\"\ndefault_ulimits = [\"nofile=4096:4096\", \"nproc=4096:4096\"]\n[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\nruntime = \"crun\"\n",
		"storage.conf":    fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", dir+"/store", dir+"/run"),
		"registries.conf": "unqualified-search-registries = []\n",
		// crun refuses machines with both versions of control groups mounted.
		"podman": fmt.Sprintf(`#!/bin/sh
export CONTAINERS_CONF=%[1]s/containers.conf CONTAINERS_STORAGE_CONF=%[1]s/storage.conf CONTAINERS_REGISTRIES_CONF=%[1]s/registries.conf
exec unshare -m /bin/sh -c 'umount /sys/fs/cgroup/unified 2>/dev/null; exec %[2]s "$@"' podman "$@"
`, dir, program),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			return dir, err
		}
	}
	// Two images of programs of this machine: with bash, and without.
	script := `set -e
cd "$1"; mkdir -p root/bin root/tmp root/etc; cp "$(command -v busybox)" root/bin/busybox
for p in sh cat cut echo env grep head id kill ls mkdir nohup printf ps readlink setsid sleep test touch tr true; do ln -s busybox root/bin/$p; done
tar -C root -c . | ./podman import --change 'ENV FROM_IMAGE=yes' - localhost/small:1
cp "$(command -v bash)" root/bin/bash
for l in $(ldd "$(command -v bash)" | grep -o '/[^ ]*'); do mkdir -p "root$(dirname $l)"; cp -L $l root$l; done
tar -C root -c . | ./podman import - localhost/bash:1
./podman run --rm --network none localhost/bash:1 bash -c true`
	if out, err := exec.Command("sh", "-c", script, "sh", dir).CombinedOutput(); err != nil {
		return dir, fmt.Errorf("%w: %s", err, out)
	}
	return dir, nil
})

// needPodman puts that podman into PATH.
func needPodman(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("the podman of these tests is root's")
	}
	dir, err := podmanDir()
	if err != nil {
		skipOnLaptop(t, "builds can't run in containers on this machine: %v", err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// podman runs it and returns what it prints.
func podman(t *testing.T, args ...string) string {
	t.Helper()
	dir, err := podmanDir()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(dir, "podman"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// noContainers fails the test if one is left.
func noContainers(t *testing.T) {
	t.Helper()
	if left := podman(t, "ps", "--all", "--format", "{{.Names}}"); left != "" {
		t.Errorf("containers are left: %s", left)
	}
}

const smallImage, bashImage = "localhost/small:1", "localhost/bash:1"

func TestContainerBuild(t *testing.T) {
	needPodman(t)
	r := newRepo(t)
	r.commit(map[string]string{"said": "by git\n"})
	outside := t.TempDir()
	for _, name := range []string{"seen", "cache", "seen/secret"} {
		if err := os.MkdirAll(filepath.Join(outside, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"seen/tool": "a tool", "seen/secret/key": "top-secret", "seen/config": "top-secret"} {
		if err := os.WriteFile(filepath.Join(outside, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SERVICE_TOKEN", "secret")
	commit := r.spec(strings.NewReplacer("OUT", outside, "= IMAGE", "= "+smallImage).Replace(`version: 0.2
env: {exported-variables: [A, MULTI]}
phases:
  install: {commands: ['sleep 300 & echo $! > pid', 'A=1', 'echo to standard error >&2']}
  build:
    commands:
      - kill -0 $(cat pid)
      - test "$(cat said)" = "by git"
      - test "$FROM_IMAGE" = yes -a "$CI" = true -a -n "$CODEBUILD_RESOLVED_SOURCE_VERSION" -a "$PWD" = "$CODEBUILD_SRC_DIR" -a "$CODEBUILD_BUILD_IMAGE" = IMAGE
      - test -z "$SERVICE_TOKEN" -a ! -e OUT/data/builds/lock
      - test "$(echo $(ls OUT/data/builds))" = "mirrors work"
      - test "$(cat OUT/seen/tool)" = "a tool" -a ! -s OUT/seen/config -a ! -e OUT/seen/secret/key
      - echo x > OUT/cache/x; echo x > "$HOME/x"; echo x > /tmp/x; test -e "$TMPDIR/x"; echo x > made
      - (echo x > OUT/data/builds/x; echo x > OUT/data/x; echo x > ../x) 2>/dev/null || true
      - for f in /bin/x /etc/x OUT/seen/x ../scripts/x "$(cat .git/objects/info/alternates)/x" /proc/sys/kernel/core_pattern; do if (echo x > $f) 2>/dev/null; then echo "could write $f"; exit 1; fi; done
      - grep -q 'CapEff:.*0000000000000000' /proc/self/status
      - grep -q 'CapBnd:.*0000000000000000' /proc/self/status
      - grep -q 'NoNewPrivs:.*1' /proc/self/status
      - test "$(ls /proc | grep -c '^[0-9]')" -lt 12 -a "$(grep -c ':' /proc/net/dev)" = 1
      - test "$MULTI" = "$(printf 'a line\nand "another" $HOME %s' "'quoted'")"
      - A=$A-2; echo the end of it; exit 0
      - A=$A-3
  post_build: {commands: ['kill -0 $(cat pid)', 'cat /tmp/x', 'test "$PPID" = 1', 'false']}
artifacts: {files: [made]}
`))
	h := newHandler(t, Config{
		DataDir: filepath.Join(outside, "data/builds"), Container: Container{Image: smallImage},
		Visible: []string{filepath.Join(outside, "seen")}, Writable: []string{filepath.Join(outside, "cache")},
		Hidden:   []string{filepath.Join(outside, "data"), filepath.Join(outside, "seen/config"), filepath.Join(outside, "seen/secret")},
		Projects: map[string]Project{"app": {CloneURL: r.bare, Network: NetworkNone, Env: map[string]string{"MULTI": "a line\nand \"another\" $HOME 'quoted'", "UID": "5"}}},
	})
	if h.Exposed() != "" {
		t.Errorf("containers count as no isolation: %s", h.Exposed())
	}
	b := run(t, h, newTask(t, "t", input{"SourceVersion": commit}))
	want := "DOWNLOAD_SOURCE=SUCCEEDED INSTALL=SUCCEEDED PRE_BUILD=SUCCEEDED BUILD=SUCCEEDED POST_BUILD=FAILED UPLOAD_ARTIFACTS=SUCCEEDED"
	if b.phases() != want || !strings.Contains(b.messages(), "false. Reason: exit status 1") {
		t.Errorf("%s\n%s\n%s", b.phases(), b.messages(), b.log)
	}
	if v := b.result.ExportedEnvironmentVariables; len(v) != 2 || v[0].Value != "1-2-3" || !strings.HasPrefix(v[1].Value, "a line\n") {
		t.Errorf("exported %v", v)
	}
	// All that a phase writes is in the log before what follows it.
	for _, text := range []string{"\nto standard error\n", "\nthe end of it\n"} {
		at, phase := strings.Index(b.log, text), map[bool]string{true: "phase INSTALL SUCCEEDED", false: "phase BUILD SUCCEEDED"}[strings.Contains(text, "error")]
		if at < 0 || at > strings.Index(b.log, phase) {
			t.Errorf("%q is not before %q:\n%s", text, phase, b.log)
		}
	}
	if text, err := os.ReadFile(filepath.Join(outside, "cache/x")); err != nil || string(text) != "x\n" {
		t.Errorf("%q %v", text, err)
	}
	// Below /tmp, where a build may write, it writes to its own.
	for _, name := range []string{"data/x", "data/builds/x", "data/builds/work/x"} {
		if _, err := os.Stat(filepath.Join(outside, name)); err == nil {
			t.Errorf("%s was written", name)
		}
	}
	noContainers(t)
}

func TestContainerImageOfTheProject(t *testing.T) {
	needPodman(t)
	r := newRepo(t)
	commit := r.spec("version: 0.2\nenv: {shell: bash}\nphases: {build: {commands: ['f=(a b); test \"${f[1]}\" = b', 'echo ran']}}\n")
	h := newHandler(t, Config{Container: Container{Image: smallImage}, Projects: map[string]Project{"app": {CloneURL: r.bare, Image: bashImage}, "other": {CloneURL: r.bare}, "none": {CloneURL: r.bare, Image: "localhost/none:1"}}})
	if b := run(t, h, newTask(t, "t1", input{"SourceVersion": commit})); b.err != nil || !strings.Contains(b.log, "\nran\n") {
		t.Errorf("%v\n%s", b.err, b.log)
	}
	b := run(t, h, newTask(t, "t2", input{"ProjectName": "other", "SourceVersion": commit}))
	if b.err == nil || !strings.Contains(b.messages(), "shell bash: not found there; use env/shell: sh") {
		t.Errorf("%v %s\n%s", b.err, b.messages(), b.log)
	}
	// No registry has this one; it is asked for.
	lf := new(strings.Builder)
	err := h.containers.pull(t.Context(), "localhost/none:1", lf, func(format string, args ...any) { fmt.Fprintf(lf, format+"\n", args...) })
	if err == nil || !strings.Contains(err.Error(), "pull image localhost/none:1: ") || !strings.Contains(lf.String(), "pulling image localhost/none:1\n") {
		t.Errorf("%v\n%s", err, lf)
	}
	noContainers(t)
}

func TestContainerGoesWithItsBuild(t *testing.T) {
	needPodman(t)
	r := newRepo(t)
	commit := r.spec(strings.ReplaceAll("version: 0.2\nphases: {build: {commands: ['(trap \"\" TERM; sleep N) & (setsid sleep N &) ; echo ready; sleep N']}}\n", "N", sleepSeconds))
	cause := errors.New("stopped by a person")
	h := newHandler(t, Config{Container: Container{Image: smallImage}})
	ctx, stop := context.WithCancelCause(t.Context())
	go func() {
		waitForLog(t, t.Context(), h.logs.path("run-1", "t"), "\nready\n")
		stop(cause)
	}()
	if _, err := h.Run(ctx, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare})); !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause of the context", err)
	}
	if left := sleepers(t); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	noContainers(t)
}

// The reaper removes the containers of a service that was killed; where it was
// killed too, the next service does.
func TestContainersGoWhenTheServiceIsKilled(t *testing.T) {
	needPodman(t)
	for _, both := range []bool{false, true} {
		t.Run(fmt.Sprint("reaper killed too: ", both), func(t *testing.T) {
			r := newRepo(t)
			dataDir := filepath.Join(t.TempDir(), "data")
			p := startReaped(t, dataDir, inPodman, 2, input{"ProjectName": "app", "SourceVersion": r.spec(runaways), "SourceLocationOverride": r.bare})
			for _, id := range []string{"t0", "t1"} {
				waitForLog(t, t.Context(), filepath.Join(dataDir, "logs", "run-1", id+".log"), "\nready\n")
			}
			if both {
				p.kill(t)
				if err := syscall.Kill(p.reaper, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				if left := podman(t, "ps", "--format", "{{.Names}}"); strings.Count(left, namePrefix) != 2 {
					t.Errorf("the containers ended by themselves: %q", left)
				}
				newHandler(t, Config{DataDir: dataDir, Container: Container{Image: smallImage}})
			} else {
				p.kill(t)
				eventually(t, "the reaper ends", func() bool { return !running(p.reaper) })
			}
			if left := sleepers(t); len(left) > 0 {
				t.Errorf("processes are left: %v", left)
			}
			noContainers(t)
		})
	}
}

// Docker's own program takes the same arguments; it refuses what it does not
// know before it asks the daemon.
func TestDockerTakesTheArguments(t *testing.T) {
	program, err := exec.LookPath("docker")
	if err != nil {
		t.Skip("docker is not installed")
	}
	hidden := filepath.Join(t.TempDir(), "hidden")
	if err := errors.Join(os.Mkdir(hidden, 0o755), os.WriteFile(hidden+"/file", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	c := &containers{kind: RuntimeDocker, program: program, visible: []string{filepath.Dir(hidden)}, writable: []string{"/var"}, hidden: []string{hidden, hidden + "/file"}, data: "x"}
	v := view{dir: "/w", read: []string{"/r"}, write: []string{"/w"}, tmp: "/t"}
	runs := append(c.args(c.name("work"), "image:1", "A=b", v, &Config{MaxProcesses: 10, MaxMemory: 1 << 30}), "-c", "true")
	for _, args := range [][]string{
		runs, {"info"}, {"image", "inspect", "--format", "{{.Id}}", "image:1"}, {"pull", "image:1"}, c.removal("name"),
		{"ps", "--all", "--filter", "label=a=b", "--format", "{{.Names}}"},
	} {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Env = []string{"DOCKER_HOST=unix:///nowhere/docker.sock", "HOME=" + t.TempDir()}
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "/nowhere/docker.sock") {
			t.Errorf("docker %v: %v %s", args, err, out)
		}
	}
}

func TestContainerConfigIsChecked(t *testing.T) {
	for want, cfg := range map[string]Config{
		`Container.Image is required`:           {Container: Container{Runtime: RuntimePodman}},
		`project app: an Image needs Container`: {Projects: map[string]Project{"app": {Image: "a"}}},
		`Container.Runtime is "lxc"`:            {Container: Container{Runtime: "lxc", Image: "a"}},
		`Isolation is bubblewrap, and with`:     {Isolation: IsolationBubblewrap, Container: Container{Image: "a"}},
		`Isolation is none, and with`:           {Isolation: IsolationNone, Container: Container{Image: "a"}},
		`"--privileged" is not the name of an`:  {Container: Container{Image: "--privileged"}},
		`"a b" is not the name of an image`:     {Container: Container{Image: "a"}, Projects: map[string]Project{"app": {Image: "a b"}}},
	} {
		cfg.DataDir = t.TempDir()
		if err := cfg.fill(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	t.Setenv("PATH", t.TempDir())
	cfg := Config{DataDir: t.TempDir(), Container: Container{Image: "a"}}
	if err := cfg.fill(); err != nil {
		t.Fatal(err)
	}
	if _, err := newContainers(&cfg); err == nil || !strings.Contains(err.Error(), "the program podman is not there: install the package podman") {
		t.Errorf("got %v", err)
	}
}
