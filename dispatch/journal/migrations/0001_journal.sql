-- Deliveries, as they were acknowledged. A row is written once: how far a
-- delivery has come is kept elsewhere, so that expanding it does not write its
-- event again. seq is given by the only writer and never used twice: only what
-- is expanded is ever removed, and progress remembers how far that went.
CREATE TABLE deliveries (
  seq         INTEGER PRIMARY KEY,
  source      TEXT NOT NULL,
  delivery_id TEXT NOT NULL,
  kind        TEXT NOT NULL,
  repository  TEXT NOT NULL,
  ref         TEXT NOT NULL,
  commits     INTEGER NOT NULL,
  received_at INTEGER NOT NULL, -- unix milliseconds, as all times here
  traceparent TEXT NOT NULL,
  event       BLOB NOT NULL     -- JSON
) STRICT;
CREATE UNIQUE INDEX deliveries_id ON deliveries (source, delivery_id);

-- Deliveries up to this seq are expanded, except those reopened.
CREATE TABLE progress (
  one      INTEGER PRIMARY KEY CHECK (one = 1),
  expanded INTEGER NOT NULL
) STRICT;
INSERT INTO progress VALUES (1, 0);
CREATE TABLE reopened (delivery INTEGER PRIMARY KEY) STRICT;

-- Why a delivery starts nothing for some of its routes and commits.
CREATE TABLE ignored (
  delivery INTEGER PRIMARY KEY,
  count    INTEGER NOT NULL,
  reasons  BLOB NOT NULL -- JSON
) STRICT;

CREATE TABLE requests (
  seq               INTEGER PRIMARY KEY,
  id                TEXT NOT NULL,
  base              TEXT NOT NULL,
  attempt           INTEGER NOT NULL,
  delivery          INTEGER NOT NULL,
  route             TEXT NOT NULL,
  state_machine     TEXT NOT NULL,
  environment       TEXT NOT NULL,
  source            TEXT NOT NULL,
  repository        TEXT NOT NULL,
  ref               TEXT NOT NULL,
  kind              TEXT NOT NULL,
  pull_request      INTEGER NOT NULL,
  sha               TEXT NOT NULL,
  title             TEXT NOT NULL,
  author            TEXT NOT NULL,
  reason            TEXT NOT NULL,
  cancel_superseded INTEGER NOT NULL,
  reports           INTEGER NOT NULL, -- whether its commit gets statuses
  state             TEXT NOT NULL,
  stop_reason       TEXT NOT NULL DEFAULT '',
  superseded_by     TEXT NOT NULL DEFAULT '',
  tries             INTEGER NOT NULL DEFAULT 0,
  last_error        TEXT NOT NULL DEFAULT '',
  due_at            INTEGER NOT NULL, -- next start, or next stop of one that runs
  arn               TEXT NOT NULL DEFAULT '',
  created_at        INTEGER NOT NULL,
  started_at        INTEGER NOT NULL DEFAULT 0,
  stopped_at        INTEGER NOT NULL DEFAULT 0,
  error             TEXT NOT NULL DEFAULT '',
  cause             TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX requests_id ON requests (id);
CREATE INDEX requests_delivery ON requests (delivery);
-- The queues hold unfinished requests only, so that their cost does not grow
-- with what is finished.
CREATE INDEX requests_waiting ON requests (environment, seq) WHERE state = 'waiting';
CREATE INDEX requests_ready ON requests (due_at, seq) WHERE state = 'ready';
CREATE INDEX requests_running ON requests (seq) WHERE state = 'running';
CREATE INDEX requests_held ON requests (environment) WHERE environment <> '' AND state IN ('ready', 'running');
CREATE INDEX requests_stopping ON requests (due_at) WHERE state = 'running' AND stop_reason <> '';
CREATE INDEX requests_lane ON requests (route, repository, ref, delivery)
  WHERE cancel_superseded = 1 AND state IN ('waiting', 'ready', 'running');

-- Apart from requests, so that a change of state does not write them again.
CREATE TABLE inputs (request INTEGER PRIMARY KEY, input BLOB NOT NULL) STRICT;
CREATE TABLE outputs (request INTEGER PRIMARY KEY, output BLOB NOT NULL) STRICT;

-- The outbox. A row is there until it is posted; a newer state is a new row
-- with a new version in its place.
CREATE TABLE statuses (
  version     INTEGER PRIMARY KEY AUTOINCREMENT,
  source      TEXT NOT NULL,
  repository  TEXT NOT NULL,
  sha         TEXT NOT NULL,
  context     TEXT NOT NULL,
  request     INTEGER NOT NULL,
  execution   TEXT NOT NULL,
  ref         TEXT NOT NULL,
  state       TEXT NOT NULL,
  description TEXT NOT NULL,
  tries       INTEGER NOT NULL DEFAULT 0,
  last_error  TEXT NOT NULL DEFAULT '',
  due_at      INTEGER NOT NULL,
  wanted_at   INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX statuses_commit ON statuses (source, repository, sha, context);
CREATE INDEX statuses_due ON statuses (source, request DESC, due_at);
