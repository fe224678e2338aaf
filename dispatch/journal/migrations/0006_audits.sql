-- What an audit knew of a repository when it last looked; see dispatch.Audits.
CREATE TABLE audits (
  source     TEXT NOT NULL,
  repository TEXT NOT NULL,
  state      BLOB NOT NULL,
  kept_at    INTEGER NOT NULL,
  PRIMARY KEY (source, repository)
) STRICT, WITHOUT ROWID;
