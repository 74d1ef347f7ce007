"""What grows with the number of rows and what must not: import, claims, the campaign's page, memory; on both databases,
at several sizes of one campaign whose enrollments all are due."""

import time

import campaign_page
import claiming
import importing
import peer_programs
from outreach import SECRET_KEY
from servers import CountingSink, Engine, Postgres, Redis, SmtpSink

SIZES = {"small": [6_000, 30_000], "full": [10_000, 100_000, 1_000_000]}
# Seconds, for the largest size.
IMPORT_GOALS = {"SQLite": 15, "PostgreSQL": 20}
SENDING_SECONDS = {"small": 2, "full": 10}


def run(setting):
    with Postgres(setting.folder) as postgres:
        for database in ("SQLite", "PostgreSQL"):
            for rows in SIZES[setting.size]:
                of_size = OfSize(setting, postgres if database == "PostgreSQL" else None, database, rows)
                of_size.all()


class OfSize:
    """An installation with so many rows: one database, on which one engine after another is started."""

    def __init__(self, setting, postgres, database, rows):
        self.setting, self.postgres, self.database, self.rows = setting, postgres, database, rows
        self.is_largest = rows == SIZES[setting.size][-1]
        self.folder, self.key, self.name = setting.new_folder(), None, f"bench_{rows}"
        self.url = postgres.create(self.name) if postgres else ""

    def engine(self):
        engine = Engine(
            self.setting.binary, self.folder, self.url, key=self.key, secret_key=SECRET_KEY,
            smtp_connections_per_credential=claiming.CONNECTIONS, lease_seconds=3600)
        self.key = engine.key
        return engine

    def add(self, what, value, unit, **more):
        name = f"{what}, {self.database}".replace("ROWS", f"{self.rows:_}")
        self.setting.results.add(name, value, unit, rows=self.rows, database=self.database, **more)

    def all(self):
        with CountingSink(self.setting.folder, *claiming.FAR) as far:
            with self.engine() as engine:
                imports = self.import_contacts(engine.api)
                campaign = self.plan(engine.api, far, imports)
                self.show(engine.api, campaign)
                self.look_at_memory(engine)
                engine.api.change_credentials(campaign, daily_limit=1_000_000_000)
                # It has begun to claim; from here on engines are killed, because in order they would wait for `far`.
                engine.kill()
            if self.rows >= claiming.HELD * (claiming.SAMPLES + 2):
                self.claim(campaign)
            with self.engine() as engine:
                engine.api.post(f"/campaigns/{campaign}/pause", {})
                engine.kill()
        self.send(campaign)

    def import_contacts(self, api):
        texts = importing.files(self.rows)
        seconds, imports = importing.seconds(api, texts)
        if self.postgres:
            self.postgres.create(f"{self.name}_peer")
            peer, theirs = "COPY and INSERT … ON CONFLICT", importing.seconds_of_copy(
                self.postgres, f"{self.name}_peer", texts)
        else:
            peer, theirs = "csv and sqlite3 of Python", importing.seconds_of_sqlite(self.setting.new_folder(), texts)
        bound = IMPORT_GOALS[self.database]
        goal = {"goal": f"below {bound} s", "goal_met": seconds < bound} if self.is_largest else {}
        self.add("import of ROWS contacts", seconds, "s", peer=peer, peer_value=theirs, chart="import", **goal)
        return imports

    def plan(self, api, far, imports):
        # Limits of nothing hold everything back until it is planned.
        campaign = api.campaign([far.port] * claiming.CREDENTIALS, daily_limit=0)
        began = time.monotonic()
        enrolled = sum(api.enroll(campaign, one) for one in imports)
        enrolling = time.monotonic() - began
        dispatched = api.dispatch(campaign)
        self.add("enrolling and dispatching ROWS contacts", time.monotonic() - began, "s",
                 detail=f"{enrolling:.1f} s of it enrolling", chart="enroll and dispatch")
        if not self.rows == enrolled == dispatched:
            raise RuntimeError(f"of {self.rows} contacts {enrolled} were enrolled and {dispatched} dispatched")
        return campaign

    def show(self, api, campaign):
        middle, slowest = campaign_page.milliseconds(self.setting, api, campaign)
        if self.postgres:
            counting = campaign_page.milliseconds_of_counting_in_postgres(self.postgres, self.name, campaign)
        else:
            counting = campaign_page.milliseconds_of_counting_in_sqlite(self.folder / "ampout.db", campaign)
        self.add("GET /campaigns/:id of ROWS enrollments", middle, "ms",
                 peer="SELECT status, count(*) … GROUP BY status", peer_value=counting, goal="below 20 ms",
                 goal_met=middle < 20, detail=f"99th percentile {slowest:.1f} ms", chart="campaign page")

    def look_at_memory(self, engine):
        peak, peer = engine.peak_bytes() / 1e6, {}
        if not self.setting.only_us and not self.postgres:
            peer = {"peer": "Redis with as many jobs of BullMQ", "peer_value": self.memory_of_redis() / 1e6}
        self.add("memory with ROWS enrollments queued", peak, "MB", goal="below 150 MB", goal_met=peak < 150,
                 detail="the most, import and planning among it", chart="memory", **peer)

    def memory_of_redis(self):
        folder = self.setting.new_folder()
        folder.mkdir()
        with Redis(folder) as redis:
            peer_programs.node("bullmq_queue.mjs", folder, self.rows, redis.port)
            return redis.resident_bytes()

    def claim(self, campaign):
        ours = claiming.milliseconds(self.engine)
        if self.postgres:
            marking = claiming.milliseconds_in_postgres(self.postgres, self.name, campaign)
        else:
            marking = claiming.milliseconds_in_sqlite(self.folder / "ampout.db", campaign)
        self.add("claim of 512 among ROWS due", ours, "ms", goal="below 20 ms", goal_met=ours < 20,
                 peer="one UPDATE that marks as many", peer_value=marking, detail="the first claim of an engine",
                 chart="claim")

    def send(self, campaign):
        """For some seconds all goes out as fast as it can, with everything else still queued."""
        seconds = SENDING_SECONDS[self.setting.size]
        with SmtpSink(self.setting.folder) as sink, self.engine() as engine:
            engine.api.change_credentials(campaign, smtp_port=sink.port)
            engine.api.post(f"/campaigns/{campaign}/resume", {})
            steady = claiming.Steady(engine)
            time.sleep(seconds)
            sent = engine.api.sent(campaign)
            milliseconds, sends = steady.told()
            self.add("a claim while sending, ROWS due", milliseconds, "ms",
                     detail=f"{sends:.0f} sends each, {sent / seconds:.0f} a second leave", chart="claim while sending")
            peak = engine.peak_bytes() / 1e6
            self.add("memory while sending from ROWS enrollments", peak, "MB", goal="below 150 MB", goal_met=peak < 150)
