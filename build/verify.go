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
	"strconv"
	"strings"

	"switchyard/internal/fault"
)

// verify holds what the repository at dir has of a commit against the IDs: the
// commit itself, its trees and files. Git looks at an object's ID when it is
// received and trusts the disk from then on, so that a file that was changed in
// a mirror, by a disk or by a build that runs without isolation, would be
// checked out under the commit's name. The error is one of a damaged mirror.
//
// It returns what the commit takes once it is checked out, in bytes. Each object
// is looked at once, however many paths lead to it: a dozen of trees can be more
// files than there is room for anywhere.
func (s *source) verify(ctx context.Context, g git, dir string) (size int64, err error) {
	listing, err := g.output(ctx, dir, "rev-list", "--objects", "--no-object-names", "--no-walk", s.commit, "--")
	if err != nil {
		return 0, err
	}
	root, ids := "", strings.Fields(listing)
	w := weights{files: map[string]int64{}, trees: map[string]map[string]int64{}}
	err = g.objects(ctx, dir, ids, func(kind, id string, size int64, content io.Reader) error {
		h := newHash(s.format)
		fmt.Fprintf(h, "%s %d\x00", kind, size)
		content = io.TeeReader(content, h)
		switch {
		case id == s.commit:
			line := make([]byte, len("tree ")+len(id))
			if _, err := io.ReadFull(content, line); err != nil {
				return altered(kind, id)
			}
			root = string(line[len("tree "):])
		case kind == "tree":
			entries, err := readTree(bufio.NewReader(content), h.Size())
			if err != nil {
				return altered(kind, id)
			}
			w.trees[id] = entries
		default:
			w.files[id] = max(size, entrySize)
		}
		if _, err := io.Copy(io.Discard, content); err != nil {
			return err
		}
		if hex.EncodeToString(h.Sum(nil)) != id {
			return altered(kind, id)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if w.trees[root] == nil {
		return 0, altered("commit", s.commit)
	}
	return w.of(root), nil
}

// readTree counts how often a tree has each object. IDs have so many bytes.
func readTree(content *bufio.Reader, idSize int) (entries map[string]int64, err error) {
	entries = map[string]int64{}
	id := make([]byte, idSize)
	for {
		switch _, err := content.ReadBytes(0); { // mode and name
		case errors.Is(err, io.EOF):
			return entries, nil
		case err != nil:
			return nil, err
		}
		if _, err := io.ReadFull(content, id); err != nil {
			return nil, err
		}
		entries[hex.EncodeToString(id)]++
	}
}

// weights are what objects take when they are checked out, in bytes.
type weights struct {
	files map[string]int64
	trees map[string]map[string]int64
	known map[string]int64
}

// heaviest is as much as anything is said to take.
const heaviest = 1 << 60

// of is what an object takes with everything below it.
func (w *weights) of(id string) int64 {
	if n, ok := w.files[id]; ok {
		return n
	}
	if n, ok := w.known[id]; ok {
		return n
	}
	total := int64(entrySize) // a submodule is an empty directory
	for entry, times := range w.trees[id] {
		n := w.of(entry)
		if n > (heaviest-total)/times {
			total = heaviest
			break
		}
		total += n * times
	}
	if w.known == nil {
		w.known = map[string]int64{}
	}
	w.known[id] = total
	return total
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
