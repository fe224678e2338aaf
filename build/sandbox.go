//go:build unix

package build

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"switchyard/internal/fault"
)

// sandbox is the namespaces of one build. They last from its first command to
// its last, so that what one phase leaves in the background is there for the
// next. Their first process is a shell of ours, which runs the shells of the
// phases when it is asked to; nothing in the namespaces can end it.
type sandbox struct {
	// requests takes two lines for each shell: whether its environment is
	// empty, and the script. The line "end" ends the namespaces if nothing
	// else is left in them, and is answered otherwise.
	requests *os.File
	// answers gives a line when the namespaces are there, and then the exit
	// status of each shell.
	answers *os.File
	lines   *bufio.Reader
	// ended is the end of bwrap.
	ended chan error
}

// warden is what runs as the first process. The descriptors 3 and 4 are the
// requests and answers, and 6 is the output's reader; see [output]. When this
// process is killed the requests end, and once the shell at hand has come to its
// end and said so, the warden follows and everything in the namespaces with it:
// a build that is cut off in between would have had its effect, and run again.
const warden = `exec 5<&-
ulimit -u "$2" 2>/dev/null || ulimit -p "$2" 2>/dev/null
echo ready >&4
while IFS= read -r environment <&3; do
	if [ "$environment" = end ]; then
		kill -0 -1 2>/dev/null || exit 0
		echo left >&4
		continue
	fi
	IFS= read -r script <&3 || exit 0
	if [ "$environment" = empty ]; then
		env -i "SWITCHYARD_MARK=$SWITCHYARD_MARK" "$1" "$script" 3<&- 4>&- 6<&-
	else
		"$1" "$script" 3<&- 4>&- 6<&-
	fi
	echo "$?" >&4
done
`

// exitError is a program's in a sandbox.
type exitError int

func (e exitError) Error() string { return "exit status " + strconv.Itoa(int(e)) }

// ExitCode is as that of [exec.ExitError].
func (e exitError) ExitCode() int { return int(e) }

// runScript runs a script of ours with the build's shell and returns its end:
// nil, an error with an ExitCode, the cause of ctx, or a fault of the machine.
func (s *session) runScript(ctx context.Context, script string, emptyEnvironment bool) (err error) {
	defer func() {
		if err != nil || s.cgroup != nil {
			s.checkProcesses(err != nil)
		}
	}()
	if s.h.bubblewrap != nil {
		return s.runIsolated(ctx, script, emptyEnvironment)
	}
	argv := s.launch(s.shell, script)
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // the group ends it with ctx, children too
	cmd.Dir = s.src
	cmd.Stdout, cmd.Stderr = s.out.w, s.out.w
	if s.out.reader != nil {
		cmd.ExtraFiles = []*os.File{s.out.reader}
	}
	cmd.Env = []string{}
	if !emptyEnvironment {
		cmd.Env = s.env.list()
	}
	return s.group.Run(ctx, cmd)
}

// keepDescriptors keeps the files that this process was started with, and did not
// open itself, from the programs that it starts: a shell, or what starts the
// service, may have left some open. Go does so for its own.
func keepDescriptors() {
	open, err := os.ReadDir("/dev/fd")
	if err != nil {
		return
	}
	for _, f := range open {
		if n, err := strconv.Atoi(f.Name()); err == nil && n > 2 {
			syscall.CloseOnExec(n)
		}
	}
}

func (s *session) runIsolated(ctx context.Context, script string, emptyEnvironment bool) error {
	if s.box == nil {
		if err := s.openSandbox(ctx); err != nil {
			return err
		}
	}
	environment := "whole"
	if emptyEnvironment {
		environment = "empty"
	}
	// Whether it can be written shows in the answer.
	_, _ = fmt.Fprintf(s.box.requests, "%s\n%s\n", environment, script)
	line, err := s.box.answer(ctx)
	if err != nil {
		return err
	}
	status, err := strconv.Atoi(line)
	if err != nil {
		return fmt.Errorf("the sandbox answers %q", line)
	}
	if status != 0 {
		return exitError(status)
	}
	return nil
}

// answer waits for a line, or for the end of the sandbox, which is an error.
func (b *sandbox) answer(ctx context.Context) (string, error) {
	line, err := b.lines.ReadString('\n')
	if err == nil {
		return strings.TrimSuffix(line, "\n"), nil
	}
	ended := <-b.ended
	b.ended <- ended
	if cause := context.Cause(ctx); cause != nil {
		return "", cause
	}
	return "", fmt.Errorf("the build's sandbox was ended: %w", errors.Join(ended, errSandboxGone))
}

// errSandboxGone is the failure of a command whose sandbox ended under it.
var errSandboxGone = errors.New("nothing is left of the build's processes")

// openSandbox starts bwrap and waits until the namespaces are there.
func (s *session) openSandbox(ctx context.Context) error {
	v, err := s.view()
	if err != nil {
		return err
	}
	var files []*os.File
	pipe := func() (r, w *os.File) {
		if err != nil {
			return nil, nil
		}
		if r, w, err = os.Pipe(); err == nil {
			files = append(files, r, w)
		}
		return r, w
	}
	requestsIn, requests := pipe()
	answers, answersOut := pipe()
	argsIn, args := pipe()
	if err != nil {
		for _, f := range files {
			f.Close()
		}
		return &fault.Error{Err: err}
	}
	argv := s.launch(s.h.bubblewrap.program, "--args", "5", "/bin/sh", "-c", warden, "sh", s.shell,
		strconv.Itoa(s.h.cfg.MaxProcesses+sandboxTasks))
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // the group ends it with ctx
	// The build's variables are for the build: bwrap itself must not be told
	// what to preload by them. They are no arguments either, which others see.
	all := append(s.h.bubblewrap.args(v), "--chdir", s.src)
	for _, name := range s.env.names {
		all = append(all, "--setenv", name, s.env.values[name])
	}
	cmd.Dir, cmd.Env = "/", []string{"PATH=" + os.Getenv("PATH")}
	if _, ok := s.env.values["PATH"]; !ok {
		all = append(all, "--unsetenv", "PATH")
	}
	cmd.Stdout, cmd.Stderr = s.out.w, s.out.w
	cmd.ExtraFiles = []*os.File{requestsIn, answersOut, argsIn}
	if s.out.reader != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, s.out.reader)
	}
	go func() {
		// bwrap says it itself when it does not get them.
		_, _ = io.WriteString(args, strings.Join(all, "\x00")+"\x00")
		_ = args.Close()
	}()
	box := &sandbox{requests: requests, answers: answers, lines: bufio.NewReader(answers), ended: make(chan error, 1)}
	go func() {
		err := s.group.RunNamespace(ctx, cmd)
		for _, f := range []*os.File{requestsIn, answersOut, argsIn} {
			f.Close()
		}
		box.ended <- err
	}()
	s.box = box
	if _, err := box.answer(ctx); err != nil {
		if context.Cause(ctx) != nil {
			return err
		}
		return &fault.Error{Err: fmt.Errorf("the build can't be isolated: %w", err)}
	}
	return nil
}

// end ends everything that the build has started. What is left in a sandbox has
// the grace of the group; mostly nothing is, and then the sandbox ends by itself,
// which takes a fraction of the time that it takes to look for processes.
func (s *session) end() error {
	if s.box != nil {
		if _, err := fmt.Fprintln(s.box.requests, "end"); err == nil {
			if _, err := s.box.lines.ReadString('\n'); err != nil {
				ended := <-s.box.ended
				s.box.ended <- ended
			}
		}
	}
	err := s.group.End()
	if s.box != nil {
		<-s.box.ended
		err = errors.Join(err, s.box.requests.Close(), s.box.answers.Close())
		s.box = nil
	}
	if s.etc != nil {
		s.h.bubblewrap.etc.release(s.etc)
		s.etc = nil
	}
	return err
}

// view is what this build sees of the data directory, and its user.
func (s *session) view() (view, error) {
	var err error
	if s.etc == nil {
		if s.etc, err = s.h.bubblewrap.etc.take(); err != nil {
			return view{}, err
		}
	}
	home := s.env.values["HOME"]
	v := view{
		read:    []string{s.scripts()},
		write:   []string{s.src, filepath.Join(s.dir, "home"), filepath.Join(s.dir, "tmp"), filepath.Join(s.dir, "control")},
		tmp:     filepath.Join(s.dir, "tmp"),
		etc:     s.etc.dir,
		passwd:  filepath.Join(s.dir, "passwd"),
		network: s.req.network != NetworkNone,
	}
	if s.req.fork {
		v.own = filepath.Join(s.dir, "own")
		if err := s.h.bubblewrap.makeOwn(v.own); err != nil {
			return view{}, err
		}
	}
	v.read = append(v.read, s.objects...)
	if _, ok := s.env.values["HOME"]; !ok {
		home = "/"
	}
	passwd := buildUser + ":x:" + buildID + ":" + buildID + "::" + home + ":/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
	return v, os.WriteFile(v.passwd, []byte(passwd), 0o600)
}

// scripts is the directory of the scripts that we write. A build can't change
// it, nor put links there for us to write through.
func (s *session) scripts() string { return filepath.Join(s.dir, "scripts") }
