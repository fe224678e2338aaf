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
	"strings"
	"time"

	"go.uber.org/zap"

	"switchyard/asl/task"
	"switchyard/asl/task/lambda"
	"switchyard/internal/fault"
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
	// StateDir keeps what programs are given and answer until [Program.Forget].
	// It may be shared by all programs of one engine, whose tasks have IDs of
	// their own. Without it, nothing of a program is found again after a crash,
	// and what is left of it is ended.
	StateDir string
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

var _ lambda.Logged = (*Program)(nil)

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
	if err := p.clean(); err != nil {
		return nil, fmt.Errorf("exec %s: %w", cfg.Command[0], err)
	}
	return p, nil
}

// maxStderr is how much of the end of standard error is looked at, in bytes: as
// much as Lambda gives of a log.
const maxStderr = 4 << 10

// patience is for how long a program is tried again that this machine keeps
// from running.
const patience = time.Hour

// Invoke runs the program. An exit status other than 0 is an error: the one on
// standard output if it is an object with errorType, otherwise
// Runtime.ExitError with the end of standard error.
func (p *Program) Invoke(ctx context.Context, t task.Task, payload json.RawMessage) ([]byte, error) {
	out, _, err := p.InvokeLogged(ctx, t, payload)
	return out, err
}

// InvokeLogged is [Program.Invoke]; the log is the end of standard error.
func (p *Program) InvokeLogged(ctx context.Context, t task.Task, payload json.RawMessage) (out, log []byte, err error) {
	err = fault.Again(ctx, fault.Waits{First: time.Second, Patience: patience}, func() (err error) {
		out, log, err = p.invoke(ctx, t, payload)
		return err
	}, func(err error, tries int, wait time.Duration) {
		p.log.Warn("program waits for the machine", zap.String("execution", t.ExecutionName), zap.String("task_id", t.ID),
			zap.Int("try", tries), zap.Duration("wait", wait), zap.Error(err))
	})
	return out, log, err
}

func (p *Program) invoke(ctx context.Context, t task.Task, payload json.RawMessage) (out, stderr []byte, err error) {
	inv, err := p.open(t)
	if err != nil {
		return nil, nil, fmt.Errorf("run %s: %w", p.path, err)
	}
	defer func() {
		if closeErr := inv.close(ctx, err); closeErr != nil {
			p.log.Warn("what a program leaves can't be removed", zap.String("task_id", t.ID), zap.Error(closeErr))
		}
	}()
	var runErr error
	adopted := false
	if t.Restarted {
		// An earlier process may have been killed while its program ran.
		if adopted, runErr = inv.adopt(ctx); !adopted && runErr != nil {
			return nil, nil, fmt.Errorf("end earlier run of task %s: %w", t.ID, runErr)
		}
	}
	if !adopted {
		if err := inv.prepare(payload); err != nil {
			return nil, nil, fmt.Errorf("run %s: %w", p.path, err)
		}
		if runErr, err = inv.run(ctx); err != nil {
			return nil, nil, fmt.Errorf("run %s: %w", p.path, err)
		}
	}
	if errors.Is(runErr, errTooMuch) {
		return nil, nil, &task.Error{Name: "States.DataLimitExceeded", Cause: fmt.Sprintf("%s wrote more than %d bytes", p.path, maxOutput)}
	}
	stderr, err = tail(inv.path("err"))
	if err != nil {
		return nil, nil, fmt.Errorf("read standard error of %s: %w", p.path, err)
	}
	if len(stderr) > 0 {
		p.log.Info("program wrote to standard error", zap.String("execution", t.ExecutionName), zap.String("task_id", t.ID),
			zap.String("program", p.path), zap.ByteString("stderr", stderr))
	}
	out, err = p.answer(ctx, inv.path("out"), stderr, runErr)
	return out, stderr, err
}

// Forget removes what was kept of a task whose result is stored.
func (p *Program) Forget(t task.Task) {
	if dir, ok := p.keptIn(t); ok {
		go func() { _ = os.RemoveAll(dir) }() // New removes what is left
	}
}

// answer judges how the program ended.
func (p *Program) answer(ctx context.Context, stdout string, stderr []byte, runErr error) ([]byte, error) {
	switch {
	case runErr == nil: // it had ended, whatever ended after it
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(runErr, lambda.ErrTimedOut):
		return nil, lambda.NewError(lambda.TypeTimedOut, fmt.Sprintf("Task timed out after %.2f seconds", p.cfg.Timeout.Seconds()))
	}
	out, err := head(stdout)
	if err != nil {
		return nil, fmt.Errorf("read output of %s: %w", p.path, err)
	}
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
func watch(ctx context.Context, files ...string) (context.Context, func()) {
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
				if info, err := os.Stat(f); err == nil && info.Size() > maxOutput {
					cancel(errTooMuch)
				}
			}
		}
	}()
	return ctx, func() { cancel(nil); <-done }
}

// head is the beginning of a file, a little more than an answer may have.
func head(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, lambda.MaxPayload+1))
}

// tail is the end of a file, from the beginning of a line where it is cut.
func tail(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	from := max(0, info.Size()-maxStderr)
	b, err := io.ReadAll(io.NewSectionReader(f, from, maxStderr))
	if from > 0 {
		if _, rest, ok := bytes.Cut(b, []byte("\n")); ok && len(rest) > 0 {
			b = rest
		}
	}
	return b, err
}
