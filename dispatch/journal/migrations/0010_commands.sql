-- Commands, which are on no lane, wait for their host apart from all other deliveries.
CREATE INDEX deferred_backlog ON deferred ((lane = ''), due_at) WHERE due_at > 0;
-- The head of the pull request for which a label is to be taken off.
ALTER TABLE answers ADD COLUMN head TEXT NOT NULL DEFAULT '';
CREATE INDEX answers_unlabel ON answers (source, repository, pull_request) WHERE unlabel <> '';
