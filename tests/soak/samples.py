"""What is looked at every second while it goes on, and the verdict on it."""

import json
import threading
import time
from dataclasses import asdict, dataclass, field
from statistics import median

EVERY_SECONDS = 1
# The share of the time in which caches fill and connections open.
WARM_UP = 1 / 3


@dataclass
class Sample:
    at: float
    resident_megabytes: float
    descriptors: int
    queue_due: float


@dataclass
class Bounds:
    """How much may have grown between the first third after the warm-up and the last."""

    memory: float
    descriptors: int = 16
    lag_factor: float = 2.0
    lag_seconds: float = 2.0


@dataclass
class Watch:
    """Samples of the engine, in a thread of their own; and the lags, which others add."""

    engine: object
    file: object
    samples: list = field(default_factory=list)
    # Of each round the time at its end and the seconds from its dispatch to its last message.
    rounds: list = field(default_factory=list)
    # Of each event the time of its arrival and how late it was.
    events: list = field(default_factory=list)
    failure: Exception = None

    def __post_init__(self):
        self.began = time.monotonic()
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def now(self):
        return time.monotonic() - self.began

    def look(self):
        try:
            while not self.stopping.wait(EVERY_SECONDS):
                due = self.engine.metrics().get("ampout_queue_due", 0)
                memory = self.engine.resident_bytes() / 1e6
                sample = Sample(round(self.now(), 1), memory, self.engine.descriptors(), due)
                self.samples.append(sample)
                self.file.write(json.dumps(asdict(sample)) + "\n")
        except Exception as error:  # the verdict tells it
            self.failure = error

    def stop(self):
        self.stopping.set()
        self.thread.join()
        if self.failure:
            raise RuntimeError("Sampling has failed") from self.failure


def verdict(watch, seconds, bounds):
    """A line for each thing that must not grow, and whether it has."""
    begin = seconds * WARM_UP
    third = (seconds - begin) / 3
    early, late = (begin, begin + third), (seconds - third, seconds)
    memory = [(one.at, one.resident_megabytes) for one in watch.samples]
    descriptors = [(one.at, one.descriptors) for one in watch.samples]
    yield grown("resident memory, MB", memory, early, late, lambda before: before * bounds.memory)
    yield grown("descriptors", descriptors, early, late, lambda before: before + bounds.descriptors)
    for name, points in (("seconds from a dispatch to its last message", watch.rounds),
                         ("seconds from an event to the webhook", watch.events)):
        yield grown(name, points, early, late, lambda before: before * bounds.lag_factor + bounds.lag_seconds)


def grown(name, points, early, late, bound):
    before, after = middle(points, early), middle(points, late)
    if before is None or after is None:
        return False, f"{name}: nothing was measured"
    most = bound(before)
    return after <= most, f"{name}: {before:.2f} after the warm-up, {after:.2f} at the end, at most {most:.2f} allowed"


def middle(points, window):
    inside = [value for at, value in points if window[0] <= at <= window[1]]
    return median(inside) if inside else None
