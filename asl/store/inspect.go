package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// smallFile is the size, in bytes, up to which the whole file is checked when
// it is opened: that takes about a tenth of a second.
const smallFile = 16 << 20

const wayOut = "restore it from a backup, or move it away to begin with an empty one (executions that ran are then lost)"

var errDamaged = errors.New("the file is damaged or no engine store")

// inspect looks at the file before SQLite does, which opens one that cannot be
// written for reading and fails later.
func inspect(path string) (size int64, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrPermission) {
		return 0, fmt.Errorf("it cannot be written (%w): %s", err, makeWritable)
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	// Root could write it all the same; whoever marked it meant it.
	if info.Mode().Perm()&0o200 == 0 {
		return 0, fmt.Errorf("it is marked read-only: %s", makeWritable)
	}
	return info.Size(), nil
}

const makeWritable = "make it and its directory writable for the user that runs switchyard"

// check reads the whole file.
func check(ctx context.Context, conn *sql.Conn) error {
	verdict := ""
	if err := conn.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s", errDamaged, verdict)
	}
	return nil
}

// explain adds to an error of opening what to do about it.
func explain(err error) error {
	var e *sqlite.Error
	if errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_CORRUPT || e.Code()&0xff == sqlite3.SQLITE_NOTADB) {
		err = fmt.Errorf("%w: %w", errDamaged, err)
	}
	if errors.Is(err, errDamaged) {
		return fmt.Errorf("%w: %s", err, wayOut)
	}
	return err
}
