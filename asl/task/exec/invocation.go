//go:build unix

package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"

	"switchyard/asl/task"
	"switchyard/asl/task/lambda"
	"switchyard/internal/fault"
	"switchyard/internal/proc"
)

// invocation is one run of a program and its directory:
//
//	in, out, err   the program's standard input, output and error
//	begun          when and since which boot it runs
//	pid, status    written by the shell around the program: its PID, and at
//	               the end the program's exit status
//	shell          what that shell has to say
//	work           where the program runs, unless it has a directory
//
// The shell is what lives on when this process is killed: it is the program's
// parent, so that somebody is told how the program ended.
type invocation struct {
	p     *Program
	t     task.Task
	owner string
	dir   string
	// kept is true when the directory is found again by the task.
	kept  bool
	began time.Time
	// judged is true when the program's end is known.
	judged bool
}

// around runs "$@" and keeps its exit status. The redirections give the
// program its own standard error; the shell's is for messages of the shell.
const around = `echo $$ >"$1/pid" || exit
d=$1; shift
"$@" 2>&3 3>&-
c=$?; echo $c >"$d/status"; exit $c`

// begun is the file of that name. What an earlier boot of the machine left is
// of no use: nothing of it runs, and what it wrote may not be whole.
type begun struct {
	Boot string
	Time time.Time
}

// keptIn gives the directory that a task's invocation has in StateDir.
func (p *Program) keptIn(t task.Task) (dir string, ok bool) {
	if p.cfg.StateDir == "" || t.ID == "" || t.ID[0] == '.' || strings.ContainsAny(t.ID, "/\x00") {
		return "", false
	}
	return filepath.Join(p.cfg.StateDir, t.ID), true
}

// keepFor is how long what nobody asked for again is kept.
const keepFor = 7 * 24 * time.Hour

// clean removes what was kept of tasks that were never forgotten.
func (p *Program) clean() error {
	if p.cfg.StateDir == "" {
		return nil
	}
	entries, err := os.ReadDir(p.cfg.StateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > keepFor {
			if err := os.RemoveAll(filepath.Join(p.cfg.StateDir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Program) open(t task.Task) (*invocation, error) {
	inv := &invocation{p: p, t: t, owner: "exec " + t.ExecutionARN + " " + t.ID}
	var err error
	if inv.dir, inv.kept = p.keptIn(t); inv.kept {
		err = os.MkdirAll(inv.dir, 0o700)
	} else {
		inv.dir, err = os.MkdirTemp("", "switchyard-exec-")
	}
	if err != nil {
		return nil, err
	}
	if t.Restarted && inv.kept {
		var b begun
		text, err := os.ReadFile(inv.path("begun"))
		if err == nil && json.Unmarshal(text, &b) == nil && b.Boot != "" && b.Boot == proc.BootID() {
			inv.began = b.Time
		}
	}
	return inv, nil
}

func (inv *invocation) path(name string) string { return filepath.Join(inv.dir, name) }

// age is for how long the program has been running already.
func (inv *invocation) age() time.Duration {
	if inv.began.IsZero() {
		return 0
	}
	return max(0, time.Since(inv.began))
}

// close removes the directory unless the program may be asked for again: by
// the next process, or because its end is not yet stored.
func (inv *invocation) close(ctx context.Context, err error) error {
	keep := inv.kept && (ctx.Err() == nil && inv.judged && fault.Of(err) == nil || errors.Is(context.Cause(ctx), task.ErrShutdown))
	if keep {
		return nil
	}
	return os.RemoveAll(inv.dir)
}

// adopt takes over the program that an earlier process started: it waits for
// its end, or finds that it has ended. It returns false when the program was
// cut off, and then nothing of it is left.
func (inv *invocation) adopt(ctx context.Context) (bool, error) {
	log := inv.p.log.With(zap.String("execution", inv.t.ExecutionName), zap.String("task_id", inv.t.ID), zap.String("program", inv.p.path))
	if !inv.began.IsZero() {
		watched, stop := inv.limit(ctx)
		defer stop()
		for wait := 5 * time.Millisecond; ; wait = min(2*wait, 250*time.Millisecond) {
			alive := inv.lives()
			// In this order: the status is there before the shell is gone.
			if ended, err := inv.status(); ended {
				_, sweepErr := inv.sweep()
				log.Info("took over a program that an earlier process started")
				return true, errors.Join(err, sweepErr)
			}
			if !alive {
				break
			}
			if cause := fault.Sleep(watched, wait); cause != nil {
				if errors.Is(cause, task.ErrShutdown) {
					return true, cause // it may run on, for the next process
				}
				_, err := inv.sweep()
				return true, errors.Join(cause, err)
			}
		}
	}
	n, err := inv.sweep()
	if err != nil {
		return false, err
	}
	if n == 0 && inv.began.IsZero() {
		return false, nil
	}
	log.Info("a program was cut off with an earlier process; it is run again", zap.Int("ended_processes", n))
	return false, nil
}

// limit ends the context when the program takes too long or writes too much.
func (inv *invocation) limit(ctx context.Context) (context.Context, func()) {
	timed, cancel := context.WithTimeoutCause(ctx, inv.p.cfg.Timeout-inv.age(), lambda.ErrTimedOut)
	watched, stop := watch(timed, inv.path("out"), inv.path("err"))
	return watched, func() { stop(); cancel() }
}

func (inv *invocation) lives() bool {
	b, err := os.ReadFile(inv.path("pid"))
	if err != nil {
		return false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	return err == nil && proc.Lives(pid, inv.owner)
}

func (inv *invocation) sweep() (int, error) {
	ended, err := proc.Sweep(inv.owner, inv.p.cfg.KillGrace)
	return ended[""], err
}

// status reads how the program ended, if it has: nil for exit status 0.
func (inv *invocation) status() (ended bool, err error) {
	b, readErr := os.ReadFile(inv.path("status"))
	text, whole := strings.CutSuffix(string(b), "\n")
	if readErr != nil || !whole {
		return false, nil //nolint:nilerr // it has not ended
	}
	code, convErr := strconv.Atoi(text)
	if convErr != nil {
		return false, nil //nolint:nilerr // it is being written
	}
	inv.judged = true
	return true, ending(code)
}

// ending words an exit status of the shell, which is its program's.
func ending(code int) error {
	switch {
	case code == 0:
		return nil
	case code > 128 && code <= 128+64:
		// The shell's way to say that a signal ended it.
		return errors.New("signal: " + syscall.Signal(code-128).String())
	}
	return fmt.Errorf("exit status %d", code)
}

// prepare makes the files of a run, and none of an earlier one.
func (inv *invocation) prepare(payload []byte) error {
	if err := os.RemoveAll(inv.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(inv.dir, 0o700); err != nil {
		return err
	}
	if inv.p.cfg.Dir == "" {
		if err := os.Mkdir(inv.path("work"), 0o700); err != nil {
			return err
		}
	}
	inv.began = time.Now()
	begins, err := json.Marshal(begun{Boot: proc.BootID(), Time: inv.began})
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{"in": payload, "out": nil, "err": nil, "begun": begins} {
		if err := os.WriteFile(inv.path(name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// run runs the program and waits for it: runErr says how it ended, err why it
// could not be run.
func (inv *invocation) run(ctx context.Context) (runErr, err error) {
	p := inv.p
	if _, err := osexec.LookPath(p.path); err != nil {
		return nil, err
	}
	cmd := &osexec.Cmd{
		Path: "/bin/sh", Args: slices.Concat([]string{"/bin/sh", "-c", around, "switchyard-exec", inv.dir, p.path}, p.cfg.Command[1:]),
		Dir: p.cfg.Dir,
		Env: append(slices.Clone(p.env), "SWITCHYARD_EXECUTION="+inv.t.ExecutionName, "SWITCHYARD_STATE="+inv.t.StateName),
	}
	if cmd.Dir == "" {
		cmd.Dir = inv.path("work")
	}
	// Files, not pipes: a child that lives on can't keep us waiting, a program
	// that never reads can't block us, and both outlive this process.
	var files []*os.File
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	for _, name := range []string{"in", "out", "shell", "err"} {
		mode := os.O_CREATE | os.O_WRONLY | os.O_APPEND
		if name == "in" {
			mode = os.O_RDONLY
		}
		f, err := os.OpenFile(inv.path(name), mode, 0o600)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = files[0], files[1], files[2], files[3:]

	watched, stop := inv.limit(ctx)
	defer stop()
	group := proc.NewGroup(inv.owner, "", p.cfg.KillGrace)
	runErr = group.Run(watched, cmd)
	if err := group.End(); err != nil {
		p.log.Warn("program can't be ended", zap.String("task_id", inv.t.ID), zap.Error(err))
	}
	exit := new(osexec.ExitError)
	if ended, how := inv.status(); ended {
		runErr = how
	} else if cause := context.Cause(watched); cause == nil {
		switch {
		case errors.As(runErr, &exit) && exit.Exited():
			runErr = ending(exit.ExitCode())
		case runErr != nil && exit.ProcessState == nil:
			return nil, runErr // the shell could not be started
		}
		inv.judged = true
	}
	if err := inv.notRun(); err != nil {
		inv.judged = false
		return nil, err
	}
	if runErr != nil && context.Cause(watched) == nil {
		// A program that fails for want of room has not failed.
		if full := fault.Room(inv.dir); full != nil {
			inv.judged = false
			return nil, fmt.Errorf("%w (%w)", runErr, full)
		}
	}
	return runErr, nil
}

// notRun says whether the shell could not start the program, which is no
// failure of the program's.
func (inv *invocation) notRun() error {
	said, err := os.ReadFile(inv.path("shell"))
	if err != nil || len(said) == 0 {
		return nil //nolint:nilerr // nothing was said
	}
	if bytes.Contains(bytes.ToLower(said), []byte("fork")) {
		return fmt.Errorf("%s: %w", firstLine(said), syscall.EAGAIN)
	}
	if info, err := os.Stat(inv.path("pid")); err != nil || info.Size() == 0 {
		return fmt.Errorf("%s: %w", firstLine(said), syscall.ENOSPC)
	}
	return nil
}

func firstLine(b []byte) string {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return string(line)
}
