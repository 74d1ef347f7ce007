-- What was answered to a call that carried an Idempotency-Key, written in the transaction of what the call did.
CREATE TABLE idempotent_answers (
    account_id  TEXT NOT NULL REFERENCES accounts (id),
    -- As the client gave it.
    key         TEXT NOT NULL,
    -- SHA-256 of method, path and body in hex; of method and path alone while the call is under way.
    fingerprint TEXT NOT NULL,
    -- Null while a call of several transactions is under way; resource_id is what it makes then, and the lease tells
    -- other nodes that it still runs.
    status      BIGINT,
    resource_id TEXT,
    lease_until BIGINT,
    etag        TEXT,
    -- Sealed: some answers hold a secret that is shown once.
    body        TEXT,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (account_id, key)
);
CREATE INDEX idempotent_answers_by_age ON idempotent_answers (created_at);
