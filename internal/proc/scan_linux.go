package proc

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is one entry of /proc.
type process struct {
	pid, ppid, session int
	// started is in clock ticks since boot; with the PID it identifies a
	// process as long as the machine runs.
	started string
	threads int
	rss     int64 // bytes
}

// mark is the process's NAME=value for the mark, "" when it has none or is
// not ours to read. The environment is the one the program was started with.
func (p process) mark() string {
	env := p.environment()
	for len(env) > 0 {
		v, rest, _ := bytes.Cut(env, []byte{0})
		if bytes.HasPrefix(v, []byte(markVar+"=")) {
			return string(v)
		}
		env = rest
	}
	return ""
}

// environment reads the whole of it. There is none for a moment while a process
// replaces its program, and always of the kernel's own threads.
func (p process) environment() []byte {
	for range 5 {
		env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.pid), "environ"))
		if err != nil || len(env) > 0 || p.pid == kthreadd || p.ppid == kthreadd {
			return env
		}
		<-time.After(200 * time.Microsecond)
	}
	return nil
}

// kthreadd is the parent of the kernel's threads.
const kthreadd = 2

// birth is when a process began, in clock ticks since boot.
type birth uint64

func (p process) birth() birth {
	b, _ := strconv.ParseUint(p.started, 10, 64)
	return birth(b)
}

// birthOf is that of a process that may have ended already, but is still there;
// 0 if it can't be told.
func birthOf(pid int) birth {
	f := readStat(pid)
	if f == nil {
		return 0
	}
	return process{started: f[19]}.birth()
}

// readStat reads the fields of a process after its name.
func readStat(pid int) []string {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil
	}
	// The name, in parentheses, may hold spaces and parentheses.
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(f) < 20 {
		return nil
	}
	return f
}

func readProcess(pid int) (process, bool) {
	f := readStat(pid)
	if f == nil || f[0] == "Z" || f[0] == "X" {
		return process{}, false
	}
	ppid, _ := strconv.Atoi(f[1])
	session, _ := strconv.Atoi(f[3])
	p := process{pid: pid, ppid: ppid, session: session, started: f[19]}
	p.threads, _ = strconv.Atoi(f[17])
	if len(f) > 21 {
		pages, _ := strconv.ParseInt(f[21], 10, 64)
		p.rss = pages * int64(os.Getpagesize())
	}
	return p, true
}

// pss is the process's memory without what is others' of the memory it shares, in
// bytes. Where the kernel does not tell it is all of it.
func (p process) pss() int64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.pid), "smaps_rollup"))
	if err != nil {
		return p.rss
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss:" {
			kilobytes, _ := strconv.ParseInt(f[1], 10, 64)
			return kilobytes << 10
		}
	}
	return p.rss
}

// Supervisor names this process among all that this machine ever ran since it was
// booted.
func Supervisor() string { return supervisor() }

var supervisor = sync.OnceValue(func() string {
	p, _ := readProcess(os.Getpid())
	return fmt.Sprintf("%d-%s", os.Getpid(), p.started)
})

// Alive reports whether the process that Supervisor names still runs.
func Alive(supervisor string) bool {
	pidText, started, _ := strings.Cut(supervisor, "-")
	pid, err := strconv.Atoi(pidText)
	if err != nil {
		return false
	}
	p, ok := readProcess(pid)
	return ok && p.started == started
}

// member is a process to be ended, held by a handle that does not move on to
// another process when the PID is used again.
type member struct {
	pid, ppid int
	// started identifies it with the PID.
	started string
	handle  *os.Process
	// reap is true for a process that os/exec does not wait for. Such an
	// orphan becomes our child when this process is PID 1 of a container.
	reap bool
	// warden is true for what holds a PID namespace, and for its first process.
	warden bool
}

func (m member) signal(sig syscall.Signal) {
	// A process that has ended meanwhile is what is wanted.
	_ = m.handle.Signal(sig)
	if m.reap && sig == syscall.SIGKILL {
		_, _ = syscall.Wait4(m.pid, nil, syscall.WNOHANG, nil)
	}
}

// argv is its command line, which it can change.
func (m member) argv() []string {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(m.pid), "cmdline"))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
}

// gone is true once nothing of it runs.
func (m member) gone() bool {
	p, ok := readProcess(m.pid)
	return !ok || p.started != m.started
}

func (m member) release() { _ = m.handle.Release() }

// processes lists what belongs to g.
func (g *Group) processes() []process {
	belongs := g.belongs()
	if belongs == nil {
		return nil
	}
	return descend(belongs)
}

// belongs tells what belongs to g: sessions of its leaders, bearers of its mark. It
// is nil while there can be nothing.
func (g *Group) belongs() func(process) bool {
	g.mu.Lock()
	leaders, since := maps.Clone(g.leaders), g.since
	g.mu.Unlock()
	if len(leaders) == 0 {
		return nil
	}
	want := markVar + "=" + g.mark
	return func(p process) bool {
		if _, ok := leaders[p.session]; ok {
			return true
		}
		// An environment takes much longer to read than all the rest.
		return p.birth() >= since && p.mark() == want
	}
}

// find lists what belongs to g, to be ended.
func find(g *Group) []member {
	belongs := g.belongs()
	if belongs == nil {
		return nil
	}
	members := scan(belongs)
	g.mu.Lock()
	defer g.mu.Unlock()
	leaders, wardens := g.leaders, g.wardens
	for i := range members {
		m := &members[i]
		m.reap = !leaders[m.pid]
		m.warden = leaders[m.pid] && wardens[m.pid] || leaders[m.ppid] && wardens[m.ppid] || len(wardens) > 0 && firstOfNamespace(m.pid)
	}
	return members
}

// firstOfNamespace is true for the first process of a PID namespace other than
// this process's. What is in there ends with it.
func firstOfNamespace(pid int) bool {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return false
	}
	_, line, _ := strings.Cut(string(status), "\nNSpid:")
	line, _, _ = strings.Cut(line, "\n")
	ids := strings.Fields(line)
	return len(ids) > 1 && ids[len(ids)-1] == "1"
}

// scan lists the processes that belong and all that descend from them, to be ended.
func scan(belongs func(process) bool) []member {
	var found []member
	for _, p := range descend(belongs) {
		h, err := os.FindProcess(p.pid)
		if err != nil {
			continue
		}
		// The handle is on whoever has the PID now: it must be the same.
		if now, ok := readProcess(p.pid); !ok || now.started != p.started {
			_ = h.Release()
			continue
		}
		found = append(found, member{pid: p.pid, ppid: p.ppid, started: p.started, handle: h})
	}
	return found
}

// descend lists the processes that belong and all that descend from them.
func descend(belongs func(process) bool) []process {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	names, _ := dir.Readdirnames(-1)
	dir.Close()

	children := make(map[int][]process)
	var queue []process
	self := os.Getpid()
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == self {
			continue
		}
		p, ok := readProcess(pid)
		if !ok {
			continue
		}
		children[p.ppid] = append(children[p.ppid], p)
		if belongs(p) {
			queue = append(queue, p)
		}
	}
	var found []process
	seen := make(map[int]bool)
	for len(queue) > 0 {
		p := queue[0]
		queue = queue[1:]
		if seen[p.pid] {
			continue
		}
		seen[p.pid] = true
		queue = append(queue, children[p.pid]...)
		found = append(found, p)
	}
	return found
}
