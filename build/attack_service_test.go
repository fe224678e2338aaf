//go:build linux

package build

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// canary is what a secret of the service holds: where it turns up, that secret
// has been read.
func canary(of, nonce string) string { return "canary-" + nonce + "-" + of + "-canary" }

// service is what attacks are on: this process, with a handler for builds and
// around it all that a Switchyard has. Its folder is $OUTSIDE to the attacks.
type service struct {
	h                *Handler
	dir, data, nonce string
	isolation        string
	// repo has the attacks; private is another, whose code is no business of theirs.
	repo, private *repo
	// commits are the attacks' by name.
	commits map[string]string
	vars    map[string]string
	signals atomic.Int64
	engine  *enginePort
	// terminal is the side of the service's terminal where it is read.
	terminal *os.File
	// arguments by which processes of this service are found.
	arguments atomic.Int64
	// sibling is a process of another build, which is there all the time.
	sibling    int
	siblingDir string
	// atEnd undoes what attacks had done to the service.
	atEnd []func()
}

// trial is one attack that is tried.
type trial struct {
	attack
	// vars are more of the build's variables.
	vars map[string]string
	// victim is a process for this attack, repo the repository it builds, and
	// seen what was so before the build.
	victim *exec.Cmd
	repo   string
	seen   string
	// reached is told when the attack has called, or was called.
	reached <-chan bool
	// b is the build, took its time, and artifacts the folder of what was kept.
	b         built
	took      time.Duration
	artifacts string
}

// hidden are the files that are no build's business, by what their canaries
// are called.
var hidden = map[string]string{
	"token": "data/api.token", "pages": "data/pages.key", "old-engine-keys": "data/engine.keys.old",
	"journal": "data/journal.db", "journal-wal": "data/journal.db-wal", "engine-db": "data/engine.db",
	"config": "srv/switchyard.yaml", "config-secret": "srv/secrets/github-token",
	"netrc": "home/.netrc", "ssh": "home/.ssh/id_ed25519", "aws": "home/.aws/credentials",
	"artifact": "data/builds/artifacts/run-0/t/artifacts/file", "old-log": "data/builds/logs/run-0/t.log",
}

// TestAttackedService is the service of TestAttacks, in a process of its own.
func TestAttackedService(t *testing.T) {
	isolation, which := os.Getenv("ATTACKED"), os.Getenv("ATTACK")
	if isolation == "" {
		return // TestAttacks starts it
	}
	s := newService(t, isolation)
	t.Run("attacks", func(t *testing.T) {
		for _, a := range allAttacks() {
			if which != "all" && which != a.name {
				continue
			}
			t.Run(a.name, func(t *testing.T) {
				t.Parallel()
				if a.alone && which == "all" {
					out, err := newRunner(t, os.Geteuid()).attack(t, isolation, true, a.name)
					s.judge(t, &trial{attack: a, b: built{log: fmt.Sprintf("%v\n%s", err, out)}}, err != nil)
					return
				}
				s.try(t, a)
			})
		}
	})
}

func newService(t *testing.T, isolation string) *service {
	t.Helper()
	s := &service{nonce: os.Getenv("NONCE"), isolation: isolation, commits: make(map[string]string)}
	var err error
	// Not the test's own: its long name has no room for a socket's.
	if s.dir, err = os.MkdirTemp("", "s"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = removeAll(s.dir) })
	s.data = filepath.Join(s.dir, "data")
	for name, file := range hidden {
		s.write(t, file, canary(name, s.nonce)+"\n")
	}
	for _, path := range []string{filepath.Join("/tmp", s.nonce), "/etc/shadow"} {
		if path != "/etc/shadow" || os.Getenv("THROWAWAY") != "" {
			if err := os.WriteFile(path, []byte(canary(filepath.Base(path), s.nonce)), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.Remove(path) })
		}
	}
	s.write(t, "srv/tool", "a tool")
	s.write(t, "home/.gitconfig", "[user]\n\tname = service\n")
	t.Setenv("HOME", filepath.Join(s.dir, "home"))
	s.repo = newRepo(t)
	s.commit(t)
	s.listen(t)
	s.engine = newEnginePort(t, filepath.Join(s.data, "engine.keys"), canary("engine-key", s.nonce))
	t.Cleanup(func() {
		for _, f := range s.atEnd {
			f()
		}
	})
	s.holdSecrets(t)

	host := Project{CloneURL: s.repo.bare, Timeout: 5 * time.Minute}
	project := host
	if project.Network = NetworkNone; isolation == IsolationNone {
		project.Network = NetworkHost
	}
	project.Secrets = map[string]Secret{"password": {Value: canary("password", s.nonce)}}
	modules, hasty, sibling := project, project, host
	modules.Submodules, hasty.Timeout = []string{"https://git.example.com/acme/*"}, 8*time.Second
	sibling.Env = map[string]string{"SIBLING_SECRET": canary("sibling-environment", s.nonce)}
	sibling.Timeout = 20 * time.Minute
	s.h = newHandler(t, Config{
		DataDir: filepath.Join(s.data, "builds"), Isolation: isolation, MaxParallel: 16,
		Projects: map[string]Project{"app": project, "host": host, "sibling": sibling, "modules": modules, "hasty": hasty},
		Visible:  []string{filepath.Join(s.dir, "srv"), filepath.Dir(os.Args[0])}, Writable: []string{},
		Hidden:  []string{s.data, filepath.Join(s.dir, "srv/switchyard.yaml"), filepath.Join(s.dir, "srv/secrets")},
		MaxDisk: 64 << 20, MaxMemory: 300 << 20, MaxProcesses: 300, MaxOpenFiles: 256, MaxLogBytes: 256 << 10, MaxArtifactBytes: 1 << 20,
		KillGrace: 200 * time.Millisecond,
	})
	if isolated := s.h.Exposed() == ""; isolated != (isolation == IsolationBubblewrap) {
		t.Fatalf("builds are isolated: %v", isolated)
	}
	s.vars = map[string]string{
		"ATTACKER": os.Args[0], "OUTSIDE": s.dir, "DATA": s.data, "NONCE": s.nonce, "SERVICE_PID": strconv.Itoa(os.Getpid()),
		"ENGINE": s.engine.url, "TERMINAL": s.vars["TERMINAL"], "PORT": s.vars["PORT"], "UDP": s.vars["UDP"], "SERVICE_FD": s.vars["SERVICE_FD"],
		"PRIVATE_COMMIT": s.commits["private"],
	}
	s.startSibling(t)
	return s
}

// plant writes a file of an attack's into the service's folder.
func (s *service) plant(name, text string) {
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		panic(err)
	}
}

func (s *service) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const mainSpec = `{"version": "0.2", "phases": {"build": {"commands": ["cat said", "git rev-parse origin/main HEAD", "git diff --stat HEAD"]}}}`

// commit pushes main and, each as a branch of its own, the attacks. It takes one
// git process for all of them.
func (s *service) commit(t *testing.T) {
	t.Helper()
	s.private = newRepo(t)
	s.commits["private"] = s.private.commit(map[string]string{"secret": canary("private", s.nonce)})
	s.private.push()
	var stream strings.Builder
	names := make([]string, 0, 200)
	add := func(branch, name string, files map[string]string) {
		names = append(names, name)
		fmt.Fprintf(&stream, "commit refs/heads/%s\nmark :%d\ncommitter a <a@example.com> %d +0000\ndata 1\nc\n", branch, len(names), 1700000000+len(names))
		for _, file := range slices.Sorted(maps.Keys(files)) {
			if files[file] == "submodule" {
				fmt.Fprintf(&stream, "M 160000 %s %s\n", s.commits["private"], file)
				continue
			}
			mode := "100644"
			text, link := strings.CutPrefix(files[file], "link:")
			if link {
				mode = "120000"
			}
			fmt.Fprintf(&stream, "M %s inline %s\ndata %d\n%s\n", mode, strconv.Quote(file), len(text), text)
		}
	}
	add("main", "main", map[string]string{"said": "by git\n", "buildspec.yml": mainSpec})
	for i, a := range allAttacks() {
		spec := map[string]any{"version": "0.2", "phases": map[string]any{"build": map[string]any{"commands": []string{a.command()}}}}
		if a.spec != nil {
			spec = a.spec(a.command())
		}
		text, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		files := map[string]string{"buildspec.yml": string(text), "said": "by an attacker\n"}
		for name, text := range a.files {
			files[name] = strings.NewReplacer("$OUTSIDE", s.dir, "$PRIVATE", s.private.bare).Replace(text)
		}
		add(fmt.Sprintf("attack/%d", i), a.name, files)
	}
	marks := filepath.Join(s.dir, "marks")
	cmd := exec.Command("git", "fast-import", "--quiet", "--export-marks="+marks)
	cmd.Dir, cmd.Stdin = s.repo.bare, strings.NewReader(stream.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(marks)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		mark, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(mark[1:])
		if err != nil {
			t.Fatal(err)
		}
		s.commits[names[n-1]] = id
	}
}

// listen opens the sockets, the terminal and the signal that attacks are on.
func (s *service) listen(t *testing.T) {
	t.Helper()
	s.vars = make(map[string]string)
	var lc net.ListenConfig
	for _, address := range []string{filepath.Join(s.data, "s"), "@" + s.nonce} {
		l, err := lc.Listen(t.Context(), "unix", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
	}
	tcp, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close() })
	s.vars["PORT"] = strconv.Itoa(tcp.Addr().(*net.TCPAddr).Port)
	ready := make(chan os.Signal, 8)
	signal.Notify(ready, syscall.SIGUSR1)
	t.Cleanup(func() { signal.Stop(ready); close(ready) })
	go func() {
		for range ready {
			s.signals.Add(1)
		}
	}()
	if s.terminal, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.terminal.Close() })
	n, err := unix.IoctlGetInt(int(fd(s.terminal)), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(fd(s.terminal)), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	s.vars["TERMINAL"] = fmt.Sprintf("/dev/pts/%d", n)
}

// holdSecrets has this process hold secrets where no name leads to.
func (s *service) holdSecrets(t *testing.T) {
	t.Helper()
	f, err := os.CreateTemp(s.dir, "held")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := io.WriteString(f, canary("descriptor", s.nonce)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	s.vars["SERVICE_FD"] = strconv.Itoa(int(fd(f)))
	// What a login or systemd may have left to the service: keys for all it starts.
	_, err = unix.AddKey("user", s.nonce, []byte(canary("keyring", s.nonce)), unix.KEY_SPEC_SESSION_KEYRING)
	if err != nil {
		t.Fatal(err)
	}
}

// startSibling begins a build of another project, which is there until the end.
func (s *service) startSibling(t *testing.T) {
	t.Helper()
	word := func(name string) string { return canary("sibling-"+name, s.nonce) }
	argument := s.argument()
	spec, err := json.Marshal(map[string]any{"version": "0.2", "phases": map[string]any{"build": map[string]any{"commands": []string{
		"echo " + word("checkout") + " > file; echo " + word("home") + " > $HOME/file; echo " + word("tmp") + " > $TMPDIR/file",
		"echo " + word("log"), "sleep " + argument,
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	tk := newTask(t, "sibling", input{"ProjectName": "sibling", "SourceLocationOverride": s.private.bare, "SourceVersion": s.commits["private"], "BuildspecOverride": string(spec) + "\n"})
	tk.ExecutionName = "run-sibling"
	s.siblingDir = s.h.works.dir(workName(tk))
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = s.h.Run(context.Background(), tk) })
	for deadline := time.Now().Add(2 * time.Minute); s.sibling == 0; time.Sleep(5 * time.Millisecond) {
		if s.sibling = findByArgument(argument); time.Now().After(deadline) {
			t.Fatal("the sibling does not begin")
		}
	}
	s.vars["SIBLING_PID"] = strconv.Itoa(s.sibling)
	t.Cleanup(func() { _ = syscall.Kill(s.sibling, syscall.SIGKILL); wg.Wait() })
}

// argument is one for sleep that no other process has.
func (s *service) argument() string {
	return strconv.FormatInt(int64(os.Getpid())*1000+100+s.arguments.Add(1), 10)
}
