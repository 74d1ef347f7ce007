-- First steps stand in two indexes of their own already.
DROP INDEX sends_due;
CREATE INDEX sends_due_of_credentials ON sends (campaign_id, smtp_credential_id, due_at, priority DESC, id, step_position)
    WHERE state = 'due' AND smtp_credential_id IS NOT NULL;

-- Whoever plans a send holds its enrollment's row in the same transaction. PostgreSQL looked for it once more for each send,
-- and wrote into it that it had.
-- PostgreSQL: ALTER TABLE sends DROP CONSTRAINT sends_enrollment_id_fkey;
