"""How long the dispatcher takes to claim the next 500 that are due, by its own histogram.

A server that takes half a minute to greet holds all that is claimed, so that each engine claims once, as much as it may
hold. It is killed and another one started, whose caches are as cold: the worst case. What it leaves is the next one's
growing heap of claimed rows. The peer is the least that a claim can be: one statement that marks as many rows, without a
reader for what was marked, daily limits, a rotation or a commit."""

import sqlite3
from statistics import median

from processes import timed, wait_until
from servers import CountingSink, Engine

# 4 × 32 connections hold 512 sends.
CREDENTIALS, CONNECTIONS = 4, 32
HELD = 512
SAMPLES = 7
FAR = ("--round-trip", "30000")
MARKING = """UPDATE sends SET state = 'claimed', lease_owner = 'peer', lease_until = 1 WHERE id IN (
    SELECT id FROM sends WHERE state = 'due' AND campaign_id = '{}' AND smtp_credential_id IS NULL AND due_at > 0
    ORDER BY due_at LIMIT {}{})"""
COUNT, SUM, SENDS = "ampout_claim_seconds_count", "ampout_claim_seconds_sum", "ampout_claimed_sends_total"


def milliseconds(installation):
    """The median of engines that claim for the first time."""
    seen = []
    for _ in range(SAMPLES):
        with installation.engine() as engine:
            wait_until(lambda: claimed(engine) >= HELD, f"{HELD} sends are claimed", pause=0.1)
            metrics = engine.metrics()
            seen.append(metrics[SUM] / metrics[SENDS] * HELD * 1000)
            # Stopped in order it would wait for what it holds.
            engine.kill()
    return median(seen)


def claimed(engine):
    return engine.metrics().get(SENDS, 0)


def milliseconds_in_sqlite(path, campaign):
    connection = sqlite3.connect(path, isolation_level=None)

    def mark():
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(MARKING.format(campaign, HELD, ""))
        connection.execute("ROLLBACK")

    try:
        return median(timed(mark) for _ in range(SAMPLES))
    finally:
        connection.close()


def milliseconds_in_postgres(postgres, database, campaign):
    mark = f"BEGIN; {MARKING.format(campaign, HELD, ' FOR UPDATE SKIP LOCKED')}; ROLLBACK"
    return median(postgres.milliseconds(database, mark) for _ in range(SAMPLES))


class Steady:
    """Claims of an engine that is sending: between two looks at its metrics."""

    def __init__(self, engine):
        self.engine, self.before = engine, engine.metrics()

    def told(self):
        """Milliseconds a claim, and sends a claim."""
        after = self.engine.metrics()
        claims, seconds, sends = (after[name] - self.before.get(name, 0) for name in (COUNT, SUM, SENDS))
        return seconds / claims * 1000, sends / claims
