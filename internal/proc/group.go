//go:build unix

// Package proc runs programs so that nothing they start outlives them.
//
// A process group alone is not enough: a build's daemon leaves it with
// setsid(2). So every program of a [Group] also carries a mark in its
// environment, which its children inherit, and on Linux the end of a group is
// the end of everything that has the mark, or is in a session the group
// opened, or descends from such a process. The rejected alternatives:
// a cgroup needs a delegated tree, and being a subreaper would make this
// process wait for strangers. What can still escape is a program that clears
// its environment, opens a session of its own and loses its parent, all three;
// from a PID namespace, where there is one ([Group.RunNamespace]), nothing can.
//
// The mark also names this process, so that [Sweep] finds what a process that
// was killed left behind. Elsewhere than on Linux only process groups are
// ended and Sweep finds nothing.
//
// Outside of a namespace nothing asks the kernel to end programs with this
// process (PDEATHSIG): it would end the program started here and let those that
// it started go on, so that nobody could tell any more whether they had come to
// their end. What outlives this process is ended, or waited for, by the next one.
package proc

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// markVar is the environment variable that carries the mark:
// <hash of the owner>.<supervisor>.<serial>.<name>.
const markVar = "SWITCHYARD_MARK"

// serial tells the groups of this process apart; a mark must be unique among
// all groups that live at the same time.
var serial atomic.Uint64

// Group is a set of programs that end together. It is safe for concurrent use.
type Group struct {
	mark  string
	grace time.Duration

	mu sync.Mutex
	// leaders are the programs started here, each the leader of its session;
	// true while os/exec has not waited for it.
	leaders map[int]bool
	// wardens are those of the leaders that hold a PID namespace.
	wardens map[int]bool
	// since is when the first of them was started: nothing older is a member.
	since birth
}

// NewGroup makes a group. The owner is any text by which [Sweep] finds the
// group's programs after a crash, and the name, a word, is what it counts them
// by. The grace is how long they have between SIGTERM and SIGKILL.
func NewGroup(owner, name string, grace time.Duration) *Group {
	return &Group{
		mark:    fmt.Sprintf("%s.%s.%d.%s", OwnerKey(owner), Supervisor(), serial.Add(1), name),
		grace:   grace,
		leaders: make(map[int]bool),
		wardens: make(map[int]bool),
	}
}

// OwnerKey is a name for the owner, in letters and digits.
func OwnerKey(owner string) string {
	sum := sha256.Sum256([]byte(owner))
	return hex.EncodeToString(sum[:12])
}

// Mark is the variable, NAME=value, by which the group's programs are known. It is
// for those that inherit no environment of ours, as in containers.
func (g *Group) Mark() string { return markVar + "=" + g.mark }

// Run starts cmd in the group and waits for it. When ctx ends, everything in
// the group is ended first and the cause of ctx is returned. Other programs
// that cmd left running stay until [Group.End].
//
// cmd.Env is the whole environment, also when it is nil. The output must go to files (or pipes made by os.Pipe), not to
// writers that os/exec would copy to: those are waited for until the last
// child closes them.
func (g *Group) Run(ctx context.Context, cmd *exec.Cmd) error { return g.run(ctx, cmd, false) }

// RunNamespace is Run for a program that makes a PID namespace, whose first
// process is its child, and gives it a session keyring of its own. The two are not
// asked to end but ended, once nothing else is left in the namespace or the grace
// is over: with them goes all that is in it.
func (g *Group) RunNamespace(ctx context.Context, cmd *exec.Cmd) error { return g.run(ctx, cmd, true) }

func (g *Group) run(ctx context.Context, cmd *exec.Cmd, namespace bool) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	// A session of its own: no terminal to prompt on or to get Ctrl-C from.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env = append(cmd.Env[:len(cmd.Env):len(cmd.Env)], markVar+"="+g.mark)

	started, done := make(chan error, 1), make(chan error, 1)
	go func() {
		if namespace {
			if err := ownKeyring(); err != nil {
				started <- err
				return
			}
		}
		g.mu.Lock()
		err := cmd.Start()
		if err != nil {
			g.mu.Unlock()
			started <- err
			return
		}
		pid := cmd.Process.Pid
		if len(g.leaders) == 0 {
			g.since = birthOf(pid)
		}
		g.leaders[pid] = true
		if namespace {
			g.wardens[pid] = true
		}
		g.mu.Unlock()
		started <- nil
		err = cmd.Wait()
		g.mu.Lock()
		g.leaders[pid] = false
		g.mu.Unlock()
		done <- err
	}()
	if err := <-started; err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		endErr := g.End()
		if endErr == nil {
			<-done
		}
		return errors.Join(context.Cause(ctx), endErr)
	}
}

// killWait bounds the wait for processes that SIGKILL has not ended yet, such
// as those in uninterruptible sleep.
const killWait = 10 * time.Second

// End ends everything in the group: SIGTERM, the grace, SIGKILL. It returns
// when nothing is left, or with an error that names what can't be killed.
func (g *Group) End() error {
	members := func() []member { return find(g) }
	return end(members, g.grace)
}

func end(members func() []member, grace time.Duration) error {
	termed := make(map[int]member)
	begin := time.Now()
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		left := members()
		inside := 0 // those that are not wardens
		for _, m := range left {
			if !m.warden {
				inside++
			}
		}
		// One that is about to end is no member any more: it has lost its
		// environment already.
		ending := 0
		for pid, m := range termed {
			switch {
			case m.gone():
				delete(termed, pid)
			case !slices.ContainsFunc(left, func(l member) bool { return l.pid == pid }):
				ending++
			}
		}
		if len(left)+ending == 0 {
			return nil
		}
		age := time.Since(begin)
		for _, m := range left {
			_, known := termed[m.pid]
			switch {
			case age >= grace, m.warden && inside == 0:
				m.signal(syscall.SIGKILL)
			case m.warden:
				m.release()
				continue
			case !known:
				m.signal(syscall.SIGTERM)
				m.signal(syscall.SIGCONT) // one that is stopped would not hear of it
			}
			termed[m.pid] = m
			m.release()
		}
		if age > grace+killWait {
			return fmt.Errorf("%d processes survive SIGKILL", len(left)+ending)
		}
		<-time.After(wait)
	}
}

// Signal sends a signal to everything in the group. What begins meanwhile may not
// get it.
func (g *Group) Signal(sig syscall.Signal) {
	for _, m := range find(g) {
		m.signal(sig)
		m.release()
	}
}

// Usage is what the programs of a group take.
type Usage struct {
	// Tasks are processes and threads.
	Tasks int
	// RSS is the resident memory of the processes, in bytes. What several share
	// counts for each of them: [Group.PSS] is exact, and slow.
	RSS int64
}

// Usage looks at the group now. Elsewhere than on Linux it sees nothing.
func (g *Group) Usage() Usage {
	var u Usage
	for _, p := range g.processes() {
		u.Tasks += p.threads
		u.RSS += p.rss
	}
	return u
}

// PSS is the memory of the group's processes, in bytes, where of what n processes
// share each has an nth.
func (g *Group) PSS() int64 {
	var sum int64
	for _, p := range g.processes() {
		sum += p.pss()
	}
	return sum
}

// Sweep ends what the groups of the same owner left behind in processes that
// are gone, and returns how many processes that were at first, by the names of
// their groups. Groups of living processes are let alone.
func Sweep(owner string, grace time.Duration) (map[string]int, error) {
	ended := make(map[string]int)
	first := leftBehind(owner, func(name string) { ended[name]++ })
	for _, m := range first {
		m.release()
	}
	if len(first) == 0 {
		return nil, nil
	}
	return ended, end(func() []member { return leftBehind(owner, nil) }, grace)
}

// leftBehind are what Sweep ends. The name of each one's group is counted, if
// anybody counts.
func leftBehind(owner string, count func(name string)) []member {
	left := scan(func(p process) bool {
		by, name, ok := marked(p, owner)
		if !ok || Alive(by) {
			return false
		}
		if count != nil {
			count(name)
		}
		return true
	})
	for i := range left {
		left[i].warden = firstOfNamespace(left[i].pid)
	}
	return left
}

// Left is how many processes Sweep would end.
func Left(owner string) int { return Stop(owner, func([]string) bool { return true }) }

// Stop stops (SIGSTOP) what Sweep would end, except what except names by its
// command line, and returns how many processes Sweep would end. What waits for
// one of them to end can then be told from what does not.
func Stop(owner string, except func(argv []string) bool) int {
	left := leftBehind(owner, nil)
	for _, m := range left {
		if !except(m.argv()) {
			m.signal(syscall.SIGSTOP)
		}
		m.release()
	}
	return len(left)
}

// Lives reports whether the process with that PID lives and belongs to a group
// of the owner: a PID may have been used again.
func Lives(pid int, owner string) bool {
	p, ok := readProcess(pid)
	if !ok {
		return false
	}
	_, _, ok = marked(p, owner)
	return ok
}

// marked takes the mark of a process apart, if it is one of the owner's: who
// supervised its group, and the group's name.
func marked(p process, owner string) (supervisor, name string, ok bool) {
	rest, ok := strings.CutPrefix(p.mark(), markVar+"="+OwnerKey(owner)+".")
	if !ok {
		return "", "", false
	}
	supervisor, rest, _ = strings.Cut(rest, ".")
	_, name, _ = strings.Cut(rest, ".")
	return supervisor, name, true
}

// BootID names the time since this machine was booted; "" where there is no
// such name. No process of another boot lives.
func BootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
