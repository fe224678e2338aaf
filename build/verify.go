//go:build unix

package build

import (
	"bufio"
	"context"
	"crypto/sha1" //nolint:gosec // git's IDs
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"switchyard/internal/fault"
)

// verify holds what the repository at dir has of a commit against the IDs: the
// commit itself, its trees and files. Git looks at an object's ID when it is
// received and trusts the disk from then on, so that a file that was changed in
// a mirror, by a disk or by a build that runs without isolation, would be
// checked out under the commit's name. The error is one of a damaged mirror.
func (s *source) verify(ctx context.Context, g git, dir string) error {
	listing, err := g.output(ctx, dir, "ls-tree", "-r", "-t", "-z", s.commit)
	if err != nil {
		return err
	}
	var ids []string
	for entry := range strings.SplitSeq(strings.TrimSuffix(listing, "\x00"), "\x00") {
		// mode, type and ID. What a submodule's commit is, is not in this repository.
		if f := strings.Fields(entry); len(f) >= 3 && f[1] != "commit" {
			ids = append(ids, f[2])
		}
	}
	slices.Sort(ids)
	ids = append([]string{s.commit, s.commit + "^{tree}"}, slices.Compact(ids)...)
	root, rootHeld := "", false
	err = g.objects(ctx, dir, ids, func(kind, id string, size int64, content io.Reader) error {
		h := newHash(s.format)
		fmt.Fprintf(h, "%s %d\x00", kind, size)
		if id == s.commit {
			line := make([]byte, len("tree ")+len(id))
			if _, err := io.ReadFull(content, line); err != nil {
				return altered(kind, id)
			}
			root = string(line[len("tree "):])
			h.Write(line)
		}
		if _, err := io.Copy(h, content); err != nil {
			return err
		}
		if hex.EncodeToString(h.Sum(nil)) != id {
			return altered(kind, id)
		}
		rootHeld = rootHeld || id == root
		return nil
	})
	if err == nil && !rootHeld {
		err = altered("commit", s.commit)
	}
	return err
}

// altered is the error of an object that is not what its ID says.
func altered(kind, id string) error {
	return &gitError{command: "checkout", text: fmt.Sprintf("%s %s in the mirror is corrupt: its content is not what its ID says", kind, id)}
}

func newHash(format string) hash.Hash {
	if format == "sha256" {
		return sha256.New()
	}
	return sha1.New() //nolint:gosec // git's IDs
}

// objects calls use with each of the objects. Their content comes through a
// pipe: a commit may hold more than there is room for twice.
func (g git) objects(ctx context.Context, dir string, ids []string, use func(kind, id string, size int64, content io.Reader) error) error {
	list, err := os.CreateTemp("", "switchyard-git-")
	if err != nil {
		return err
	}
	defer list.Close()
	if err := os.Remove(list.Name()); err != nil {
		return err
	}
	if _, err := list.WriteString(strings.Join(ids, "\n") + "\n"); err != nil {
		return err
	}
	if _, err := list.Seek(0, io.SeekStart); err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := exec.Command("git", "-c", "core.hooksPath=/dev/null", "-c", "safe.directory=*", "cat-file", "--batch", "--buffer") //nolint:noctx // the group ends it with ctx
	env := gitEnvironment(dir)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout = dir, env.list(), list, w
	ended := make(chan error, 1)
	go func() {
		err := g.group.Run(ctx, cmd)
		ended <- errors.Join(err, w.Close())
	}()
	err = readObjects(bufio.NewReaderSize(r, 64<<10), len(ids), use)
	// Who has read enough must not be waited for by who writes.
	err = errors.Join(err, r.Close())
	runErr := <-ended
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if fault.Of(runErr) != nil || err == nil {
		return runErr
	}
	return err
}

// readObjects reads the output of git cat-file --batch.
func readObjects(r *bufio.Reader, n int, use func(kind, id string, size int64, content io.Reader) error) error {
	for range n {
		header, err := r.ReadString('\n')
		if err != nil {
			return &gitError{command: "cat-file", text: "corrupt: an object of the commit can't be read"}
		}
		f := strings.Fields(header)
		if len(f) != 3 {
			return &gitError{command: "cat-file", text: "missing object " + strings.TrimSpace(header) + ": the mirror is corrupt"}
		}
		size, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			return err
		}
		content := &io.LimitedReader{R: r, N: size}
		if err := use(f[1], f[0], size, content); err != nil {
			return err
		}
		if end, err := r.ReadByte(); content.N != 0 || err != nil || end != '\n' {
			return &gitError{command: "cat-file", text: "corrupt: object " + f[0] + " can't be read to its end"}
		}
	}
	return nil
}
