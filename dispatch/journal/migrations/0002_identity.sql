-- The SHA-256 of the body a delivery came with, in hex; '' is not known.
ALTER TABLE deliveries ADD COLUMN digest TEXT NOT NULL DEFAULT '';

-- Where a pull request's head is, when that is another repository; whether the
-- end of a branch or pull request asked for it; and whether a person asked for
-- the attempt, and not the delivery.
ALTER TABLE requests ADD COLUMN head_repository TEXT NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN teardown INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN rerun INTEGER NOT NULL DEFAULT 0;
UPDATE requests SET rerun = 1 WHERE attempt > 1;
UPDATE requests SET teardown = 1 WHERE kind = 'delete';
-- Events are JSON text in a BLOB, which SQLite's functions take for JSONB
-- unless told otherwise.
UPDATE requests SET (teardown, head_repository) = (
    SELECT coalesce(json_extract(e, '$.action') = 'closed', 0), coalesce(nullif(json_extract(e, '$.pull_request.head_repo'), requests.repository), '')
    FROM (SELECT CAST(event AS TEXT) AS e FROM deliveries WHERE seq = requests.delivery) WHERE json_valid(e))
  WHERE kind = 'pull_request' AND EXISTS (SELECT 1 FROM deliveries WHERE seq = requests.delivery AND json_valid(CAST(event AS TEXT)));

-- A lane is where a newer request takes the place of older ones.
DROP INDEX requests_lane;
CREATE INDEX requests_lane ON requests (route, source, repository, ref, head_repository, kind, pull_request, teardown, delivery)
  WHERE cancel_superseded = 1 AND state IN ('waiting', 'ready', 'running');

-- Where the last expanded push left a ref: '' when it deleted it. newest is the
-- newest request that pushes to the ref have asked for, by seq.
CREATE TABLE tips (
  source     TEXT NOT NULL,
  repository TEXT NOT NULL,
  ref        TEXT NOT NULL,
  sha        TEXT NOT NULL,
  newest     INTEGER NOT NULL,
  moved_at   INTEGER NOT NULL,
  PRIMARY KEY (source, repository, ref)
) STRICT, WITHOUT ROWID;
CREATE INDEX tips_moved ON tips (moved_at);
INSERT INTO tips
  SELECT source, repository, ref,
      CASE WHEN kind = 'push' AND json_valid(CAST(event AS TEXT)) THEN coalesce(json_extract(CAST(event AS TEXT), '$.after'), '') ELSE '' END,
      coalesce((SELECT max(r.seq) FROM requests r WHERE r.delivery = d.seq AND d.kind = 'push'), 0), received_at
    FROM (SELECT *, max(seq) FROM deliveries WHERE kind IN ('push', 'delete') AND source <> 'manual' AND seq <= (SELECT expanded FROM progress)
      GROUP BY source, repository, ref) d;

-- Refs that a push has brought a request's commit to, beside the one it was
-- first asked for with.
CREATE TABLE landings (
  request INTEGER NOT NULL,
  ref     TEXT NOT NULL,
  PRIMARY KEY (request, ref)
) STRICT, WITHOUT ROWID;

-- What is known of commits: pull request events name them without their
-- message and paths.
CREATE TABLE commits (
  seq           INTEGER PRIMARY KEY,
  source        TEXT NOT NULL,
  repository    TEXT NOT NULL,
  sha           TEXT NOT NULL,
  message       TEXT NOT NULL,
  message_known INTEGER NOT NULL,
  author        TEXT NOT NULL,
  author_email  TEXT NOT NULL,
  url           TEXT NOT NULL,
  paths         TEXT,            -- a JSON array; NULL is not known
  known_at      INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX commits_sha ON commits (sha, repository, source);

-- Deliveries that are set aside until the git host has told what they left
-- out, and those on the same lane that came after them. A row goes when its
-- delivery is expanded.
CREATE TABLE deferred (
  delivery INTEGER PRIMARY KEY,
  lane     TEXT NOT NULL,
  first    INTEGER NOT NULL,  -- whether it was never expanded before
  behind   INTEGER NOT NULL,  -- the delivery it waits behind, 0 when it waits for the host
  since    INTEGER NOT NULL,
  due_at   INTEGER NOT NULL,  -- 0 when nobody is to be asked, or no longer
  tries    INTEGER NOT NULL DEFAULT 0,
  reason   TEXT NOT NULL      -- what it waits for; in the end, what stays unknown
) STRICT;
CREATE INDEX deferred_lane ON deferred (lane, delivery);
CREATE INDEX deferred_due ON deferred (due_at) WHERE due_at > 0;
-- Set for a delivery that is pending again without having been expanded.
ALTER TABLE reopened ADD COLUMN first INTEGER NOT NULL DEFAULT 0;
