-- Sends of a UTC month (counted from the year 0), of every step: reserved in the transaction of the claim, given back when
-- no SMTP transaction came of it.
CREATE TABLE account_months (
    account_id TEXT NOT NULL REFERENCES accounts (id),
    utc_month  BIGINT NOT NULL,
    reserved   BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, utc_month)
);

-- The month in which a send holds a place of its account's plan.
ALTER TABLE sends ADD COLUMN reserved_month BIGINT;

-- What an enrollment's timeline tells of webhooks.
CREATE INDEX webhook_deliveries_by_subject ON webhook_deliveries (subject_id, id);

-- With the step, so that a forecast counts a million follow-ups from the index alone.
DROP INDEX sends_due;
CREATE INDEX sends_due ON sends (campaign_id, smtp_credential_id, due_at, priority, step_position) WHERE state = 'due';
