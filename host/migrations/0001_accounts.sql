-- One text for SQLite and PostgreSQL. Ids are UUIDv7 as text, times are milliseconds since 1970 (UTC), flags are 0 or 1,
-- JSON is text. The word BYTEA becomes BLOB on SQLite (see store/migrations.rs).

CREATE TABLE accounts (
    id            TEXT PRIMARY KEY,
    name          TEXT,
    email         TEXT,
    plan_slug     TEXT NOT NULL,
    monthly_limit BIGINT,
    created_at    BIGINT NOT NULL
);

CREATE TABLE api_keys (
    id           TEXT PRIMARY KEY,
    account_id   TEXT NOT NULL REFERENCES accounts (id),
    prefix       TEXT NOT NULL,
    -- SHA-256 of the whole key, in hex; the key itself is shown once and never kept.
    key_hash     TEXT NOT NULL,
    label        TEXT NOT NULL,
    client_kind  TEXT NOT NULL,
    -- A JSON array of words.
    scopes       TEXT NOT NULL,
    last_used_at BIGINT,
    revoked_at   BIGINT,
    created_at   BIGINT NOT NULL,
    CONSTRAINT api_keys_one_row_a_key UNIQUE (key_hash)
);
CREATE INDEX api_keys_by_account ON api_keys (account_id, id);

-- Small values of the whole installation: the sealed key of links, the version of the bindings.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
