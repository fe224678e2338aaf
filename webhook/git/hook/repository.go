package hook

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"switchyard/webhook/git"
)

// repository asks git. Names go to it on standard input or after
// --end-of-options, so that none is taken for an option.
type repository struct{ dir string }

func (r repository) command(ctx context.Context, args ...string) *exec.Cmd {
	// Replacement objects are pushed like any ref and would lie about commits.
	cmd := exec.CommandContext(ctx, "git", append([]string{"--no-replace-objects", "--git-dir=" + r.dir}, args...)...)
	cmd.Dir = r.dir
	cmd.Env = append(withoutRepository(os.Environ()), "LC_ALL=C")
	return cmd
}

// withoutRepository takes out what would lead git to another repository.
func withoutRepository(env []string) []string {
	return slices.DeleteFunc(env, func(v string) bool {
		return strings.HasPrefix(v, "GIT_DIR=") || strings.HasPrefix(v, "GIT_WORK_TREE=") || strings.HasPrefix(v, "GIT_NAMESPACE=")
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

// branches maps each branch to its commit.
func (r repository) branches(ctx context.Context) (map[string]string, error) {
	out, err := r.run(ctx, "", "for-each-ref", "--format=%(objectname) %(refname)", branchPrefix)
	if err != nil {
		return nil, err
	}
	refs := map[string]string{}
	for line := range strings.Lines(out) {
		sha, ref, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		refs[ref] = sha
	}
	return refs, nil
}

// head is the short name of the default branch, "" when there is none.
func (r repository) head(ctx context.Context) string {
	out, err := r.run(ctx, "", "symbolic-ref", "--quiet", "HEAD")
	if err != nil { // a detached HEAD
		return ""
	}
	branch, _ := strings.CutPrefix(strings.TrimSpace(out), branchPrefix)
	return branch
}

// list returns the commits reachable from the included ones but from none of
// the excluded, oldest first and parents before children.
func (r repository) list(ctx context.Context, include, exclude []string) ([]string, error) {
	var in strings.Builder
	for _, sha := range include {
		in.WriteString(sha + "\n")
	}
	for _, sha := range exclude {
		in.WriteString("^" + sha + "\n")
	}
	// What the ledger names may have been pruned since.
	out, err := r.run(ctx, in.String(), "rev-list", "--topo-order", "--reverse", "--ignore-missing", "--stdin")
	return strings.Fields(out), err
}

// fresh is the set of commits that the updates brought to the repository.
func (r repository) fresh(ctx context.Context, updates []update, known []string) (map[string]bool, error) {
	var tips []string
	for _, u := range updates {
		if !isZero(u.new) {
			tips = append(tips, u.new)
		}
	}
	if len(tips) == 0 {
		return nil, nil
	}
	list, err := r.list(ctx, tips, known)
	if err != nil {
		return nil, err
	}
	set := make(map[string]bool, len(list))
	for _, sha := range list {
		set[sha] = true
	}
	return set, nil
}

// change is an update as it is reported.
type change struct {
	update
	forced  bool
	commits []string
}

// examine works out what u brought to its branch. It is late when a hook that
// ran earlier has reported it already, together with what followed.
func (r repository) examine(ctx context.Context, u update, led ledger, known []string, refs map[string]string) (c change, late bool, err error) {
	c.update = u
	if isZero(u.new) {
		return c, false, nil
	}
	exclude := known
	if !isZero(u.old) {
		if reported := led[u.ref]; reported != "" {
			// Equal to u.old, unless a hook before this one did not run.
			c.old = reported
		}
		exclude = []string{c.old}
	}
	if c.commits, err = r.list(ctx, []string{u.new}, exclude); err != nil {
		return c, false, err
	}
	if len(c.commits) == 0 && led[u.ref] != "" && refs[u.ref] != u.new {
		return c, true, nil
	}
	if !isZero(c.old) {
		if c.forced, err = r.forced(ctx, c.old, u.new); err != nil {
			return c, false, err
		}
	}
	if len(c.commits) == 0 {
		// The branch now ends at a commit that was known already.
		c.commits = []string{u.new}
	}
	return c, false, nil
}

// forced reports whether going from old to new leaves commits behind.
func (r repository) forced(ctx context.Context, old, new string) (bool, error) {
	lost, err := r.run(ctx, old+"\n^"+new+"\n", "rev-list", "--max-count=1", "--ignore-missing", "--stdin")
	return lost != "", err
}

// describe calls visit for each commit, in the order given. One git process
// describes them all. A merge's paths are those that it changed on its first
// parent.
func (r repository) describe(ctx context.Context, commits []string, visit func(git.Commit) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := r.command(ctx, "diff-tree", "--stdin", "-r", "-z", "--raw", "--root", "--always", "--no-renames", "--no-abbrev",
		"--no-notes", "--diff-merges=first-parent", "--encoding=UTF-8", "--format=%H%x00%an%x00%ae%x00%B%x00")
	cmd.Stdin = strings.NewReader(strings.Join(commits, "\n") + "\n")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("git diff-tree: %w", err)
	}
	n, err := readCommits(bufio.NewReaderSize(stdout, 64<<10), visit)
	if err != nil {
		cancel()
		_ = cmd.Wait() // killed: err says why
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("git diff-tree: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	if n != len(commits) {
		return fmt.Errorf("git diff-tree described %d of %d commits", n, len(commits))
	}
	return nil
}

// Limits of one commit. A build needs neither a longer message nor more paths;
// paths that do not fit are unknown, which skips nothing.
const (
	maxMessage    = 64 << 10
	maxPathsBytes = 2 << 20
)

// readCommits parses diff-tree's output: for each commit four fields, an empty
// one, and then for each path a field that starts with ":" and the path.
// Everything ends in NUL. No path is mistaken for a commit, since each follows
// its ":" field.
func readCommits(r *bufio.Reader, visit func(git.Commit) error) (n int, err error) {
	next := func() (string, error) {
		text, err := r.ReadString(0)
		if err == io.EOF && text != "" {
			err = io.ErrUnexpectedEOF
		}
		return strings.TrimSuffix(text, "\x00"), err
	}
	id, err := next()
	for ; err == nil; n++ {
		c := git.Commit{ID: id, Paths: []string{}}
		for _, field := range []*string{&c.Author.Name, &c.Author.Email, &c.Message, new(string)} {
			if *field, err = next(); err != nil {
				return n, fmt.Errorf("git diff-tree: output ends within commit %s", id)
			}
			*field = strings.ToValidUTF8(*field, "\uFFFD")
		}
		c.Message = clip(strings.TrimRight(c.Message, "\n"), maxMessage)
		size := 0
		for id, err = next(); err == nil && strings.HasPrefix(strings.TrimPrefix(id, "\n"), ":"); id, err = next() {
			path, err := next()
			if err != nil {
				return n, fmt.Errorf("git diff-tree: output ends within commit %s", c.ID)
			}
			if size += len(path) + 3; size <= maxPathsBytes {
				c.Paths = append(c.Paths, strings.ToValidUTF8(path, "\uFFFD"))
			}
		}
		if size > maxPathsBytes {
			c.Paths = nil
		}
		if err := visit(c); err != nil {
			return n, err
		}
	}
	if !errors.Is(err, io.EOF) {
		return n, fmt.Errorf("git diff-tree: %w", err)
	}
	return n, nil
}

// clip cuts s to at most n bytes, between runes.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
