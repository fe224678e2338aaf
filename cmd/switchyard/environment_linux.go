package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"

	"golang.org/x/sys/unix"
)

// keptVariable names the file descriptor from which a process that was started
// anew reads what was taken out of its environment. The file is in memory only.
const keptVariable = "SWITCHYARD_ENVIRONMENT_FD"

// undumpable keeps other processes of the same user from reading this one's
// memory and environment, from tracing it, and its memory from being dumped.
func undumpable() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }

// newEnvironment is the environment of this process, with what an earlier start
// handed over.
func newEnvironment() (*environment, error) {
	number, given := os.LookupEnv(keptVariable)
	if !given {
		return &environment{}, nil
	}
	if err := os.Unsetenv(keptVariable); err != nil {
		return nil, err
	}
	e := &environment{fresh: true}
	err := undumpable()
	if err == nil {
		e.kept, err = takeOver(number)
	}
	if err != nil {
		return nil, fmt.Errorf("take over the environment (%s is for Switchyard itself): %w", keptVariable, err)
	}
	return e, nil
}

func takeOver(number string) (kept map[string]string, err error) {
	fd, err := strconv.ParseUint(number, 10, 16)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("%q is not a file descriptor", number)
	}
	f := os.NewFile(uintptr(fd), keptVariable)
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 16<<20))
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(text, &kept)
	return kept, err
}

// handOver returns a file descriptor from which the program that runs next in
// this process can read what was kept.
func handOver(kept map[string]string) (fd int, err error) {
	text, err := json.Marshal(kept)
	if err != nil {
		return -1, err
	}
	// Without MFD_CLOEXEC: the next program reads it.
	if fd, err = unix.MemfdCreate("environment", 0); err != nil {
		return -1, fmt.Errorf("memfd_create: %w", err)
	}
	for rest := text; len(rest) > 0; {
		n, err := unix.Write(fd, rest)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return -1, errors.Join(fmt.Errorf("write to memory: %w", err), unix.Close(fd))
		}
		rest = rest[max(n, 0):]
	}
	return fd, nil
}

// startAnew runs the program again in this process, with the environment as it
// is now: the kernel shows the one that a program began with for as long as it
// runs. It returns only when that fails.
func startAnew(fd int) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if _, err := os.Stat(program); err != nil { // deleted, as an upgrade does
		program = "/proc/self/exe"
	}
	// An interrupt must end this program or the next, not be lost between.
	signal.Reset()
	err = unix.Exec(program, os.Args, append(os.Environ(), keptVariable+"="+strconv.Itoa(fd)))
	return fmt.Errorf("start %s anew without secrets in the environment: %w", program, err)
}
