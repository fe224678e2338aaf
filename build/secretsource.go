//go:build unix

package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"switchyard/internal/fault"
	"switchyard/internal/proc"
)

// maxSecret is the size in bytes that a secret may have.
const maxSecret = 64 << 10

// secretReader reads secrets where they are kept. It is safe for concurrent
// use. No error of it holds a secret, or anything that a command has printed.
type secretReader struct {
	h *Handler

	mu sync.Mutex
	// printed is what commands have printed, by the secret's key.
	printed map[string]*printedSecret
}

// printedSecret is what a command has printed. Who holds turn may read and
// write the rest: one command runs, however many builds wait for it.
type printedSecret struct {
	turn  chan struct{}
	value string
	until time.Time
}

// read gives the value of a secret.
func (r *secretReader) read(ctx context.Context, s Secret) (string, error) {
	value := s.Value
	var err error
	switch {
	case s.File != "":
		value, err = readSecretFile(s.File)
	case len(s.Command) > 0:
		value, err = r.command(ctx, s)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return "", cause
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", s.Key, err)
	}
	return value, nil
}

// readSecretFile reads a regular file. A named pipe would be waited for.
func readSecretFile(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", errors.Join(fmt.Errorf("%s is not a regular file", path), err)
	}
	value, err := readSecret(f)
	if err != nil {
		return "", fmt.Errorf("file %s: %w", path, err)
	}
	return value, nil
}

var errEmptySecret = errors.New("it is empty")

// readSecret reads all of r and cuts the line breaks at its end.
func readSecret(r io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSecret+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxSecret {
		return "", fmt.Errorf("it is larger than %d bytes", maxSecret)
	}
	if data = bytes.TrimRight(data, "\r\n"); len(data) == 0 {
		return "", errEmptySecret
	}
	return string(data), nil
}

// command gives what the secret's command prints, or has printed of late.
func (r *secretReader) command(ctx context.Context, s Secret) (string, error) {
	r.mu.Lock()
	if r.printed == nil {
		r.printed = make(map[string]*printedSecret)
	}
	p := r.printed[s.Key]
	if p == nil {
		p = &printedSecret{turn: make(chan struct{}, 1)}
		r.printed[s.Key] = p
	}
	r.mu.Unlock()
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	if p.value != "" && r.h.now().Before(p.until) {
		return p.value, nil
	}
	p.value = ""
	value, err := r.runCommand(ctx, s)
	if err != nil {
		return "", fmt.Errorf("command %s: %w", s.Command[0], err)
	}
	if s.Cache > 0 {
		p.value, p.until = value, r.h.now().Add(s.Cache)
	}
	return value, nil
}

// errSecretTimeout is the cause of the context of a command that takes too long.
var errSecretTimeout = errors.New("no answer in time")

// runCommand runs the command and ends all that it has started.
func (r *secretReader) runCommand(ctx context.Context, s Secret) (value string, err error) {
	commandCtx, cancel := context.WithTimeoutCause(ctx, s.Timeout, errSecretTimeout)
	defer cancel()
	commandCtx, stop := context.WithCancelCause(commandCtx)
	defer stop(nil)
	out, in, err := os.Pipe()
	if err != nil {
		return "", &fault.Error{Err: err}
	}
	defer out.Close()
	defer in.Close()
	type result struct {
		value string
		err   error
	}
	read := make(chan result, 1)
	go func() {
		value, err := readSecret(out)
		if err != nil {
			// Nobody reads what more it prints: it is ended.
			stop(err)
		}
		read <- result{value, err}
	}()

	cmd := exec.Command(s.Command[0], s.Command[1:]...) //nolint:noctx // the group ends it with the context, children too
	cmd.Dir = "/"
	cmd.Stdout = in
	var env environment
	env.inherit([]string{"PATH", "HOME", "LANG", "LC_ALL", "TZ"})
	for name, value := range s.Env {
		env.set(name, value)
	}
	cmd.Env = env.list()
	// A name that no other group has: what a killed service leaves is ended by
	// the next one.
	sum := sha256.Sum256([]byte(s.Key))
	group := proc.NewGroup(r.h.cfg.DataDir, fmt.Sprintf("secret-%x", sum[:6]), r.h.cfg.KillGrace)
	runErr := group.Run(commandCtx, cmd)
	endErr := group.End()
	_ = in.Close()
	// What left the group may hold the pipe open: it is not waited for.
	_ = out.SetReadDeadline(time.Now().Add(time.Second))
	got := <-read
	switch {
	case errors.Is(runErr, errSecretTimeout):
		return "", fmt.Errorf("%w: it was ended after %v", errSecretTimeout, s.Timeout)
	case got.err != nil && !errors.Is(got.err, errEmptySecret) && !errors.Is(got.err, os.ErrDeadlineExceeded):
		return "", fmt.Errorf("what it prints can't be used: %w", got.err)
	case runErr != nil:
		return "", fmt.Errorf("%w; what it printed is not shown, run it by hand to see", exitOnly(runErr))
	case got.err != nil:
		return "", fmt.Errorf("what it prints can't be used: %w", got.err)
	case endErr != nil:
		return "", endErr
	}
	return got.value, nil
}

// exitOnly is how a program ended, without anything that it said.
func exitOnly(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return errors.New(strings.TrimSpace(exit.String()))
	}
	return err
}
