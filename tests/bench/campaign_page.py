"""`GET /campaigns/:id`, over one kept connection: the figures that an overview shows, for a campaign of any size. The peer
is what counting them would cost the database, without anything around it."""

import sqlite3
import time
from statistics import median, quantiles

COUNTING = "SELECT status, count(*) FROM enrollments WHERE campaign_id = '{}' GROUP BY status"
REQUESTS = {"small": 300, "full": 1000}
COUNTS = 5


def milliseconds(setting, api, campaign):
    """The median and the 99th percentile."""
    seen = []
    for _ in range(REQUESTS[setting.size]):
        began = time.monotonic()
        api.get(f"/campaigns/{campaign}")
        seen.append((time.monotonic() - began) * 1000)
    return median(seen), quantiles(seen, n=100)[-1]


def milliseconds_of_counting_in_sqlite(path, campaign):
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return median(timed(lambda: connection.execute(COUNTING.format(campaign)).fetchall()) for _ in range(COUNTS))
    finally:
        connection.close()


def milliseconds_of_counting_in_postgres(postgres, database, campaign):
    """Without psql's own start: the same for a statement that does nothing is taken away."""
    counting = median(timed(lambda: postgres.query(database, COUNTING.format(campaign))) for _ in range(COUNTS))
    return counting - median(timed(lambda: postgres.query(database, "SELECT 1")) for _ in range(COUNTS))


def timed(work):
    began = time.monotonic()
    work()
    return (time.monotonic() - began) * 1000
