-- Decisions about replies stay; the others are looked through for old ones without them.
CREATE INDEX decisions_that_go ON decisions (id) WHERE hook <> 'reply-classifier';
