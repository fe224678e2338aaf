//go:build linux

package build

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	noCapabilities = "no capabilities, and none to be had (no_new_privs)"
	lockedMounts   = "mounts of a namespace further out are locked: a namespace of one's own can't undo them"
	ownKeys        = "a session keyring of each build's own"
	ownNames       = "a UTS namespace of each build's own"
)

// inNamespaces runs a script as root of user and mount namespaces of its own.
func inNamespaces(script string) string { return "unshare -Urm sh -c '" + script + "'" }

var kernelAttacks = []attack{
	{name: "capabilities", stop: noCapabilities, script: `! grep -q 'CapEff:.*0000000000000000' /proc/self/status`, harmlessTo: onlyRoot("an ordinary user has none")},
	{name: "capabilities that could be had", stop: noCapabilities, script: `! grep -q 'CapBnd:.*0000000000000000' /proc/self/status && ! grep -q 'NoNewPrivs:.*1' /proc/self/status`,
		harmless: "bubblewrap, which makes the throwaway machine, sets no_new_privs there too"},
	{name: "run as root by a setuid program", stop: noCapabilities, inside: func() error {
		v, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
		if err != nil {
			return err
		}
		return wants(v == 0, "no_new_privs is set")
	}, harmless: "bubblewrap, which makes the throwaway machine, sets no_new_privs there too"},
	{name: "become root", stop: noCapabilities, inside: func() error {
		if err := unix.Setresuid(0, 0, 0); err != nil {
			return err
		}
		return wants(os.Geteuid() == 0, "still another user")
	}, harmlessTo: onlyRoot("an ordinary user can't")},
	{name: "change the owner of a file", stop: noCapabilities, script: `touch f && chown 1 f || chown 0:0 f && test "$(stat -c %u f)" = 0`, harmlessTo: onlyRoot("an ordinary user can't")},
	{name: "hostname", stop: ownNames, inside: func() error { return unix.Sethostname([]byte("planted")) },
		got: func(*service, *trial) bool { name, _ := os.Hostname(); return name == "planted" }, harmlessTo: onlyRoot("an ordinary user can't")},
	{name: "domain name", stop: ownNames, inside: func() error { return unix.Setdomainname([]byte("planted")) }, harmlessTo: onlyRoot("an ordinary user can't")},
	{name: "clock", stop: noCapabilities, inside: func() error {
		var now unix.Timeval
		if err := unix.Gettimeofday(&now); err != nil {
			return err
		}
		return unix.Settimeofday(&now)
	}, harmless: "the throwaway machine's root can't set the clock of the machine itself"},
	{name: "device node", stop: noCapabilities, inside: func() error { return unix.Mknod("node", unix.S_IFBLK|0o600, int(unix.Mkdev(8, 0))) },
		harmless: "the kernel gives devices to the machine's own root only, which the throwaway machine's is not"},
	{name: "mount a file system", stop: noCapabilities, script: `mkdir m && mount -t tmpfs none m && umount m`, harmlessTo: onlyRoot("an ordinary user can't")},
	{name: "make the system writable", stop: lockedMounts, script: `mount -o remount,rw,bind /usr && touch /usr/$NONCE`,
		harmless: "the throwaway machine's programs are mounts that are locked in the same way"},
	{name: "make the system writable in namespaces of its own", stop: lockedMounts, script: inNamespaces(`mount -o remount,rw,bind /usr && touch /usr/$NONCE`),
		harmless: "the throwaway machine's programs are mounts that are locked in the same way"},
	{name: "uncover the config in namespaces of its own", stop: lockedMounts, got: leaks("config"), script: inNamespaces(`umount -l $OUTSIDE/srv/switchyard.yaml; cat $OUTSIDE/srv/switchyard.yaml`)},
	{name: "uncover the data folder in namespaces of its own", stop: lockedMounts, got: leaks("token"), script: inNamespaces(`umount -l $DATA; umount -l $OUTSIDE; cat $DATA/api.token`)},
	{name: "mount the service's root in namespaces of its own", stop: lockedMounts, got: leaks("token"),
		script: inNamespaces(`mkdir m; mount --rbind /proc/1/root m && cat m$DATA/api.token || mount --rbind / m && cat m$DATA/api.token`)},
	{name: "pivot_root", stop: noCapabilities, inside: func() error {
		if err := unix.Mkdir("m", 0o700); err != nil {
			return err
		}
		return unix.PivotRoot("m", "m")
	}, harmless: "nobody can pivot to a folder that is no mount, root or not"},
	{name: "escape from a chroot in namespaces of its own", stop: ownFiles, got: leaks("token"), inside: func() error { return inChroot() }},
	{name: "files of a file system mounted in namespaces of its own", stop: ownFiles, got: leaks("token"),
		script: inNamespaces(`mkdir l u w m; mount -t overlay none -o lowerdir=/,upperdir=$PWD/u,workdir=$PWD/w m; cat m$DATA/api.token $DATA/api.token`)},
	{name: "devices of a /dev of its own", stop: noCapabilities, script: inNamespaces(`mkdir m && mount -t devtmpfs none m && ls m/kmsg`), harmless: "the kernel gives devices to the machine's own root only"},
	{name: "/proc of the machine in namespaces of its own", stop: ownProcesses, got: leaks("environment"), script: inNamespaces(`mkdir m; mount -t proc none m; cat m/*/environ /proc/*/environ | tr "\\\\0" "\\\\n"`),
		harmless: "in namespaces of one's own a process reads nobody else's environment, nor mounts the machine's /proc"},
	{name: "namespaces of its own", stop: "nothing: user namespaces are the kernel's offer to everybody", script: `unshare -Urm true`,
		gap: "the kernel lets everybody make namespaces; set `user.max_user_namespaces` where that is too much"},
	{name: "cgroup of its own through a release agent", stop: noCapabilities, script: `unshare -UrmC sh -c 'mkdir m && mount -t cgroup -o memory none m && echo /planted > m/release_agent'`,
		harmless: "the kernel lets the machine's own root alone set a release agent"},
	{name: "limits raised", stop: "hard limits on processes, open files and the largest file", inside: func() error {
		return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20})
	}, harmless: "it takes CAP_SYS_RESOURCE over the machine itself; the limit of the service's user holds"},
	{name: "keys of the service's session", stop: ownKeys, got: leaks("keyring"), inside: func() error {
		id, err := unix.KeyctlSearch(unix.KEY_SPEC_SESSION_KEYRING, "user", os.Getenv("NONCE"), 0)
		if err != nil {
			return err
		}
		text := make([]byte, 1000)
		n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, id, text, 0)
		fmt.Println(string(text[:max(n, 0)]))
		return err
	}},
	{name: "keys left in the service's session", stop: ownKeys, inside: func() error {
		_, err := unix.AddKey("user", os.Getenv("NONCE")+"-planted", []byte("planted"), unix.KEY_SPEC_SESSION_KEYRING)
		return err
	}, got: func(s *service, _ *trial) bool { return s.findKey(s.nonce+"-planted") == nil }},
	{name: "load a module into the kernel", stop: noCapabilities, inside: func() error { return unix.InitModule([]byte("x"), "") }, harmless: "the throwaway machine's root can't"},
	{name: "load another kernel", stop: noCapabilities, inside: func() error { return kexec() }, harmless: "the throwaway machine's root can't"},
	{name: "swap and accounting", stop: noCapabilities, inside: func() error { return unix.Acct("") }, harmless: "the throwaway machine's root can't"},
	{name: "a program in the kernel (bpf)", stop: noCapabilities, inside: loadBPF, harmlessTo: unlessKernelAllows(loadBPF)},
	{name: "events of all processors (perf_event_open)", stop: noCapabilities, inside: perfOf(-1), harmlessTo: unlessKernelAllows(perfOf(-1))},
	{name: "events of the service (perf_event_open)", stop: ownProcesses, inside: func() error { return perfOf(pidOf("SERVICE_PID"))() },
		harmlessTo: func(s *service) string { return unlessKernelAllows(perfOf(os.Getpid()))(s) }},
	{name: "faults of memory handled by itself (userfaultfd)", stop: kernelsOwn, inside: faultHandler, harmlessTo: unlessKernelAllows(faultHandler), gap: kernelsGap},
	{name: "asynchronous calls (io_uring)", stop: kernelsOwn, inside: ring, harmlessTo: unlessKernelAllows(ring), gap: kernelsGap},
	{name: "ports of the processor", stop: noCapabilities, inside: func() error {
		if runtime.GOARCH != "amd64" {
			return errors.New("there are none")
		}
		_, _, e := unix.Syscall(unix.SYS_IOPL, 3, 0, 0)
		return wants(e == 0, e.Error())
	}, harmless: "the throwaway machine's root can't"},
}

const (
	kernelsOwn = "nothing: the kernel offers it to everybody"
	kernelsGap = "the kernel offers it to everybody; a hole in it is a hole here"
)

func faultHandler() error {
	const userModeOnly = 1
	n, _, e := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|userModeOnly, 0, 0)
	if e != 0 {
		return e
	}
	return unix.Close(int(n))
}

func ring() error {
	var params [120]byte
	n, _, e := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
	if e != 0 {
		return e
	}
	return unix.Close(int(n))
}

// unlessKernelAllows is for what the kernel may let this user do or not,
// wherever it is asked: then it is a question of the machine.
func unlessKernelAllows(try func() error) func(*service) string {
	return func(*service) string {
		if err := try(); err != nil {
			return fmt.Sprintf("the kernel refuses it to the service too: %v", err)
		}
		return ""
	}
}

func loadBPF() error {
	// r0 = 0; exit
	code := []uint64{0xb7, 0x95}
	license := []byte("GPL\x00")
	attr := struct {
		kind, n       uint32
		code, license uint64
		rest          [96]byte
	}{kind: 1, n: 2, code: uint64(uintptr(unsafe.Pointer(&code[0]))), license: uint64(uintptr(unsafe.Pointer(&license[0])))}
	n, _, e := unix.Syscall(unix.SYS_BPF, 5, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if e != 0 {
		return e
	}
	return unix.Close(int(n))
}

// kexec asks for another kernel, from a file that is none.
func kexec() error {
	if _, _, e := unix.Syscall6(unix.SYS_KEXEC_FILE_LOAD, 0, 0, 0, 0, 0, 0); e != 0 {
		return e
	}
	return nil
}

func perfOf(pid int) func() error {
	return func() error {
		cpu := -1
		if pid == -1 {
			cpu = 0
		}
		attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK}
		attr.Size = uint32(unsafe.Sizeof(attr))
		n, err := unix.PerfEventOpen(&attr, pid, cpu, -1, 0)
		if err != nil {
			return err
		}
		return unix.Close(n)
	}
}

// inChroot leaves a chroot by a descriptor from before, the known way out, and
// looks from the root that it comes to.
func inChroot() error {
	if os.Getenv("IN_CHROOT") == "" {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "IN_CHROOT=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}}
		out, err := cmd.CombinedOutput()
		fmt.Println(string(out))
		return err
	}
	if err := unix.Mkdir("jail", 0o700); err != nil {
		return err
	}
	if err := unix.Chroot("jail"); err != nil {
		return err
	}
	for range 64 {
		if err := unix.Chdir(".."); err != nil {
			return err
		}
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	text, err := os.ReadFile(os.Getenv("DATA") + "/api.token")
	fmt.Println(string(text))
	return err
}

// findKey looks for a key in the service's session keyring.
func (s *service) findKey(name string) error {
	_, err := unix.KeyctlSearch(unix.KEY_SPEC_SESSION_KEYRING, "user", name, 0)
	return err
}

// The keys of System V's shared memory and of POSIX's message queues.
func (s *service) systemV() string {
	key := os.Getpid() & 0x7fffff
	id, err := unix.SysvShmGet(key, 4096, unix.IPC_CREAT|0o600)
	if err != nil {
		panic(err)
	}
	at, err := unix.SysvShmAttach(id, 0, 0)
	if err != nil {
		panic(err)
	}
	copy(at, canary("systemv", s.nonce))
	s.atEnd = append(s.atEnd, func() {
		_ = unix.SysvShmDetach(at)
		_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	})
	return strconv.Itoa(key)
}

func attachSystemV() error {
	key, err := strconv.Atoi(os.Getenv("SHM_KEY"))
	if err != nil {
		return err
	}
	id, err := unix.SysvShmGet(key, 0, 0)
	if err != nil {
		return err
	}
	at, err := unix.SysvShmAttach(id, 0, unix.SHM_RDONLY)
	if err != nil {
		return err
	}
	fmt.Println(strings.TrimRight(string(at), "\x00"))
	return nil
}

// queue makes a message queue of the service.
func (s *service) queue() {
	if err := openQueue(s.nonce, unix.O_CREAT|unix.O_RDWR); err != nil {
		panic(err)
	}
	s.atEnd = append(s.atEnd, func() {
		name, _ := unix.BytePtrFromString(s.nonce)
		_, _, _ = unix.Syscall(unix.SYS_MQ_UNLINK, uintptr(unsafe.Pointer(name)), 0, 0)
	})
}

func openQueue(queue string, flags int) error {
	name, err := unix.BytePtrFromString(queue)
	if err != nil {
		return err
	}
	n, _, e := unix.Syscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(name)), uintptr(flags), 0o600, 0, 0, 0)
	if e != 0 {
		return e
	}
	return unix.Close(int(n))
}
