-- Whose server a credential sends through, where its host name does not tell.
ALTER TABLE smtp_credentials ADD COLUMN provider TEXT;

-- What an adapter needs beside the signing secret: a JSON object of texts, sealed as a whole and bound to this row.
ALTER TABLE inbound_endpoints ADD COLUMN settings TEXT;
