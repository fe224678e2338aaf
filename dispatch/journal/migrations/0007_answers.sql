-- What authors of commands are still to be told.
CREATE TABLE answers (
  seq          INTEGER PRIMARY KEY AUTOINCREMENT,
  delivery     INTEGER NOT NULL,
  source       TEXT NOT NULL,
  repository   TEXT NOT NULL,
  pull_request INTEGER NOT NULL,
  comment      TEXT NOT NULL, -- the host's ID of the one that is answered
  text         TEXT NOT NULL,
  tries        INTEGER NOT NULL DEFAULT 0,
  last_error   TEXT NOT NULL DEFAULT '',
  due_at       INTEGER NOT NULL,
  wanted_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX answers_due ON answers (due_at);
