//go:build unix && !linux

package proc

import (
	"os"
	"strconv"
	"syscall"
)

type process struct {
	threads int
	rss     int64
}

type birth struct{}

func birthOf(int) birth { return birth{} }

func (process) mark() string { return "" }

func (process) pss() int64 { return 0 }

func (g *Group) processes() []process { return nil }

func ownKeyring() error { return nil }

// Supervisor names this process.
func Supervisor() string { return strconv.Itoa(os.Getpid()) }

func readProcess(int) (process, bool) { return process{}, false }

// Alive is not known.
func Alive(string) bool { return true }

// member is a whole process group, by the PID of its leader.
type member struct {
	pid    int
	warden bool
}

func (m member) signal(sig syscall.Signal) { _ = syscall.Kill(-m.pid, sig) }

func (m member) argv() []string { return nil }

// gone leaves it to find to tell.
func (m member) gone() bool { return true }

func (m member) release() {}

// find lists the process groups that still have members.
func find(g *Group) []member {
	g.mu.Lock()
	defer g.mu.Unlock()
	var found []member
	for pid := range g.leaders {
		if syscall.Kill(-pid, 0) == nil {
			found = append(found, member{pid: pid})
		}
	}
	return found
}

func firstOfNamespace(int) bool { return false }

func scan(func(process) bool) []member { return nil }

// Nameless sees nothing here.
func (g *Group) Nameless(uint64) int64 { return 0 }
