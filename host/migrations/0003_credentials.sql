CREATE TABLE smtp_credentials (
    id              TEXT PRIMARY KEY,
    account_id      TEXT NOT NULL REFERENCES accounts (id),
    campaign_id     TEXT NOT NULL REFERENCES campaigns (id),
    label           TEXT,
    smtp_host       TEXT NOT NULL,
    smtp_port       BIGINT NOT NULL,
    smtp_username   TEXT NOT NULL,
    -- Sealed: v1.<key>.<text>, bound to this row.
    smtp_password   TEXT NOT NULL,
    smtp_tls        TEXT NOT NULL,
    from_name       TEXT NOT NULL,
    from_email      TEXT NOT NULL,
    daily_limit     BIGINT NOT NULL,
    -- What a bounce policy throttled it to; the smaller of the two limits binds.
    throttled_limit BIGINT,
    imap_host       TEXT,
    imap_port       BIGINT,
    imap_username   TEXT,
    imap_password   TEXT,
    imap_tls        TEXT,
    -- Since when it is enabled; the shipped bounce policy looks at what came since then.
    enabled_at      BIGINT NOT NULL,
    disabled_at     BIGINT,
    disabled_reason TEXT,
    -- The breaker: a server that refuses the credential or throttles it is left alone until then.
    resting_until   BIGINT,
    rests           BIGINT NOT NULL DEFAULT 0,
    last_error      TEXT,
    -- When the bounce policy has to be asked; null when nothing has happened since it was.
    judge_at        BIGINT,
    deleted_at      BIGINT,
    created_at      BIGINT NOT NULL
);
CREATE INDEX smtp_credentials_by_campaign ON smtp_credentials (campaign_id, id);
CREATE INDEX smtp_credentials_to_judge ON smtp_credentials (judge_at) WHERE judge_at IS NOT NULL;

-- Two rows a credential: period 'lifetime' and 'since_enabled', the latter set back when it is enabled again.
CREATE TABLE credential_counters (
    credential_id  TEXT NOT NULL REFERENCES smtp_credentials (id),
    period         TEXT NOT NULL,
    transactions   BIGINT NOT NULL DEFAULT 0,
    hard_bounces   BIGINT NOT NULL DEFAULT 0,
    soft_bounces   BIGINT NOT NULL DEFAULT 0,
    policy_bounces BIGINT NOT NULL DEFAULT 0,
    complaints     BIGINT NOT NULL DEFAULT 0,
    deferrals      BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (credential_id, period)
);

-- The same in slots of ten minutes, for the windows of an hour, a day and a week; older slots are swept away.
CREATE TABLE credential_slots (
    credential_id  TEXT NOT NULL REFERENCES smtp_credentials (id),
    slot           BIGINT NOT NULL,
    transactions   BIGINT NOT NULL DEFAULT 0,
    hard_bounces   BIGINT NOT NULL DEFAULT 0,
    soft_bounces   BIGINT NOT NULL DEFAULT 0,
    policy_bounces BIGINT NOT NULL DEFAULT 0,
    complaints     BIGINT NOT NULL DEFAULT 0,
    deferrals      BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (credential_id, slot)
);

-- First-step sends of a UTC day: reserved in the transaction of the claim, given back when no SMTP transaction came of it.
CREATE TABLE credential_days (
    credential_id TEXT NOT NULL REFERENCES smtp_credentials (id),
    utc_day       BIGINT NOT NULL,
    reserved      BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (credential_id, utc_day)
);
