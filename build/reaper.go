//go:build unix

package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"go.uber.org/zap"

	"switchyard/internal/fault"
	"switchyard/internal/filelock"
	"switchyard/internal/proc"
)

// reaperName is what the reaper's process is called. A program that uses this
// package is the reaper when it is started by that name alone; that it takes no
// line in anybody's main means that no program can be without one, and none, a
// test's neither, does something else when it is asked to be one.
const reaperName = "switchyard-reaper"

func init() {
	if len(os.Args) == 1 && os.Args[0] == reaperName {
		if err := reap(os.Stdin); err != nil {
			os.Exit(1) // nobody is there to be told
		}
		os.Exit(0)
	}
}

// A reaper is a process beside this one, which ends what is left of builds when
// this one is killed. It holds nothing but a pipe from here, which ends with this
// process whatever ends it, and has no secrets. Isolated builds can't see it.
//
// Builds have a while before that: the next service may be there by then, which
// ends them itself, and a command that ends meanwhile need not run again.
type reaper struct {
	log    *zap.Logger
	orders orders
	stop   context.CancelFunc
	done   chan struct{}
	// started gets the PID of each process, if a test wants to know.
	started func(pid int)
}

// orders are what a reaper is told at its start.
type orders struct {
	DataDir string
	// Wait is for how long builds are let alone, and Grace how long their
	// processes have between SIGTERM and SIGKILL.
	Wait, Grace time.Duration
	// Containers is nil where builds run in none.
	Containers *containerOrders
}

// containerOrders is what a reaper needs to remove containers.
type containerOrders struct {
	Kind, Program, Data string
	// Env has where the runtime keeps its things.
	Env []string
}

func (c *containers) orders() *containerOrders {
	if c == nil {
		return nil
	}
	return &containerOrders{c.kind, c.program, c.data, c.env}
}

func (o *containerOrders) containers() *containers {
	if o == nil {
		return nil
	}
	return &containers{kind: o.Kind, program: o.Program, data: o.Data, env: o.Env}
}

// reapAfter is how long builds go on without their service.
const reapAfter = 3 * time.Second

// startReaper starts the process and, should it end, another one. An error is
// logged: builds run without it as well.
func startReaper(log *zap.Logger, o orders, started func(pid int)) *reaper {
	ctx, cancel := context.WithCancel(context.Background())
	r := &reaper{log: log, orders: o, stop: cancel, done: make(chan struct{}), started: started}
	// It is there, with its orders, before the first build is.
	wait := r.start(ctx)
	go func() {
		defer close(r.done)
		r.keep(ctx, wait)
	}()
	return r
}

// close ends the process: this one needs it no more.
func (r *reaper) close() {
	r.stop()
	<-r.done
}

// Between two reapers of which the first has ended soon.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = time.Minute
)

func (r *reaper) keep(ctx context.Context, wait func() error) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		began := time.Now()
		err := wait()
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > lastPause {
			pause = firstPause
		}
		r.log.Warn("the process that ends builds when this service is killed has ended; another is started",
			zap.Duration("in", pause), zap.Error(err))
		if fault.Sleep(ctx, pause) != nil {
			return
		}
		wait = r.start(ctx)
	}
}

// start starts one process and returns what waits for its end. It ends with ctx.
func (r *reaper) start(ctx context.Context) (wait func() error) {
	failed := func(err error) func() error { return func() error { return err } }
	text, err := json.Marshal(r.orders)
	if err != nil {
		return failed(err)
	}
	program := "/proc/self/exe" // what runs here, though the file may be another by now
	if runtime.GOOS != "linux" {
		if program, err = os.Executable(); err != nil {
			return failed(err)
		}
	}
	in, out, err := os.Pipe()
	if err != nil {
		return failed(err)
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Args, cmd.Dir, cmd.Env, cmd.Stdin = []string{reaperName}, "/", []string{"GOMAXPROCS=1"}, in
	// No Ctrl-C of a terminal.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	in.Close()
	if err != nil {
		out.Close()
		return failed(err)
	}
	// Whether it can be written shows in the wait: the process ends then.
	_, _ = fmt.Fprintf(out, "%s\n", text)
	if r.started != nil {
		r.started(cmd.Process.Pid)
	}
	return func() error {
		defer out.Close()
		return cmd.Wait()
	}
}

// reap is the reaper's process. It returns when there is nothing more to do for
// it.
func reap(pipe io.Reader) error {
	// What ends the service in an orderly way ends this process by it.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	var o orders
	if err := json.NewDecoder(pipe).Decode(&o); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, pipe); err != nil {
		return err
	}
	deadline := time.Now().Add(o.Wait)
	for time.Now().Before(deadline) {
		if o.Containers == nil && proc.Left(o.DataDir) == 0 {
			return nil
		}
		<-time.After(min(250*time.Millisecond, time.Until(deadline)))
	}
	if filelock.Held(filepath.Join(o.DataDir, lockName)) {
		return nil // the next service does it
	}
	ended, err := endLeftovers(o.DataDir, o.Grace, o.Containers.containers())
	return errors.Join(err, addReaped(o.DataDir, ended))
}
