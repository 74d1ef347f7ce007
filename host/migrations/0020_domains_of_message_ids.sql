-- Where from_email has had another domain: that of the credential's Message-IDs, which stays, so that what was sent before
-- and what follows it name each other.
ALTER TABLE smtp_credentials ADD COLUMN message_id_domain TEXT;
