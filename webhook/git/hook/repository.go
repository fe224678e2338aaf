package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// repository asks git. Names go to it on standard input or after
// --end-of-options, so that none is taken for an option.
type repository struct{ dir string }

func (r repository) command(ctx context.Context, args ...string) *exec.Cmd {
	// Replacement objects are pushed like any ref and would lie about commits.
	cmd := exec.CommandContext(ctx, "git", append([]string{"--no-replace-objects", "--git-dir=" + r.dir}, args...)...)
	cmd.Dir = r.dir
	// A partial clone would run what its configuration says to fetch the rest.
	cmd.Env = append(withoutRepository(os.Environ()), "LC_ALL=C", "GIT_NO_LAZY_FETCH=1")
	return cmd
}

// withoutRepository takes out what would lead git to another repository, or to
// the quarantine of a push: objects there may never become the repository's.
func withoutRepository(env []string) []string {
	out := []string{"GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", namespaceVariable}
	if slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "GIT_QUARANTINE_PATH=") }) {
		out = append(out, "GIT_QUARANTINE_PATH", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES")
	}
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(out, name)
	})
}

// run returns what git printed.
func (r repository) run(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := r.command(ctx, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		return "", gitError(args[0], err)
	}
	return string(out), nil
}

func gitError(command string, err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("git %s: %w: %s", command, err, bytes.TrimSpace(exit.Stderr))
	}
	return fmt.Errorf("git %s: %w", command, err)
}

// refs are the branches and tags of a repository.
type refs struct {
	tips map[string]string // object by full name
	// aliases are symbolic refs, and what they lead to. They are reported as
	// that alone.
	aliases map[string]string
	head    string // full name of the default branch, "" where there is none
}

func (r refs) resolve(ref string) string {
	if target, ok := r.aliases[ref]; ok {
		return target
	}
	return ref
}

func (r repository) refs(ctx context.Context) (refs, error) {
	out, err := r.run(ctx, "", "for-each-ref", "--format=%(objectname) %(refname) %(symref)", branchPrefix, tagPrefix, namespacePrefix)
	if err != nil {
		return refs{}, err
	}
	found := refs{tips: map[string]string{}, aliases: map[string]string{}, head: r.head(ctx)}
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		if len(f) != 3 || !isBranch(f[1]) && !isTag(f[1]) {
			continue
		}
		if f[2] != "" {
			found.aliases[f[1]] = f[2]
		} else {
			found.tips[f[1]] = f[0]
		}
	}
	return found, nil
}

// head is the full name of the default branch, "" when there is none.
func (r repository) head(ctx context.Context) string {
	out, err := r.run(ctx, "", "symbolic-ref", "--quiet", "HEAD")
	if err != nil { // a detached HEAD
		return ""
	}
	return strings.TrimSpace(out)
}

// revList runs git rev-list over what is reachable from the included commits
// but from none of the excluded.
func (r repository) revList(ctx context.Context, include, exclude []string, options ...string) (string, error) {
	if len(include) == 0 {
		return "", nil
	}
	var in strings.Builder
	for _, sha := range include {
		in.WriteString(sha + "\n")
	}
	for _, sha := range exclude {
		in.WriteString("^" + sha + "\n")
	}
	// What the ledger names may have been pruned since.
	return r.run(ctx, in.String(), append([]string{"rev-list", "--ignore-missing", "--stdin"}, options...)...)
}

// list returns commits oldest first, and parents before children.
func (r repository) list(ctx context.Context, include, exclude []string) ([]string, error) {
	out, err := r.revList(ctx, include, exclude, "--topo-order", "--reverse")
	return strings.Fields(out), err
}

// forced reports whether going from old to new leaves commits behind.
func (r repository) forced(ctx context.Context, old, new string) (bool, error) {
	lost, err := r.revList(ctx, []string{old}, []string{new}, "--max-count=1")
	return lost != "", err
}

// peel maps each object to the commit that it is, or that a tag leads to after
// however many others; an object that is missing or leads to none is left out.
func (r repository) peel(ctx context.Context, objects []string) (map[string]string, error) {
	if len(objects) == 0 {
		return nil, nil
	}
	var in strings.Builder
	for _, id := range objects {
		in.WriteString(id + "^{commit}\n")
	}
	out, err := r.run(ctx, in.String(), "cat-file", "--batch-check=%(objectname) %(objecttype)", "--buffer")
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != len(objects) {
		return nil, fmt.Errorf("git cat-file looked up %d of %d objects", len(lines), len(objects))
	}
	commits := make(map[string]string, len(objects))
	for i, line := range lines {
		if id, kind, _ := strings.Cut(line, " "); kind == "commit" {
			commits[objects[i]] = id
		}
	}
	return commits, nil
}

// newestTags lists tags, the newest first.
func (r repository) newestTags(ctx context.Context) ([]string, error) {
	out, err := r.run(ctx, "", "for-each-ref", "--sort=-creatordate", "--format=%(refname)", tagPrefix, namespacePrefix)
	return strings.Fields(out), err
}
