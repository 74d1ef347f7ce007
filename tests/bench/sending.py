"""Messages a second through the whole path, to a sink on the same machine: claim, render, gate, SMTP, ledger, event.

The time runs from the call that dispatches to the moment at which the campaign's own figure says that all were sent."""

import subprocess
import time

from api import contacts_csv
from processes import program
from servers import Engine, SmtpSink

COUNTS = {"small": 10_000, "full": 50_000}
CREDENTIALS = 4
CONNECTIONS = 8
MESSAGE_BYTES = 2048


def run(setting):
    count = COUNTS[setting.size]
    with SmtpSink(setting.folder) as sink:
        source = smtp_source(sink.port, count)
        ours = with_engine(setting, sink, count)
        add = setting.results.add
        detail = f"{count} messages, {CREDENTIALS} credentials × {CONNECTIONS} connections"
        add("messages/s, SQLite, local sink", ours["rate"], "msg/s", goal="half of smtp-source",
            goal_met=ours["rate"] >= source / 2, peer="smtp-source -d (best)", peer_value=source, detail=detail)
        add("CPU of the engine a message", ours["cpu"], "µs",
            detail=f"sink beside: {ours['sink_cpu']:.0f} µs; planning {ours['planning']:.2f} s")
        add("resident memory while sending", ours["peak"] / 1e6, "MB", detail="peak")


def with_engine(setting, sink, count, database_url=""):
    """Imports, enrolls and dispatches `count` contacts, and tells how fast they left."""
    settings = {"smtp_connections_per_credential": CONNECTIONS}
    with Engine(setting.binary, setting.folder / "engine", database_url, **settings) as engine:
        api = engine.api
        campaign = api.campaign([sink.port] * CREDENTIALS)
        imported = api.import_csv("people", contacts_csv(0, count))
        assert api.enroll(campaign, imported["id"]) == count
        cpu, sink_cpu = engine.cpu_seconds(), sink.cpu_seconds()
        began = time.monotonic()
        assert api.dispatch(campaign) == count
        planning = time.monotonic() - began
        api.wait_for_sent(campaign, count, patience=count / 100, engine=engine)
        seconds = time.monotonic() - began
        return {
            "rate": count / seconds, "seconds": seconds, "planning": planning, "peak": engine.peak_bytes(),
            "cpu": (engine.cpu_seconds() - cpu) / count * 1e6,
            "sink_cpu": (sink.cpu_seconds() - sink_cpu) / count * 1e6,
        }


def smtp_source(port, count):
    """The best pace of Postfix's own load generator, over several numbers of sessions, connections kept."""
    return max(smtp_source_with(port, count, sessions) for sessions in (1, 4, 10, 20, 50))


def smtp_source_with(port, count, sessions):
    began = time.monotonic()
    subprocess.run(
        [program("smtp-source"), "-4", "-d", "-s", str(sessions), "-m", str(count), "-l", str(MESSAGE_BYTES),
         "-f", "ada@sender.test", "-t", "person@company.test", f"127.0.0.1:{port}"], check=True, timeout=300)
    return count / (time.monotonic() - began)
