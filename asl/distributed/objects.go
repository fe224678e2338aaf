package distributed

import (
	"context"
	"io"
	"iter"
	"time"
)

// ObjectStore is where distributed Maps read their items and write their
// results: S3, or what stands for it. It is safe for concurrent use.
type ObjectStore interface {
	// Open reads an object from its beginning. For one that is not there the
	// error wraps fs.ErrNotExist.
	Open(ctx context.Context, bucket, key string) (io.ReadCloser, error)
	// List gives the objects whose keys begin with prefix, in the byte order
	// of their keys. It ends after the first error.
	List(ctx context.Context, bucket, prefix string) iter.Seq2[Object, error]
	// Put makes what write writes the object's content, and returns its size
	// in bytes. The object is replaced whole and durably, or not at all.
	Put(ctx context.Context, bucket, key string, write func(io.Writer) error) (int64, error)
}

// Object describes an object.
type Object struct {
	Key      string
	Size     int64 // bytes
	Modified time.Time
	// ETag changes with the content; it has no quotation marks.
	ETag string
}
