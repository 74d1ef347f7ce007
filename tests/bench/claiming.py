"""How long the dispatcher takes to claim the next 500 that are due, by its own histogram.

A server that takes half a minute to greet holds all that is claimed, so that each engine claims once, as much as it may
hold. It is killed and another one started, whose caches are as cold: the worst case. What it leaves is the next one's
growing heap of claimed rows."""

from statistics import median

from processes import wait_until
from servers import CountingSink, Engine

# 4 × 32 connections hold 512 sends.
CREDENTIALS, CONNECTIONS = 4, 32
HELD = 512
SAMPLES = 7
FAR = ("--round-trip", "30000")
COUNT, SUM, SENDS = "ampout_claim_seconds_count", "ampout_claim_seconds_sum", "ampout_claimed_sends_total"


def milliseconds(setting, installation, samples=SAMPLES):
    """The median of engines that claim for the first time."""
    seen = []
    for _ in range(samples):
        with installation.engine() as engine:
            wait_until(lambda: claimed(engine) >= HELD, f"{HELD} sends are claimed", pause=0.1)
            metrics = engine.metrics()
            seen.append(metrics[SUM] / metrics[SENDS] * HELD * 1000)
            # Stopped in order it would wait for what it holds.
            engine.kill()
    return median(seen)


def claimed(engine):
    return engine.metrics().get(SENDS, 0)


class Steady:
    """Claims of an engine that is sending: between two looks at its metrics."""

    def __init__(self, engine):
        self.engine, self.before = engine, engine.metrics()

    def told(self):
        """Milliseconds a claim, and sends a claim."""
        after = self.engine.metrics()
        claims, seconds, sends = (after[name] - self.before.get(name, 0) for name in (COUNT, SUM, SENDS))
        return seconds / claims * 1000, sends / claims
