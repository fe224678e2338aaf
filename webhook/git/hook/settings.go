package hook

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"strings"
	"time"
)

// The keys of the repository's git configuration, as people write them.
const (
	keyURL        = "switchyard.url"
	keySecretFile = "switchyard.secretFile"
	keyRepository = "switchyard.repository"
	keyCloneURL   = "switchyard.cloneUrl"
	keyHTMLURL    = "switchyard.htmlUrl"
	keyTimeout    = "switchyard.timeout"
)

const namespaceVariable = "GIT_NAMESPACE"

// Load finds the repository that dir is in, or that GIT_DIR names when dir is
// "", and reads its settings from git's configuration: switchyard.url,
// switchyard.secretFile, switchyard.repository, switchyard.cloneUrl,
// switchyard.htmlUrl and switchyard.timeout (a duration such as 5s). The pusher
// is REMOTE_USER, GL_USER or USER of the environment, whichever is set first.
//
// The working trees of a repository share its settings, ledger and spool. Where
// the repository was found and only a setting makes no sense, the other settings
// are returned with the error.
func Load(ctx context.Context, dir string) (Config, error) {
	gitDir, err := findGitDir(ctx, dir)
	if err != nil {
		return Config{}, err
	}
	return load(ctx, gitDir)
}

func load(ctx context.Context, gitDir string) (Config, error) {
	cfg := Config{GitDir: gitDir, Namespace: os.Getenv(namespaceVariable)}
	for _, name := range []string{"REMOTE_USER", "GL_USER", "USER"} {
		if cfg.Pusher == "" {
			cfg.Pusher = os.Getenv(name)
		}
	}
	out, err := repository{gitDir}.run(ctx, "", "config", "--list", "--null", "--includes")
	if err != nil {
		return Config{}, err
	}
	texts := map[string]*string{
		keyURL: &cfg.URL, keySecretFile: &cfg.SecretFile, keyRepository: &cfg.Repository,
		keyCloneURL: &cfg.CloneURL, keyHTMLURL: &cfg.HTMLURL,
	}
	settings := map[string]string{}
	for line := range strings.SplitSeq(out, "\x00") {
		key, value, _ := strings.Cut(line, "\n")
		settings[key] = value // the last one counts, as git has it
	}
	for key, text := range texts {
		*text = settings[strings.ToLower(key)]
	}
	if t := settings[keyTimeout]; t != "" {
		if cfg.Timeout, err = time.ParseDuration(t); err != nil || cfg.Timeout <= 0 {
			cfg.Timeout = 0
			return cfg, usagef("%s is %q; write it like 5s", keyTimeout, t)
		}
	}
	return cfg, nil
}

func findGitDir(ctx context.Context, dir string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", "rev-parse", "--path-format=absolute", "--git-common-dir")
	if dir != "" {
		cmd.Dir, cmd.Env = dir, withoutRepository(os.Environ())
	}
	out, err := cmd.Output()
	if err != nil {
		return "", usagef("%q is not a git repository: %w", cmp.Or(dir, os.Getenv("GIT_DIR"), "."), gitError("rev-parse", err))
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}
