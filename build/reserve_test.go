//go:build linux

package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"switchyard/internal/fault"
)

// aBuild is a build for the reserve, which takes what it is told.
type aBuild struct {
	takes int64
	held  atomic.Bool
	leave func()
	ended atomic.Pointer[fault.Error]
}

func (b *aBuild) hold()                { b.held.Store(true) }
func (b *aBuild) goOn()                { b.held.Store(false) }
func (b *aBuild) taken() int64         { return b.takes }
func (b *aBuild) evict(f *fault.Error) { b.ended.Store(f); go b.leave() }

// disk is a reserve of 1000 bytes, and what is free.
func disk() (*reserve, *atomic.Int64) {
	var free atomic.Int64
	free.Store(5000)
	return &reserve{least: 1000, free: free.Load, log: zap.NewNop()}, &free
}

func TestReservePausesAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, free := disk()
		a, b := &aBuild{takes: 1}, &aBuild{takes: 2}
		a.leave, b.leave = r.enter(a), r.enter(b)
		held := func(when string, want bool) {
			t.Helper()
			time.Sleep(300 * time.Millisecond)
			synctest.Wait()
			paused := 0
			if want {
				paused = 2
			}
			if a.held.Load() != want || b.held.Load() != want || r.room().Paused != paused {
				t.Errorf("%s: held %v %v, %d paused", when, a.held.Load(), b.held.Load(), r.room().Paused)
			}
		}
		held("plenty is free", false)
		free.Store(1000)
		held("just enough", false)
		free.Store(999)
		held("too little", true)
		free.Store(1100)
		held("not enough to go on", true)
		free.Store(1250)
		held("enough to go on", false)
		free.Store(700)
		held("again too little", true)
		a.leave()
		if a.held.Load() {
			t.Error("a build that ends is still paused")
		}
		b.leave()
		if room := r.room(); room.Paused != 0 || a.ended.Load() != nil || b.ended.Load() != nil {
			t.Errorf("%+v, ended %v %v", room, a.ended.Load(), b.ended.Load())
		}
	})
}

func TestReserveEndsTheLargest(t *testing.T) {
	for _, tc := range []struct {
		name string
		free int64
		// after is how long it takes.
		after time.Duration
	}{
		{"nobody makes room", 800, pauseAtMost},
		{"less than half is free", 499, 0},
		{"nothing is free", 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, free := disk()
				small, large, middle := &aBuild{takes: 10}, &aBuild{takes: 300}, &aBuild{takes: 200}
				for _, b := range []*aBuild{small, large, middle} {
					b.leave = r.enter(b)
				}
				free.Store(tc.free)
				began := time.Now()
				for large.ended.Load() == nil {
					time.Sleep(10 * time.Millisecond)
					synctest.Wait()
				}
				if took := time.Since(began); took < tc.after || took > tc.after+time.Second {
					t.Errorf("ended after %v, want %v", took, tc.after)
				}
				if text := large.ended.Load().Error(); !large.ended.Load().Command || !errors.Is(large.ended.Load(), syscall.ENOSPC) || !strings.Contains(text, "engine.embedded.builds.reserve") {
					t.Errorf("ended with %s", text)
				}
				// That has made room.
				free.Store(2000)
				time.Sleep(time.Second)
				synctest.Wait()
				if small.held.Load() || middle.held.Load() || small.ended.Load() != nil || middle.ended.Load() != nil {
					t.Errorf("the others: held %v %v, ended %v %v", small.held.Load(), middle.held.Load(), small.ended.Load(), middle.ended.Load())
				}
				// If it had not, it would be the next one's turn.
				free.Store(tc.free)
				time.Sleep(tc.after + time.Second)
				synctest.Wait()
				if middle.ended.Load() == nil || small.ended.Load() != nil && tc.after > 0 {
					t.Errorf("then: %v %v", middle.ended.Load(), small.ended.Load())
				}
				small.leave()
			})
		})
	}
}

func TestBuildsBeginWhenThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, free := disk()
		var notes []string
		note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
		if err := r.begin(t.Context(), note); err != nil || len(notes) > 0 {
			t.Errorf("%v %v", err, notes)
		}
		free.Store(999)
		began := make(chan error)
		go func() { began <- r.begin(t.Context(), note) }()
		time.Sleep(24 * time.Hour)
		if n := r.room().Waiting; n != 1 {
			t.Errorf("%d wait", n)
		}
		free.Store(1000)
		if err := <-began; err != nil || len(notes) != 2 || !strings.Contains(notes[0], "engine.embedded.builds.reserve") || r.room().Waiting != 0 {
			t.Errorf("%v %v %+v", err, notes, r.room())
		}
		free.Store(0)
		cause := errors.New("stopped")
		ctx, stop := context.WithCancelCause(t.Context())
		go func() { began <- r.begin(ctx, note) }()
		synctest.Wait()
		stop(cause)
		if err := <-began; !errors.Is(err, cause) || r.room().Waiting != 0 {
			t.Errorf("%v %+v", err, r.room())
		}
	})
}

func TestReserveFitsTheDisk(t *testing.T) {
	dir := t.TempDir()
	_, total := fault.Space(dir)
	for least, want := range map[int64]int64{0: min(1<<30, total/20), -1: 0, 7: 7} {
		if r := newReserve(dir, least, zap.NewNop()); r.least != want || r.free() <= 0 {
			t.Errorf("%d: %d, want %d; %d are free", least, r.least, want, r.free())
		}
	}
	if r := newReserve("/no/such/place", 0, zap.NewNop()); r.least != 0 || r.free() <= 0 {
		t.Errorf("a disk that can't be measured: %d of %d", r.least, r.free())
	}
}

// On a real disk: a build that fills it is stopped in time, those beside it go on
// once it is gone, and it is tried again by itself when there is room.
func TestReserveOnADiskOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=128m"); err != nil {
		skipOnLaptop(t, "no tmpfs can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	r := newRepo(t)
	for _, isolation := range []string{IsolationBubblewrap, IsolationNone} {
		t.Run(isolation, func(t *testing.T) {
			if isolation == IsolationBubblewrap {
				needBubblewrap(t)
			}
			gate := filepath.Join(t.TempDir(), "gate")
			hog := r.spec("version: 0.2\nphases: {build: {commands: ['test -f " + gate + " || while :; do head -c 1M /dev/zero >> zeros && sleep .01; done']}}\n")
			quiet := r.spec("version: 0.2\nphases: {build: {commands: ['while ! test -f " + gate + "; do sleep .05; done; echo quiet']}}\n")
			h, logs := watched(t, Config{DataDir: filepath.Join(dir, isolation), Reserve: 64 << 20, MaxParallel: 2, Isolation: isolation})
			h.firstWait = 300 * time.Millisecond
			var least atomic.Int64
			least.Store(1 << 40)
			free := h.reserve.free
			h.reserve.free = func() int64 {
				n := free()
				least.Store(min(n, least.Load()))
				return n
			}
			beside := begin(t, h, newTask(t, "beside", input{"SourceVersion": quiet, "SourceLocationOverride": r.bare}))
			done := begin(t, h, newTask(t, "t", input{"SourceVersion": hog, "SourceLocationOverride": r.bare}))
			waits(t, logs, 1)
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			wantSuccess(t, h, done, "paused: the disk has less free than the 64 MB", "engine.embedded.builds.reserve", "the build is tried again")
			if o := <-beside; o.err != nil {
				t.Errorf("the build beside it: %v", o.err)
			}
			if n := least.Load(); n < 32<<20 {
				t.Errorf("only %s were free", roughly(n))
			}
		})
	}
}
