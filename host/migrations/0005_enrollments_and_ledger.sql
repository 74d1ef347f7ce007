CREATE TABLE enrollments (
    id                 TEXT PRIMARY KEY,
    account_id         TEXT NOT NULL,
    campaign_id        TEXT NOT NULL,
    contact_id         TEXT NOT NULL,
    batch_number       BIGINT NOT NULL,
    priority           BIGINT NOT NULL,
    status             TEXT NOT NULL,
    -- The credential that sent step 1; follow-ups stay with it.
    smtp_credential_id TEXT,
    dispatched_at      BIGINT,
    sent_at            BIGINT,
    opened_at          BIGINT,
    replied_at         BIGINT,
    bounced_at         BIGINT,
    bounce_reason      TEXT,
    -- Once set, nothing more is sent: replied, bounced, unsubscribed, unclassified, …
    stopped_at         BIGINT,
    stop_reason        TEXT,
    -- The send whose message opened the thread: follow-ups answer it.
    first_send_id      TEXT,
    created_at         BIGINT NOT NULL,
    CONSTRAINT enrollments_once_a_campaign UNIQUE (campaign_id, contact_id)
);
CREATE INDEX enrollments_by_campaign ON enrollments (campaign_id, id);
CREATE INDEX enrollments_by_contact ON enrollments (contact_id);
CREATE INDEX enrollments_to_dispatch ON enrollments (campaign_id, batch_number, priority, id)
    WHERE dispatched_at IS NULL AND stopped_at IS NULL;
CREATE INDEX enrollments_bounced ON enrollments (campaign_id, bounced_at) WHERE bounced_at IS NOT NULL;

-- The ledger: one row a step and enrollment, written before anything is sent.
-- due → claimed → sending → sent | bounced | failed | in_doubt | skipped
CREATE TABLE sends (
    id                  TEXT PRIMARY KEY,
    account_id          TEXT NOT NULL,
    campaign_id         TEXT NOT NULL,
    enrollment_id       TEXT NOT NULL REFERENCES enrollments (id),
    contact_id          TEXT NOT NULL,
    -- Of its enrollment: first steps of a batch keep their gaps.
    batch_number        BIGINT NOT NULL,
    step_position       BIGINT NOT NULL,
    -- Null until a first step is claimed; a follow-up has it from the start.
    smtp_credential_id  TEXT,
    state               TEXT NOT NULL,
    due_at              BIGINT NOT NULL,
    priority            BIGINT NOT NULL,
    lease_owner         TEXT,
    lease_until         BIGINT,
    -- SMTP transactions tried, and MX look-ups that gave no answer.
    attempts            BIGINT NOT NULL DEFAULT 0,
    mx_attempts         BIGINT NOT NULL DEFAULT 0,
    -- The UTC day in which it holds a place of the credential's daily limit.
    reserved_day        BIGINT,
    -- The provider's id, learned from its reply; ours follows from the row's id.
    provider_message_id TEXT,
    smtp_code           BIGINT,
    smtp_status         TEXT,
    smtp_reply          TEXT,
    -- Why it was skipped, failed, put off or is in doubt.
    reason              TEXT,
    sent_at             BIGINT,
    created_at          BIGINT NOT NULL,
    CONSTRAINT sends_once_a_step UNIQUE (enrollment_id, step_position)
);
CREATE INDEX sends_due ON sends (campaign_id, smtp_credential_id, due_at, priority) WHERE state = 'due';
CREATE INDEX sends_due_in_batch ON sends (campaign_id, batch_number, due_at) WHERE state = 'due' AND smtp_credential_id IS NULL;
CREATE INDEX sends_leased ON sends (lease_until) WHERE state IN ('claimed', 'sending');
CREATE INDEX sends_in_doubt ON sends (id) WHERE state = 'in_doubt';
CREATE INDEX sends_by_provider_message_id ON sends (provider_message_id) WHERE provider_message_id IS NOT NULL;

-- Each attempt to hand a send to a server, with what the server said.
CREATE TABLE transactions (
    id            TEXT PRIMARY KEY,
    account_id    TEXT NOT NULL,
    enrollment_id TEXT NOT NULL,
    send_id       TEXT NOT NULL,
    credential_id TEXT NOT NULL,
    -- accepted, deferred, bounced, credential_fault, lost, in_doubt
    outcome       TEXT NOT NULL,
    smtp_code     BIGINT,
    smtp_status   TEXT,
    reply         TEXT NOT NULL,
    at            BIGINT NOT NULL
);
CREATE INDEX transactions_by_enrollment ON transactions (enrollment_id, id);

-- A bounce or a complaint charged to the credential and step that sent it: once, whatever the number of sources.
CREATE TABLE charges (
    send_id       TEXT NOT NULL,
    -- bounce or complaint
    kind          TEXT NOT NULL,
    credential_id TEXT NOT NULL,
    enrollment_id TEXT NOT NULL,
    -- hard, soft or policy; empty for a complaint
    class         TEXT NOT NULL,
    -- smtp, dsn, provider or arf
    source        TEXT NOT NULL,
    reason        TEXT NOT NULL,
    at            BIGINT NOT NULL,
    PRIMARY KEY (send_id, kind)
);
CREATE INDEX charges_by_credential ON charges (credential_id, at);
