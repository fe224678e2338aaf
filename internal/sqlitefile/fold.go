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
	for range d.wrote {
		if d.unfolded() < foldFrom {
			continue
		}
		d.mu.Lock()
		// What fails here a commit will try, or say why not.
		if row, err := query(d.keeper, "PRAGMA wal_checkpoint(PASSIVE)"); err == nil && row[0] == int64(0) && d.Check() == nil {
			_ = d.leaveMark(d.stamp.mark + 1)
		}
		d.mu.Unlock()
	}
}

// unfolded is how many pages the log has that the file has not, as the log's
// index says; see https://sqlite.org/walformat.html#the_wal_index_file_format.
// It is 0 where that cannot be read.
func (d *File) unfolded() int64 {
	var index [100]byte
	if d.index == nil {
		return 0
	}
	if _, err := d.index.ReadAt(index[:], 0); err != nil {
		return 0
	}
	return int64(binary.NativeEndian.Uint32(index[16:])) - int64(binary.NativeEndian.Uint32(index[96:]))
}

// openIndex opens the log's index. It is closed after every connection has been:
// to close a file gives up the locks on it that a process has through others.
func (d *File) openIndex() {
	d.index, _ = os.Open(d.path + "-shm") // without it a commit folds
}
