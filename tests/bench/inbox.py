"""Mailboxes at scale: a backlog that is fetched, classified and applied; a mailbox full of old mail; many idle ones.

    tests/bench/inbox.py --release-binary target/release/ampout [--size small|full]

One JSON object a figure on standard output, the rest on standard error."""

import argparse
import email
import imaplib
import json
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from answers import answers
from api import contacts_csv, credential
from dovecot import PASSWORD, Dovecot
from processes import timed, wait_until
from servers import Engine, SmtpSink

SIZES = {"small": dict(backlog=2_000, old=5_000, idle=50), "full": dict(backlog=10_000, old=100_000, idle=1_000)}
MAILBOX = "ada0@sender.test"
SECRET_KEY = "5b" * 32


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release-binary", "--ampout", dest="binary", required=True, type=Path)
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--only", choices=["backlog", "old", "idle"], action="append")
    parser.add_argument("--rows", type=int, default=0, help="as many more contacts that were written to before")
    given = parser.parse_args()
    size = SIZES[given.size]
    for name, measure in [("backlog", backlog), ("old", old_mail), ("idle", idle)]:
        if name in (given.only or [name]):
            with tempfile.TemporaryDirectory(prefix="ampout-bench-") as folder:
                measure(given.binary.resolve(), Path(folder), size[name], *([given.rows] if name == "backlog" else []))


def backlog(binary, folder, count, more):
    """Every message answers something that was really sent, but for the newsletters."""
    with Dovecot(folder / "dovecot", [MAILBOX]) as dovecot:
        with SmtpSink(folder) as sink, engine_of(binary, folder) as engine:
            one = credential(sink.port, 0, 1_000_000_000) | reached(dovecot.imap, "none")
            campaign = campaign_of(engine, [one])
            for begin in range(0, count + more, 100_000):
                rows = contacts_csv(begin, min(begin + 100_000, count + more))
                engine.api.enroll(campaign, engine.api.import_csv("Benchmark", rows)["id"])
            engine.api.dispatch(campaign)
            engine.api.wait_for_sent(campaign, count + more, 900, engine)
            key = engine.key
        sends = query(folder, "SELECT s.id, c.email FROM sends s JOIN contacts c ON c.id = s.contact_id ORDER BY s.id LIMIT ?", count)
        dovecot.put(MAILBOX, answers(sends, MAILBOX))
        say(f"{count} messages wait")
        peer = count / (timed(lambda: fetch_and_parse(dovecot, count)) / 1000)
        with engine_of(binary, folder, key) as engine:
            wait_until(lambda: engine.api.get("/status"), "the engine serves")
            began, cpu = time.monotonic(), engine.cpu_seconds()
            wait_until(lambda: is_applied(folder, count, engine), "all messages are applied", 300, 0.05)
            took = time.monotonic() - began
            spent = (engine.cpu_seconds() - cpu) / count * 1e6
            peak = engine.peak_bytes() / 1e6
        verdicts = dict(query(folder, "SELECT verdict, COUNT(*) FROM inbound_messages GROUP BY verdict"))
        detail = f"{spent:.0f} µs of processor a message, peak {peak:.0f} MB; {verdicts}; {more} other contacts"
        tell("inbox backlog", count / took, "messages/s", "imaplib and email (Python), fetched and parsed alone", peer, 3_000, detail)


def old_mail(binary, folder, count):
    """A mailbox that is full when it is added: how long until it is watched, and what was read for it."""
    with Dovecot(folder / "dovecot", [MAILBOX]) as dovecot:
        old = answers([(str(number), f"old{number}@old.test") for number in range(1_000)], MAILBOX)
        dovecot.put(MAILBOX, (old[number % 1_000] for number in range(count)), 30 * 24 * 3600, "cur")
        # Dovecot's own first look, which makes its index, is not ours.
        whole = timed(lambda: fetch_and_parse(dovecot, count)) / 1000
        given = dovecot.bytes_given()
        with engine_of(binary, folder) as engine:
            began = time.monotonic()
            campaign_of(engine, [credential(9, 0, 1_000) | reached(dovecot.imap, "none")])
            watched = "SELECT COUNT(*) FROM mailboxes WHERE last_checked_at IS NOT NULL"
            wait_until(lambda: query(folder, watched)[0][0] == 1, "the mailbox is watched", 300, 0.01)
            took = time.monotonic() - began
            stored = query(folder, "SELECT COUNT(*) FROM inbound_messages")[0][0]
            rss = engine.resident_bytes() / 1e6
        wait_until(lambda: dovecot.bytes_given() > given, "Dovecot says what it gave")
        read = dovecot.bytes_given() - given
        detail = f"{read} bytes read, {stored} messages stored, {rss:.0f} MB resident"
        tell(f"a mailbox of {count} old messages is added", took, "s", "imaplib and email (Python), reading all", whole, None, detail)


def idle(binary, folder, count):
    """Mailboxes that nothing happens in, over TLS, each with its own account and connection."""
    addresses = [f"ada{number}@sender.test" for number in range(count)]
    with Dovecot(folder / "dovecot", addresses) as dovecot:
        with engine_of(binary, folder, extra_ca=dovecot.folder / "ca.pem") as engine:
            before = engine.resident_bytes() / 1e6
            began = time.monotonic()
            for begin in range(0, count, 50):
                numbers = range(begin, min(begin + 50, count))
                tls = reached(dovecot.imaps, "implicit")
                campaign_of(engine, [credential(9, number, 10) | tls for number in numbers])
            made = time.monotonic()
            watched = "SELECT COUNT(*) FROM mailboxes WHERE last_checked_at IS NOT NULL AND last_error IS NULL"
            wait_until(lambda: query(folder, watched)[0][0] == count, "all mailboxes are watched", 300, 0.1)
            took = time.monotonic() - made
            cpu = engine.cpu_seconds()
            time.sleep(20)
            cpu = (engine.cpu_seconds() - cpu) / 20
            rss, peak, files = engine.resident_bytes() / 1e6, engine.peak_bytes() / 1e6, engine.descriptors()
            detail = (
                f"watched {took:.1f} s after the last was made ({made - began:.1f} s), {before:.0f} MB before, peak {peak:.0f} MB, "
                f"{files} descriptors, {cpu * 100:.1f} % of a processor idle")
            tell(f"{count} mailboxes watched by IDLE over TLS", rss, "MB resident", None, None, None, detail)


def engine_of(binary, folder, key=None, **settings):
    return Engine(binary, folder / "data", key=key, secret_key=SECRET_KEY, **settings)


def reached(port, tls):
    return {"imap_host": "127.0.0.1", "imap_port": port, "imap_tls": tls, "imap_password": PASSWORD}


def campaign_of(engine, credentials):
    for one in credentials:
        if "imap_host" in one:
            one["imap_username"] = one["from_email"]
    campaign = {
        "name": "Benchmark", "min_wait_seconds": 0, "max_wait_seconds": 0, "verify_email_mx": False,
        "bounce_rate_threshold": 25, "smtp_credentials": credentials,
        "sequence_steps": [{"position": 1, "subject": "A question", "body_html": "<p>Hello {{first_name}}</p>"}]}
    return engine.api.post("/campaigns", {"campaign": campaign})["id"]


def fetch_and_parse(dovecot, count):
    with imaplib.IMAP4("127.0.0.1", dovecot.imap) as client:
        client.login(MAILBOX, PASSWORD)
        client.select(readonly=True)
        for begin in range(1, count + 1, 500):
            _, answer = client.fetch(f"{begin}:{min(begin + 499, count)}", "(BODY.PEEK[])")
            for part in answer:
                if isinstance(part, tuple):
                    email.message_from_bytes(part[1])


def is_applied(folder, count, engine):
    engine.check_alive()
    waiting = query(folder, "SELECT COUNT(*) FROM inbound_messages WHERE state = 'stored'")[0][0]
    return waiting == 0 and query(folder, "SELECT MAX(last_uid) FROM mailboxes")[0][0] >= count


def query(folder, text, *values):
    """Looks into the engine's database from beside it."""
    database = sqlite3.connect(f"file:{folder}/data/ampout.db?mode=ro", uri=True, timeout=10)
    try:
        return database.execute(text, values).fetchall()
    finally:
        database.close()


def tell(name, value, unit, peer, peer_value, goal, detail):
    line = {"name": name, "value": value, "unit": unit, "peer": peer, "peer_value": peer_value,
            "ratio": value / peer_value if peer_value else None, "goal": f"{goal} {unit}" if goal else None,
            "goal_met": value >= goal if goal else None, "detail": detail}
    print(json.dumps(line), flush=True)


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
