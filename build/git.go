//go:build unix

package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"switchyard/internal/proc"
)

// remote is a clone URL that was found safe to give to git.
type remote struct {
	// url has no user name and password, except the user of ssh.
	url            string
	scheme         string
	user, password string
	// host is scheme://host[:port] for http and https, else "".
	host string
}

// scpLike is user@host:path, ssh's short form. The path must not begin with
// a second colon, which would name a transport helper.
var scpLike = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@-]*:[^:]`)

// parseRemote refuses URLs that git would take for an option, a transport
// helper (ext::) or a path relative to wherever it runs.
func parseRemote(raw string, schemes []string) (remote, error) {
	for _, r := range raw {
		if r < ' ' || r == 0x7f {
			return remote{}, fmt.Errorf("clone URL %q has a control character", raw)
		}
	}
	rm := remote{url: raw}
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return remote{}, errors.New("clone URL is empty")
	case raw[0] == '-':
		return remote{}, fmt.Errorf("clone URL %q begins with -", raw)
	case filepath.IsAbs(raw):
		rm.scheme = "file"
	case hasScheme(raw):
		if err != nil {
			// The text may hold a password: it is not repeated.
			return remote{}, errors.New("clone URL is not a valid URL")
		}
		rm.scheme = strings.ToLower(u.Scheme)
		if u.Scheme != "file" && (u.Host == "" || u.Host[0] == '-') {
			return remote{}, fmt.Errorf("clone URL %s has no valid host", u.Redacted())
		}
		if rm.scheme == "http" || rm.scheme == "https" {
			rm.host = rm.scheme + "://" + u.Host
			if u.User != nil {
				rm.user = u.User.Username()
				rm.password, _ = u.User.Password()
				u.User = nil
				rm.url = u.String()
			}
		}
	case scpLike.MatchString(raw):
		rm.scheme = "ssh"
	default:
		return remote{}, fmt.Errorf("clone URL %q is neither a URL, host:path nor an absolute path", raw)
	}
	if !slices.Contains(schemes, rm.scheme) {
		return remote{}, fmt.Errorf("clone URL has scheme %q; builds may clone from %s only", rm.scheme, strings.Join(schemes, ", "))
	}
	return rm, nil
}

// gitEnv are the variables of this process that git needs to reach a host.
// They reach git only, never a build.
var gitEnv = []string{
	"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "SSH_AUTH_SOCK", "XDG_CONFIG_HOME",
	"http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO",
}

// gitConfig keeps a repository from running anything on our side, whatever
// the user's own configuration says. The user's configuration is still read:
// it has the proxies, certificates and safe directories of this machine.
var gitConfig = []string{
	"core.hooksPath=/dev/null",
	"core.fsmonitor=false",
	"core.askPass=",
	"protocol.ext.allow=never",
	"submodule.recurse=false",
	"fetch.recurseSubmodules=false",
	"advice.detachedHead=false",
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

// credentialHelper is constant; the secrets are in its environment.
const credentialHelper = `!f() { test "$1" = get && printf 'username=%s\npassword=%s\n' "$SWITCHYARD_GIT_USER" "$SWITCHYARD_GIT_PASSWORD"; }; f`

// git is how git is run for one build or fetch.
type git struct {
	group   *proc.Group
	schemes []string
	// lfs lets the large file filter download.
	lfs bool
	// durable are the settings for commands that write to a mirror.
	durable []string
	// auth is nil for commands that do not leave the machine.
	auth *remote
}

// output runs git and returns its standard output; errors carry what it wrote
// to standard error. The arguments must not hold untrusted text where git
// could read an option.
func (g git) output(ctx context.Context, dir string, args ...string) (string, error) {
	conf := gitConfig
	var env environment
	env.inherit(gitEnv)
	env.set("LC_ALL", "C")
	env.set("GIT_CONFIG_NOSYSTEM", "1")
	env.set("GIT_TERMINAL_PROMPT", "0")
	env.set("GIT_ALLOW_PROTOCOL", strings.Join(g.schemes, ":"))
	env.set("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=30 -oServerAliveInterval=15 -oServerAliveCountMax=4")
	env.set("GIT_OPTIONAL_LOCKS", "0")
	if dir != "" {
		// A repository that is damaged must not be looked for further up.
		env.set("GIT_CEILING_DIRECTORIES", filepath.Dir(dir))
	}
	if !g.lfs {
		env.set("GIT_LFS_SKIP_SMUDGE", "1")
	}
	if g.auth != nil && g.auth.password != "" && g.auth.host != "" {
		env.set("SWITCHYARD_GIT_USER", g.auth.user)
		env.set("SWITCHYARD_GIT_PASSWORD", g.auth.password)
		// Bound to the host, so that a redirect elsewhere gets nothing.
		conf = append(conf[:len(conf):len(conf)],
			"credential.helper=", "credential."+g.auth.host+".helper="+credentialHelper)
	}
	if args[0] == "submodule" {
		// The commit says where from, and must not name what is on this machine.
		env.set("GIT_ALLOW_PROTOCOL", strings.Join(slices.DeleteFunc(slices.Clone(g.schemes), func(s string) bool { return s == "file" }), ":"))
	}
	if args[0] == "fetch" {
		conf = slices.Concat(conf, g.durable)
	}
	var full []string
	for _, c := range conf {
		full = append(full, "-c", c)
	}
	stdout, stderr, err := g.run(ctx, dir, append(full, args...), env.list())
	if err != nil {
		return "", g.failure(ctx, args[0], stderr, err)
	}
	return stdout, nil
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
	cmd := exec.Command("git", args...) //nolint:noctx // the group ends it with ctx, children too
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
	if g.auth != nil && g.auth.password != "" {
		text = strings.ReplaceAll(text, g.auth.password, masked)
	}
	if len(text) > 2000 {
		text = "…" + text[len(text)-2000:]
	}
	if text == "" {
		text = err.Error()
	}
	return judge(&gitError{command: command, text: text})
}

// hasScheme tells scheme://host from host:path, which may hold :// too.
func hasScheme(raw string) bool {
	scheme, _, ok := strings.Cut(raw, "://")
	return ok && !strings.Contains(scheme, ":")
}
