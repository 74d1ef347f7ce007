-- When it was last read to its end: what arrived before that is stored. A look that fails moves last_checked_at alone.
ALTER TABLE mailboxes ADD COLUMN last_read_at BIGINT;
UPDATE mailboxes SET last_read_at = last_checked_at WHERE last_error IS NULL;

-- A credential that is given another mailbox begins anew there. Two mailboxes may have the same UIDVALIDITY and the same
-- UIDs, so each has a number among those of its credential, and inbound_messages.uid_validity is that number * 2^32 + the
-- server's UIDVALIDITY. What is stored by now is of the mailbox 0.
ALTER TABLE mailboxes ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;
ALTER TABLE smtp_credentials ADD COLUMN last_mailbox_generation BIGINT NOT NULL DEFAULT 0;
