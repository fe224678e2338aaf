-- The merge that goes out in the place of a pull request's head; '' for none.
ALTER TABLE approvals ADD COLUMN merge_sha TEXT NOT NULL DEFAULT '';
