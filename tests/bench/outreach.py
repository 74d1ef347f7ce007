"""One campaign that is imported, enrolled, dispatched and sent in full by one or several nodes, and what that took."""

import time
from contextlib import ExitStack
from dataclasses import dataclass

from api import contacts_csv
from processes import cpu_seconds
from servers import Engine

# Connections of each credential.
CONNECTIONS = 32
CREDENTIALS = 4
# All nodes of an installation open the same seals.
SECRET_KEY = "5b" * 32


@dataclass
class Sent:
    """What sending took. Seconds run from the call that dispatches to the moment at which the campaign's own figure
    says that all were sent."""

    rate: float
    cpu_microseconds: float
    sink_cpu_microseconds: float
    peak_bytes: int


def send(setting, sink, count, nodes=1, database_url="", credentials=CREDENTIALS, connections=CONNECTIONS):
    with ExitStack() as stack:
        started = []
        for number in range(nodes):
            started.append(stack.enter_context(Engine(
                setting.binary, setting.new_folder(), database_url, name=f"node {number + 1}",
                key=started[0].key if started else None, secret_key=SECRET_KEY,
                smtp_connections_per_credential=connections)))
        first = started[0]
        campaign = first.api.campaign([sink.port] * credentials)
        imported = first.api.import_csv("people", contacts_csv(0, count))
        enrolled = first.api.enroll(campaign, imported["id"])
        pids = [node.pid for node in started]
        cpu, sink_cpu = cpu_seconds(pids), sink.cpu_seconds()
        began = time.monotonic()
        dispatched = first.api.dispatch(campaign)
        if not count == enrolled == dispatched:
            raise RuntimeError(f"of {count} contacts {enrolled} were enrolled and {dispatched} dispatched")
        first.api.wait_for_sent(campaign, count, patience=count / 100, engine=first)
        seconds = time.monotonic() - began
        for node in started:
            node.check_alive()
        return Sent(
            rate=count / seconds,
            cpu_microseconds=(cpu_seconds(pids) - cpu) / count * 1e6,
            sink_cpu_microseconds=(sink.cpu_seconds() - sink_cpu) / count * 1e6,
            peak_bytes=max(node.peak_bytes() for node in started))
