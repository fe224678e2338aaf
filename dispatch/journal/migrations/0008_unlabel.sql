-- The label to be taken off a pull request, where that is what an answer is.
ALTER TABLE answers ADD COLUMN unlabel TEXT NOT NULL DEFAULT '';
