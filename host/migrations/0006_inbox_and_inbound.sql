-- How far each watched mailbox has been read. The checkpoint moves only after the message is stored.
CREATE TABLE mailboxes (
    credential_id   TEXT PRIMARY KEY REFERENCES smtp_credentials (id),
    account_id      TEXT NOT NULL,
    uid_validity    BIGINT,
    last_uid        BIGINT NOT NULL,
    lease_owner     TEXT,
    lease_until     BIGINT,
    last_checked_at BIGINT,
    failures        BIGINT NOT NULL DEFAULT 0,
    last_error      TEXT,
    created_at      BIGINT NOT NULL
);

CREATE TABLE inbound_messages (
    id            TEXT PRIMARY KEY,
    account_id    TEXT NOT NULL,
    credential_id TEXT NOT NULL,
    uid_validity  BIGINT NOT NULL,
    uid           BIGINT NOT NULL,
    -- As it came; a message over the size limit is kept as its head and marked truncated.
    raw           BYTEA NOT NULL,
    size          BIGINT NOT NULL,
    truncated     BIGINT NOT NULL,
    sender        TEXT,
    subject       TEXT,
    -- The message's own Message-ID: one message in two watched folders, or under a new UID, is applied once.
    message_id    TEXT,
    -- stored, applied or unclassified
    state         TEXT NOT NULL,
    enrollment_id TEXT,
    send_id       TEXT,
    matched_by    TEXT,
    verdict       TEXT,
    received_at   BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    CONSTRAINT inbound_messages_once UNIQUE (credential_id, uid_validity, uid)
);
CREATE INDEX inbound_messages_by_enrollment ON inbound_messages (enrollment_id, id) WHERE enrollment_id IS NOT NULL;
CREATE INDEX inbound_messages_by_message_id ON inbound_messages (account_id, message_id) WHERE message_id IS NOT NULL;
CREATE INDEX inbound_messages_to_apply ON inbound_messages (id) WHERE state = 'stored';

CREATE TABLE inbound_endpoints (
    id             TEXT PRIMARY KEY,
    account_id     TEXT NOT NULL REFERENCES accounts (id),
    provider       TEXT NOT NULL,
    -- The unguessable part of its address.
    token          TEXT NOT NULL,
    signing_secret TEXT,
    created_at     BIGINT NOT NULL,
    CONSTRAINT inbound_endpoints_one_a_token UNIQUE (token)
);
CREATE INDEX inbound_endpoints_by_account ON inbound_endpoints (account_id, id);

-- A provider's request as it came, stored before anything reads it.
CREATE TABLE inbound_requests (
    id          TEXT PRIMARY KEY,
    account_id  TEXT NOT NULL,
    endpoint_id TEXT NOT NULL,
    method      TEXT NOT NULL,
    path        TEXT NOT NULL,
    query       TEXT NOT NULL,
    headers     TEXT NOT NULL,
    body        BYTEA NOT NULL,
    -- stored, applied, unauthorized, malformed or retry
    state       TEXT NOT NULL,
    attempts    BIGINT NOT NULL,
    next_try_at BIGINT,
    error       TEXT,
    received_at BIGINT NOT NULL
);
CREATE INDEX inbound_requests_to_retry ON inbound_requests (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX inbound_requests_by_endpoint ON inbound_requests (endpoint_id, id);

CREATE TABLE provider_events (
    id                  TEXT PRIMARY KEY,
    account_id          TEXT NOT NULL,
    request_id          TEXT NOT NULL,
    provider            TEXT NOT NULL,
    dedupe_key          TEXT NOT NULL,
    kind                TEXT NOT NULL,
    recipient           TEXT,
    send_id             TEXT,
    enrollment_id       TEXT,
    matched_by          TEXT,
    provider_message_id TEXT,
    smtp_code           BIGINT,
    smtp_status         TEXT,
    reason              TEXT,
    -- The provider's time of the event, where it told one.
    occurred_at         BIGINT,
    at                  BIGINT NOT NULL,
    CONSTRAINT provider_events_once UNIQUE (account_id, provider, dedupe_key)
);
CREATE INDEX provider_events_by_enrollment ON provider_events (enrollment_id, id) WHERE enrollment_id IS NOT NULL;
