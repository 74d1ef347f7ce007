-- A version of an extension; addressed by its content, never changed.
CREATE TABLE extensions (
    id         TEXT PRIMARY KEY,
    -- Empty: the system's.
    account_id TEXT NOT NULL,
    name       TEXT NOT NULL,
    version    TEXT NOT NULL,
    -- component or script
    engine     TEXT NOT NULL,
    -- A JSON array of hooks.
    hooks      TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    -- shipped, folder or upload
    origin     TEXT NOT NULL,
    -- checked, active, shadow, suspended or retired
    status     TEXT NOT NULL,
    manifest   TEXT NOT NULL,
    -- Null for the shipped ones, which are inside the binary.
    content    BYTEA,
    created_at BIGINT NOT NULL,
    CONSTRAINT extensions_one_a_content UNIQUE (account_id, sha256),
    CONSTRAINT extensions_one_a_version UNIQUE (account_id, name, version)
);

CREATE TABLE bindings (
    account_id   TEXT NOT NULL,
    -- system, account, campaign or credential
    scope        TEXT NOT NULL,
    -- Empty for the system.
    scope_id     TEXT NOT NULL,
    hook         TEXT NOT NULL,
    position     BIGINT NOT NULL,
    extension_id TEXT NOT NULL REFERENCES extensions (id),
    -- active or shadow
    mode         TEXT NOT NULL,
    PRIMARY KEY (scope, scope_id, hook, position)
);

CREATE TABLE decisions (
    id                TEXT PRIMARY KEY,
    account_id        TEXT NOT NULL,
    hook              TEXT NOT NULL,
    -- The inbound message, provider request, credential or send that was judged.
    subject_id        TEXT NOT NULL,
    enrollment_id     TEXT,
    -- Null when the host's own rule decided.
    extension_name    TEXT,
    extension_version TEXT,
    extension_sha256  TEXT,
    mode              TEXT NOT NULL,
    -- The decision as JSON; null when the call failed.
    decision          TEXT,
    error             TEXT,
    logs              TEXT,
    micros            BIGINT NOT NULL,
    at                BIGINT NOT NULL
);
CREATE INDEX decisions_by_account ON decisions (account_id, id);
CREATE INDEX decisions_by_subject ON decisions (subject_id, id);
