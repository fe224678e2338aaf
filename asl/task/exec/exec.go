//go:build unix

// Package exec runs a local program in the place of a Lambda function: the
// event on standard input, the answer on standard output, both JSON.
//
// What runs is fixed by the configuration, argument by argument; nothing of
// the event reaches a command line, and there is no shell. When an invocation
// returns, everything the program started is gone.
package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"switchyard/asl/task"
	"switchyard/asl/task/internal/proc"
	"switchyard/asl/task/lambda"
)

// Config describes one program.
type Config struct {
	// Command is the program and its arguments. A name without a slash is
	// looked up in this process's PATH, once. Required.
	Command []string
	// Dir is where it runs. Default: a directory of its own for each
	// invocation, removed at the end.
	Dir string
	// Env is its environment, together with InheritEnv: names of variables of
	// this process, by default PATH, HOME, LANG, LC_ALL, TZ.
	Env        map[string]string
	InheritEnv []string
	// Timeout is for one invocation. Default: 15 minutes, Lambda's longest.
	Timeout time.Duration
	// KillGrace is how long processes have between SIGTERM and SIGKILL.
	// Default: 5 seconds.
	KillGrace time.Duration
}

// Program is a function that runs a program. It is safe for concurrent use.
type Program struct {
	cfg  Config
	path string
	env  []string
	log  *zap.Logger
}

var _ lambda.Function = (*Program)(nil)

// New checks that the program exists.
func New(log *zap.Logger, cfg Config) (*Program, error) {
	if len(cfg.Command) == 0 || cfg.Command[0] == "" {
		return nil, errors.New("exec: Command is required")
	}
	if cfg.Timeout < 0 || cfg.KillGrace < 0 {
		return nil, fmt.Errorf("exec %s: Timeout and KillGrace must not be negative", cfg.Command[0])
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 15 * time.Minute
	}
	if cfg.KillGrace == 0 {
		cfg.KillGrace = 5 * time.Second
	}
	if cfg.InheritEnv == nil {
		cfg.InheritEnv = []string{"PATH", "HOME", "LANG", "LC_ALL", "TZ"}
	}
	path, err := osexec.LookPath(cfg.Command[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return nil, fmt.Errorf("exec: %w", err)
	}
	p := &Program{cfg: cfg, path: path, log: log.Named("exec")}
	for _, name := range cfg.InheritEnv {
		if _, ok := cfg.Env[name]; ok {
			continue
		}
		if v, ok := os.LookupEnv(name); ok {
			p.env = append(p.env, name+"="+v)
		}
	}
	for name, v := range cfg.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(v, 0) {
			return nil, fmt.Errorf("exec %s: environment variable %q is not valid", cfg.Command[0], name)
		}
		p.env = append(p.env, name+"="+v)
	}
	return p, nil
}

// maxStderr is how much of the end of standard error is looked at, in bytes.
const maxStderr = 4 << 10

// Invoke runs the program once. An exit status other than 0 is an error: the
// one on standard output if it is an object with errorType, otherwise
// Runtime.ExitError with the end of standard error.
func (p *Program) Invoke(ctx context.Context, t task.Task, payload json.RawMessage) ([]byte, error) {
	owner := "exec " + t.ExecutionARN + " " + t.ID
	if t.Restarted {
		// An earlier process may have been killed while its program ran.
		if _, err := proc.Sweep(owner, p.cfg.KillGrace); err != nil {
			return nil, fmt.Errorf("end earlier run of task %s: %w", t.ID, err)
		}
	}
	dir, err := os.MkdirTemp("", "switchyard-exec-")
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", p.path, err)
	}
	defer os.RemoveAll(dir)

	// Files, not pipes: a child that lives on can't keep us waiting, and a
	// program that never reads can't block us.
	var files [3]*os.File
	for i, name := range []string{"in", "out", "err"} {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o600)
		if err != nil {
			return nil, fmt.Errorf("run %s: %w", p.path, err)
		}
		defer f.Close()
		files[i] = f
	}
	if _, err := files[0].Write(payload); err != nil {
		return nil, fmt.Errorf("run %s: %w", p.path, err)
	}
	if _, err := files[0].Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("run %s: %w", p.path, err)
	}

	cmd := &osexec.Cmd{Path: p.path, Args: p.cfg.Command, Dir: p.cfg.Dir}
	if cmd.Dir == "" {
		cmd.Dir = filepath.Join(dir, "work")
		if err := os.Mkdir(cmd.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("run %s: %w", p.path, err)
		}
	}
	cmd.Env = append(slices.Clone(p.env), "SWITCHYARD_EXECUTION="+t.ExecutionName, "SWITCHYARD_STATE="+t.StateName)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = files[0], files[1], files[2]

	timed, cancel := context.WithTimeoutCause(ctx, p.cfg.Timeout, lambda.ErrTimedOut)
	defer cancel()
	timed, stopWatch := watch(timed, files[1], files[2])
	defer stopWatch()
	group := proc.NewGroup(owner, p.cfg.KillGrace)
	runErr := group.Run(timed, cmd)
	if err := group.End(); err != nil {
		p.log.Warn("program can't be ended", zap.String("task_id", t.ID), zap.Error(err))
	}
	stderr := tail(files[2])
	log := p.log.With(zap.String("execution", t.ExecutionName), zap.String("task_id", t.ID), zap.String("program", p.path))
	if len(stderr) > 0 {
		log.Info("program wrote to standard error", zap.ByteString("stderr", stderr))
	}
	return p.answer(timed, ctx, files[1], stderr, runErr)
}

// answer judges how the program ended.
func (p *Program) answer(timed, ctx context.Context, stdout *os.File, stderr []byte, runErr error) ([]byte, error) {
	cause := context.Cause(timed)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(cause, lambda.ErrTimedOut):
		return nil, lambda.NewError(lambda.TypeTimedOut, fmt.Sprintf("Task timed out after %.2f seconds", p.cfg.Timeout.Seconds()))
	case errors.Is(cause, errTooMuch):
		return nil, &task.Error{Name: "States.DataLimitExceeded", Cause: fmt.Sprintf(
			"%s wrote more than %d bytes", p.path, maxOutput)}
	}
	out := make([]byte, lambda.MaxPayload+1)
	n, err := stdout.ReadAt(out, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read output of %s: %w", p.path, err)
	}
	out = out[:n]
	if runErr == nil {
		return out, nil
	}
	if reported := lambda.Reported(out); reported != nil {
		return nil, reported
	}
	message := "Runtime exited with error: " + runErr.Error()
	if text := bytes.TrimSpace(stderr); len(text) > 0 {
		message += ": " + strings.ToValidUTF8(string(text), "\uFFFD")
	}
	return nil, lambda.NewError(lambda.TypeExit, message)
}

// maxOutput is how much a program may write before it is ended, in bytes.
// What may be answered is much less, but a little too much deserves to be
// told apart from a program that fills the disk.
const maxOutput = 16 << 20

var errTooMuch = errors.New("the program wrote too much")

// watch ends the context when the files grow beyond maxOutput.
func watch(ctx context.Context, files ...*os.File) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for _, f := range files {
				if info, err := f.Stat(); err == nil && info.Size() > maxOutput {
					cancel(errTooMuch)
				}
			}
		}
	}()
	return ctx, func() { cancel(nil); <-done }
}

// tail is the end of a file, from the beginning of a line where it is cut.
func tail(f *os.File) []byte {
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	from := max(0, info.Size()-maxStderr)
	b := make([]byte, info.Size()-from)
	n, _ := f.ReadAt(b, from)
	b = b[:n]
	if from > 0 {
		if _, rest, ok := bytes.Cut(b, []byte("\n")); ok && len(rest) > 0 {
			b = rest
		}
	}
	return b
}
