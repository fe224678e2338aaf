//go:build unix

package build

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"switchyard/internal/fault"
)

// output is the pipe from a build's programs to its log. Programs that a
// phase leaves in the background keep writing to it, so its end says nothing
// about a phase; instead a mark is sent through the pipe itself.
type output struct {
	w, r *os.File
	// reader is a second end to read from, for the programs to hold: without
	// it they would die of SIGPIPE, in the middle of what they do, when this
	// process is killed. It is nil where there is no such thing.
	reader *os.File
	mark   []byte
	marks  chan struct{}
	copied chan struct{}
}

func newOutput(log io.Writer) (*output, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	// Random, so that no program writes it by chance or on purpose.
	o := &output{r: r, w: w, mark: []byte("\x00" + rand.Text()), marks: make(chan struct{}, 1), copied: make(chan struct{})}
	// Not a duplicate of r, which must stay in non-blocking mode.
	if o.reader, err = os.Open(fmt.Sprintf("/proc/self/fd/%d", fd(r))); err != nil {
		o.reader = nil
		if fault.Of(err) != nil {
			return nil, errors.Join(err, r.Close(), w.Close())
		}
	}
	go o.copy(log)
	return o, nil
}

// fd is the descriptor's number; unlike File.Fd it changes nothing.
func fd(f *os.File) (n uintptr) {
	if c, err := f.SyscallConn(); err == nil {
		_ = c.Control(func(p uintptr) { n = p })
	}
	return n
}

// copy runs until the pipe ends, and closes copied.
func (o *output) copy(log io.Writer) {
	defer close(o.copied)
	var held []byte
	chunk := make([]byte, 32<<10)
	for {
		n, err := o.r.Read(chunk)
		held = append(held, chunk[:n]...)
		buf := held
		for {
			before, after, found := bytes.Cut(buf, o.mark)
			if !found {
				break
			}
			_, _ = log.Write(before)
			buf = after
			select {
			case o.marks <- struct{}{}:
			default: // a build in a container can write the mark too
			}
		}
		// The beginning of a mark waits for its end.
		keep := 0
		if i := bytes.LastIndexByte(buf, o.mark[0]); i >= 0 && bytes.HasPrefix(o.mark, buf[i:]) && err == nil {
			keep = len(buf) - i
		}
		_, _ = log.Write(buf[:len(buf)-keep])
		held = bytes.Clone(buf[len(buf)-keep:])
		if err != nil {
			return
		}
	}
}

// drain returns when everything written so far is in the log.
func (o *output) drain() {
	if _, err := o.w.Write(o.mark); err != nil {
		return
	}
	select {
	case <-o.marks:
	case <-o.copied:
	}
}

// close ends the copying. The programs of the build are gone by then, but one
// that escaped may hold the pipe open: it is not waited for.
func (o *output) close() error {
	err := o.w.Close()
	if o.reader != nil {
		err = errors.Join(err, o.reader.Close())
	}
	_ = o.r.SetReadDeadline(time.Now().Add(2 * time.Second))
	<-o.copied
	if cerr := o.r.Close(); err == nil {
		err = cerr
	}
	return err
}
