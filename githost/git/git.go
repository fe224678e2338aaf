// Package git asks repositories on this machine, by the git program, for what a
// git host is asked by its API elsewhere.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/internal/event"
	"switchyard/internal/safetext"
)

const (
	branchPrefix = "refs/heads/"
	// maxCommits is how many commits of one push are listed.
	maxCommits = 100_000
	// maxPaths is how many paths of a commit are kept. Those of one with more are
	// unknown.
	maxPaths = 10_000
	maxError = 300
	// maxOutput is how much of what git prints is taken, in bytes.
	maxOutput = 256 << 20
)

// Config is what an operator sets.
type Config struct {
	// Source is the name under sources in the config.
	Source string
	// Repositories maps a repository's full name to its path on this machine.
	Repositories map[string]string
}

// Client is a [dispatch.Host] of repositories on this machine. It is safe for
// concurrent use.
type Client struct{ cfg Config }

var (
	_ dispatch.Host   = (*Client)(nil)
	_ githost.Refs    = (*Client)(nil)
	_ githost.History = (*Client)(nil)
)

// New returns a client of the repositories, which it does not look at yet.
func New(cfg Config) *Client { return &Client{cfg} }

var objectID = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)

// repository is one, and what is asked of it.
type repository struct{ name, dir string }

func (c *Client) repository(name string, shas ...string) (repository, error) {
	dir, ok := c.cfg.Repositories[name]
	if !ok {
		return repository{}, fmt.Errorf("%w: set sources.%s.repositories.%q to its path on this machine", dispatch.ErrCannotAsk, c.cfg.Source, name)
	}
	for _, sha := range shas {
		if !objectID.MatchString(sha) {
			return repository{}, &dispatch.PermanentError{Err: fmt.Errorf("%q is not the ID of a commit", safetext.Cut(sha, 80))}
		}
	}
	dir, err := Dir(dir)
	if err != nil {
		return repository{}, fmt.Errorf("%w: sources.%s.repositories.%q: %w", dispatch.ErrCannotAsk, c.cfg.Source, name, err)
	}
	return repository{name, dir}, nil
}

// Dir finds the git directory at path and nowhere above it.
func Dir(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for _, dir := range []string{filepath.Join(path, ".git"), path} {
		head, headErr := os.Stat(filepath.Join(dir, "HEAD"))
		objects, objectsErr := os.Stat(filepath.Join(dir, "objects"))
		if headErr == nil && objectsErr == nil && head.Mode().IsRegular() && objects.IsDir() {
			return dir, nil
		}
	}
	return "", fmt.Errorf("%s is not a git repository", path)
}

// Refs implements [githost.Refs]. A branch that stands for another is left out.
func (c *Client) Refs(ctx context.Context, name string) (map[string]string, error) {
	r, err := c.repository(name)
	if err != nil {
		return nil, err
	}
	out, err := r.git(ctx, "", "for-each-ref", "--format=%(objectname) %(refname) %(symref)", branchPrefix)
	if err != nil {
		return nil, err
	}
	refs := map[string]string{}
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) == 2 {
			refs[f[1]] = f[0]
		}
	}
	return refs, nil
}

// Commits implements [dispatch.Host]. Of a branch that was created, or whose
// commit before the push is gone, they are those that no other branch has.
func (c *Client) Commits(ctx context.Context, push *event.Event) ([]event.Commit, error) {
	shas := []string{push.After}
	if push.Before != "" {
		shas = append(shas, push.Before)
	}
	r, err := c.repository(push.Repository.FullName, shas...)
	if err != nil {
		return nil, err
	}
	if known, err := r.has(ctx, push.After); err != nil || !known {
		if err == nil {
			err = &dispatch.PermanentError{Err: fmt.Errorf("%s has no commit %.12s", r.name, push.After)}
		}
		return nil, err
	}
	without := []string{push.Before}
	known := push.Before != ""
	if known {
		if known, err = r.has(ctx, push.Before); err != nil {
			return nil, err
		}
	}
	if !known {
		if without, err = r.others(ctx, push.Ref); err != nil {
			return nil, err
		}
		if len(without) == 0 && push.Before != "" {
			return nil, &dispatch.PermanentError{Err: fmt.Errorf("%s no longer has commit %.12s, at which %s was before the push, and no other branch: which commits are new cannot be told", r.name, push.Before, push.Ref)}
		}
	}
	return r.list(ctx, push.After, without)
}

// others are the tips of all branches but one.
func (r repository) others(ctx context.Context, ref string) ([]string, error) {
	out, err := r.git(ctx, "", "for-each-ref", "--format=%(objectname) %(refname)", branchPrefix)
	if err != nil {
		return nil, err
	}
	var tips []string
	for line := range strings.Lines(out) {
		if sha, name, _ := strings.Cut(strings.TrimSpace(line), " "); name != ref {
			tips = append(tips, sha)
		}
	}
	return tips, nil
}

// CommitsSince implements [githost.History].
func (c *Client) CommitsSince(ctx context.Context, name, head string, since time.Time) ([]event.Commit, error) {
	r, err := c.repository(name, head)
	if err != nil {
		return nil, err
	}
	return r.list(ctx, head, nil, fmt.Sprintf("--since=%d", since.Unix()))
}

// list lists what head has and the others have not, oldest first.
func (r repository) list(ctx context.Context, head string, without []string, options ...string) ([]event.Commit, error) {
	var tips strings.Builder
	fmt.Fprintln(&tips, head)
	for _, sha := range without {
		fmt.Fprintf(&tips, "^%s\n", sha)
	}
	args := append([]string{"log", "--stdin", "--topo-order", "--reverse", "-z", "--no-notes", "--encoding=UTF-8",
		"--format=%H%x1f%an%x1f%ae%x1f%B", fmt.Sprintf("--max-count=%d", maxCommits+1)}, options...)
	out, err := r.git(ctx, tips.String(), args...)
	if err != nil {
		return nil, err
	}
	var all []event.Commit
	for record := range strings.SplitSeq(out, "\x00") {
		if record != "" {
			all = append(all, commit(record))
		}
	}
	if len(all) > maxCommits {
		return nil, &dispatch.PermanentError{Err: fmt.Errorf("%s: the push has more than %d commits, which is how many are listed", r.name, maxCommits)}
	}
	return all, nil
}

// commit reads what list has git write of one.
func commit(record string) event.Commit {
	f := strings.SplitN(strings.ToValidUTF8(record, "\uFFFD"), "\x1f", 4)
	for len(f) < 4 {
		f = append(f, "")
	}
	return event.Commit{SHA: f[0], Author: f[1], AuthorEmail: f[2], Message: strings.TrimRight(f[3], "\n"), MessageKnown: true, Distinct: true}
}

// Commit implements [dispatch.Host]. A merge's paths are those that it changed on
// its first parent.
func (c *Client) Commit(ctx context.Context, _, name, sha string) (event.Commit, error) {
	r, err := c.repository(name, sha)
	if err != nil {
		return event.Commit{}, err
	}
	out, err := r.git(ctx, sha+"\n", "diff-tree", "--stdin", "-r", "-z", "--root", "--always", "--no-renames", "--name-only", "--no-notes",
		"--diff-merges=first-parent", "--encoding=UTF-8", "--format=%H%x1f%an%x1f%ae%x1f%B%x00")
	if err != nil {
		return event.Commit{}, err
	}
	record, rest, _ := strings.Cut(out, "\x00")
	made := commit(record)
	if made.SHA != sha {
		return event.Commit{}, &dispatch.PermanentError{Err: fmt.Errorf("%s has no commit %.12s", r.name, sha)}
	}
	made.PathsKnown = true
	for path := range strings.SplitSeq(rest, "\x00") {
		if path = strings.TrimPrefix(path, "\n"); path != "" {
			made.Paths = append(made.Paths, strings.ToValidUTF8(path, "\uFFFD"))
		}
	}
	if len(made.Paths) > maxPaths {
		made.Paths, made.PathsKnown = nil, false
	}
	return made, nil
}

func (r repository) has(ctx context.Context, sha string) (bool, error) {
	// The ID goes in by standard input; git answers "<id> missing" and ends well,
	// so that a missing commit is told from a broken repository.
	kind, err := r.git(ctx, sha+"\n", "cat-file", "--batch-check=%(objecttype)")
	return strings.TrimSpace(kind) == "commit", err
}

// git runs git on the repository and returns what it printed.
func (r repository) git(ctx context.Context, stdin string, args ...string) (string, error) {
	// Replacement objects are pushed like any ref and would lie about commits; a
	// partial clone would run what its configuration says to fetch the rest.
	cmd := exec.CommandContext(ctx, "git", append([]string{"--no-replace-objects", "--git-dir=" + r.dir}, args...)...)
	cmd.Dir = r.dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "GIT_") }),
		"LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_NO_LAZY_FETCH=1")
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	stdout := &bounded{left: maxOutput}
	cmd.Stdout, cmd.Stderr = stdout, &stderr
	err := cmd.Run()
	switch {
	case err == nil:
		return stdout.String(), nil
	case stdout.left < 0:
		return "", &dispatch.PermanentError{Err: fmt.Errorf("git %s in %s: it prints more than %d MiB", args[0], r.dir, maxOutput>>20)}
	case ctx.Err() != nil:
		return "", fmt.Errorf("git %s: %w", args[0], ctx.Err())
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("%w: %v", dispatch.ErrCannotAsk, err)
	default:
		return "", fmt.Errorf("git %s in %s: %w: %s", args[0], r.dir, err, safetext.Cut(safetext.Line(strings.TrimSpace(stderr.String())), maxError))
	}
}

// bounded is a buffer that takes no more than is left.
type bounded struct {
	bytes.Buffer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errors.New("too much")
	}
	return b.Buffer.Write(p)
}
