-- An account reads its stream by its own places: what other accounts were told does not lie in between.
DROP INDEX events_by_position;
CREATE UNIQUE INDEX events_by_account ON events (account_id, position) WHERE position IS NOT NULL;

-- A subject's deliveries follow the stream, whichever node planned them and whatever its clock said.
ALTER TABLE webhook_deliveries ADD COLUMN position BIGINT NOT NULL DEFAULT 0;
UPDATE webhook_deliveries SET position = COALESCE((SELECT e.position FROM events e WHERE e.id = webhook_deliveries.event_id), 0)
WHERE state = 'pending';
DROP INDEX webhook_deliveries_in_order;
CREATE INDEX webhook_deliveries_in_order ON webhook_deliveries (webhook_id, subject_id, position) WHERE state = 'pending';

-- Why nothing is sent there: gone, failing or owner.
ALTER TABLE webhooks ADD COLUMN disabled_reason TEXT;

-- Of what an adapter refused, an endpoint keeps the newest alone: whoever knows its address could send more.
CREATE INDEX inbound_requests_unauthorized ON inbound_requests (endpoint_id, id) WHERE state = 'unauthorized';
