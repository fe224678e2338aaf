//go:build linux

package build

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What keeps a build from taking all of the machine.
const (
	diskLimit    = "`builds.disk`: the build's folder is measured, and no file may be larger"
	logLimit     = "a limit on the log's size"
	processLimit = "`builds.processes`: the kernel's limit, for root's builds a count"
	memoryLimit  = "`builds.memory`: the kernel's limit where the service has cgroups, else a count"
	handleLimit  = "a limit on open files"
	shmLimit     = "a limit of 256 MB on /dev/shm"
	timeLimit    = "the project's `timeout`"
	anyway       = "the limit holds with or without isolation"
)

var limitAttacks = []attack{
	// What is ended for what it takes is given the time to be: a machine under load
	// looks late.
	{name: "disk filled by a large file", stop: diskLimit, script: `head -c 80M /dev/zero > large; sleep 60; test -s large`, harmless: anyway},
	{name: "disk filled by many files", stop: diskLimit, script: `for i in 1 2 3 4 5 6 7 8; do head -c 10M /dev/zero > $TMPDIR/$i; done; sleep 60`, harmless: anyway},
	{name: "disk filled by fallocate", stop: diskLimit, inside: func() error {
		for i := range 4 {
			f, err := os.Create(fmt.Sprint("f", i))
			if err != nil {
				return err
			}
			if err := unix.Fallocate(int(f.Fd()), 0, 0, 30<<20); err != nil {
				return err
			}
		}
		time.Sleep(20 * time.Second)
		return nil
	}, harmless: anyway},
	{name: "disk filled by files that have no name any more", stop: diskLimit, inside: func() error {
		for i := range 4 {
			f, err := os.Create(fmt.Sprint("f", i))
			if err != nil {
				return err
			}
			if err := os.Remove(f.Name()); err != nil {
				return err
			}
			if err := unix.Fallocate(int(f.Fd()), 0, 0, 30<<20); err != nil {
				return err
			}
			kept = append(kept, f)
		}
		time.Sleep(20 * time.Second)
		return nil
	}, harmless: anyway},
	{name: "disk filled by empty files", stop: diskLimit, inside: func() error {
		for i := range 20_000 {
			f, err := os.Create(fmt.Sprint("a file with a name that is not short ", i))
			if err != nil {
				return err
			}
			f.Close()
		}
		time.Sleep(20 * time.Second)
		return nil
	}, harmless: anyway},
	{name: "sparse file larger than the disk", stop: diskLimit, script: `truncate -s 1000G sparse && test "$(stat -c %s sparse)" -gt 1000000000`, harmless: anyway},
	{name: "disk filled by the log", stop: logLimit, script: `head -c 20M /dev/zero | tr '\0' x`, got: func(s *service, tr *trial) bool {
		info, err := os.Stat(s.h.logs.path(s.executionName(tr), "t"))
		return err != nil || info.Size() > 300<<10
	}, harmless: anyway},
	{name: "disk filled by the names of variables", stop: diskLimit, script: `head -c 80M /dev/zero > ../control/vars; sleep 60; test -s ../control/vars`, harmless: anyway},
	{name: "memory filled by /dev/shm", stop: shmLimit, script: `for i in 1 2 3 4 5 6; do head -c 50M /dev/zero > /dev/shm/$NONCE-$i || r=1; done; rm -f /dev/shm/$NONCE-*; exit $r`, harmlessTo: func(*service) string {
		var fs unix.Statfs_t
		if unix.Statfs("/dev/shm", &fs) == nil && int64(fs.Bavail)*fs.Bsize < 310<<20 {
			return "there is no more room in this machine's /dev/shm"
		}
		return ""
	}},
	{name: "fork bomb", stop: processLimit, before: withSleep, script: `i=0; while [ $i -lt 600 ]; do sleep $SLEEP & i=$((i+1)); done; sleep 60`, harmless: anyway},
	{name: "fork bomb of threads", stop: processLimit, inside: func() error {
		// As many processes as it takes, since this program has few threads.
		var all []*exec.Cmd
		defer func() {
			for _, c := range all {
				_ = c.Process.Kill()
			}
		}()
		for range 600 {
			c := exec.Command("sleep", "30")
			c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			if err := c.Start(); err != nil {
				return err
			}
			all = append(all, c)
		}
		time.Sleep(20 * time.Second)
		return nil
	}, harmless: anyway},
	{name: "memory bomb", stop: memoryLimit, inside: func() error {
		for range 40 {
			b, err := unix.Mmap(-1, 0, 10<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
			if err != nil {
				return err
			}
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(20 * time.Second)
		return nil
	}, harmless: anyway},
	{name: "memory bomb of many processes", stop: memoryLimit, inside: func() error {
		if os.Getenv("SHARE") != "" {
			b := make([]byte, 40<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			time.Sleep(20 * time.Second)
			return nil
		}
		var all []*exec.Cmd
		for range 10 {
			c := exec.Command(os.Args[0])
			c.Env = append(os.Environ(), "SHARE=1")
			if err := c.Start(); err != nil {
				return err
			}
			all = append(all, c)
		}
		for _, c := range all {
			if err := c.Wait(); err != nil {
				return err
			}
		}
		return nil
	}, harmless: anyway},
	{name: "many open files", stop: handleLimit, inside: func() error {
		// Go raises the limit to what is allowed at most.
		for range 600 {
			if _, err := unix.Open("/dev/null", unix.O_RDONLY, 0); err != nil {
				return err
			}
		}
		return nil
	}, harmless: anyway},
	{name: "command that never ends", stop: timeLimit, script: `trap '' TERM INT HUP; while :; do sleep 1; done`, got: func(_ *service, tr *trial) bool { return tr.b.result.BuildStatus != statusTimedOut },
		with:     func(_ *service, _ *trial, in input) { in["ProjectName"] = "hasty" },
		harmless: anyway},
	{name: "processes that keep a phase from ending", stop: timeLimit, script: `(trap '' TERM; while :; do :; done) & sleep .01`, got: tookLong, harmless: anyway},
	{name: "core dumps", stop: "a limit of 0 on core dumps", inside: func() error {
		var l unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_CORE, &l); err != nil {
			return err
		}
		if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: l.Max, Max: l.Max}); err != nil {
			return err
		}
		return wants(l.Max > 0, "no core is dumped")
	}, harmless: anyway},
	{name: "real-time priority", stop: noCapabilities, inside: func() error {
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 50}
		return unix.SchedSetAttr(0, &attr, 0)
	}, harmless: "it takes a capability over the machine itself"},
	{name: "memory that is never swapped out", stop: "the user's limit on locked memory", inside: func() error {
		b, err := unix.Mmap(-1, 0, 64<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			return err
		}
		return unix.Mlock(b)
	}, harmlessTo: func(*service) string { return lockedMemory() }},
}

// kept files stay open.
var kept []*os.File

func lockedMemory() string {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l) == nil && l.Cur < 64<<20 {
		return "the limit of the service's user holds"
	}
	return ""
}
