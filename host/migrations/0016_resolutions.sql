-- How a send in doubt was settled where no event or message of its enrollment tells: by a person, or by a copy that was
-- found in the mailbox's Sent folder.
CREATE TABLE resolutions (
    id            TEXT PRIMARY KEY,
    account_id    TEXT NOT NULL,
    enrollment_id TEXT NOT NULL,
    send_id       TEXT NOT NULL,
    -- sent or retry
    resolved_as   TEXT NOT NULL,
    -- The key that the person called with; null for the Sent folder.
    api_key_id    TEXT,
    at            BIGINT NOT NULL
);
CREATE INDEX resolutions_by_enrollment ON resolutions (enrollment_id, id);
