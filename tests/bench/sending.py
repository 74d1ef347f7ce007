"""Messages a second through the whole path to a sink on the same machine, on SQLite: claim, render, gate, SMTP, ledger,
event. Beside it, in the same rounds and to the same sink, Postfix's load generator and what others send mail with."""

from statistics import median

import outreach
import peer_programs
import smtp_source
from servers import Redis, SmtpSink

# Messages of ours a round; peers that are slower send fewer.
COUNTS = {"small": 5_000, "full": 30_000}
ROUNDS = {"small": 1, "full": 3}
PEER_CONNECTIONS = 10
NODEMAILER, BULLMQ, DJANGO = "nodemailer's pool", "BullMQ with nodemailer", "django-post_office"
# How many times faster we are to be.
FACTORS = {NODEMAILER: 5, BULLMQ: 8, DJANGO: None}


def run(setting):
    count = COUNTS[setting.size]
    ours, sources, peers = [], [], {}
    with SmtpSink(setting.folder) as sink:
        for _ in range(ROUNDS[setting.size]):
            sources.append(smtp_source.best(sink.port, count))
            ours.append(outreach.send(setting, sink, count))
            if not setting.only_us:
                for name, told in peers_of(setting, sink, count // 5):
                    peers.setdefault(name, []).append(told)
    tell(setting.results.add, count, ours, max(sources), peers)


def tell(add, count, ours, source, peers):
    rate = median(sent.rate for sent in ours)
    cpu = median(sent.cpu_microseconds for sent in ours)
    detail = f"{count} messages, {outreach.CREDENTIALS} credentials with {outreach.CONNECTIONS} connections each"
    name = "messages to a local sink, SQLite"
    add(name, rate, "a second", peer="smtp-source -d at its best", peer_value=source,
        goal="half of it", goal_met=rate >= source / 2, detail=detail)
    for peer, told in peers.items():
        theirs = median(one["rate"] for one in told)
        factor = FACTORS[peer]
        add(name, rate, "a second", peer=peer, peer_value=theirs, goal=factor and f"{factor} times it",
            goal_met=factor and rate >= factor * theirs)
    for peer, told in peers.items():
        add("processor a message", cpu, "µs", peer=peer,
            peer_value=median(one["cpu_microseconds"] for one in told),
            detail="without the sink, and without Redis" if peer == BULLMQ else "without the sink")
    add("memory while sending", max(sent.peak_bytes for sent in ours) / 1e6, "MB", detail="the most, resident")


def peers_of(setting, sink, count):
    """Each peer's rate and processor time, one after another."""
    yield NODEMAILER, measured(count, peer_programs.node(
        "nodemailer_pool.mjs", setting.folder, sink.port, count, PEER_CONNECTIONS))
    folder = setting.new_folder()
    folder.mkdir()
    with Redis(folder) as redis:
        yield BULLMQ, measured(count, peer_programs.node(
            "bullmq_mailer.mjs", setting.folder, sink.port, count, PEER_CONNECTIONS, redis.port))
    folder = setting.new_folder()
    folder.mkdir()
    yield DJANGO, measured(count, peer_programs.python(
        "django_post_office.py", setting.folder, sink.port, count, 2, folder))


def measured(count, told):
    return {"rate": count / told["seconds"], "cpu_microseconds": told["cpu_seconds"] / count * 1e6}
