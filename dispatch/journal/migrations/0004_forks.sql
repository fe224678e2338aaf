-- Whose a commit is: own when an event of the repository itself was about it, fork
-- when a pull request from a fork was. Rows without either are from before.
ALTER TABLE commits ADD COLUMN own INTEGER NOT NULL DEFAULT 0;
ALTER TABLE commits ADD COLUMN fork INTEGER NOT NULL DEFAULT 0;
INSERT INTO commits (source, repository, sha, message, message_known, author, author_email, url, known_at)
  SELECT source, repository, sha, '', 0, '', '', '', max(created_at) FROM requests WHERE head_repository <> '' GROUP BY source, repository, sha
  ON CONFLICT (sha, repository, source) DO NOTHING;
UPDATE commits SET fork = 1 WHERE (sha, repository, source) IN (SELECT sha, repository, source FROM requests WHERE head_repository <> '');
UPDATE commits SET own = 1 WHERE fork = 0
  OR (sha, repository, source) IN (SELECT sha, repository, source FROM requests WHERE head_repository = '');
