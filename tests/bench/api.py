"""The engine's API as its customer calls it, over one kept connection."""

import http.client
import json
import time

# Of a merged message: with this HTML, the text part made from it and the headers a message has 2 KB (see README.md).
SENTENCE = "We make pumps that run for years without service. "
BODY = "<p>Hello {{first_name}} of {{company}},</p>" + f"<p>{SENTENCE * 10}</p>"
SUBJECT = "A question for {{company}}"


class Api:
    def __init__(self, port, key):
        self.port, self.key = port, key
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)

    def call(self, method, path, body=None, content_type="application/json"):
        if body is not None and content_type == "application/json":
            body = json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": content_type}
        for attempt in (1, 2):
            try:
                self.connection.request(method, path, body, headers)
                answer = self.connection.getresponse()
                break
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                # An idle connection that the server has closed meanwhile; anything else fails the second time, too.
                self.connection.close()
                if attempt == 2 or method == "POST":
                    raise
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:2000].decode(errors='replace')}")
        return json.loads(text) if text else None

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body):
        return self.call("POST", path, body)

    def campaign(self, ports, daily_limit=1_000_000_000, imap=None):
        """One step, no pacing, limits that are never reached; a credential for each of `ports`, with a mailbox of its
        address where `imap` says how to reach it."""
        credentials = [credential(port, number, daily_limit) for number, port in enumerate(ports)]
        for one in credentials if imap else []:
            one.update(imap, imap_username=one["from_email"])
        steps = [{"position": 1, "subject": SUBJECT, "body_html": BODY}]
        campaign = {
            "name": "Benchmark", "min_wait_seconds": 0, "max_wait_seconds": 0,
            "smtp_credentials": credentials, "sequence_steps": steps}
        return self.post("/campaigns", {"campaign": campaign})["id"]

    def change_credentials(self, campaign, **fields):
        for one in self.get(f"/campaigns/{campaign}")["credentials"]:
            path = f"/campaigns/{campaign}/smtp_credentials/{one['id']}"
            self.call("PATCH", path, {"smtp_credential": fields})

    def import_csv(self, name, text):
        return self.call("POST", f"/contact_imports?name={name}", text, "text/csv")

    def enroll(self, campaign, contact_import, batch_size=1000):
        body = {"contact_import_id": contact_import, "batch_size": batch_size}
        return self.post(f"/campaigns/{campaign}/enroll", body)["enrolled"]

    def dispatch(self, campaign):
        return self.post(f"/campaigns/{campaign}/dispatch", {})["dispatched"]

    def sent(self, campaign):
        """Enrollments that were sent to, whatever came of it since."""
        totals = self.get(f"/campaigns/{campaign}")["totals"]
        return sum(totals.values()) - totals["pending"]

    def wait_for_sent(self, campaign, count, patience, engine):
        """Seconds from now until the campaign's own figure says so; stops early where nothing moves any more."""
        began = moved = time.monotonic()
        last = -1
        while True:
            sent, now = self.sent(campaign), time.monotonic()
            if sent >= count:
                return now - began
            if sent != last:
                last, moved = sent, now
            engine.check_alive()
            if now - began > patience or now - moved > 60:
                explained = self.get(f"/campaigns/{campaign}/explain")
                raise TimeoutError(f"{sent} of {count} sent after {now - began:.0f} s: {explained}")
            time.sleep(0.02)


def credential(port, number, daily_limit):
    return {
        "smtp_host": "127.0.0.1", "smtp_port": port, "smtp_username": "ada", "smtp_password": "secret",
        "smtp_tls": "none", "from_name": "Ada of Pumps", "from_email": f"ada{number}@sender.test",
        "daily_limit": daily_limit}


def contacts_csv(begin, end):
    """Rows as a list broker sells them: in no order, and no address twice (a number times an odd one, modulo 2³²)."""
    rows = ["email,first_name,last_name,company\n"]
    rows.extend(
        f"person{n}@company{n % 50_000}.test,First{n % 997},Last{n % 9_973},Company {n % 50_000}\n"
        for n in (number * 2_654_435_761 % 2**32 for number in range(begin, end)))
    return "".join(rows).encode()
