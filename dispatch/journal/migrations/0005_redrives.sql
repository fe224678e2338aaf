-- How often a request was asked to go on from where it had ended, and the state
-- in which it had, while it waits for that: its end stays in its columns until
-- then. redriven_from is when the end was that it last went on from.
ALTER TABLE requests ADD COLUMN redrives INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN redrive_of TEXT NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN redriven_from INTEGER NOT NULL DEFAULT 0;
