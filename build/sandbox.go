//go:build unix

package build

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	// ended is the end of bwrap, or of the container's runtime.
	ended chan error
	// tag begins the answers in a container, where the runtime may write to the
	// same pipe, and said is what it wrote.
	tag  string
	said strings.Builder
	// container is its name, or "".
	container string
}

// warden is what runs as the first process. The descriptors 3 and 4 are the
// requests and answers, and 6 is the output's reader; see [output]. When this
// process is killed the requests end, and once the shell at hand has come to its
// end and said so, the warden follows and everything in the namespaces with it:
// a build that is cut off in between would have had its effect, and run again.
const warden = `ulimit -u "$2" 2>/dev/null || ulimit -p "$2" 2>/dev/null
command -v "$1" >/dev/null 2>&1 || { echo "${tag}no shell" >&4; exit 0; }
echo "${tag}ready" >&4
while IFS= read -r environment <&3; do
	if [ "$environment" = end ]; then
		kill -0 -1 2>/dev/null || exit 0
		echo "${tag}left" >&4
		continue
	fi
	IFS= read -r script <&3 || exit 0
	if [ "$environment" = empty ]; then
		env -i "SWITCHYARD_MARK=$SWITCHYARD_MARK" "$1" "$script" 3<&- 4>&- 6<&-
	elif [ "$3" ]; then
		(. "$3"; exec "$1" "$script") 3<&- 4>&- 6<&-
	else
		"$1" "$script" 3<&- 4>&- 6<&-
	fi
	status=$?
	[ -z "$mark" ] || printf '\000%s' "$mark"
	echo "$tag$status" >&4
done
`

// A container's runtime hands over no descriptors but the standard ones. So the
// requests are the standard input, and the answers the standard error. What the
// build writes comes by way of the runtime, and may be later than the answer; so
// the mark that ends it does too. Both words are the first lines of the requests:
// arguments can be read by the build.
const (
	wardenInNamespaces = "tag= mark=; exec 5<&-\n" + warden
	wardenInContainer  = "ulimit -c 0; ulimit -n \"$4\" 2>/dev/null; ulimit -f \"$5\" 2>/dev/null; IFS= read -r tag; IFS= read -r mark; exec 3<&0 4>&2 </dev/null 2>&1\n" + warden
)

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
	if s.h.isolated() {
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
	select {
	case <-s.out.marks: // a mark that the build wrote
	default:
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
	line, err := b.line()
	if err == nil {
		return line, nil
	}
	ended := b.wait()
	if cause := context.Cause(ctx); cause != nil {
		return "", cause
	}
	err = errors.Join(ended, errSandboxGone)
	if said := lastLine(b.said.String()); said != "" {
		err = fmt.Errorf("%s (%w)", said, err)
	}
	return "", fmt.Errorf("the build's sandbox was ended: %w", err)
}

// maxSaid bounds what is kept of the words of a runtime.
const maxSaid = 16 << 10

// line is the next answer.
func (b *sandbox) line() (string, error) {
	for {
		line, err := b.lines.ReadString('\n')
		if answer, ok := strings.CutPrefix(line, b.tag); ok && err == nil {
			return strings.TrimSuffix(answer, "\n"), nil
		}
		if b.said.Len() < maxSaid {
			b.said.WriteString(line)
		}
		if err != nil {
			return "", err
		}
	}
}

// wait waits for the end of the sandbox.
func (b *sandbox) wait() error {
	err := <-b.ended
	b.ended <- err
	return err
}

// errSandboxGone is the failure of a command whose sandbox ended under it.
var errSandboxGone = errors.New("nothing is left of the build's processes")

// errNoShell is the failure of a build whose shell is not in its sandbox.
var errNoShell = errors.New("not found there; use env/shell: sh")

// openSandbox starts the sandbox and waits until it is there.
func (s *session) openSandbox(ctx context.Context) error {
	v, err := s.view()
	if err != nil {
		return err
	}
	box := &sandbox{ended: make(chan error, 1)}
	var l *prepared
	if s.h.containers != nil {
		l, err = s.launchContainer(v, box)
	} else {
		l, err = s.launchBubblewrap(v, box)
	}
	if err != nil {
		return &fault.Error{Err: err}
	}
	box.lines = bufio.NewReader(box.answers)
	go l.feed()
	go func() {
		err := s.group.RunNamespace(ctx, l.cmd)
		for _, f := range l.given {
			f.Close()
		}
		box.ended <- err
	}()
	s.box = box
	line, err := box.answer(ctx)
	var exit *exec.ExitError
	switch {
	case context.Cause(ctx) != nil:
		return err
	case line == "no shell":
		return fmt.Errorf("shell %s: %w", s.shell, errNoShell)
	case box.container != "" && errors.As(err, &exit) && (exit.ExitCode() == 126 || exit.ExitCode() == 127):
		return fmt.Errorf("image %s can't be used for builds, it needs a /bin/sh: %w", s.req.image, err)
	case err != nil:
		return &fault.Error{Err: fmt.Errorf("the build can't be isolated: %w", err)}
	}
	return nil
}

// prepared is a sandbox about to be started.
type prepared struct {
	cmd *exec.Cmd
	// given are our descriptors of what cmd inherits, to be closed when it has
	// ended, and feed writes what it reads first.
	given []*os.File
	feed  func()
}

// pipes makes so many pipes: what is read from, and what is written to.
func pipes(n int) (readers, writers []*os.File, err error) {
	for range n {
		r, w, err := os.Pipe()
		if err != nil {
			for _, f := range slices.Concat(readers, writers) {
				f.Close()
			}
			return nil, nil, err
		}
		readers, writers = append(readers, r), append(writers, w)
	}
	return readers, writers, nil
}

func (s *session) launchBubblewrap(v view, box *sandbox) (*prepared, error) {
	r, w, err := pipes(3)
	if err != nil {
		return nil, err
	}
	box.requests, box.answers = w[0], r[1]
	argv := s.launch(s.h.bubblewrap.program, "--args", "5", "/bin/sh", "-c", wardenInNamespaces, "sh", s.shell, strconv.Itoa(s.h.cfg.MaxProcesses+sandboxTasks))
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // the group ends it with ctx
	// The build's variables are for the build: bwrap itself must not be told
	// what to preload by them. They are no arguments either, which others see.
	all := append(s.h.bubblewrap.args(v), "--chdir", v.dir)
	for _, name := range s.env.names {
		all = append(all, "--setenv", name, s.env.values[name])
	}
	cmd.Dir, cmd.Env = "/", []string{"PATH=" + os.Getenv("PATH")}
	if _, ok := s.env.values["PATH"]; !ok {
		all = append(all, "--unsetenv", "PATH")
	}
	cmd.Stdout, cmd.Stderr = s.out.w, s.out.w
	given := []*os.File{r[0], w[1], r[2]}
	cmd.ExtraFiles = given
	if s.out.reader != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, s.out.reader)
	}
	return &prepared{cmd, given, func() {
		// bwrap says it itself when it does not get them.
		_, _ = io.WriteString(w[2], strings.Join(all, "\x00")+"\x00")
		_ = w[2].Close()
	}}, nil
}

func (s *session) launchContainer(v view, box *sandbox) (*prepared, error) {
	environment, err := s.containerEnvironment()
	if err != nil {
		return nil, err
	}
	r, w, err := pipes(2)
	if err != nil {
		return nil, err
	}
	c := s.h.containers
	box.requests, box.answers = w[0], r[1]
	box.tag = rand.Text() + " "
	box.container = c.name(workName(s.t))
	args := append(c.args(box.container, s.req.image, s.group.Mark(), v, &s.h.cfg), "-c", wardenInContainer, "sh", s.shell)
	args = append(args, strconv.Itoa(s.h.cfg.MaxProcesses+sandboxTasks), environment, strconv.Itoa(s.h.cfg.MaxOpenFiles), strconv.FormatInt(s.h.cfg.MaxDisk/512, 10))
	argv := append([]string{c.program}, args...)
	if n := s.h.cfg.Nice; n > 0 {
		argv = append([]string{"nice", "-n", strconv.Itoa(n)}, argv...)
	}
	s.launched.Store(true)
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // the group ends it with ctx
	cmd.Dir, cmd.Env = "/", c.env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r[0], s.out.w, w[1]
	return &prepared{cmd, []*os.File{r[0], w[1]}, func() {
		_, _ = fmt.Fprintf(box.requests, "%s\n%s\n", box.tag, s.out.mark[1:])
	}}, nil
}

// drain returns when all that the build has written so far is in its log.
func (s *session) drain() {
	if s.box != nil && s.box.container != "" {
		select {
		case <-s.out.marks:
			return
		case err := <-s.box.ended:
			s.box.ended <- err
		}
	}
	s.out.drain()
}

// end ends everything that the build has started. What is left in a sandbox has
// the grace of the group; mostly nothing is, and then the sandbox ends by itself,
// which takes a fraction of the time that it takes to look for processes.
func (s *session) end() error {
	if s.box != nil {
		if _, err := fmt.Fprintln(s.box.requests, "end"); err == nil {
			if _, err := s.box.line(); err != nil {
				_ = s.box.wait()
			}
		}
	}
	err := s.group.End()
	if s.box != nil {
		if ended := s.box.wait(); ended != nil && s.box.container != "" {
			// Its runtime may have been ended before it.
			err = errors.Join(err, s.h.containers.remove(s.box.container))
		}
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
	if s.h.bubblewrap == nil {
		return s.viewOfContainer()
	}
	var err error
	if s.etc == nil {
		if s.etc, err = s.h.bubblewrap.etc.take(); err != nil {
			return view{}, err
		}
	}
	v, err := s.viewOfContainer()
	if err != nil {
		return view{}, err
	}
	v.etc, v.passwd = s.etc.dir, filepath.Join(s.dir, "passwd")
	home, ok := s.env.values["HOME"]
	if !ok {
		home = "/"
	}
	passwd := buildUser + ":x:" + buildID + ":" + buildID + "::" + home + ":/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
	return v, os.WriteFile(v.passwd, []byte(passwd), 0o600)
}

// viewOfContainer is what it sees also in a container, whose image has the rest.
func (s *session) viewOfContainer() (view, error) {
	v := view{
		dir:     s.src,
		read:    []string{s.scripts()},
		write:   []string{s.src, filepath.Join(s.dir, "home"), filepath.Join(s.dir, "tmp"), filepath.Join(s.dir, "control")},
		tmp:     filepath.Join(s.dir, "tmp"),
		network: s.req.network != NetworkNone,
	}
	v.read = append(v.read, s.objects...)
	if s.req.fork {
		v.own = filepath.Join(s.dir, "own")
		return v, makeOwn(v.own, s.h.cfg.Writable)
	}
	return v, nil
}

// scripts is the directory of the scripts that we write. A build can't change
// it, nor put links there for us to write through.
func (s *session) scripts() string { return filepath.Join(s.dir, "scripts") }
