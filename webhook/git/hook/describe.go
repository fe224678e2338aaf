package hook

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"switchyard/webhook/git"
)

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
