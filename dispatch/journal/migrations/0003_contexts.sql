-- The context of the request's statuses. A route can send one commit to several
-- environments, each with a status of its own.
ALTER TABLE requests ADD COLUMN context TEXT NOT NULL DEFAULT '';
UPDATE requests SET context = 'switchyard/' || route;
CREATE INDEX requests_reporting ON requests (sha, repository) WHERE reports = 1;
