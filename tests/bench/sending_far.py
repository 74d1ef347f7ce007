"""Messages a second to a server 20 ms away, by 50 connections: what round trips cost, and what PIPELINING and CHUNKING
spare of them. The sink is our own (`sink/`), because Postfix's has no such delay."""

from statistics import median

import outreach
import peer_programs
from servers import CountingSink

COUNTS = {"small": 3_000, "full": 20_000}
ROUNDS = {"small": 1, "full": 2}
ROUND_TRIP_MILLISECONDS = 20
CREDENTIALS, CONNECTIONS = 5, 10
EXTENSIONS = {"PIPELINING": (1000, []), "CHUNKING": (2000, ["--chunking"])}


def run(setting):
    count = COUNTS[setting.size]
    far = ["--round-trip", str(ROUND_TRIP_MILLISECONDS)]
    ours, peers = {}, []
    for _ in range(ROUNDS[setting.size]):
        for extension, (_, options) in EXTENSIONS.items():
            with CountingSink(setting.folder, *far, *options) as sink:
                sent = outreach.send(setting, sink, count, credentials=CREDENTIALS, connections=CONNECTIONS)
                ours.setdefault(extension, []).append(sent.rate)
        if not setting.only_us:
            with CountingSink(setting.folder, *far) as sink:
                told = peer_programs.node(
                    "nodemailer_pool.mjs", setting.folder, sink.port, count // 4, CREDENTIALS * CONNECTIONS)
                peers.append(count // 4 / told["seconds"])
    for extension, (goal, _) in EXTENSIONS.items():
        rate = median(ours[extension])
        setting.results.add(
            f"messages to a server {ROUND_TRIP_MILLISECONDS} ms away, {extension}", rate, "a second",
            peer="nodemailer's pool" if peers else None, peer_value=median(peers) if peers else None,
            goal=f"{goal} a second", goal_met=rate >= goal, detail=f"{CREDENTIALS * CONNECTIONS} connections")
