-- Calls that were made with keys, per account and UTC day. Grown by deltas: each node adds what it counted.
CREATE TABLE api_usage (
    account_id  TEXT NOT NULL,
    -- The UTC day, counted from 1970-01-01.
    day         BIGINT NOT NULL,
    client_kind TEXT NOT NULL,
    method      TEXT NOT NULL,
    -- With :id where an id stands.
    route       TEXT NOT NULL,
    calls       BIGINT NOT NULL,
    PRIMARY KEY (account_id, day, client_kind, method, route)
);
CREATE INDEX api_usage_by_day ON api_usage (day);

-- The last active key of an account is found without its revoked ones.
CREATE INDEX api_keys_active ON api_keys (account_id, id) WHERE revoked_at IS NULL;
DROP INDEX api_keys_by_account;

-- A page of one hook's decisions is read without the other hooks'.
CREATE INDEX decisions_by_hook ON decisions (account_id, hook, id);
