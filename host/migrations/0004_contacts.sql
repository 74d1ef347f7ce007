CREATE TABLE contact_imports (
    id            TEXT PRIMARY KEY,
    account_id    TEXT NOT NULL REFERENCES accounts (id),
    name          TEXT NOT NULL,
    -- What the file held, and how many contacts came of it.
    record_count  BIGINT NOT NULL,
    contact_count BIGINT NOT NULL,
    created_at    BIGINT NOT NULL
);
CREATE INDEX contact_imports_by_account ON contact_imports (account_id, id);

CREATE TABLE contacts (
    id                TEXT PRIMARY KEY,
    account_id        TEXT NOT NULL,
    contact_import_id TEXT NOT NULL,
    email             TEXT NOT NULL,
    -- The address in lower case with an ASCII domain: what addresses are compared by.
    email_key         TEXT NOT NULL,
    domain            TEXT NOT NULL,
    first_name        TEXT,
    last_name         TEXT,
    company           TEXT,
    unsubscribed_at   BIGINT,
    created_at        BIGINT NOT NULL,
    CONSTRAINT contacts_one_an_address UNIQUE (account_id, email_key)
);
CREATE INDEX contacts_by_import ON contacts (contact_import_id, id);

CREATE TABLE suppressions (
    id         TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    -- 'address' or 'domain'.
    kind       TEXT NOT NULL,
    value      TEXT NOT NULL,
    reason     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT suppressions_one_a_value UNIQUE (account_id, kind, value)
);
