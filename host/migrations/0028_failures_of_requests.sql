-- How often an adapter failed at it or put it off; attempts are its readings, whether anybody could be asked or not.
ALTER TABLE inbound_requests ADD COLUMN failures BIGINT NOT NULL DEFAULT 0;
