-- Work is taken in the order of these indexes, to their last column: without it the databases read and sort all that waits
-- for each chunk that is taken, and a dispatch of ten times as many enrollments takes a hundred times as long.
DROP INDEX enrollments_to_dispatch;
CREATE INDEX enrollments_to_dispatch ON enrollments (campaign_id, batch_number, priority DESC, id)
    WHERE dispatched_at IS NULL AND stopped_at IS NULL;
DROP INDEX sends_due;
CREATE INDEX sends_due ON sends (campaign_id, smtp_credential_id, due_at, priority DESC, id, step_position)
    WHERE state = 'due';
-- The step stands at its end for forecasts, which count from the index alone. First steps have an index of their own, because PostgreSQL does not see that what an index orders after a column is in
-- order where that column IS NULL.
CREATE INDEX sends_due_first_steps ON sends (campaign_id, due_at, priority DESC, id)
    WHERE state = 'due' AND smtp_credential_id IS NULL;
