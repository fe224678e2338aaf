package sqlitefile

import (
	"encoding/binary"
	"os"
)

// foldFrom is how many pages of the log are worth folding into the file.
const foldFrom = 1024

// Wrote says that a write was committed. Beside the writer the log is folded
// into the file when it has grown: otherwise the commit that makes it too long
// does that, and with it waits whoever waits for that commit. Under steady
// writing a commit must do so all the same now and then, since a log begins anew
// only when all of it is folded; but then little is left to fold.
func (d *File) Wrote() {
	select {
	case d.wrote <- struct{}{}:
	default: // it looks anyway
	}
}

// foldLoop runs until d.wrote is closed.
func (d *File) foldLoop() {
	defer close(d.folded)
	was := d.readIndex().foldings()
	for range d.wrote {
		now := d.readIndex()
		if now.pages-now.folded >= foldFrom {
			d.mu.Lock()
			_, _ = query(d.keeper, "PRAGMA wal_checkpoint(PASSIVE)") // what fails here a commit will try, or say why not
			d.mu.Unlock()
			now = d.readIndex()
		}
		if now.foldings() == was || d.Check() != nil {
			continue
		}
		d.mu.Lock()
		_ = d.leaveMark(d.stamp.mark + 1) // at worst less is noticed at the next start
		d.mu.Unlock()
		was = now.foldings()
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
