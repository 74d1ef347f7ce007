"""What grows with the number of rows and what must not: import, claims, the campaign's page, memory; on both databases, at
several sizes of one campaign whose enrollments all are due."""

import time
from contextlib import ExitStack

import campaign_page
import claiming
import importing
import peer_programs
from outreach import SECRET_KEY
from servers import CountingSink, Engine, Postgres, Redis, SmtpSink

SIZES = {"small": [6_000, 30_000], "full": [10_000, 100_000, 1_000_000]}
IMPORT_GOALS = {"SQLite": 15, "PostgreSQL": 20}
SENDING_SECONDS = {"small": 2, "full": 10}


def run(setting):
    with Postgres(setting.folder) as postgres:
        for database in ("SQLite", "PostgreSQL"):
            for rows in SIZES[setting.size]:
                at(setting, postgres if database == "PostgreSQL" else None, database, rows)


class Installation:
    """A database and a key, for one engine after another."""

    def __init__(self, setting, database_url):
        self.setting, self.folder, self.database_url, self.key = setting, setting.new_folder(), database_url, None

    def engine(self):
        engine = Engine(
            self.setting.binary, self.folder, self.database_url, key=self.key, secret_key=SECRET_KEY,
            smtp_connections_per_credential=claiming.CONNECTIONS, lease_seconds=3600)
        self.key = engine.key
        return engine


def at(setting, postgres, database, rows):
    is_largest = rows == SIZES[setting.size][-1]
    add = setting.results.add
    name = f"bench_{rows}"
    installation = Installation(setting, postgres.create(name) if postgres else "")
    texts = importing.files(rows)
    with ExitStack() as stack:
        far = stack.enter_context(CountingSink(setting.folder, *claiming.FAR))
        engine = stack.enter_context(installation.engine())
        api = engine.api
        seconds, imports = importing.seconds(api, texts)
        peer = "COPY and INSERT … ON CONFLICT" if postgres else "csv and sqlite3 of Python"
        if postgres:
            postgres.create(f"{name}_peer")
            peers = importing.seconds_of_copy(postgres, f"{name}_peer", texts)
        else:
            peers = importing.seconds_of_sqlite(setting.new_folder(), texts)
        goal = IMPORT_GOALS[database]
        add(f"import of {rows:_} contacts, {database}", seconds, "s", peer=peer, peer_value=peers,
            goal=is_largest and f"below {goal} s", goal_met=is_largest and seconds < goal, rows=rows, database=database,
            chart="import")
        del texts

        # Limits of nothing hold everything back until it is planned.
        campaign = api.campaign([far.port] * claiming.CREDENTIALS, daily_limit=0)
        began = time.monotonic()
        enrolled = sum(api.enroll(campaign, one) for one in imports)
        enrolling, began = time.monotonic() - began, time.monotonic()
        dispatched = api.dispatch(campaign)
        add(f"enrolling and dispatching {rows:_} contacts, {database}", enrolling + time.monotonic() - began, "s",
            detail=f"{enrolling:.1f} s of it enrolling", rows=rows, database=database, chart="enroll and dispatch")
        if not rows == enrolled == dispatched:
            raise RuntimeError(f"of {rows} contacts {enrolled} were enrolled and {dispatched} dispatched")

        middle, slowest = campaign_page.milliseconds(setting, api, campaign)
        if postgres:
            counting = campaign_page.milliseconds_of_counting_in_postgres(postgres, name, campaign)
        else:
            counting = campaign_page.milliseconds_of_counting_in_sqlite(installation.folder / "ampout.db", campaign)
        add(f"GET /campaigns/:id of {rows:_} enrollments, {database}", middle, "ms",
            peer="SELECT status, count(*) … GROUP BY status", peer_value=counting,
            goal="below 20 ms", goal_met=middle < 20, detail=f"99th percentile {slowest:.1f} ms", rows=rows,
            database=database, chart="campaign page")
        peak = engine.peak_bytes() / 1e6
        with_peer = not setting.only_us and not postgres
        add(f"memory with {rows:_} enrollments queued, {database}", peak, "MB",
            peer="Redis with as many jobs of BullMQ" if with_peer else None,
            peer_value=memory_of_redis(setting, rows) / 1e6 if with_peer else None,
            goal="below 150 MB", goal_met=peak < 150, detail="the most, import and planning among it",
            rows=rows, database=database, chart="memory")
        api.change_credentials(campaign, daily_limit=1_000_000_000)
        engine.kill()

        if rows >= claiming.HELD * (claiming.SAMPLES + 2):
            claim = claiming.milliseconds(installation)
            if postgres:
                marking = claiming.milliseconds_in_postgres(postgres, name, campaign)
            else:
                marking = claiming.milliseconds_in_sqlite(installation.folder / "ampout.db", campaign)
            add(f"claim of 512 among {rows:_} due, {database}", claim, "ms", goal="below 20 ms", goal_met=claim < 20,
                peer="one UPDATE that marks as many", peer_value=marking,
                detail="the first claim of an engine", rows=rows, database=database, chart="claim")
        sending(setting, installation, campaign, rows, database, is_largest)


def memory_of_redis(setting, jobs):
    folder = setting.new_folder()
    folder.mkdir()
    with Redis(folder) as redis:
        peer_programs.node("bullmq_queue.mjs", folder, jobs, redis.port)
        return redis.resident_bytes()


def sending(setting, installation, campaign, rows, database, is_largest):
    """For some seconds all goes out as fast as it can, with everything else still queued."""
    with installation.engine() as engine:
        engine.api.post(f"/campaigns/{campaign}/pause", {})
        # What it holds waits for the server that never greets.
        engine.kill()
    with SmtpSink(setting.folder) as sink, installation.engine() as engine:
        api = engine.api
        api.change_credentials(campaign, smtp_port=sink.port)
        api.post(f"/campaigns/{campaign}/resume", {})
        steady = claiming.Steady(engine)
        time.sleep(SENDING_SECONDS[setting.size])
        sent = api.sent(campaign)
        milliseconds, sends = steady.told()
        setting.results.add(
            f"a claim while sending, {rows:_} due, {database}", milliseconds, "ms",
            detail=f"{sends:.0f} sends each, {sent / SENDING_SECONDS[setting.size]:.0f} a second leave",
            rows=rows, database=database, chart="claim while sending")
        if is_largest:
            peak = engine.peak_bytes() / 1e6
            setting.results.add(
                f"memory while sending from {rows:_} enrollments, {database}", peak, "MB", goal="below 150 MB",
                goal_met=peak < 150, rows=rows, database=database)
