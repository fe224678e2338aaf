//go:build unix

package build

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"switchyard/internal/fault"
)

// reserve keeps some of the file system of the data folder free: a journal that
// can't write takes no deliveries, and a build must not bring that about.
//
//   - While less is free no build begins, and those that run are paused: all of
//     them, since which of them writes is known too late for a fast disk. They go on
//     when a quarter more than that is free, so that they don't stop and go.
//   - Paused builds free nothing. So when nobody else has made room for a while, the
//     one that takes the most is ended, and tried again when there is room. When less
//     than half is free something writes all the same, and it is ended at once.
type reserve struct {
	least int64
	free  func() int64
	log   *zap.Logger

	mu      sync.Mutex
	running []holder // in the order in which they began
	evicted holder   // the one that was ended last, while it is there
	paused  bool
	since   time.Time // of the pause, or of the end of the one before
	waiting int
	stop    context.CancelFunc // of the look-out, which lasts while builds run
}

// holder is a build that runs. Its methods are called by one goroutine at a time.
type holder interface {
	// hold stops all that runs of the build, also what has begun since it was last
	// called; goOn ends that.
	hold()
	goOn()
	// taken is what the build's files take, in bytes.
	taken() int64
	// evict ends the build at once.
	evict(*fault.Error)
}

const (
	lookEvery       = 50 * time.Millisecond
	lookPausedEvery = 250 * time.Millisecond
	// pauseAtMost is how long builds are paused before one is ended.
	pauseAtMost = 10 * time.Second
	// reserveShare is the part of a file system that is kept at most by default.
	reserveShare   = 20
	defaultReserve = 1 << 30
)

// newReserve keeps least bytes of the file system of dir, as [Reserve] does.
func newReserve(dir string, least int64, log *zap.Logger) *reserve {
	free := func() int64 {
		n, total := fault.Space(dir)
		if total == 0 {
			return math.MaxInt64
		}
		return n
	}
	return &reserve{least: Reserve(dir, least), free: free, log: log}
}

// Reserve is how many bytes of the file system of dir are kept where [Config] says
// least: 0 for the default, less for nothing.
func Reserve(dir string, least int64) int64 {
	if least == 0 {
		_, total := fault.Space(dir)
		least = min(defaultReserve, total/reserveShare)
	}
	return max(0, least)
}

// enter says that a build runs until the returned function is called. It is not
// paused any more when that returns.
func (r *reserve) enter(h holder) (leave func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = append(r.running, h)
	if r.stop == nil {
		ctx, cancel := context.WithCancel(context.Background())
		r.stop = cancel
		go r.lookOut(ctx)
	}
	return sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.running = slices.DeleteFunc(r.running, func(other holder) bool { return other == h })
		if r.evicted == h {
			r.evicted, r.since = nil, time.Now()
		}
		if r.paused {
			h.goOn()
		}
		if len(r.running) == 0 {
			r.stop()
			r.stop, r.paused = nil, false
		}
	})
}

func (r *reserve) lookOut(ctx context.Context) {
	every := lookEvery
	for fault.Sleep(ctx, every) == nil {
		every = lookEvery
		if r.look(ctx) {
			every = lookPausedEvery
		}
	}
}

// look does what the free space asks for, and reports whether builds are paused.
func (r *reserve) look(ctx context.Context) (paused bool) {
	free := r.free()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case ctx.Err() != nil || !r.paused && free >= r.least:
		return false
	case r.paused && free >= r.least+r.least/4:
		r.paused = false
		for _, h := range r.running {
			h.goOn()
		}
		r.log.Info("builds go on: there is room on the disk again", zap.Int64("free_bytes", free))
		return false
	}
	if !r.paused {
		r.paused, r.since = true, time.Now()
		r.log.Warn("builds are paused: the disk has less free than is kept for the service (engine.embedded.builds.reserve)",
			zap.Int64("free_bytes", free), zap.Int64("reserve_bytes", r.least), zap.Int("builds", len(r.running)))
	}
	for _, h := range r.running {
		h.hold()
	}
	if r.evicted == nil && (free < r.least/2 || time.Since(r.since) >= pauseAtMost) {
		most := int64(-1)
		for _, h := range r.running {
			if n := h.taken(); n > most {
				r.evicted, most = h, n
			}
		}
		r.evicted.evict(&fault.Error{Command: true, Err: fmt.Errorf("the disk has %s free, less than the %s that are kept for the service (engine.embedded.builds.reserve), and this build took the most: %w",
			roughly(free), roughly(r.least), syscall.ENOSPC)})
	}
	return true
}

// roughly is a size for people.
func roughly(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GB", n>>30)
	case n >= 1<<20:
		return fmt.Sprintf("%d MB", n>>20)
	}
	return fmt.Sprintf("%d KB", n>>10)
}

// wait returns when builds are not paused, or with the cause of ctx.
func (r *reserve) wait(ctx context.Context) error {
	for {
		r.mu.Lock()
		paused := r.paused
		r.mu.Unlock()
		if !paused {
			return context.Cause(ctx)
		}
		if err := fault.Sleep(ctx, lookPausedEvery); err != nil {
			return err
		}
	}
}

// begin waits until a build may begin. It notes what it waits for.
func (r *reserve) begin(ctx context.Context, note func(string, ...any)) error {
	for waited := false; ; waited = true {
		free := r.free()
		r.mu.Lock()
		may := free >= r.least && !r.paused
		if !may && !waited {
			r.waiting++
		}
		if may && waited {
			r.waiting--
		}
		r.mu.Unlock()
		switch {
		case may && waited:
			note("there is room on the disk again: the build begins")
			return nil
		case may:
			return nil
		case !waited:
			note("waiting for room on the disk: %s are free, and builds begin when %s are (engine.embedded.builds.reserve)", roughly(free), roughly(r.least))
		}
		if err := fault.Sleep(ctx, lookPausedEvery); err != nil {
			r.mu.Lock()
			r.waiting--
			r.mu.Unlock()
			return err
		}
	}
}

// Room is how builds stand with the space on the disk.
type Room struct {
	// Free is what the file system of the data folder has free, and Reserve what
	// builds leave of it, in bytes.
	Free, Reserve int64
	// Paused and Waiting are builds that the lack of it has stopped, and those that
	// it keeps from beginning.
	Paused, Waiting int
}

// Room is how it is now.
func (h *Handler) Room() Room { return h.reserve.room() }

func (r *reserve) room() Room {
	room := Room{Free: r.free(), Reserve: r.least}
	r.mu.Lock()
	defer r.mu.Unlock()
	room.Waiting = r.waiting
	if r.paused {
		room.Paused = len(r.running)
	}
	return room
}

func (s *session) hold() {
	if !s.held {
		s.held = true
		s.log.note("paused: the disk has less free than the %s that are kept for the service (engine.embedded.builds.reserve)", roughly(s.h.reserve.least))
	}
	s.group.Signal(syscall.SIGSTOP)
}

func (s *session) goOn() {
	if s.held {
		s.log.note("the build goes on")
	}
	s.held = false
	s.group.Signal(syscall.SIGCONT)
}

func (s *session) taken() int64 { return s.diskUsed(math.MaxInt64 / 2).bytes }

func (s *session) evict(f *fault.Error) {
	s.held = false
	s.exceed(f)
	s.group.Signal(syscall.SIGKILL)
}
