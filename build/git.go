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
	"slices"
	"strings"

	"switchyard/internal/proc"
)

// gitEnv are the variables of this process that git needs to reach a host.
// They reach git only, never a build.
var gitEnv = []string{
	"PATH", "USER", "LOGNAME", "TMPDIR", "SSH_AUTH_SOCK",
	"http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH",
}

// gitConfig is all the configuration that git has, beside that of the repository
// it works on, which we write. The machine's and the user's are not read: what
// is in them (filters, line endings, hooks, other addresses for hosts) would
// decide what a commit is.
var gitConfig = []string{
	"core.hooksPath=/dev/null",
	"core.fsmonitor=false",
	"core.askPass=",
	"core.attributesFile=/dev/null",
	"core.excludesFile=/dev/null",
	"credential.helper=",
	"credential.useHttpPath=true",
	"http.followRedirects=initial",
	"submodule.recurse=false",
	"fetch.recurseSubmodules=false",
	"advice.detachedHead=false",
	// The data folder may belong to another user, as in a container.
	"safe.directory=*",
	// A host that sends nothing for a minute is away.
	"http.lowSpeedLimit=1",
	"http.lowSpeedTime=60",
	"gc.autoDetach=false",
	"maintenance.autoDetach=false",
	"gc.pruneExpire=never",
}

// durableConfig makes what git writes durable before a ref names it. The first
// version to do that for more than loose objects is 2.36, which warns of the
// older setting.
func durableConfig(version string) []string {
	var major, minor int
	if _, err := fmt.Sscanf(version, "git version %d.%d", &major, &minor); err != nil || major > 2 || major == 2 && minor >= 36 {
		return []string{"core.fsync=all", "core.fsyncMethod=batch"}
	}
	return []string{"core.fsyncObjectFiles=true"}
}

// credentialHelper is constant; the secrets are in its environment. It answers
// for the one repository that they are for: git asks with the address that it
// has come to, which may be another.
const credentialHelper = `!f() { test "$1" = get || return 0; p= h= r=; while IFS= read -r l; do case "$l" in ` +
	`"protocol=$SWITCHYARD_GIT_PROTOCOL") p=1;; "host=$SWITCHYARD_GIT_HOST") h=1;; "path=$SWITCHYARD_GIT_PATH") r=1;; esac; done; ` +
	`test "$p$h$r" = 111 && printf 'username=%s\npassword=%s\n' "$SWITCHYARD_GIT_USER" "$SWITCHYARD_GIT_PASSWORD"; }; f`

// git is how git is run for one build or fetch.
type git struct {
	group *proc.Group
	// durable are the settings for commands that write to a mirror.
	durable []string
	// nice is for work that waits for all other.
	nice bool
	// remote is the repository that commands may talk to, with its credentials;
	// nil for commands that do not leave the machine.
	remote *remote
}

// output runs git and returns its standard output; errors carry what it wrote
// to standard error. The arguments must not hold untrusted text where git
// could read an option.
func (g git) output(ctx context.Context, dir string, args ...string) (string, error) {
	stdout, stderr, err := g.both(ctx, dir, args...)
	if err != nil {
		return "", g.failure(ctx, args[0], stderr, err)
	}
	return stdout, nil
}

// both runs git and returns what it wrote to standard output and error. The error
// is that of the process.
func (g git) both(ctx context.Context, dir string, args ...string) (stdout, stderr string, err error) {
	conf := slices.Clone(gitConfig)
	env := gitEnvironment(dir)
	if g.remote != nil && slices.Contains(remoteCommands, args[0]) {
		rm := g.remote
		// No redirect leads to another way of transport.
		env.set("GIT_ALLOW_PROTOCOL", rm.scheme)
		switch {
		case rm.password == "" || rm.host == "":
		case rm.bearer:
			// Like the helper's it goes to this repository, and is in no argument.
			env.set("GIT_CONFIG_COUNT", "1")
			env.set("GIT_CONFIG_KEY_0", "http."+rm.url+".extraHeader")
			env.set("GIT_CONFIG_VALUE_0", "Authorization: Bearer "+rm.password)
			conf = append(conf, "http.followRedirects=false")
		default:
			env.set("SWITCHYARD_GIT_PROTOCOL", rm.scheme)
			env.set("SWITCHYARD_GIT_HOST", rm.host)
			env.set("SWITCHYARD_GIT_PATH", rm.path)
			env.set("SWITCHYARD_GIT_USER", rm.user)
			env.set("SWITCHYARD_GIT_PASSWORD", rm.password)
			// curl would send them along to another path of the host.
			conf = append(conf, "http.followRedirects=false", "credential.helper="+credentialHelper)
		}
		if rm.scheme == "file" {
			remove, err := trustOwner(&env)
			if err != nil {
				return "", "", err
			}
			defer remove()
		}
	}
	if args[0] == "fetch" {
		conf = append(conf, g.durable...)
	}
	var full []string
	for _, c := range conf {
		full = append(full, "-c", c)
	}
	program := []string{"git"}
	if args[0] == "checkout" {
		// What modes files have is not to depend on how the service is started.
		program = []string{"/bin/sh", "-c", `umask 022 && exec git "$@"`, "git"}
	}
	if g.nice {
		program = append([]string{"nice", "-n", "19"}, program...)
	}
	return g.run(ctx, dir, slices.Concat(program, full, args), env.list())
}

// gitEnvironment is what git runs with, on the repository at dir or none.
func gitEnvironment(dir string) environment {
	var env environment
	env.inherit(gitEnv)
	for _, v := range []nameValue{
		{"LC_ALL", "C"},
		// curl looks for passwords there (.netrc), git for attributes.
		{"HOME", "/nonexistent"},
		{"GIT_CONFIG_NOSYSTEM", "1"}, {"GIT_CONFIG_GLOBAL", "/dev/null"}, {"GIT_ATTR_NOSYSTEM", "1"},
		{"GIT_ALLOW_PROTOCOL", "none"},
		{"GIT_TERMINAL_PROMPT", "0"},
		{"GIT_OPTIONAL_LOCKS", "0"},
		{"GIT_NO_REPLACE_OBJECTS", "1"}, {"GIT_GRAFT_FILE", "/nonexistent"}, {"GIT_NO_LAZY_FETCH", "1"},
		{"GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=30 -oServerAliveInterval=15 -oServerAliveCountMax=4"},
	} {
		env.set(v.Name, v.Value)
	}
	if dir != "" {
		// A repository that is damaged must not be looked for further up.
		env.set("GIT_CEILING_DIRECTORIES", filepath.Dir(dir))
	}
	return env
}

// trustOwner lets git read a repository of this machine that belongs to another
// user. The config names it; git's other half, which serves it, takes that from
// a file only.
func trustOwner(env *environment) (remove func(), err error) {
	f, err := os.CreateTemp("", "switchyard-git-")
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString("[safe]\n\tdirectory = *\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(f.Name()))
	}
	env.set("GIT_CONFIG_GLOBAL", f.Name())
	return func() { _ = os.Remove(f.Name()) }, nil
}

func (g git) run(ctx context.Context, dir string, args, env []string) (stdout, stderr string, err error) {
	files := make([]*os.File, 2)
	for i := range files {
		// Files, not pipes: a child that stays behind can't keep us waiting.
		if files[i], err = os.CreateTemp("", "switchyard-git-"); err != nil {
			return "", "", err
		}
		defer files[i].Close()
		if err := os.Remove(files[i].Name()); err != nil {
			return "", "", err
		}
	}
	cmd := exec.Command(args[0], args[1:]...) //nolint:noctx // the group ends it with ctx, children too
	cmd.Dir, cmd.Env = dir, env
	cmd.Stdout, cmd.Stderr = files[0], files[1]
	runErr := g.group.Run(ctx, cmd)
	var texts [2]string
	for i, f := range files {
		var b bytes.Buffer
		if _, err := f.Seek(0, 0); err != nil {
			return "", "", err
		}
		if _, err := b.ReadFrom(f); err != nil {
			return "", "", err
		}
		texts[i] = b.String()
	}
	return texts[0], texts[1], runErr
}

// failure words an error of git for a person, without the password, and says
// whose fault it is.
func (g git) failure(ctx context.Context, command, stderr string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if exit := new(exec.ExitError); !errors.As(err, &exit) {
		return fmt.Errorf("git %s: %w", command, err)
	}
	text := strings.TrimSpace(stderr)
	if g.remote != nil && g.remote.password != "" {
		text = strings.ReplaceAll(text, g.remote.password, masked)
	}
	if len(text) > 2000 {
		text = "…" + text[len(text)-2000:]
	}
	if text == "" {
		text = err.Error()
	}
	return judge(&gitError{command: command, text: text})
}
