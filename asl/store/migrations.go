package store

// migrations bring a database from version i to i+1; user_version counts them.
// Never change one that has been released: add another.
//
// history and records have no index of their own: their rowid is the
// execution's ID shifted left, plus the event's or record's ID, so that one
// B-tree insert at its right edge is all that a flush costs.
//
// An input too large for the execution's row is in payloads, because SQLite
// rewrites the whole row whenever the status changes.
var migrations = []string{`
CREATE TABLE docs (
  kind TEXT NOT NULL,
  key  TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE executions (
  id       INTEGER PRIMARY KEY,
  machine  TEXT NOT NULL,
  name     TEXT NOT NULL,
  revision TEXT NOT NULL,
  status   INTEGER NOT NULL,
  started  INTEGER NOT NULL,
  stopped  INTEGER NOT NULL,
  wake     INTEGER NOT NULL,
  input    BLOB,
  output   BLOB,
  error    TEXT NOT NULL,
  cause    TEXT NOT NULL,
  attrs    BLOB
);
CREATE UNIQUE INDEX executions_name ON executions (machine, name);
CREATE INDEX executions_machine ON executions (machine, id);
CREATE INDEX executions_status ON executions (status, machine, id) WHERE status <> 1;
CREATE TABLE payloads (
  exec INTEGER PRIMARY KEY,
  body BLOB NOT NULL
);
CREATE TABLE history (
  key  INTEGER PRIMARY KEY,
  last INTEGER NOT NULL,
  body BLOB NOT NULL
);
CREATE TABLE records (
  key  INTEGER PRIMARY KEY,
  body BLOB NOT NULL
);
CREATE TABLE sequence (
  only INTEGER PRIMARY KEY CHECK (only = 0),
  last INTEGER NOT NULL
);
INSERT INTO sequence VALUES (0, 0);
`}
