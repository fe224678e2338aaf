package webhook

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// firstBuffer holds an ordinary push.
const firstBuffer = 16 << 10

var errTooLarge = errors.New("body too large")

// buffer is one body. Its owner gives it back by release. A large one is never
// pooled.
type buffer struct {
	bytes []byte
	// taken is how many bytes of the budget it holds, from the share that
	// large says.
	taken int64
	large bool
}

var buffers = sync.Pool{New: func() any { return &buffer{bytes: make([]byte, 0, firstBuffer)} }}

// read reads the whole body within the limits. The buffer is the caller's to
// release, on error too; it may be nil.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) (*buffer, error) {
	if r.ContentLength > h.cfg.MaxBody {
		return nil, errTooLarge
	}
	buf, err := h.reserve(r.Context(), r.ContentLength)
	if err != nil {
		return nil, err
	}
	// A ResponseWriter without deadlines, as in a Lambda or a test, has a
	// caller that bounds the time in its own way.
	rc := http.NewResponseController(w)
	deadlined := rc.SetReadDeadline(time.Now().Add(h.cfg.ReadTimeout)) == nil
	for r.ContentLength <= 0 || int64(len(buf.bytes)) < r.ContentLength {
		if len(buf.bytes) == cap(buf.bytes) {
			if err := h.grow(buf); err != nil {
				return buf, err
			}
		}
		n, err := r.Body.Read(buf.bytes[len(buf.bytes):cap(buf.bytes)])
		buf.bytes = buf.bytes[:len(buf.bytes)+n]
		if int64(len(buf.bytes)) > h.cfg.MaxBody {
			return buf, errTooLarge
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return buf, err
		}
	}
	// The server goes on reading the connection to notice a client that
	// leaves; a deadline left there would end the request's context.
	if deadlined {
		if err := rc.SetReadDeadline(time.Time{}); err != nil {
			return buf, err
		}
	}
	return buf, nil
}

// reserve returns a buffer for a body of the announced length. A large body has
// its memory before its first byte is read; one of unknown length grows.
func (h *Handler) reserve(ctx context.Context, length int64) (*buffer, error) {
	if length > ordinaryBody {
		if err := h.budget.large.take(ctx, length); err != nil {
			return nil, err
		}
		return &buffer{bytes: make([]byte, 0, length), taken: length, large: true}, nil
	}
	buf := buffers.Get().(*buffer)
	size := int64(cap(buf.bytes))
	if err := h.budget.ordinary.take(ctx, size); err != nil {
		buffers.Put(buf)
		return nil, err
	}
	buf.taken = size
	return buf, nil
}

// grow doubles the buffer, if there is memory for both.
func (h *Handler) grow(buf *buffer) error {
	size := min(2*int64(cap(buf.bytes)), max(h.cfg.MaxBody+1, ordinaryBody))
	large := size > ordinaryBody
	share := &h.budget.ordinary
	if large {
		share = &h.budget.large
	}
	// Without waiting: who waits while it holds a part can wait for others
	// that do the same.
	if !share.tryTake(size) {
		return errNoMemory
	}
	grown := &buffer{bytes: make([]byte, len(buf.bytes), size), taken: size, large: large}
	copy(grown.bytes, buf.bytes)
	old := *buf
	*buf = *grown
	h.release(&old)
	return nil
}

func (h *Handler) release(buf *buffer) {
	if buf == nil {
		return
	}
	taken := buf.taken
	buf.taken = 0
	if buf.large {
		buf.bytes = nil
		h.budget.large.giveGarbage(taken)
		return
	}
	h.budget.ordinary.give(taken)
	buf.bytes = buf.bytes[:0]
	buffers.Put(buf)
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
