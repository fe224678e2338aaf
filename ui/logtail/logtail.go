// Package logtail keeps the end of a log for a page, however long the log is.
package logtail

// Shown is how much of the end of a log a page shows at least, in bytes, where the
// log is longer.
const Shown = 64 << 10

// Buffer keeps the end of what is written to it: all of it while that is at most
// twice [Shown], and never more.
type Buffer struct {
	Last []byte
	Cut  bool // there was more before
}

// Write implements io.Writer. It does not fail.
func (b *Buffer) Write(p []byte) (int, error) {
	b.Last = append(b.Last, p...)
	if over := len(b.Last) - Shown; over > Shown {
		b.Last, b.Cut = append(b.Last[:0], b.Last[over:]...), true
	}
	return len(p), nil
}
