//go:build unix

package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/asl/task"
)

func TestOfTellsTheMachineFromTheTask(t *testing.T) {
	for _, err := range []error{
		&os.PathError{Op: "open", Path: "x", Err: syscall.EMFILE},
		fmt.Errorf("fork: %w", &os.SyscallError{Syscall: "fork", Err: syscall.EAGAIN}),
		fmt.Errorf("write: %w", syscall.ENOSPC),
		fmt.Errorf("fetch: %w", &Error{Err: errors.New("connection refused")}),
	} {
		if Of(err) == nil {
			t.Errorf("%v is no fault of the machine", err)
		}
	}
	for _, err := range []error{
		nil, errors.New("no space left on device"), &exec.ExitError{}, os.ErrNotExist, context.Canceled, syscall.EACCES,
	} {
		if f := Of(err); f != nil {
			t.Errorf("%v is the fault %v", err, f)
		}
	}
}

func TestWaitsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := Waits{First: time.Second, Patience: time.Hour}
		f := &Error{Err: syscall.ENOSPC}
		begin := time.Now()
		tries := 0
		for {
			d, ok := w.After(f, time.Now())
			if !ok {
				break
			}
			if d <= 0 || d > longestWait {
				t.Fatalf("wait of %v", d)
			}
			tries++
			if err := Sleep(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took != time.Hour || tries < 60 || tries > 80 {
			t.Errorf("%d tries in %v", tries, took)
		}
		// Work that went on for long begins anew.
		time.Sleep(time.Hour)
		if d, ok := w.After(f, time.Now()); !ok || d != time.Second {
			t.Errorf("after an hour of work: %v %v", d, ok)
		}
		// But not for ever.
		tries = 0
		for ; tries < 1000; tries++ {
			time.Sleep(time.Hour)
			if _, ok := w.After(f, time.Now()); !ok {
				break
			}
		}
		if tries > mostAnew {
			t.Errorf("long work was tried %d times more", tries)
		}
	})
}

func TestBriefFaultsEndSoon(t *testing.T) {
	w := Waits{First: time.Second, Patience: time.Hour}
	now := time.Now()
	tries := 0
	var total time.Duration
	for {
		d, ok := w.After(&Error{Err: os.ErrNotExist, Brief: true}, now)
		if !ok {
			break
		}
		tries++
		total += d
		now = now.Add(d)
	}
	if tries != briefTries || total > 20*time.Second {
		t.Errorf("%d tries in %v", tries, total)
	}
}

func TestSleepEndsWithTheContext(t *testing.T) {
	cause := errors.New("stopped")
	ctx, stop := context.WithCancelCause(t.Context())
	stop(cause)
	if err := Sleep(ctx, time.Hour); !errors.Is(err, cause) {
		t.Errorf("Sleep: %v", err)
	}
}

func TestRoomFindsSomeHere(t *testing.T) {
	if err := Room(t.TempDir()); err != nil {
		t.Skipf("this disk is full: %v", err)
	}
	if err := Room("/no/such/place"); err != nil {
		t.Errorf("a place that isn't there is full: %v", err)
	}
}

func TestAgainTriesUntilTheMachineIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, told := 0, 0
		err := Again(t.Context(), Waits{First: time.Second, Patience: time.Hour}, func() error {
			if calls++; calls < 4 {
				return syscall.EMFILE
			}
			return os.ErrExist
		}, func(error, int, time.Duration) { told++ })
		if !errors.Is(err, os.ErrExist) || calls != 4 || told != 3 {
			t.Errorf("%v after %d calls, told %d times", err, calls, told)
		}
		err = Again(t.Context(), Waits{First: time.Second, Patience: time.Hour}, func() error { return syscall.ENOSPC }, func(error, int, time.Duration) {})
		var failure *task.Error
		if !errors.As(err, &failure) || failure.Name != task.MachineFault || !strings.HasPrefix(failure.Cause, "no space left on device (tried ") {
			t.Errorf("at last: %v", err)
		}
	})
}
