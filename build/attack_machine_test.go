//go:build linux

package build

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	readOnlyKernel = "what of /proc is not about processes is read-only, also where the service is root; of /sys only the list of processors is there"
	fewDevices     = "a /dev with null, zero, full, random, urandom, tty and terminals of its own"
)

// writable is an attack on a file of the kernel: it opens it to write, and
// writes nothing.
func writable(name, file string) attack {
	return attack{name: name, stop: readOnlyKernel, inside: func() error { return openToWrite(file) },
		harmlessTo: func(*service) string {
			if err := openToWrite(file); err != nil {
				return fmt.Sprintf("the service can't either: %v", err)
			}
			return ""
		}}
}

func openToWrite(file string) error {
	n, err := unix.Open(file, unix.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return unix.Close(n)
}

var machineAttacks = []attack{
	writable("program for core dumps", "/proc/sys/kernel/core_pattern"),
	writable("program that loads modules", "/proc/sys/kernel/modprobe"),
	writable("program for new devices", "/sys/kernel/uevent_helper"),
	writable("restart of the machine (sysrq)", "/proc/sysrq-trigger"),
	writable("what sysrq may do", "/proc/sys/kernel/sysrq"),
	writable("interpreters of programs (binfmt_misc)", "/proc/sys/fs/binfmt_misc/register"),
	writable("caches of the kernel", "/proc/sys/vm/drop_caches"),
	writable("panic when memory runs out", "/proc/sys/vm/panic_on_oom"),
	writable("limit on open files of the machine", "/proc/sys/fs/file-max"),
	writable("interrupts of processors", "/proc/irq/default_smp_affinity"),
	writable("forwarding between networks", "/proc/sys/net/ipv4/ip_forward"),
	writable("hostname by its file", "/proc/sys/kernel/hostname"),
	writable("user namespaces for everybody", "/proc/sys/user/max_user_namespaces"),
	{name: "any file of /proc/sys that is not about its own namespaces", stop: readOnlyKernel, script: `find /proc/sys -type f -writable 2>/dev/null | grep -vE '^/proc/sys/(fs/mqueue/|kernel/(msg|sem|shm|auto_msgmni|ns_last_pid|pid_max))' | head -n 3 | grep .`,
		harmlessTo: onlyRoot("an ordinary user can write to none")},
	{name: "any file of /sys", stop: readOnlyKernel, script: `find /sys -type f -writable 2>/dev/null | head -n 3 | grep .`,
		harmlessTo: onlyRoot("an ordinary user can write to none")},
	{name: "own cgroup", stop: readOnlyKernel, script: `test -n "$(find /sys/fs/cgroup -name cgroup.procs -writable 2>/dev/null)"`,
		harmlessTo: func(*service) string {
			if len(writableCgroups()) == 0 {
				return "the service can't write to any cgroup either"
			}
			return ""
		}},
	{name: "memory of the machine", stop: fewDevices, script: `head -c 1 /dev/mem || head -c 1 /dev/kmem || head -c 64 /proc/kcore | grep -q ELF`,
		harmless: "it takes a capability over the machine itself"},
	{name: "devices of the machine", stop: fewDevices, inside: func() error { return wants(len(openDevices()) > 0, "no device opens") },
		harmlessTo: func(*service) string {
			if len(openDevices()) == 0 {
				return "no device of this machine opens for the service either"
			}
			return ""
		}},
	{name: "loop device", stop: fewDevices, inside: func() error {
		_, err := unix.Open("/dev/loop-control", unix.O_RDWR, 0)
		return err
	}, harmlessTo: func(*service) string {
		if err := openToWrite("/dev/loop-control"); err != nil {
			return fmt.Sprintf("the service can't either: %v", err)
		}
		return ""
	}},
	{name: "file system of its own (fuse)", stop: fewDevices, inside: func() error {
		_, err := unix.Open("/dev/fuse", unix.O_RDWR, 0)
		return err
	}, harmlessTo: func(*service) string {
		if err := openToWrite("/dev/fuse"); err != nil {
			return fmt.Sprintf("the service can't either: %v", err)
		}
		return ""
	}},
	{name: "virtual machine (kvm)", stop: fewDevices, inside: func() error {
		_, err := unix.Open("/dev/kvm", unix.O_RDWR, 0)
		return err
	}, harmlessTo: func(*service) string {
		if err := openToWrite("/dev/kvm"); err != nil {
			return fmt.Sprintf("the service can't either: %v", err)
		}
		return ""
	}},
	{name: "kernel's log", stop: fewDevices, inside: func() error {
		n, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		return unix.Close(n)
	}, harmlessTo: func(*service) string {
		n, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			return fmt.Sprintf("the service can't either: %v", err)
		}
		_ = unix.Close(n)
		return ""
	}},
	{name: "disks by their names", stop: fewDevices, script: `ls -d /dev/[hsv]d[a-z] /dev/nvme* /dev/dm-* /dev/mapper/* /sys/block/* 2>/dev/null | grep .`,
		harmlessTo: func(*service) string {
			if found, _ := filepath.Glob("/sys/block/*"); len(found) == 0 {
				return "this machine has none"
			}
			return ""
		}},
}

func writableCgroups() []string {
	var found []string
	for _, pattern := range []string{"/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/*/cgroup.procs"} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			if openToWrite(path) == nil {
				found = append(found, path)
			}
		}
	}
	return found
}

// openDevices are the devices that open for reading, except those which all
// may use and terminals.
func openDevices() []string {
	common := []string{"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console", "fd", "stdin", "stdout", "stderr"}
	entries, _ := os.ReadDir("/dev")
	var found []string
	for _, e := range entries {
		if slices.Contains(common, e.Name()) || strings.HasPrefix(e.Name(), "tty") || e.Type()&os.ModeDevice == 0 {
			continue
		}
		n, err := unix.Open("/dev/"+e.Name(), unix.O_RDONLY|unix.O_NONBLOCK, 0)
		if err == nil {
			_ = unix.Close(n)
		}
		if err == nil || errors.Is(err, unix.EBUSY) {
			found = append(found, e.Name())
		}
	}
	return found
}
