package journal

import (
	"embed"
	"fmt"
	"io/fs"
)

// migrations are numbered from 1 without gaps; one that was released is never
// changed. Each runs once, in a transaction of its own.
//
//go:embed migrations/*.sql
var migrations embed.FS

// applicationID marks the file as ours: "SWYD".
const applicationID = 0x53575944

// migrate checks the file and brings it to the newest schema.
func migrate(c *conn, size int64) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	var version, application int
	if err := c.query("PRAGMA user_version", func(s scan) error { return s(&version) }); err != nil {
		return err
	}
	if err := c.query("PRAGMA application_id", func(s scan) error { return s(&application) }); err != nil {
		return err
	}
	tables := 0
	if err := c.query("SELECT count(*) FROM sqlite_schema", func(s scan) error { return s(&tables) }); err != nil {
		return err
	}
	switch {
	case tables > 0 && application != applicationID:
		return fmt.Errorf("this is another program's SQLite file: choose another path")
	case version > len(files):
		return fmt.Errorf("it was written by a newer Switchyard (schema %d, this one knows %d): run that version or a newer one", version, len(files))
	}
	if size > 0 && size <= smallFile {
		if err := check(c); err != nil {
			return err
		}
	}
	for _, file := range files[version:] {
		version++
		text, err := migrations.ReadFile(file)
		if err != nil {
			return err
		}
		if err := apply(c, string(text), version); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

func apply(c *conn, text string, version int) error {
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, q := range []string{text, fmt.Sprintf("PRAGMA application_id = %d", applicationID), fmt.Sprintf("PRAGMA user_version = %d", version), "COMMIT"} {
		if _, err := c.exec(q); err != nil {
			_, _ = c.exec("ROLLBACK") // the first error is the one that says something
			return err
		}
	}
	return nil
}

// check reads the whole file.
func check(c *conn) error {
	verdict := ""
	if err := c.query("PRAGMA quick_check(1)", func(s scan) error { return s(&verdict) }); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s", errCorrupt, verdict)
	}
	return nil
}
