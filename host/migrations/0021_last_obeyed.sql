-- The version of the bindings with which a version of an extension was last made active: what a roll back returns to. Of what
-- is there already only the order in which it was stored is known.
ALTER TABLE extensions ADD COLUMN obeyed_in BIGINT;
UPDATE extensions SET obeyed_in = 0 WHERE status IN ('active', 'retired') AND origin <> 'shipped';
