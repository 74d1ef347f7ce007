-- A claim of deliveries takes the first of a webhook in this order, and would sort all that wait without it.
DROP INDEX webhook_deliveries_pending;
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (webhook_id, next_try_at, position) WHERE state = 'pending';
-- Messages that belong to nobody go after a while; the others are not looked through for them.
CREATE INDEX inbound_messages_that_go ON inbound_messages (id) WHERE enrollment_id IS NULL AND state <> 'stored';
-- Who answered or bounced: few, and looked for by page.
CREATE INDEX enrollments_that_came_back ON enrollments (campaign_id, status, id) WHERE status IN ('replied', 'bounced');
-- A version never changes: what old decisions name is not to be something else after its deletion.
CREATE TABLE deleted_versions (
    -- Empty: the system's.
    account_id TEXT NOT NULL,
    name       TEXT NOT NULL,
    version    TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    CONSTRAINT deleted_versions_once PRIMARY KEY (account_id, name, version)
);
