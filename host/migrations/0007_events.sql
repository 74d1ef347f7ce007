-- The outbox: facts for the customer's app, written in the transaction of the fact.
CREATE TABLE events (
    id         TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    type       TEXT NOT NULL,
    -- What it is about (an enrollment, a credential, a campaign …): its events are delivered in order.
    subject_id TEXT NOT NULL,
    -- The data object of the envelope, as JSON.
    data       TEXT NOT NULL,
    -- Its place in the account's stream, given after the commit by one sequencer, so that a cursor never passes a
    -- transaction that commits late. Null until then.
    position   BIGINT,
    created_at BIGINT NOT NULL
);
CREATE INDEX events_unsequenced ON events (id) WHERE position IS NULL;
CREATE UNIQUE INDEX events_by_position ON events (position) WHERE position IS NOT NULL;
CREATE INDEX events_by_subject ON events (subject_id, id);

CREATE TABLE webhooks (
    id                  TEXT PRIMARY KEY,
    account_id          TEXT NOT NULL REFERENCES accounts (id),
    url                 TEXT NOT NULL,
    -- A JSON array of names, '*' or 'enrollment.*'.
    event_filters       TEXT NOT NULL,
    secret              TEXT NOT NULL,
    -- After a rotation with grace the old secret signs, too, until then.
    old_secret          TEXT,
    old_secret_until    BIGINT,
    failures            BIGINT NOT NULL DEFAULT 0,
    failing_since       BIGINT,
    disabled_at         BIGINT,
    created_at          BIGINT NOT NULL
);
CREATE INDEX webhooks_by_account ON webhooks (account_id, id);

CREATE TABLE webhook_deliveries (
    id           TEXT PRIMARY KEY,
    account_id   TEXT NOT NULL,
    webhook_id   TEXT NOT NULL REFERENCES webhooks (id),
    event_id     TEXT NOT NULL,
    event_type   TEXT NOT NULL,
    subject_id   TEXT NOT NULL,
    -- pending, delivered or failed
    state        TEXT NOT NULL,
    attempt      BIGINT NOT NULL DEFAULT 0,
    next_try_at  BIGINT,
    lease_until  BIGINT,
    status_code  BIGINT,
    error        TEXT,
    delivered_at BIGINT,
    created_at   BIGINT NOT NULL
);
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (webhook_id, next_try_at) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_in_order ON webhook_deliveries (webhook_id, subject_id, id) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_by_webhook ON webhook_deliveries (webhook_id, id);
