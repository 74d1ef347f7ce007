CREATE TABLE outreaches (
    id              TEXT PRIMARY KEY,
    account_id      TEXT NOT NULL REFERENCES accounts (id),
    name            TEXT NOT NULL,
    unique_contacts BIGINT NOT NULL,
    created_at      BIGINT NOT NULL
);
CREATE INDEX outreaches_by_account ON outreaches (account_id, id);

CREATE TABLE campaigns (
    id                    TEXT PRIMARY KEY,
    account_id            TEXT NOT NULL REFERENCES accounts (id),
    outreach_id           TEXT REFERENCES outreaches (id),
    name                  TEXT NOT NULL,
    status                TEXT NOT NULL,
    paused_reason         TEXT,
    min_wait_seconds      BIGINT NOT NULL,
    max_wait_seconds      BIGINT NOT NULL,
    verify_email_mx       BIGINT NOT NULL,
    bounce_rate_threshold DOUBLE PRECISION NOT NULL,
    track_opens           BIGINT NOT NULL,
    -- The place of the rotation: the next first step goes to the first enabled credential after this one.
    last_credential_id    TEXT,
    created_at            BIGINT NOT NULL
);
CREATE INDEX campaigns_by_account ON campaigns (account_id, id);
CREATE INDEX campaigns_by_outreach ON campaigns (outreach_id) WHERE outreach_id IS NOT NULL;
CREATE INDEX campaigns_active ON campaigns (id) WHERE status = 'active';

CREATE TABLE sequence_steps (
    id            TEXT PRIMARY KEY,
    campaign_id   TEXT NOT NULL REFERENCES campaigns (id),
    position      BIGINT NOT NULL,
    subject       TEXT NOT NULL,
    body_html     TEXT NOT NULL,
    -- Null: derived from the HTML.
    body_text     TEXT,
    delay_minutes BIGINT NOT NULL,
    CONSTRAINT sequence_steps_one_a_position UNIQUE (campaign_id, position)
);

-- Kept, not counted: what GET /campaigns/:id shows. The five statuses hold how many enrollments are in each now, the
-- *_ever columns how many have ever been; the rates are made from the latter.
CREATE TABLE campaign_counters (
    campaign_id              TEXT PRIMARY KEY REFERENCES campaigns (id),
    pending                  BIGINT NOT NULL DEFAULT 0,
    sent                     BIGINT NOT NULL DEFAULT 0,
    opened                   BIGINT NOT NULL DEFAULT 0,
    replied                  BIGINT NOT NULL DEFAULT 0,
    bounced                  BIGINT NOT NULL DEFAULT 0,
    sent_ever                BIGINT NOT NULL DEFAULT 0,
    opened_ever              BIGINT NOT NULL DEFAULT 0,
    replied_ever             BIGINT NOT NULL DEFAULT 0,
    mx_invalid               BIGINT NOT NULL DEFAULT 0,
    cross_campaign_duplicate BIGINT NOT NULL DEFAULT 0,
    unsubscribed             BIGINT NOT NULL DEFAULT 0,
    suppressed               BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE batch_counters (
    campaign_id  TEXT NOT NULL REFERENCES campaigns (id),
    batch_number BIGINT NOT NULL,
    pending      BIGINT NOT NULL DEFAULT 0,
    sent         BIGINT NOT NULL DEFAULT 0,
    opened       BIGINT NOT NULL DEFAULT 0,
    replied      BIGINT NOT NULL DEFAULT 0,
    bounced      BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (campaign_id, batch_number)
);
