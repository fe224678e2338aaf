//go:build unix

package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"switchyard/internal/fault"
)

// maxCacheFiles bounds the files of one cache.
const maxCacheFiles = 1_000_000

// treeCopy copies files between a build and a cache. Both sides are confined: no
// link leads out of them, and links are copied as what they are. What is there
// already stays, so that a cache never changes a file of the commit.
type treeCopy struct {
	from, to *os.Root
	// skip are names at the top of from that are left out.
	skip string
	// free is asked before each file whether the disk has room.
	free func(ctx context.Context) error
	// room is for how many bytes there is place, and left for how many files.
	room int64
	left int

	bytes int64
	files int
}

// errCacheFull is what a copy ends with that has no place.
var errCacheFull = errors.New("it is too large")

// tree copies a file or directory and everything below it.
func (c *treeCopy) tree(ctx context.Context, name string) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if name == c.skip {
		return nil
	}
	info, err := c.from.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if c.left--; c.left < 0 {
		return fmt.Errorf("%w: more than %d files", errCacheFull, maxCacheFiles)
	}
	if dir := path.Dir(name); dir != "." {
		if err := c.to.MkdirAll(dir, 0o700); err != nil {
			return c.skipped(err)
		}
	}
	switch {
	case info.IsDir():
		return c.directory(ctx, name, info)
	case info.Mode().IsRegular():
		if err := c.free(ctx); err != nil {
			return err
		}
		return c.file(name, info)
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := c.from.Readlink(name)
		if err == nil {
			err = c.to.Symlink(target, name)
		}
		if err == nil {
			err = c.count(0)
		}
		return c.skipped(err)
	}
	return nil // sockets, pipes and devices
}

// skipped is nil for an error that concerns one file: it is left out. A full disk
// and the like end the copy.
func (c *treeCopy) skipped(err error) error {
	if err == nil || errors.Is(err, errCacheFull) || fault.Of(err) != nil {
		return err
	}
	return nil
}

func (c *treeCopy) directory(ctx context.Context, name string, info fs.FileInfo) error {
	d, err := c.from.Open(name)
	if err != nil {
		return c.skipped(err)
	}
	entries, err := d.ReadDir(-1)
	if err = errors.Join(err, d.Close()); err != nil {
		return err
	}
	made := c.to.Mkdir(name, 0o700) == nil
	for _, e := range entries {
		if err := c.tree(ctx, path.Join(name, e.Name())); err != nil {
			return err
		}
	}
	if !made || name == "." {
		return nil
	}
	// Directories that nobody may write to, as Go's module cache has, at last.
	return c.skipped(errors.Join(c.to.Chtimes(name, time.Time{}, info.ModTime()), c.to.Chmod(name, info.Mode().Perm())))
}

func (c *treeCopy) file(name string, info fs.FileInfo) error {
	// Without O_NONBLOCK the open of a named pipe would wait for a writer.
	in, err := c.from.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return c.skipped(err)
	}
	defer in.Close()
	if now, err := in.Stat(); err != nil || mayKeep(now) != nil {
		return nil //nolint:nilerr // something else took its place
	}
	out, err := c.to.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return c.skipped(err)
	}
	n, err := io.Copy(out, io.LimitReader(in, c.room+1))
	if err = errors.Join(err, out.Close()); err == nil {
		err = c.count(n)
	}
	if err != nil {
		return err
	}
	return c.skipped(errors.Join(c.to.Chtimes(name, time.Time{}, info.ModTime()), c.to.Chmod(name, info.Mode().Perm())))
}

// count enters what was copied, as it takes place on the disk.
func (c *treeCopy) count(n int64) error {
	n = max(cacheBlock, n)
	c.files++
	c.bytes += n
	if c.room -= n; c.room < 0 {
		return errCacheFull
	}
	return nil
}
