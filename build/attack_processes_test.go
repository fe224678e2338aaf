//go:build linux

package build

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What keeps builds from processes of others.
const (
	ownProcesses = "a PID namespace: a build sees and reaches its own processes only"
	ownVariables = "a build's variables are given to its shells only, in its own namespaces"
	ownTerminal  = "a session and terminals of each build's own"
	fewHandles   = "a build's programs begin with the descriptors 0, 1 and 2"
)

// wants gives an error unless it is so.
func wants(is bool, what string) error {
	if !is {
		return errors.New(what)
	}
	return nil
}

// pidOf is a process of outside.
func pidOf(name string) int {
	pid, _ := strconv.Atoi(os.Getenv(name))
	return pid
}

var processAttacks = []attack{
	{name: "environment of the service", stop: ownProcesses, script: `tr '\0' '\n' < /proc/$SERVICE_PID/environ`, got: leaks("environment")},
	{name: "memory of the service", stop: ownProcesses, got: leaks("environment"), inside: func() error {
		return readStack("SERVICE_PID", func(pid int, at uintptr, to []byte) error {
			f, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
			if err != nil {
				return err
			}
			_, err = f.ReadAt(to, int64(at))
			return err
		})
	}},
	{name: "memory of the service by process_vm_readv", stop: ownProcesses, got: leaks("environment"), inside: func() error {
		return readStack("SERVICE_PID", func(pid int, at uintptr, to []byte) error {
			local := []unix.Iovec{{Base: &to[0], Len: uint64(len(to))}}
			_, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: at, Len: len(to)}}, 0)
			return err
		})
	}},
	{name: "environment of another build", stop: ownProcesses, script: `cat /proc/$SIBLING_PID/environ | tr '\0' '\n'`, got: leaks("sibling-environment")},
	{name: "environments of all processes", stop: ownProcesses, script: `cat /proc/[0-9]*/environ | tr '\0' '\n'`, got: leaks("sibling-environment", "environment")},
	{name: "memory map of another build", stop: ownProcesses, script: `grep -q . /proc/$SIBLING_PID/maps`},
	{name: "command line of another build", stop: ownProcesses, script: `grep -q sleep /proc/$SIBLING_PID/cmdline`},
	{name: "list of all processes", stop: ownProcesses, script: `for p in /proc/[0-9]*; do tr '\0' ' ' < $p/cmdline; done | grep -q "sleep [0-9]"`},
	{name: "trace the service", stop: ownProcesses, inside: func() error { return unix.PtraceSeize(pidOf("SERVICE_PID")) }},
	{name: "trace another build", stop: ownProcesses, before: withVictim, inside: func() error { return unix.PtraceAttach(pidOf("VICTIM_PID")) }},
	{name: "open files of the service", stop: ownProcesses, script: `cat /proc/$SERVICE_PID/fd/$SERVICE_FD`, got: leaks("descriptor")},
	{name: "open files of the service by pidfd_getfd", stop: ownProcesses, got: leaks("descriptor"), inside: func() error {
		p, err := unix.PidfdOpen(pidOf("SERVICE_PID"), 0)
		if err != nil {
			return err
		}
		n, err := unix.PidfdGetfd(p, pidOf("SERVICE_FD"), 0)
		if err != nil {
			return err
		}
		text := make([]byte, 1000)
		k, err := unix.Pread(n, text, 0)
		fmt.Println(string(text[:max(k, 0)]))
		return err
	}},
	{name: "see another build", stop: ownProcesses, script: `kill -0 $SIBLING_PID`},
	{name: "signal to the service", stop: ownProcesses, script: `kill -USR1 $SERVICE_PID`, got: func(s *service, _ *trial) bool { return soon(func() bool { return s.signals.Load() > 0 }) }},
	{name: "end a process of another build", stop: ownProcesses, before: withVictim, script: `kill -KILL $VICTIM_PID`,
		got: func(_ *service, tr *trial) bool {
			return soon(func() bool { return !running(tr.victim.Process.Pid) })
		}},
	{name: "stop a process of another build", stop: ownProcesses, before: withVictim, script: `kill -STOP $VICTIM_PID; sleep .01`,
		got: func(_ *service, tr *trial) bool {
			return soon(func() bool { return strings.Contains(tr.ofVictim("stat"), ") T ") })
		}},
	{name: "end every process there is", stop: ownProcesses, alone: true, script: `kill -KILL -1`},
	{name: "end the first process of the build's namespace", stop: ownProcesses, script: `kill -KILL 1; kill -TERM 1; kill -STOP 1; sleep .02; ! kill -0 1`,
		harmless: "the first process of the machine takes no signal that it does not ask for"},
	{name: "limits of a process of the service", stop: ownProcesses, before: withVictim, inside: func() error {
		return unix.Prlimit(pidOf("VICTIM_PID"), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 7, Max: 7}, nil)
	}, got: func(_ *service, tr *trial) bool { return limitOf(tr, "Max open files") == "7" }},
	{name: "priority of the service", stop: ownProcesses, before: withVictim, script: `renice -n 19 -p $VICTIM_PID`,
		got: func(_ *service, tr *trial) bool { f := strings.Fields(tr.ofVictim("stat")); return f[18] == "19" }},
	{name: "processors of the service", stop: ownProcesses, before: withVictim, inside: func() error {
		var one unix.CPUSet
		one.Set(0)
		return unix.SchedSetaffinity(pidOf("VICTIM_PID"), &one)
	}},
	{name: "have the kernel end the service first when memory runs out", stop: ownProcesses, before: withVictim, script: `echo 1000 > /proc/$VICTIM_PID/oom_score_adj`,
		got: func(_ *service, tr *trial) bool { return strings.TrimSpace(tr.ofVictim("oom_score_adj")) == "1000" }},
	{name: "own place when memory runs out", stop: "no capabilities: only CAP_SYS_RESOURCE makes a process less likely to be ended", script: `echo -900 > /proc/self/oom_score_adj && grep -q -- -900 /proc/self/oom_score_adj`,
		harmless: "it takes CAP_SYS_RESOURCE over the machine itself, which neither an ordinary user nor the throwaway machine's root has"},
	{name: "enter the service's namespaces", stop: ownProcesses, inside: func() error {
		return enter(fmt.Sprintf("/proc/%s/ns/mnt", os.Getenv("SERVICE_PID")))
	}, harmlessTo: onlyRoot("an ordinary user can't enter mount namespaces")},
	{name: "write on the service's terminal", stop: ownTerminal, script: `echo planted > $TERMINAL`, got: func(s *service, _ *trial) bool {
		text := make([]byte, 1000)
		n, _ := unix.Read(int(fd(s.terminal)), text)
		return n > 0 && bytes.Contains(text[:n], []byte("planted"))
	}},
	{name: "type on the service's terminal (TIOCSTI)", stop: ownTerminal, inside: func() error {
		n, err := unix.Open("/dev/tty", unix.O_RDWR, 0)
		if err != nil {
			return err
		}
		c := byte('x')
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(n), unix.TIOCSTI, uintptr(unsafe.Pointer(&c))); e != 0 {
			return e
		}
		return nil
	}, harmless: "builds are sessions without a terminal, with or without isolation"},
	{name: "descriptors that a program inherits", stop: fewHandles, inside: func() error {
		open := inherited()
		return wants(len(open) > 0, "only 0, 1 and 2 are open")
	}},
	{name: "write to descriptors that a program inherits", stop: fewHandles, inside: func() error {
		for _, n := range inherited() {
			if _, err := unix.Write(n, []byte("0\n")); err == nil {
				return nil
			}
		}
		return errors.New("none can be written to")
	}, harmless: "the one more that programs have without isolation is their own output's, to read"},
	{name: "read the build's own input", stop: fewHandles, script: `test -n "$(cat)"`, harmless: "the input of a build is empty, with or without isolation"},
}

// onlyRoot is for attacks that an ordinary user can't do at all.
func onlyRoot(why string) func(*service) string {
	return func(*service) string {
		if os.Geteuid() != 0 {
			return why
		}
		return ""
	}
}

// inherited are the descriptors above 2 that this program was started with.
func inherited() []int {
	var open []int
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		n, _ := strconv.Atoi(e.Name())
		to, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
		flags, flagErr := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0)
		// What this program opens itself is closed on exec.
		if n > 2 && err == nil && flagErr == nil && flags&unix.FD_CLOEXEC == 0 {
			fmt.Println(n, to)
			open = append(open, n)
		}
	}
	return open
}

// readStack prints the end of a process's stack, where its environment is.
func readStack(name string, read func(pid int, at uintptr, to []byte) error) error {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pidOf(name)))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(maps)) {
		if !strings.HasSuffix(line, "[stack]\n") {
			continue
		}
		var from, to uintptr
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
			return err
		}
		text := make([]byte, min(to-from, 64<<10))
		if err := read(pidOf(name), to-uintptr(len(text)), text); err != nil {
			return err
		}
		fmt.Printf("%q\n", text)
	}
	return nil
}

func enter(namespace string) error {
	n, err := unix.Open(namespace, unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return err
	}
	return unix.Setns(n, 0)
}

func limitOf(tr *trial, name string) string {
	for line := range strings.Lines(tr.ofVictim("limits")) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.Fields(rest)[0]
		}
	}
	return ""
}
