-- The deletion ledger reads the erasures of all projects in the order of their numbers.
--
-- locks: deletions wait while the index is built: about a second for a million erasures.
CREATE INDEX erasures_by_number ON erasures (number);
