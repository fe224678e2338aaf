package sqlitefile

import (
	"encoding/binary"
	"os"
	"time"
)

const (
	// foldFrom is how many pages of the log are worth folding into the file.
	foldFrom = 1024
	// markEvery bounds how often a mark is left: each costs three syncs.
	markEvery = 2 * time.Second
)

// Fold folds the log into the file when it has grown, beside the writer.
// Otherwise the commit that makes it too long does that, and with it waits
// whoever waits for that commit. It is for those who write much that is not
// urgent: folding early costs writers at full speed some of it.
func (d *File) Fold() {
	if i := d.readIndex(); i.pages-i.folded < foldFrom {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _ = query(d.keeper, "PRAGMA wal_checkpoint(PASSIVE)") // what fails here a commit will try, or say why not
	d.Wrote()
}

// Wrote says that a write was committed, which may have folded the log.
func (d *File) Wrote() {
	select {
	case d.wrote <- struct{}{}:
	default: // it looks anyway
	}
}

// markLoop leaves a mark after each folding. It runs until d.wrote is closed.
func (d *File) markLoop() {
	defer close(d.marked)
	was := d.readIndex().foldings()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for range d.wrote {
		if d.readIndex().foldings() == was {
			continue
		}
		if !d.wait(pause) {
			return
		}
		now := d.readIndex().foldings()
		if d.Check() == nil {
			d.mu.Lock()
			_ = d.leaveMark(d.stamp.mark + 1) // at worst less is noticed at the next start
			d.mu.Unlock()
		}
		was = now
		pause.Reset(markEvery)
	}
}

// wait reports whether it came to the end of the pause: it does not once d.wrote
// is closed.
func (d *File) wait(pause *time.Timer) bool {
	for {
		select {
		case <-pause.C:
			return true
		case _, open := <-d.wrote:
			if !open {
				return false
			}
		}
	}
}

// index is what the log's index says; see
// https://sqlite.org/walformat.html#the_wal_index_file_format. It is all zero
// where that cannot be read.
type index struct {
	pages, folded uint32 // of the log, and of these how many the file has
	salt          uint64 // changes when the log begins anew
}

// foldings differ before and after a folding.
func (i index) foldings() index { return index{folded: i.folded, salt: i.salt} }

func (d *File) readIndex() index {
	var b [100]byte
	if d.index == nil {
		return index{}
	}
	if _, err := d.index.ReadAt(b[:], 0); err != nil {
		return index{}
	}
	i := index{pages: binary.NativeEndian.Uint32(b[16:]), folded: binary.NativeEndian.Uint32(b[96:]), salt: binary.NativeEndian.Uint64(b[32:])}
	i.pages = max(i.pages, i.folded) // it may be read while it is written
	return i
}

// openIndex opens the log's index. It is closed after every connection has been:
// to close a file gives up the locks on it that a process has through others.
func (d *File) openIndex() {
	d.index, _ = os.Open(d.path + "-shm") // without it a commit folds
}
