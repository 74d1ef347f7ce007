-- An acceptance stands in its send, with the reply and the time; a row beside it said the same again.
DELETE FROM transactions WHERE outcome = 'accepted';

-- Named by what a held row has rather than by its state, so that the step from claimed to sending leaves the index alone.
DROP INDEX sends_leased;
CREATE INDEX sends_leased ON sends (lease_until) WHERE lease_owner IS NOT NULL;
