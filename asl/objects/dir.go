// Package objects keeps objects as files, where there is no S3: the object KEY
// of the bucket BUCKET is the file BUCKET/KEY below one folder.
package objects

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"switchyard/asl/distributed"
)

// maxKey is the longest key, in bytes of UTF-8, as with S3.
const maxKey = 1024

// tempPrefix begins the names of files that are being written; they are no
// objects.
const tempPrefix = ".switchyard-put-"

// Dir is a folder of objects. Nothing outside of it is ever read or written,
// whatever buckets, keys and symbolic links say. It is safe for concurrent use.
type Dir struct {
	root *os.Root
}

var _ distributed.ObjectStore = (*Dir)(nil)

// Open returns the objects in the folder name, which it makes when it is not
// there.
func Open(name string) (*Dir, error) {
	if err := os.MkdirAll(name, 0o750); err != nil {
		return nil, fmt.Errorf("open objects: %w", err)
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("open objects: %w", err)
	}
	return &Dir{root: root}, nil
}

// Close gives the folder back.
func (d *Dir) Close() error { return d.root.Close() }

// Open implements [distributed.ObjectStore].
func (d *Dir) Open(_ context.Context, bucket, key string) (io.ReadCloser, error) {
	name, err := file(bucket, key)
	if err != nil {
		return nil, err
	}
	f, err := d.root.Open(name)
	if err != nil {
		return nil, reason(bucket, key, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, errors.Join(reason(bucket, key, err), f.Close())
	}
	return f, nil
}

// Put implements [distributed.ObjectStore].
func (d *Dir) Put(_ context.Context, bucket, key string, write func(io.Writer) error) (size int64, err error) {
	name, err := file(bucket, key)
	if err != nil {
		return 0, err
	}
	folder := path.Dir(name)
	if err := d.root.MkdirAll(folder, 0o750); err != nil {
		return 0, reason(bucket, key, err)
	}
	temp := path.Join(folder, tempPrefix+rand.Text())
	f, err := d.root.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return 0, reason(bucket, key, err)
	}
	defer func() {
		if err != nil {
			err = reason(bucket, key, errors.Join(err, d.root.Remove(temp)))
		}
	}()
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	info, statErr := f.Stat()
	if err = errors.Join(err, statErr, f.Close()); err != nil {
		return 0, err
	}
	if err = d.root.Rename(temp, name); err != nil {
		return 0, err
	}
	return info.Size(), d.sync(folder)
}

// sync makes the names in a folder durable.
func (d *Dir) sync(folder string) error {
	f, err := d.root.Open(folder)
	if err != nil {
		return fmt.Errorf("sync objects: %w", err)
	}
	return errors.Join(f.Sync(), f.Close())
}

// List implements [distributed.ObjectStore].
func (d *Dir) List(ctx context.Context, bucket, prefix string) iter.Seq2[distributed.Object, error] {
	return func(yield func(distributed.Object, error) bool) {
		if err := checkBucket(bucket); err != nil {
			yield(distributed.Object{}, err)
			return
		}
		if info, err := d.root.Stat(bucket); err != nil || !info.IsDir() {
			yield(distributed.Object{}, fmt.Errorf("list s3://%s: %w: there is no folder of this name", bucket, fs.ErrNotExist))
			return
		}
		// The walk begins as deep as the prefix names whole folders.
		folder := ""
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
			folder = prefix[:i]
			if checkKey(folder) != nil {
				return // no file can have such a key
			}
		}
		d.walk(ctx, bucket, folder, prefix, yield)
	}
}

// walk gives the objects below a folder of a bucket; false when no more are
// wanted. It holds the names of one folder, and of those that lead to it.
func (d *Dir) walk(ctx context.Context, bucket, folder, prefix string, yield func(distributed.Object, error) bool) bool {
	if err := ctx.Err(); err != nil {
		return yield(distributed.Object{}, context.Cause(ctx))
	}
	entries, err := fs.ReadDir(d.root.FS(), path.Join(bucket, folder))
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		yield(distributed.Object{}, reason(bucket, folder, err))
		return false
	}
	// A folder's objects come where its name with a slash does.
	sortName := func(e fs.DirEntry) string {
		if e.IsDir() {
			return e.Name() + "/"
		}
		return e.Name()
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(sortName(a), sortName(b)) })
	for _, e := range entries {
		key := path.Join(folder, e.Name())
		switch {
		case e.IsDir():
			if below := key + "/"; strings.HasPrefix(below, prefix) || strings.HasPrefix(prefix, below) {
				if !d.walk(ctx, bucket, key, prefix, yield) {
					return false
				}
			}
		case !e.Type().IsRegular() || strings.HasPrefix(e.Name(), tempPrefix) || !strings.HasPrefix(key, prefix):
		default:
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // it was deleted just now
			}
			if err != nil {
				yield(distributed.Object{}, reason(bucket, key, err))
				return false
			}
			o := distributed.Object{
				Key: key, Size: info.Size(), Modified: info.ModTime(),
				ETag: fmt.Sprintf("%x-%x", info.ModTime().UnixNano(), info.Size()),
			}
			if !yield(o, nil) {
				return false
			}
		}
	}
	return true
}

func file(bucket, key string) (string, error) {
	if err := checkBucket(bucket); err != nil {
		return "", err
	}
	if err := checkKey(key); err != nil {
		return "", err
	}
	return bucket + "/" + key, nil
}

func checkBucket(bucket string) error {
	if bucket == "" || len(bucket) > 255 || strings.Trim(bucket, ".") == "" ||
		strings.ContainsFunc(bucket, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
		}) {
		return fmt.Errorf("bucket %q: expected letters, digits, '-', '.' and '_'", bucket)
	}
	return nil
}

// checkKey refuses keys that are valid in S3 and yet cannot be a file's name.
func checkKey(key string) error {
	if len(key) > maxKey || !utf8.ValidString(key) || strings.ContainsAny(key, "\x00\\") || !fs.ValidPath(key) || key == "." {
		return fmt.Errorf("key %q: a file stands for it, so it needs 1 to %d bytes of UTF-8 without backslash, and no part between slashes that is empty, '.' or '..'", key, maxKey)
	}
	return nil
}

// reason names the object, and not the file, in an error.
func reason(bucket, key string, err error) error {
	var failed *fs.PathError
	if errors.As(err, &failed) {
		err = failed.Err
	}
	return fmt.Errorf("s3://%s/%s: %w", bucket, key, err)
}
