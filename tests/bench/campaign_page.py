"""`GET /campaigns/:id`, over one kept connection: the figures that an overview shows, for a campaign of any size. The peer
is what counting them would cost the database, without anything around it."""

import sqlite3
from statistics import median, quantiles

from processes import timed

COUNTING = "SELECT status, count(*) FROM enrollments WHERE campaign_id = '{}' GROUP BY status"
REQUESTS = {"small": 300, "full": 1000}
COUNTS = 5


def milliseconds(setting, api, campaign):
    """The median and the 99th percentile."""
    seen = [timed(lambda: api.get(f"/campaigns/{campaign}")) for _ in range(REQUESTS[setting.size])]
    return median(seen), quantiles(seen, n=100)[-1]


def milliseconds_of_counting_in_sqlite(path, campaign):
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return median(timed(lambda: connection.execute(COUNTING.format(campaign)).fetchall()) for _ in range(COUNTS))
    finally:
        connection.close()


def milliseconds_of_counting_in_postgres(postgres, database, campaign):
    return median(postgres.milliseconds(database, COUNTING.format(campaign)) for _ in range(COUNTS))
