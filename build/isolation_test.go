//go:build linux

package build

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// needBubblewrap skips where builds can't be isolated.
func needBubblewrap(t *testing.T) {
	t.Helper()
	h := newHandler(t, Config{Isolation: IsolationAuto})
	if h.Exposed() != "" {
		skipOnLaptop(t, "builds can't be isolated on this machine: %s", h.Exposed())
	}
}

// attack is a script that ends with 0 when it got what it wanted.
type attack struct {
	name, script string
	// rootOnly attacks succeed without isolation only when root runs them.
	rootOnly bool
	// harmful attacks are tried in isolation only: without it they would do
	// what they want to this machine.
	harmful bool
}

var attacks = []attack{
	{name: "environment of the service", script: `tr '\0' '\n' < /proc/$SERVICE_PID/environ | grep -q =`},
	{name: "environment of a sibling", script: `grep -qs SIBLING_SECRET= /proc/[0-9]*/environ`},
	{name: "memory map of a sibling", script: `grep -q . /proc/$SIBLING_PID/maps`},
	{name: "open files of a sibling", script: `ls /proc/$SIBLING_PID/fd/0`},
	{name: "see a sibling", script: `kill -0 $SIBLING_PID`},
	{name: "end a sibling", script: `kill -KILL $VICTIM_PID`},
	{name: "API token", script: `grep -q top-secret $DATA/api.token`},
	{name: "journal", script: `test -e $DATA/journal.db`},
	{name: "list all builds", script: `test "$(ls $DATA/builds/work | wc -l)" -gt 1`},
	{name: "files of another build", script: `grep -q theirs $DATA/builds/work/other/src/file`},
	{name: "logs", script: `ls $DATA/builds/logs`},
	{name: "config in a folder that is visible", script: `grep -q top-secret $OUTSIDE/srv/switchyard.yaml`},
	{name: "write to a folder that is visible", script: `echo x > $OUTSIDE/srv/planted`},
	{name: "file of the user", script: `grep -q top-secret $OUTSIDE/home/.netrc`},
	{name: "git configuration of the user", script: `git config --file $OUTSIDE/home/.gitconfig core.fsmonitor 'touch pwned'`},
	{name: "new object in the mirror", script: `echo x > "$(cat .git/objects/info/alternates)/planted"`},
	{name: "change an object's mode in the mirror", script: `chmod u+w "$(find $(cat .git/objects/info/alternates) -type f | head -n 1)"`},
	{name: "hard link to an object of the mirror", script: `ln "$(find $(cat .git/objects/info/alternates) -type f | head -n 1)" hard`},
	{name: "socket in the file system", script: `perl -MSocket -e 'socket(S,AF_UNIX,SOCK_STREAM,0) and connect(S,pack_sockaddr_un("$ENV{OUTSIDE}/home/s")) or exit 1'`},
	{name: "abstract socket", script: `perl -MSocket -e 'socket(S,AF_UNIX,SOCK_STREAM,0) and connect(S,pack_sockaddr_un("\0$ENV{NONCE}")) or exit 1'`},
	{name: "port on the loopback", script: `perl -MSocket -e 'socket(S,AF_INET,SOCK_STREAM,0) and connect(S,pack_sockaddr_in($ENV{PORT},inet_aton("127.0.0.1"))) or exit 1'`},
	{name: "script of the next phase", script: `for s in ../scripts/* ../control/script-*; do echo true >> $s || exit 1; done`},

	{name: "write to /usr", script: `touch /usr/$NONCE && rm /usr/$NONCE`, rootOnly: true},
	{name: "write to /etc", script: `touch /etc/$NONCE && rm /etc/$NONCE`, rootOnly: true},
	{name: "write to /", script: `mkdir /$NONCE && rmdir /$NONCE`, rootOnly: true},
	{name: "passwords", script: `test -r /etc/shadow`, rootOnly: true},
	{name: "restart the machine", script: `test -w /proc/sysrq-trigger`, harmful: true},
	{name: "core pattern", script: `test -w /proc/sys/kernel/core_pattern`, rootOnly: true},
	{name: "a new device in /dev", script: `echo x > /dev/$NONCE`, harmful: true},

	{name: "device node", script: `mknod node b 8 0`, harmful: true},
	{name: "mount", script: `mkdir m && mount -t tmpfs none m`, harmful: true},
	{name: "remount", script: `mount -o remount,rw /usr`, harmful: true},
	{name: "remount in a namespace of its own", script: `unshare -Urm sh -c 'mount -o remount,rw,bind /usr && touch /usr/x'`, harmful: true},
	{name: "uncover the data folder in a namespace of its own", script: `unshare -Urm sh -c 'umount $DATA && ls $DATA/api.token'`, harmful: true},
	{name: "hostname", script: `hostname pwned`, harmful: true},
	{name: "clock", script: `date -s '2001-01-01'`, harmful: true},
	{name: "chroot by the first process", script: `ls /proc/1/root/home`, harmful: true},
	{name: "end the first process", script: `kill -KILL 1; sleep .05; ! kill -0 1`, harmful: true},
	{name: "raise a limit", script: `ulimit -n 1000000`, harmful: true},
	{name: "capabilities", script: `! grep -q 'CapEff:.*0000000000000000' /proc/self/status`, harmful: true},
	{name: "gain privileges", script: `! grep -q 'NoNewPrivs:.*1' /proc/self/status`, harmful: true},
	{name: "disks", script: `for d in /dev/[hsv]d[a-z] /dev/nvme* /dev/mem /dev/kmsg; do test ! -e $d || exit 0; done; exit 1`, harmful: true},
}

// TestIsolation tries the attacks by a build of their own, with isolation and
// without it. Without, they succeed: so what fails in isolation is known to be
// an attack.
func TestIsolation(t *testing.T) {
	needBubblewrap(t)
	for _, isolation := range []string{IsolationNone, IsolationBubblewrap} {
		t.Run(isolation, func(t *testing.T) { tryAttacks(t, isolation) })
	}
}

func tryAttacks(t *testing.T, isolation string) {
	outside := t.TempDir()
	data := filepath.Join(outside, "data")
	for name, text := range map[string]string{
		"data/api.token": "top-secret", "data/journal.db": "rows", "data/builds/work/other/src/file": "theirs",
		"srv/switchyard.yaml": "top-secret", "srv/tool": "a tool", "home/.netrc": "top-secret",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(outside, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(outside, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	nonce := "switchyard-" + filepath.Base(filepath.Dir(outside)) + "-" + strconv.Itoa(os.Getpid())
	defer os.Remove(filepath.Join("/tmp", nonce))
	var lc net.ListenConfig
	for _, address := range []string{filepath.Join(outside, "home/s"), "@" + nonce} {
		l, err := lc.Listen(t.Context(), "unix", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	port, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	sibling := func() string {
		cmd := exec.Command("sleep", "300")
		cmd.Env = []string{"SIBLING_SECRET=" + nonce}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return strconv.Itoa(cmd.Process.Pid)
	}

	r := newRepo(t)
	project := Project{CloneURL: r.bare, Network: NetworkNone, Env: map[string]string{
		"SERVICE_PID": strconv.Itoa(os.Getpid()), "SIBLING_PID": sibling(), "VICTIM_PID": sibling(), "NONCE": nonce,
		"DATA": data, "OUTSIDE": outside, "PORT": port.Addr().(*net.TCPAddr).AddrPort().String()[len("127.0.0.1:"):],
	}}
	if isolation == IsolationNone {
		project.Network = NetworkHost
	}
	spec := "version: 0.2\nphases:\n  build:\n    commands:\n      - cat " + filepath.Join(outside, "srv/tool") + "\n"
	for i, a := range attacks {
		if !a.harmful || isolation != IsolationNone {
			spec += fmt.Sprintf("      - |\n        if ( %s ) >/dev/null 2>&1; then echo 'got [%d]'; fi\n", a.script, i)
		}
	}
	spec += "      - echo x > /tmp/" + nonce + " || true\n      - mkdir -p $DATA; echo x > $DATA/planted || true\n      - echo x > $(cat .git/objects/info/alternates)/../planted || true\n"
	spec += "      - env -i PATH=\"$PATH\" setsid sh -c 'sleep 98765 >/dev/null 2>&1 &'\n      - echo came to the end\n"
	commit := r.spec(spec)
	h := newHandler(t, Config{
		DataDir: filepath.Join(data, "builds"), Isolation: isolation, Projects: map[string]Project{"app": project},
		Visible: []string{filepath.Join(outside, "srv")}, Writable: []string{},
		Hidden: []string{data, filepath.Join(outside, "srv/switchyard.yaml")},
	})
	if err := os.MkdirAll(filepath.Join(data, "builds/work/other/src"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "builds/work/other/src/file"), []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := run(t, h, newTask(t, "t", input{"SourceVersion": commit}))
	if b.err != nil || !strings.Contains(b.log, "came to the end") || !strings.Contains(b.log, "a tool") {
		t.Fatalf("%v\n%s", b.err, b.log)
	}
	succeeds := func(name string, got, rootOnly, harmful bool) {
		t.Helper()
		switch {
		case isolation != IsolationNone && got:
			t.Errorf("%s: the attack succeeds", name)
		case isolation == IsolationNone && !got && !harmful && (!rootOnly || os.Geteuid() == 0):
			t.Errorf("%s: the attack fails without isolation too; it shows nothing", name)
		}
	}
	for i, a := range attacks {
		succeeds(a.name, strings.Contains(b.log, fmt.Sprintf("\ngot [%d]\n", i)), a.rootOnly, a.harmful)
	}
	survivor := findByArgument(t, "98765")
	succeeds("outlive the build", survivor != 0, false, false)
	if survivor != 0 {
		_ = syscall.Kill(survivor, syscall.SIGKILL)
	}
	// The loader writes there for every program that gets the variables.
	b = run(t, h, newTask(t, "loader", input{"SourceVersion": commit, "BuildspecOverride": trueSpec, "EnvironmentVariablesOverride": []variable{
		{Name: "LD_DEBUG", Value: "libs"}, {Name: "LD_DEBUG_OUTPUT", Value: filepath.Join(outside, "home", "loaded")}}}))
	if b.err != nil {
		t.Errorf("%v\n%s", b.err, b.log)
	}
	loaded, err := filepath.Glob(filepath.Join(outside, "home", "loaded*"))
	if err != nil {
		t.Fatal(err)
	}
	succeeds("variables for the loader of programs outside", len(loaded) > 0, false, false)
	_, err = os.Stat(filepath.Join("/tmp", nonce))
	succeeds("a file in /tmp", err == nil, false, false)
	planted, err := filepath.Glob(filepath.Join(data, "builds", "mirrors", "*", "planted"))
	if err != nil {
		t.Fatal(err)
	}
	succeeds("a file beside the mirror's objects", len(planted) > 0, false, false)
	_, err = os.Stat(filepath.Join(data, "planted"))
	succeeds("a file in the data folder", err == nil, false, false)
}

// findByArgument is the PID of a sleep with that argument, or 0.
func findByArgument(t *testing.T, arg string) int {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		if text, err := os.ReadFile(path); err == nil && string(text) == "sleep\x00"+arg+"\x00" {
			pid, _ := strconv.Atoi(strings.Split(path, "/")[2])
			return pid
		}
	}
	return 0
}

// The same as an ordinary user, when this one is root.
func TestIsolationAsAnOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this user is an ordinary one: TestIsolation has shown it")
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
	cmd := exec.CommandContext(t.Context(), binary, "-test.v", "-test.run", "^(TestIsolation|TestForkBomb|TestDiskBomb|TestBuildCantChangeTheMirror|TestIsolatedBuildDoesNotOutliveTheNextSwitchyard|TestPhasesShareASandbox|TestMemoryIsBounded|TestProcessesAreBounded|TestGroupsOfAKilled)")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "SWITCHYARD_REQUIRE_SERVERS=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestIsolation/bubblewrap") {
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
	commit := r.spec("version: 0.2\nphases: {build: {commands: ['i=0; while [ $i -lt 400 ]; do sleep 60 & i=$((i+1)); done; sleep 2; echo all of them']}}\n")
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
		strconv.Quote("version: 0.2\nphases: {build: {commands: ['env -i setsid sleep 87654 & sleep 87654 & echo ready; "+last+"']}}") + `}`
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BUILD_TEST_DATA_DIR="+dataDir, "BUILD_TEST_INPUT="+in, "BUILD_TEST_ISOLATION=bubblewrap")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitForLog(t, t.Context(), filepath.Join(dataDir, "logs", "run-1", "t.log"), "\nready\n")
	for deadline := time.Now().Add(10 * time.Second); findByArgument(t, "87654") == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the build has ended by itself; the test shows nothing")
		}
	}
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
	for deadline := time.Now().Add(10 * time.Second); findByArgument(t, "87654") != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the build lives on")
		}
	}
}
