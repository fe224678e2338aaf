//go:build unix

package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"switchyard/internal/fault"
	"switchyard/internal/proc"
)

// What [Container.Runtime] may be.
const (
	RuntimePodman = "podman"
	RuntimeDocker = "docker"
)

// Container is the image that builds run in, and what runs it.
type Container struct {
	// Runtime is RuntimePodman (default) or RuntimeDocker: the program by which
	// containers are run.
	Runtime string
	// Image is for the builds of projects that have none. Without it, builds
	// run in no containers.
	Image string
}

// containers makes a container for each build, by the command line of podman or
// docker.
//
// A build sees what its image has, read-only, and of this machine its own
// checkout, home and temporary files, the objects of its repository's mirror,
// read-only, and what the operator added. It has no capabilities and can't get
// any, and its user is this process's, so that files are ours.
type containers struct {
	kind, program, image string
	visible, writable    []string
	hidden               []string
	// data is the label of the containers of this data directory.
	data string
	env  []string

	serial atomic.Uint64
	// pulling is held by the build that pulls an image.
	pulling sync.Mutex
}

const (
	dataLabel = "switchyard.data"
	// namePrefix begins the names of containers:
	// switchyard-<supervisor>-<work directory>-<serial>.
	namePrefix = "switchyard-"
)

// newContainers finds the runtime and asks whether it answers.
func newContainers(cfg *Config) (*containers, error) {
	c := cfg.Container
	program, err := exec.LookPath(c.Runtime)
	if err != nil {
		return nil, fmt.Errorf("the program %s is not there: install the package %s", c.Runtime, map[string]string{
			RuntimePodman: "podman (Debian, Ubuntu and Fedora have it)", RuntimeDocker: "docker.io (Debian, Ubuntu) or moby-engine (Fedora), and let this user use it",
		}[c.Runtime])
	}
	r := &containers{kind: c.Runtime, program: program, image: c.Image, visible: cfg.Visible, writable: cfg.Writable, data: proc.OwnerKey(cfg.DataDir), env: runtimeEnv()}
	r.hidden = append([]string{cfg.DataDir}, cfg.Hidden...)
	for _, path := range slices.Concat([]string{cfg.DataDir}, cfg.Visible, cfg.Writable) {
		if strings.ContainsAny(path, ",\"\n") {
			return nil, fmt.Errorf("%s can't be given to containers: its name has a comma, a quotation mark or a line break", path)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := r.output(ctx, "info"); err != nil {
		return nil, fmt.Errorf("%s does not work here: %w", c.Runtime, err)
	}
	return r, nil
}

// runtimeEnv is what the runtime needs of this process's environment to find its
// configuration, and nothing else.
func runtimeEnv() []string {
	var env []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if slices.Contains([]string{"PATH", "HOME", "USER", "LANG", "DBUS_SESSION_BUS_ADDRESS"}, name) ||
			slices.ContainsFunc([]string{"XDG_", "CONTAINER_", "CONTAINERS_", "REGISTRY_AUTH_FILE", "STORAGE_", "DOCKER_"}, func(p string) bool { return strings.HasPrefix(name, p) }) {
			env = append(env, v)
		}
	}
	return env
}

// output runs the runtime for something that is soon done.
func (c *containers) output(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.program, args...)
	cmd.Env, cmd.Dir = c.env, "/"
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		if text := lastLine(stderr.String()); text != "" {
			err = errors.New(text)
		}
		return "", fmt.Errorf("%s %s: %w", c.kind, args[0], err)
	}
	return out.String(), nil
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// pull gets an image that is not there, and shows how that goes.
func (c *containers) pull(ctx context.Context, image string, progress io.Writer, note func(string, ...any)) error {
	here := func() bool {
		_, err := c.output(ctx, "image", "inspect", "--format", "{{.Id}}", image)
		return err == nil
	}
	if here() {
		return nil
	}
	c.pulling.Lock()
	defer c.pulling.Unlock()
	if here() {
		return nil
	}
	note("pulling image %s", image)
	cmd := exec.CommandContext(ctx, c.program, "pull", image)
	cmd.Env, cmd.Dir, cmd.WaitDelay = c.env, "/", time.Second
	var text bytes.Buffer
	cmd.Stdout = io.MultiWriter(progress, &text)
	cmd.Stderr = cmd.Stdout
	err := cmd.Run()
	switch cause := context.Cause(ctx); {
	case err == nil:
		return nil
	case cause != nil:
		return cause
	}
	said := strings.ToLower(text.String())
	missing := slices.ContainsFunc([]string{"not found", "manifest unknown", "denied", "unauthorized", "invalid reference", "short-name", "does not exist"},
		func(words string) bool { return strings.Contains(said, words) })
	if line := lastLine(text.String()); line != "" {
		err = errors.New(line)
	}
	return &fault.Error{Err: fmt.Errorf("pull image %s: %w", image, err), Brief: missing}
}

// name of a container of the group of that name.
func (c *containers) name(group string) string {
	return fmt.Sprintf("%s%s-%s-%d", namePrefix, proc.Supervisor(), group, c.serial.Add(1))
}

// args are the runtime's arguments for a container, before the command.
func (c *containers) args(name, image, mark string, v view, cfg *Config) []string {
	network := NetworkNone
	if v.network {
		network = NetworkHost
	}
	args := []string{
		"run", "--rm", "--interactive", "--pull", "never", "--name", name, "--label", dataLabel + "=" + c.data,
		"--network", network, "--cap-drop", "all", "--security-opt", "no-new-privileges", "--security-opt", "label=disable",
		"--read-only", "--tmpfs", "/run:rw,size=64m", "--shm-size", shared, "--pids-limit", strconv.Itoa(cfg.MaxProcesses + sandboxTasks),
		"--env", mark, "--workdir", v.dir, "--entrypoint", "/bin/sh",
	}
	if cfg.MaxMemory > 0 {
		args = append(args, "--memory", strconv.FormatInt(cfg.MaxMemory, 10))
	}
	if c.kind == RuntimePodman && os.Geteuid() != 0 {
		args = append(args, "--userns", "keep-id")
	} else {
		args = append(args, "--user", fmt.Sprintf("%d:%d", os.Geteuid(), os.Getegid()))
	}
	mount := func(from, to string, write bool) {
		text := "type=bind,source=" + from + ",destination=" + to
		if !write {
			text += ",readonly"
		}
		args = append(args, "--mount", text)
	}
	mount(v.tmp, "/tmp", true)
	mount(v.tmp, "/var/tmp", true)
	for _, path := range c.visible {
		mount(path, path, false)
	}
	for i, path := range c.writable {
		from := path
		if v.own != "" {
			from = ownPath(v.own, i)
		}
		mount(from, path, true)
	}
	for _, over := range c.covers() {
		if over.dir {
			text := "type=tmpfs,tmpfs-size=1048576,destination=" + over.path
			if c.kind == RuntimePodman {
				text += ",notmpcopyup" // it would copy what is to be hidden
			}
			args = append(args, "--mount", text)
		} else {
			mount(os.DevNull, over.path, false)
		}
	}
	for _, path := range v.write {
		mount(path, path, true)
	}
	for _, path := range v.read {
		mount(path, path, false)
	}
	return append(args, image)
}

// covers are put over what is hidden now: a file may have been written anew since
// the start.
func (c *containers) covers() []cover {
	var all []cover
	for _, path := range slices.Concat(c.visible, c.writable) {
		if covers, err := coversOf(path, path, c.hidden); err == nil { // else there is no path to mount
			all = append(all, covers...)
		}
	}
	return all
}

// removal are the runtime's arguments that remove a container, at once.
func (c *containers) removal(name string) []string {
	if c.kind == RuntimePodman {
		return []string{"rm", "--force", "--time", "0", name} // docker does so anyway
	}
	return []string{"rm", "--force", name}
}

// remove ends a container and removes it, if it is there.
func (c *containers) remove(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := c.output(ctx, c.removal(name)...)
	if err != nil && strings.Contains(strings.ToLower(err.Error()), "no such container") {
		return nil
	}
	return err
}

// sweep removes the containers of this data directory whose processes are gone.
func (c *containers) sweep() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := c.output(ctx, "ps", "--all", "--filter", "label="+dataLabel+"="+c.data, "--format", "{{.Names}}")
	if err != nil {
		return err
	}
	var errs []error
	for name := range strings.FieldsSeq(out) {
		rest, ours := strings.CutPrefix(name, namePrefix)
		f := strings.Split(rest, "-")
		if !ours || len(f) < 2 || proc.Alive(f[0]+"-"+f[1]) {
			continue
		}
		errs = append(errs, c.remove(name))
	}
	return errors.Join(errs...)
}

// fillContainer checks the part of the configuration that is about containers.
func (c *Config) fillContainer() error {
	if c.Container.Image == "" {
		if c.Container.Runtime != "" {
			return errors.New("build: Container.Image is required where there is a Runtime")
		}
		for name, p := range c.Projects {
			if p.Image != "" {
				return fmt.Errorf("build: project %s: an Image needs Container to be set", name)
			}
		}
		return nil
	}
	if c.Container.Runtime == "" {
		c.Container.Runtime = RuntimePodman
	}
	if !slices.Contains([]string{RuntimePodman, RuntimeDocker}, c.Container.Runtime) {
		return fmt.Errorf("build: Container.Runtime is %q, must be podman or docker", c.Container.Runtime)
	}
	if c.Isolation != IsolationAuto {
		return fmt.Errorf("build: Isolation is %s, and with Container it must be auto: containers isolate builds", c.Isolation)
	}
	for _, image := range append([]string{c.Container.Image}, c.images()...) {
		if strings.HasPrefix(image, "-") || strings.ContainsFunc(image, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return fmt.Errorf("build: %q is not the name of an image", image)
		}
	}
	return nil
}

func (c *Config) images() []string {
	var images []string
	for _, p := range c.Projects {
		if p.Image != "" {
			images = append(images, p.Image)
		}
	}
	return images
}

// containerEnvironment writes what the build's variables are where the first
// process of its container reads them: they are no arguments, which others see,
// and no variables of the runtime, which could be told what to preload by them.
func (s *session) containerEnvironment() (path string, err error) {
	var b strings.Builder
	for _, name := range s.env.names {
		if slices.Contains(shellsOwn, name) {
			continue
		}
		fmt.Fprintf(&b, "export %s=%s\n", name, quote(s.env.values[name]))
	}
	path = filepath.Join(s.scripts(), "environment")
	return path, os.WriteFile(path, []byte(b.String()), 0o600)
}

// shellsOwn are variables that bash sets itself and does not let anybody set; it
// passes over them in its environment.
var shellsOwn = []string{"UID", "EUID", "PPID", "BASHOPTS", "SHELLOPTS", "BASH_VERSINFO"}
