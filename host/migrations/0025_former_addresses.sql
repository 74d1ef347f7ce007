-- What comes of mail is about the address that it went to, whatever address its contact has by then.
CREATE TABLE former_addresses (
    contact_id  TEXT NOT NULL,
    -- As in contacts.
    email_key   TEXT NOT NULL,
    given_up_at BIGINT NOT NULL,
    PRIMARY KEY (contact_id, email_key)
);
