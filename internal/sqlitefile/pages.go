package sqlitefile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// What follows is described in https://sqlite.org/fileformat2.html.

const magic = "SQLite format 3\x00"

// lockPage is the byte whose page SQLite never uses.
const lockByte = 0x40000000

// neverWritten is how many pages at the end of a file may be neither in it nor
// in its log: those that were added and freed again before anything was written
// to them.
const neverWritten = 16

// missingPages says how many pages a database of the given size lacks: those
// that it has by its header or log, and that are in neither. Whether the others
// are sound is another question.
func missingPages(path string, size int64) (missing int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	head := make([]byte, 100)
	if _, err := io.ReadFull(f, head); err != nil {
		return 0, fmt.Errorf("read its header: %w", err)
	}
	pageSize := int64(binary.BigEndian.Uint16(head[16:]))
	if pageSize == 1 {
		pageSize = 65536
	}
	if pageSize < 512 || pageSize&(pageSize-1) != 0 {
		return 0, fmt.Errorf("its header gives %d as the size of a page", pageSize)
	}
	there := size / pageSize
	log, err := readLog(path + "-wal")
	if err != nil {
		return 0, err
	}
	if log.pages == 0 { // the file itself says
		if binary.BigEndian.Uint32(head[24:]) != binary.BigEndian.Uint32(head[92:]) {
			return 0, nil // written by a program that leaves the number alone
		}
		return max(0, int64(binary.BigEndian.Uint32(head[28:]))-there), nil
	}
	if log.pageSize != pageSize {
		return 0, fmt.Errorf("its log has pages of %d bytes, it has pages of %d: the log is another file's", log.pageSize, pageSize)
	}
	for p := there + 1; p <= log.pages; p++ {
		if !log.has[uint32(p)] && p != lockByte/pageSize+1 {
			missing++
		}
	}
	if missing <= neverWritten {
		return 0, nil
	}
	return missing, nil
}

// log is what a write-ahead log holds.
type log struct {
	pageSize int64
	pages    int64 // of the database after the last commit; 0 when there is none
	has      map[uint32]bool
}

// readLog reads the committed part of a log. One that is not there, or holds
// nothing, has no pages.
func readLog(path string) (log, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return log{}, nil
	}
	if err != nil {
		return log{}, err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 1<<20)
	head := make([]byte, 32)
	if _, err := io.ReadFull(in, head); err != nil {
		return log{}, nil //nolint:nilerr // too short to hold anything: SQLite begins it anew
	}
	l := log{pageSize: int64(binary.BigEndian.Uint32(head[8:])), has: map[uint32]bool{}}
	order := binary.ByteOrder(binary.LittleEndian)
	switch binary.BigEndian.Uint32(head) {
	case 0x377f0682:
	case 0x377f0683:
		order = binary.BigEndian
	default:
		return log{}, nil // not begun; SQLite begins it anew
	}
	sum := checksum{}
	if sum.add(order, head[:24]); !sum.is(head[24:]) || l.pageSize < 512 || l.pageSize > 65536 {
		return log{}, nil
	}
	frame := make([]byte, 24+l.pageSize)
	var since []uint32 // pages since the last commit
	for {
		if _, err := io.ReadFull(in, frame); err != nil {
			return l, nil //nolint:nilerr // the end, or a frame that was cut off: neither counts
		}
		sum.add(order, frame[:8])
		sum.add(order, frame[24:])
		if string(frame[8:16]) != string(head[16:24]) || !sum.is(frame[16:24]) {
			return l, nil // left from before the log was begun anew
		}
		since = append(since, binary.BigEndian.Uint32(frame))
		if pages := binary.BigEndian.Uint32(frame[4:]); pages > 0 {
			l.pages = int64(pages)
			for _, p := range since {
				l.has[p] = true
			}
			since = since[:0]
		}
	}
}

type checksum struct{ a, b uint32 }

func (c *checksum) add(order binary.ByteOrder, text []byte) {
	for ; len(text) >= 8; text = text[8:] {
		c.a += order.Uint32(text) + c.b
		c.b += order.Uint32(text[4:]) + c.a
	}
}

func (c *checksum) is(text []byte) bool {
	return c.a == binary.BigEndian.Uint32(text) && c.b == binary.BigEndian.Uint32(text[4:])
}
