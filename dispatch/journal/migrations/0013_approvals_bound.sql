-- The approval that a status asks for, '' for none: its buttons decide that one.
ALTER TABLE statuses ADD COLUMN approval TEXT NOT NULL DEFAULT '';
UPDATE statuses SET approval = coalesce((SELECT a.id FROM approvals a JOIN requests r ON r.seq = a.request
  WHERE r.id = statuses.execution AND a.state = 'waiting' ORDER BY a.seq DESC LIMIT 1), '') WHERE waits = 1;
ALTER TABLE statuses DROP COLUMN waits;
