-- What is deleted is marked at once and taken away in chunks. Nothing that is marked is shown, enrolled or sent to.
ALTER TABLE contact_imports ADD COLUMN deleted_at BIGINT;
CREATE INDEX contact_imports_deleted ON contact_imports (id) WHERE deleted_at IS NOT NULL;

-- A contact that is marked has given up its address: email_key is its id, and the address may be imported anew.
ALTER TABLE contacts ADD COLUMN deleted_at BIGINT;
CREATE INDEX contacts_deleted ON contacts (id) WHERE deleted_at IS NOT NULL;
-- Whoever suppresses a domain stops what is due to it.
CREATE INDEX contacts_by_domain ON contacts (account_id, domain, id);

ALTER TABLE campaigns ADD COLUMN deleted_at BIGINT;
CREATE INDEX campaigns_deleted ON campaigns (id) WHERE deleted_at IS NOT NULL;

-- Enrollments that were written to and are gone: the unsubscribe links in their mail still work.
CREATE TABLE departed_enrollments (
    enrollment_id TEXT PRIMARY KEY,
    account_id    TEXT NOT NULL,
    -- The address in the form in which it is suppressed.
    email_key     TEXT NOT NULL,
    deleted_at    BIGINT NOT NULL
);
CREATE INDEX departed_enrollments_by_age ON departed_enrollments (deleted_at);
