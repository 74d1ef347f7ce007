"""A whole campaign in thirty lines, with nothing but Python's own library."""
import json, os, sys, time, urllib.request, uuid

BASE, KEY = os.environ["AMPOUT_URL"], os.environ["AMPOUT_KEY"]


def call(method, path, body=None):
    request = urllib.request.Request(BASE + path, method=method, data=body and json.dumps(body).encode())
    request.add_header("Authorization", f"Bearer {KEY}")
    request.add_header("Content-Type", "application/json")
    request.add_header("Idempotency-Key", str(uuid.uuid4()))
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


sender = json.loads(os.environ["SMTP_CREDENTIAL"])
steps = [{"position": 1, "subject": "Hi {{first_name}}", "body_html": "<p>How is {{company}}?</p>"}]
made = call("POST", "/campaigns", {"campaign": {
    "name": "From Python", "min_wait_seconds": 0, "max_wait_seconds": 0,
    "smtp_credentials": [sender], "sequence_steps": steps}})
people = [{"email": "bo@there.test", "first_name": "Bo", "company": "There"}]
imported = call("POST", "/contact_imports", {"contact_import": {"name": "people", "contacts": people}})
call("POST", f"/campaigns/{made['id']}/enroll", {"contact_import_id": imported["id"]})
call("POST", f"/campaigns/{made['id']}/dispatch", {})
for _ in range(300):
    if call("GET", f"/campaigns/{made['id']}")["totals"]["sent"] == 1:
        sys.exit(print("sent"))
    time.sleep(0.1)
explained = call("GET", f"/campaigns/{made['id']}/explain")
sys.exit(f"not sent: {explained}")
