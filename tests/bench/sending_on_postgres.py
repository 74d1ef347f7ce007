"""The same on PostgreSQL: one node beside SQLite, two nodes beside one. The sink of two nodes looks for duplicates."""

from statistics import median

import outreach
from servers import CountingSink, Postgres, SmtpSink

COUNTS = {"small": 4_000, "full": 20_000}
ROUNDS = {"small": 1, "full": 3}


def run(setting):
    count, add = COUNTS[setting.size], setting.results.add
    on_sqlite, one_node, two_nodes, duplicates = [], [], [], 0
    with SmtpSink(setting.folder) as sink, Postgres(setting.folder) as postgres:
        for number in range(ROUNDS[setting.size]):
            on_sqlite.append(outreach.send(setting, sink, count).rate)
            one_node.append(outreach.send(setting, sink, count, database_url=postgres.create(f"one{number}")).rate)
            with CountingSink(setting.folder) as counting:
                url = postgres.create(f"two{number}")
                two_nodes.append(outreach.send(setting, counting, count, nodes=2, database_url=url).rate)
                messages, distinct = counting.count()
                duplicates += messages - distinct
                if distinct != count:
                    raise RuntimeError(f"{distinct} different messages of {count} arrived")
    sqlite, one, two = median(on_sqlite), median(one_node), median(two_nodes)
    add("messages to a local sink, PostgreSQL, one node", one, "a second", peer="SQLite", peer_value=sqlite,
        goal="no slower", goal_met=one >= sqlite, detail=f"{count} messages")
    add("messages to a local sink, PostgreSQL, two nodes", two, "a second", peer="one node", peer_value=one,
        goal="no slower", goal_met=two >= one)
    add("messages that two nodes sent twice", duplicates, "messages", goal="none", goal_met=duplicates == 0,
        detail=f"of {count * ROUNDS[setting.size]}")
