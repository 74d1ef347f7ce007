"""Providers' webhooks over HTTP, stored and applied: one event a request (Postmark) and many (SendGrid).

    tests/bench/ingest.py --release-binary target/release/ampout [--size small|full]

The peer takes the same requests and does as little as a careful receiver may: it stores each in a SQLite file and answers
when that is committed. It reads no event. One JSON object a figure on standard output, the rest on standard error."""

import argparse
import asyncio
import base64
import json
import multiprocessing
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from api import contacts_csv, credential
from inbox import campaign_of, engine_of, query, say, tell
from processes import free_port, is_open, wait_until
from servers import SmtpSink

SIZES = {"small": dict(singles=2_000, batches=20), "full": dict(singles=20_000, batches=200)}
CONNECTIONS = 32
EVENTS_A_BATCH = 200
SECRET = "s3cret-of-the-webhook"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release-binary", "--ampout", dest="binary", required=True, type=Path)
    parser.add_argument("--size", choices=SIZES, default="full")
    given = parser.parse_args()
    size = SIZES[given.size]
    with tempfile.TemporaryDirectory(prefix="ampout-bench-") as folder:
        measure(given.binary.resolve(), Path(folder), size["singles"], size["batches"])


def measure(binary, folder, singles, batches):
    contacts = max(singles, batches * EVENTS_A_BATCH) // 2
    with SmtpSink(folder) as sink, engine_of(binary, folder) as engine:
        campaign = campaign_of(engine, [credential(sink.port, 0, 1_000_000_000)])
        engine.api.enroll(campaign, engine.api.import_csv("Benchmark", contacts_csv(0, contacts))["id"])
        engine.api.dispatch(campaign)
        engine.api.wait_for_sent(campaign, contacts, 600, engine)
        sends = query(folder, "SELECT s.id, c.email FROM sends s JOIN contacts c ON c.id = s.contact_id ORDER BY s.id")
        postmark = made(engine, {"provider": "postmark", "signing_secret": SECRET})
        key, public = key_pair(folder)
        sendgrid = made(engine, {"provider": "sendgrid", "settings": {"public_key": public}})
        one_each = [single(number, *sends[number % contacts]) for number in range(singles)]
        many_each = [batch(number, sends, key) for number in range(batches)]
        for name, path, requests, events in [
                ("one event a request (Postmark)", postmark, one_each, singles),
                (f"{EVENTS_A_BATCH} events a request (SendGrid)", sendgrid, many_each, batches * EVENTS_A_BATCH)]:
            peer = with_peer(folder, requests) / len(requests) * events
            known, cpu = count(folder), engine.cpu_seconds()
            rate = asyncio.run(post_all(engine.port, path, requests)) / len(requests) * events
            spent = (engine.cpu_seconds() - cpu) / events * 1e6
            applied = count(folder) - known
            detail = f"{CONNECTIONS} connections, {applied} of {events} applied, {spent:.0f} µs of processor an event"
            tell(f"provider events, {name}", rate, "events/s", "a handler in Python that only stores the request", peer, 3_000, detail)


def made(engine, endpoint):
    shown = engine.api.post("/inbound_endpoints", {"inbound_endpoint": endpoint})
    return "/" + shown["url"].split("/", 3)[3]


def single(number, send, address):
    """Deliveries mostly, and some that change something."""
    about = {"MessageID": f"pm-{send}", "Recipient": address, "Metadata": {"ampout-send-id": send}, "ServerID": 23, "MessageStream": "outbound", "Tag": "bench"}
    at = f"2026-11-23T08:{number // 60 % 60:02}:{number % 60:02}Z"
    kind = number % 10
    if kind == 0:
        about |= {"RecordType": "Bounce", "Type": "HardBounce", "TypeCode": 1, "ID": number, "Email": address, "BouncedAt": at,
                  "Description": "The server was unable to deliver your message", "Details": "smtp;550 5.1.1 no such user"}
    elif kind in (1, 2):
        about |= {"RecordType": "Open", "FirstOpen": True, "ReceivedAt": at, "UserAgent": "Mozilla/5.0", "Platform": "Desktop"}
    else:
        about |= {"RecordType": "Delivery", "DeliveredAt": at, "Details": "smtp;250 2.0.0 OK"}
    return json.dumps(about).encode(), {"Authorization": f"Bearer {SECRET}", "User-Agent": "Postmark"}


def batch(number, sends, key):
    events = []
    for at in range(EVENTS_A_BATCH):
        place = number * EVENTS_A_BATCH + at
        send, address = sends[place % len(sends)]
        event = {"email": address, "timestamp": int(time.time()) - place % 3_600, "smtp-id": f"<{send}@sender.test>", "sg_event_id": f"e{place}",
                 "sg_message_id": f"sg-{send}.filter0001.1.0", "ampout_send_id": send, "event": "delivered", "response": "250 OK"}
        if place % 10 == 0:
            event |= {"event": "bounce", "type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 no such user"}
        elif place % 10 in (1, 2):
            event |= {"event": "open", "useragent": "Mozilla/5.0"}
        elif place >= len(sends):
            event |= {"event": "processed"}
        events.append(event)
    body = json.dumps(events).encode()
    stamp = str(int(time.time()))
    signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=stamp.encode() + body, check=True, capture_output=True)
    return body, {
        "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signed.stdout).decode(),
        "X-Twilio-Email-Event-Webhook-Timestamp": stamp}


def key_pair(folder):
    key = folder / "sendgrid.key"
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key], check=True, capture_output=True)
    public = subprocess.run(["openssl", "ec", "-in", key, "-pubout", "-outform", "DER"], check=True, capture_output=True)
    return key, base64.b64encode(public.stdout).decode()


async def post_all(port, path, requests):
    """Requests a second over kept connections; every one must be answered 200."""
    waiting = iter([written(path, *request) for request in requests])
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    made = [await loop.create_connection(lambda: Poster(waiting), "127.0.0.1", port) for _ in range(CONNECTIONS)]
    await asyncio.gather(*(poster.over for _, poster in made))
    return len(requests) / (time.monotonic() - began)


class Poster(asyncio.Protocol):
    """Posts one request after the other. By hand: asyncio's streams take as much of a processor as what is measured."""

    def __init__(self, waiting):
        self.waiting, self.answer, self.over = waiting, b"", asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.post_next()

    def post_next(self):
        request = next(self.waiting, None)
        if request is None:
            self.over.set_result(None)
            self.transport.close()
        else:
            self.transport.write(request)

    def data_received(self, data):
        self.answer += data
        head, end, body = self.answer.lower().partition(b"\r\n\r\n")
        length = head.partition(b"content-length:")[2].split(b"\r\n")[0]
        if not end or len(body) < int(length or 0):
            return
        if not head.startswith(b"http/1.1 200"):
            return self.connection_lost(RuntimeError(self.answer.decode()))
        self.answer = b""
        self.post_next()

    def connection_lost(self, error):
        if not self.over.done():
            self.over.set_exception(error or ConnectionError("closed before everything was answered"))


def written(path, body, headers):
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
    return head.encode() + body


def with_peer(folder, requests):
    port = free_port()
    peer = multiprocessing.Process(target=serve_peer, args=(port, folder / "peer.db"), daemon=True)
    peer.start()
    try:
        wait_until(lambda: is_open(port), "the peer listens")
        return asyncio.run(post_all(port, "/hook", requests))
    finally:
        peer.terminate()
        peer.join()


def serve_peer(port, path):
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
        "CREATE TABLE IF NOT EXISTS requests (id INTEGER PRIMARY KEY, headers TEXT, body BLOB)")

    async def serve(reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.decode().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
                body = await reader.readexactly(int(headers["content-length"]))
                json.loads(body)
                database.execute("INSERT INTO requests (headers, body) VALUES (?, ?)", (json.dumps(headers), body))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run():
        server = await asyncio.start_server(serve, "127.0.0.1", port)
        await server.serve_forever()

    asyncio.run(run())


def count(folder):
    return query(folder, "SELECT COUNT(*) FROM provider_events")[0][0]


if __name__ == "__main__":
    say("provider events")
    main()
