//go:build linux

package build

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// attack is what the author of a branch may have a build do. Each is tried by a
// build of a commit of its own, with isolation, which must stop it, and without,
// where it must succeed: what is stopped is known to be an attack by that.
type attack struct {
	name string
	// stop is what keeps an isolated build from it, as docs/security.md says it.
	stop string

	// script is the command of the build's phase BUILD, and ends with 0 when it
	// got what it wanted. inside is the same in Go: the build runs this program.
	script string
	inside func() error
	// spec, files and with change the buildspec, the commit and the task's input.
	// host gives the build the machine's network also with isolation, and mirror
	// a repository, so a mirror, to itself.
	spec   func(command string) map[string]any
	files  map[string]string
	with   func(*service, *trial, input)
	host   bool
	mirror bool
	// before is called before the build begins.
	before func(*service, *trial)

	// got reports, seen from outside of the build, whether the attack succeeded.
	// Where it is nil nothing can be seen there, and the build's own word counts.
	got func(*service, *trial) bool
	// early attacks are over before the phase BUILD may begin.
	early bool
	// alone attacks end all that they reach, and get a machine to themselves.
	alone bool

	// harmless says why it can't succeed without isolation either; it is asked
	// what is so here for some users and machines only.
	harmless   string
	harmlessTo func(*service) string
	// gap says why isolation does not stop it; docs/security.md has it too.
	gap string
}

// tables are all attacks, by the file that has them.
var tables map[string][]attack

func init() {
	tables = map[string][]attack{
		"attack_files_test.go": fileAttacks, "attack_artifacts_test.go": artifactAttacks,
		"attack_mirror_test.go": mirrorAttacks, "attack_processes_test.go": processAttacks,
		"attack_survivors_test.go": survivorAttacks, "attack_network_test.go": networkAttacks,
		"attack_kernel_test.go": kernelAttacks, "attack_machine_test.go": machineAttacks,
		"attack_limits_test.go": limitAttacks, "attack_later_test.go": laterAttacks,
	}
	if os.Getenv("ATTACKED") != "" && os.Getenv("PREPARED") == "" {
		fmt.Println(prepare())
		os.Exit(1)
	}
	// This program is what builds run for attacks in Go.
	if name := os.Getenv("SWITCHYARD_ATTACK"); name != "" {
		i := slices.IndexFunc(allAttacks(), func(a attack) bool { return a.name == name })
		if err := allAttacks()[i].inside(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// prepare starts this program anew as the service, with a session keyring of its
// own, as after a login: only a process of one thread gets one.
func prepare() error {
	if _, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0); err != nil {
		return err
	}
	if os.Getenv("THROWAWAY") != "" && os.Geteuid() == 0 {
		if err := startLoopback(); err != nil {
			return err
		}
	}
	return syscall.Exec(os.Args[0], os.Args, append(os.Environ(), "PREPARED=1"))
}

// startLoopback is what a new network needs.
func startLoopback() error {
	n, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(n)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(n, unix.SIOCSIFFLAGS, lo)
}

// allAttacks are those of all tables, always in the same order.
func allAttacks() []attack {
	var all []attack
	for _, file := range slices.Sorted(maps.Keys(tables)) {
		all = append(all, tables[file]...)
	}
	return all
}

// command is what the build runs.
func (a attack) command() string {
	script := a.script
	if a.inside != nil {
		script = "SWITCHYARD_ATTACK=" + quote(a.name) + ` "$ATTACKER"`
	}
	return "if (\n" + script + "\n) 2>&1; then printf 'got %s\\n' it; fi"
}

// impossible is why the attack can't succeed even without isolation, or "".
func (a attack) impossible(s *service) string {
	if a.harmlessTo != nil {
		return cmp.Or(a.harmless, a.harmlessTo(s))
	}
	return a.harmless
}

// TestAttacks tries all attacks as this user and, where that is root, as an
// ordinary one too: without isolation on a throwaway machine, with it on this one.
func TestAttacks(t *testing.T) {
	needBubblewrap(t)
	users := []int{os.Geteuid()}
	if os.Geteuid() == 0 {
		users = append(users, 65534)
	}
	isolations := []string{IsolationNone, IsolationBubblewrap}
	if raceDetector { // which sees the service's own code in one of them as well
		users, isolations = users[:1], isolations[1:]
	}
	for _, user := range users {
		for _, isolation := range isolations {
			t.Run(fmt.Sprintf("user %d/%s", user, isolation), func(t *testing.T) {
				t.Parallel()
				r := newRunner(t, user)
				out, err := r.attack(t, isolation, isolation == IsolationNone, "all")
				passed := strings.Count(out, "\n        --- PASS: ")
				if want := len(allAttacks()); err != nil || passed != want {
					t.Errorf("%d of %d attacks went as they should: %v\n%s", passed, want, err, failures(out))
				}
			})
		}
	}
}

// failures leaves out the attacks that went as they should.
func failures(out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		switch text := strings.TrimSpace(line); {
		case strings.HasPrefix(text, "=== "), strings.HasPrefix(text, "--- PASS"):
		default:
			b.WriteString(line)
		}
	}
	return b.String()
}

// runner starts this program anew, as a service that is attacked.
type runner struct {
	user         int
	dir, program string
}

func newRunner(t *testing.T, user int) *runner {
	t.Helper()
	dir, err := os.MkdirTemp("", "swy-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = removeAll(dir) })
	r := &runner{user: user, dir: dir, program: filepath.Join(dir, "program", "build.test")}
	for _, name := range []string{"program", "home"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// By another process: while this one has it open to write, a program that is
	// started at that moment would keep it so, and it could not be run.
	if out, err := exec.CommandContext(t.Context(), "cp", os.Args[0], r.program).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, path := range []string{dir, filepath.Join(dir, "home")} {
		if err := os.Chown(path, user, user); user != os.Geteuid() && err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// attack runs the attacks that match the pattern: all, or one by its name.
func (r *runner) attack(t *testing.T, isolation string, throwaway bool, which string) (string, error) {
	t.Helper()
	argv := []string{r.program, "-test.v", "-test.parallel=4", "-test.timeout=10m", "-test.run=^TestAttackedService$"}
	home := filepath.Join(r.dir, "home")
	if throwaway {
		argv = append(r.throwaway(home), argv...)
	}
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	nonce := "n" + strconv.Itoa(os.Getpid()) + filepath.Base(r.dir)[len("swy-"):]
	cmd.Dir = "/"
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "SWITCHYARD_REQUIRE_SERVERS=" + os.Getenv("SWITCHYARD_REQUIRE_SERVERS"),
		"ATTACKED=" + isolation, "ATTACK=" + which, "NONCE=" + nonce, "SERVICE_SECRET=" + canary("environment", nonce),
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if r.user != os.Geteuid() {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(r.user), Gid: uint32(r.user)}
	}
	// bwrap ends with the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// throwaway is the command before one that runs on a machine of its own, which
// ends with it: the programs of this machine, no files of it, and processes,
// network, cgroups, memory to share and names to itself. Its root has all capabilities,
// over this machine alone, and its disk is 1 GB of memory.
func (r *runner) throwaway(home string) []string {
	argv := []string{"bwrap", "--unshare-user", "--unshare-cgroup-try", "--die-with-parent",
		"--uid", strconv.Itoa(r.user), "--gid", strconv.Itoa(r.user),
		"--dev-bind", "/dev", "/dev", "--dev-bind", "/sys", "/sys", "--tmpfs", "/sys/fs/cgroup", "--tmpfs", "/dev/shm"}
	own := []string{"unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--ipc", "--uts", "--net",
		"sh", "-c", `"$@"; exit $?`, "sh"} // the first process takes no signals
	if r.user == 0 {
		// Its /proc is not bwrap's, which would be read-only in part. Namespaces
		// within bwrap's lock the mounts: its root can't make them writable.
		argv = append(argv, "--cap-add", "ALL", "--dev-bind", "/proc", "/proc")
	} else {
		own = nil
		argv = append(argv, "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--proc", "/proc")
	}
	for _, b := range (&bubblewrap{}).system() {
		if b.to != "/sys/devices/system/cpu" {
			argv = append(argv, b.how, b.from, b.to)
		}
	}
	for _, name := range etcNames {
		found, _ := filepath.Glob("/etc/" + name)
		for _, path := range found {
			argv = append(argv, "--ro-bind", path, path)
		}
	}
	argv = append(argv, "--tmpfs", "/opt", "--tmpfs", "/tmp", "--size", "1000000000", "--tmpfs", r.dir, "--dir", home,
		"--ro-bind", filepath.Dir(r.program), filepath.Dir(r.program), "--setenv", "THROWAWAY", "1")
	return append(argv, own...)
}
