package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"switchyard/internal/sqlitefile"
)

// smallFile is the size, in bytes, up to which the whole file is checked when
// it is opened: that takes about a tenth of a second.
const smallFile = 16 << 20

const wayOut = "restore it from a backup, or move it away to begin with an empty one (executions that ran are then lost)"

var errDamaged = errors.New("the file is damaged or no engine store")

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
	if errors.Is(err, errDamaged) || errors.Is(err, sqlitefile.ErrDamaged) {
		return fmt.Errorf("%w: %s", err, wayOut)
	}
	return err
}
