package webhook

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

const (
	// firstBuffer holds an ordinary push. A body's announced length is never
	// allocated ahead: memory follows the bytes that have come.
	firstBuffer = 16 << 10
	// uncounted is how large a buffer may be before it counts against
	// Config.MaxBuffered. A counted one is never pooled.
	uncounted = 64 << 10
)

var (
	errTooLarge = errors.New("body too large")
	errNoMemory = errors.New("too many bytes buffered")
)

// buffer is one body. Its owner gives it back by release.
type buffer struct {
	bytes []byte
	// counted is how many bytes of Handler.buffered it holds.
	counted int64
}

var buffers = sync.Pool{New: func() any { return &buffer{bytes: make([]byte, 0, firstBuffer)} }}

// read reads the whole body within the limits. The buffer is the caller's to
// release, on error too; it may be nil.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) (*buffer, error) {
	if r.ContentLength > h.cfg.MaxBody {
		return nil, errTooLarge
	}
	// A ResponseWriter without deadlines, as in a Lambda or a test, has a
	// caller that bounds the time in its own way.
	rc := http.NewResponseController(w)
	deadlined := rc.SetReadDeadline(time.Now().Add(h.cfg.ReadTimeout)) == nil
	buf := buffers.Get().(*buffer)
	for {
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

// grow doubles the buffer, if there is memory for it.
func (h *Handler) grow(buf *buffer) error {
	size := min(2*int64(cap(buf.bytes)), max(h.cfg.MaxBody+1, uncounted))
	if size > uncounted {
		more := size - buf.counted
		if h.buffered.Add(more) > h.cfg.MaxBuffered {
			h.buffered.Add(-more)
			return errNoMemory
		}
		buf.counted = size
	}
	grown := make([]byte, len(buf.bytes), size)
	copy(grown, buf.bytes)
	buf.bytes = grown
	return nil
}

func (h *Handler) release(buf *buffer) {
	if buf == nil {
		return
	}
	h.buffered.Add(-buf.counted)
	if buf.counted == 0 {
		buf.bytes = buf.bytes[:0]
		buffers.Put(buf)
	}
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
