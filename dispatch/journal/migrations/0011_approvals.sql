-- What state machines ask people, and what was decided. token is that of the task
-- which waits: it is kept until the engine was told, then ''.
CREATE TABLE approvals (
  seq        INTEGER PRIMARY KEY,
  id         TEXT NOT NULL,
  request    INTEGER NOT NULL,
  token      TEXT NOT NULL,
  title      TEXT NOT NULL,
  asked_by   TEXT NOT NULL,
  pushed_by  TEXT NOT NULL,
  approvers  TEXT NOT NULL, -- JSON
  diff       TEXT NOT NULL,
  asked_at   INTEGER NOT NULL,
  expires_at INTEGER NOT NULL, -- 0 is never
  state      TEXT NOT NULL,
  decided_at INTEGER NOT NULL DEFAULT 0,
  decided_by TEXT NOT NULL DEFAULT '',
  way        TEXT NOT NULL DEFAULT '',
  reason     TEXT NOT NULL DEFAULT '',
  due_at     INTEGER NOT NULL DEFAULT 0, -- when the engine is to be told
  begun_at   INTEGER NOT NULL DEFAULT 0, -- when it was called first
  told_at    INTEGER NOT NULL DEFAULT 0,
  tries      INTEGER NOT NULL DEFAULT 0,
  last_error TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX approvals_id ON approvals (id);
CREATE INDEX approvals_request ON approvals (request);
CREATE INDEX approvals_waiting ON approvals (request) WHERE state = 'waiting';
CREATE INDEX approvals_expiry ON approvals (expires_at) WHERE state = 'waiting' AND expires_at > 0;
CREATE INDEX approvals_untold ON approvals (due_at) WHERE state <> 'waiting' AND token <> '';

-- What was deployed to an environment last.
CREATE INDEX requests_live ON requests (environment, repository, source, state_machine, stopped_at)
  WHERE state = 'succeeded' AND teardown = 0 AND environment <> '';

-- Whether the execution waits for a person.
ALTER TABLE statuses ADD COLUMN waits INTEGER NOT NULL DEFAULT 0;
