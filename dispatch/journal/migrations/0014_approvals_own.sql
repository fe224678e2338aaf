-- Whose own the commit of an approval is: all names of its author, of who opened the
-- pull request and of who pushed it, as a JSON array.
ALTER TABLE approvals ADD COLUMN own TEXT NOT NULL DEFAULT '[]';
