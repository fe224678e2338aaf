//go:build unix

package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"switchyard/internal/fault"
)

// The commands of a phase run in one shell, so that directory, variables and
// functions last from one to the next. The shell that a phase ends with saves
// its variables and directory, and the next phase's shell begins with them.
// Every variable is exported for that (set -a): buildspecs set a variable in
// pre_build and use it in build without a word.
//
// In version 0.1 each command has a shell of its own instead, and nothing but
// files lasts.
//
// A command that exits ends its shell. With status 0 the commands after it
// still run, in a new shell; with any other the phase has failed.
//
// The script holds text of the buildspec, always as a quoted word, and paths
// of ours. What comes from outside (branches, messages) is in the environment
// only.

func (s *session) lookShell(name string) (string, error) {
	switch {
	case name == "sh":
		return "/bin/sh", nil
	case s.h.containers != nil:
		return name, nil // its image has it, or has not
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("shell %s: not found on this machine; use env/shell: sh", name)
	}
	return path, nil
}

// quote makes s one word of a POSIX shell.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// script writes the program that runs commands[from:]. With last they are the
// end of the build, and the shell itself notes that they have come to it: this
// process may be gone by then.
func (s *session) script(commands []string, from int, last bool) string {
	var b strings.Builder
	saved := s.control("env")
	if s.hasSaved() {
		fmt.Fprintf(&b, ". %s\ncd -- \"$PWD\" 2>/dev/null || cd -- %s\n", quote(saved), quote(s.src))
	}
	succeeding := "1"
	if s.failed {
		succeeding = "0"
	}
	fmt.Fprintf(&b, "export CODEBUILD_BUILD_SUCCEEDING=%s\n", succeeding)
	// The saved state is renamed into place by us, once the shell has ended.
	functions := ""
	if strings.HasSuffix(s.shell, "bash") {
		functions = "declare -f; "
	}
	b.WriteString("__switchyard_save() {\n")
	fmt.Fprintf(&b, "{ export -p; %s} >| %s 2>/dev/null || :\n", functions, quote(saved+".new"))
	b.WriteString("{\n:\n")
	for _, name := range s.spec.used() {
		fmt.Fprintf(&b, "[ -z \"${%[1]s+x}\" ] || printf '%%s\\0' \"%[1]s=${%[1]s}\"\n", name)
	}
	fmt.Fprintf(&b, "} >| %s 2>/dev/null || :\n}\n", quote(s.control("vars")))
	b.WriteString("__switchyard_check() { [ \"$1\" -eq 0 ] || exit \"$1\"; }\n")
	b.WriteString("trap __switchyard_save EXIT\nset -a\n")
	for i, c := range commands[from:] {
		fmt.Fprintf(&b, "printf %%s %d >| %s\n", from+i, quote(s.control("at")))
		fmt.Fprintf(&b, "printf '%%s\\n' %s\n", quote("[switchyard] running command: "+c))
		// Nothing on this line but eval: as a part of && or || the command
		// would lose its own set -e.
		fmt.Fprintf(&b, "eval %s\n__switchyard_check $?\n", quote(c))
	}
	if last {
		fmt.Fprintf(&b, ": >| %s\n", quote(s.control(doneFile)))
	}
	// Not a second time at the exit: what is saved must not be half of it when
	// the shell is ended then.
	fmt.Fprintf(&b, "printf %%s %d >| %s\n__switchyard_save\n__switchyard_save() { :; }\n", len(commands), quote(s.control("at")))
	if last {
		fmt.Fprintf(&b, ": >| %s\n", quote(s.control(savedFile)))
	}
	return b.String()
}

func (s *session) hasSaved() bool {
	if s.spec.apart {
		return false
	}
	info, err := os.Stat(s.control("env"))
	return err == nil && info.Size() > 0
}

// runPhase runs the commands and then, whatever came of them, the finally
// commands of a phase.
func (s *session) runPhase(ctx context.Context, name string, p phaseSpec) error {
	last := name == s.spec.lastPhase()
	err := s.runCommands(ctx, p.commands, last && len(p.finally) == 0)
	if ctx.Err() != nil {
		return err
	}
	if err != nil {
		s.failed = true
	}
	if len(p.finally) > 0 {
		s.log.note("%s: finally", name)
		err = errors.Join(err, s.runCommands(ctx, p.finally, last && err == nil))
	}
	return err
}

func (s *session) runCommands(ctx context.Context, commands []string, last bool) error {
	for from := 0; from < len(commands); {
		until := len(commands)
		if s.spec.apart {
			until = from + 1
		}
		kills := fault.MemoryKills()
		at, err := s.runShell(ctx, commands[:until], from, last && until == len(commands))
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err != nil {
			c := s.log.maskText(commands[min(at, until-1)]) // before it is cut
			if len(c) > 1000 {
				c = c[:1000] + "…"
			}
			return &phaseError{code: "COMMAND_EXECUTION_ERROR",
				err: fmt.Errorf("Error while executing command: %s. Reason: %w", c, s.explainLimit(explain(err, fault.MemoryKills()-kills)))} //nolint:staticcheck // CodeBuild's words
		}
		from = min(max(at, from)+1, until)
	}
	return nil
}

// explain adds to the failure of a command that was killed that memory ran out.
// It stays the command's: most likely it needed the memory, and would again.
func explain(err error, memoryKills int) error {
	var exit interface{ ExitCode() int }
	killed := errors.Is(err, errSandboxGone) || errors.As(err, &exit) && (exit.ExitCode() == 128+int(syscall.SIGKILL) || exit.ExitCode() == -1)
	if memoryKills <= 0 || !killed {
		return err
	}
	return fmt.Errorf("%w (the machine had no memory left and killed %d processes meanwhile)", err, memoryKills)
}

// explainLimit names the key when a command ran into a limit that the kernel holds
// each process to. That no file could be opened is only seen in what was printed.
func (s *session) explainLimit(err error) error {
	var exit interface{ ExitCode() int }
	cfg := &s.h.cfg
	switch {
	case !errors.As(err, &exit):
	case exit.ExitCode() == 128+int(syscall.SIGXFSZ):
		return fmt.Errorf("%w (a file may have %s at most: engine.embedded.builds.disk)", err, sizeText(cfg.MaxDisk))
	case bytes.Contains(bytes.ToLower(s.log.tail(16<<10)), []byte("too many open files")):
		return fmt.Errorf("%w (each process may have %d files open: engine.embedded.builds.open_files)", err, cfg.MaxOpenFiles)
	}
	return err
}

// runShell runs commands[from:] in one shell and returns where it ended:
// len(commands) when it came to the end of them.
func (s *session) runShell(ctx context.Context, commands []string, from int, last bool) (at int, err error) {
	s.steps++
	script := filepath.Join(s.scripts(), strconv.Itoa(s.steps))
	if err := os.WriteFile(script, []byte(s.script(commands, from, last)), 0o600); err != nil {
		return from, err
	}
	runErr := s.runScript(ctx, script, s.hasSaved())
	s.drain()
	if err := s.takeSaved(); err != nil {
		return from, err
	}
	at = from
	if b, err := s.readControl("at", 100); err == nil {
		if n, err := strconv.Atoi(string(b)); err == nil && n >= from && n <= len(commands) {
			at = n
		}
	}
	_ = os.Remove(s.control("at"))
	return at, runErr
}

// takeSaved makes what a shell saved the state that the next begins with.
func (s *session) takeSaved() error {
	err := os.Rename(s.control("env.new"), s.control("env"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// maxSaved bounds what is read of a build's variables, in bytes.
const maxSaved = 16 << 20

// savedVariables are the variables of [buildspec.used] as the last shell left
// them.
func (s *session) savedVariables() map[string]string {
	b, err := s.readControl("vars", maxSaved)
	if err != nil {
		return nil
	}
	vars := make(map[string]string)
	for v := range bytes.SplitSeq(b, []byte{0}) {
		if name, value, ok := strings.Cut(string(v), "="); ok {
			vars[name] = value
		}
	}
	return vars
}
