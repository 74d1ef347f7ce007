"""The SMTP2GO adapter in Python: one request of the provider becomes events. It decides as the shipped component does; the
component knows more of servers' words."""

import base64
import binascii
import json
import re
from datetime import datetime, timezone
from urllib.parse import parse_qsl

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.provider_ingestion import Event, Outcome_Events, Refusal_Malformed, Refusal_Unauthorized
from wit_world.imports import crypto

KINDS = {
    "processed": "processed", "delivered": "delivered", "delivery": "delivered", "spam": "complaint",
    "spam_complaint": "complaint", "complaint": "complaint", "unsubscribe": "unsubscribe",
    "unsubscribed": "unsubscribe", "resubscribe": "resubscribe", "resubscribed": "resubscribe", "reject": "reject",
    "rejected": "reject", "open": "open", "opened": "open", "click": "click", "clicked": "click",
}
BOUNCES = ("bounce", "bounced", "hard_bounce", "soft_bounce")
OF_A_MAIL = ("rcpt", "recipients", "email_id", "email", "message-id", "Message-Id")
OF_A_TEXT_MESSAGE = ("sms_id", "message_id", "destination", "to")

LIVES = re.compile(r"block ?list|black ?list|blocked|spam|reputation|policy|dmarc|\bspf\b|dkim|too large|size limit|virus", re.I)
FULL = re.compile(r"quota|mailbox (is )?full|try again|temporar|gr[ae]y-?list|too many", re.I)
DEAD = re.compile(
    r"user unknown|unknown user|no such (user|mailbox|recipient|address)|does(n't| not) exist"
    r"|mailbox (not found|unavailable)|invalid (recipient|mailbox)|recipient address rejected"
    r"|account (has been )?disabled", re.I)


class ProviderIngestion(exports.ProviderIngestion):
    def ingest(self, request, settings):
        secret = dict(settings).get("signing_secret")
        if secret and not presents(header(request, "authorization"), secret):
            raise Err(Refusal_Unauthorized("the Authorization header does not present the endpoint's signing_secret"))
        return Outcome_Events([event for body in bodies(request.body) for event in events_of(body)])


def header(request, name):
    return next((value for key, value in request.headers if key.lower() == name), "")


def presents(value, secret):
    """As a bearer token, or as the password of Basic."""
    scheme, _, credentials = value.strip().partition(" ")

    def same(data):
        return crypto.constant_time_equal(data, secret.encode())

    if scheme.lower() == "bearer":
        return same(credentials.strip().encode())
    if scheme.lower() != "basic":
        return False
    try:
        pair = base64.b64decode(credentials.strip(), validate=True)
    except binascii.Error:
        return False
    return same(pair) or same(pair.partition(b":")[2])


def bodies(body):
    """SMTP2GO posts a form unless the webhook says JSON."""
    if not re.match(rb"\s*[{\[]", body):
        return [form(body)]
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Err(Refusal_Malformed(str(error)))
    events = parsed if isinstance(parsed, list) else [parsed]
    if not all(isinstance(event, dict) for event in events):
        raise Err(Refusal_Malformed("the body holds something else than events"))
    return events


def form(body):
    """A key that comes again, `key[]` and `key[0]` make a list of `key`."""
    fields = {}
    for key, value in parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True):
        name = re.sub(r"(.)\[[^\]]*\]$", r"\1", key)
        if name in fields:
            fields[name] = as_list(fields[name]) + [value]
        else:
            fields[name] = value if name == key else [value]
    return fields


def events_of(fields):
    """None for a text message, one for most notifications, one a recipient for `processed`."""
    if not any(name in fields for name in OF_A_MAIL) and any(name in fields for name in OF_A_TEXT_MESSAGE):
        return []
    one = address(text(fields, "rcpt") or text(fields, "email") or "")
    many = [part for item in as_list(fields.get("recipients")) for part in str(item).split(",")]
    recipients = [one] if one else [found for found in map(address, many) if found]
    return [event(fields, recipient) for recipient in recipients or [None]]


def event(fields, recipient):
    name = (text(fields, "event") or "").lower()
    said = text(fields, "message") or ""
    kind = kind_of(name, (text(fields, "bounce") or "").lower(), said)
    email_id = text(fields, "email_id")
    time = text(fields, "time") or text(fields, "timestamp")
    context = text(fields, "context")
    extra = [(key, text(fields, key)) for key in ("host", "auth", "url", "user-agent") if text(fields, key)]
    if kind == "unknown":
        extra.append(("event", name))
    if kind == "soft_bounce":
        # A greylisted message is told as a soft bounce and delivered later.
        extra.append(("final", "false"))
    code = re.match(r"\s*([245]\d\d)(?=[ -]|$)", said)
    status = re.search(r"(?:^|[^\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])", said)
    reason = [said, context and (f"({context})" if said else context)]
    return Event(
        kind=kind,
        recipient=recipient,
        send_id=text_any_case(fields, "x-ampout-send-id"),
        message_id=(text_any_case(fields, "message-id") or "").strip("<> ") or None,
        provider_message_id=email_id,
        at=instant(time),
        smtp_code=code and int(code[1]),
        status=status and status[1],
        reason=" ".join(filter(None, reason)) or None,
        # `id` was seen to repeat; it only adds to the rest.
        dedupe_key=key_of(email_id, name, recipient, time, text(fields, "id"), text(fields, "url") or text(fields, "click_url")),
        extra=extra,
    )


def kind_of(name, bounce, said):
    """SMTP2GO calls a policy refusal hard as well, and calls soft whatever it can't tell."""
    if name not in BOUNCES:
        return KINDS.get(name, "unknown")
    if LIVES.search(said) or re.search(r"\b5\.(7\.\d+|6\.\d+|2\.3|3\.4|1\.[78])\b", said):
        return "policy_bounce"
    is_hard = name == "hard_bounce" or bounce == "hard"
    is_temporary = re.search(r"^\s*4\d\d\b|\b4\.\d+\.\d+\b", said) or FULL.search(said)
    is_dead = (DEAD.search(said) or re.search(r"\b5\.(1\.(1|2|3|4|6|10)|4\.4|0\.0)\b", said)
               or not re.search(r"\b5\.\d+\.\d+\b", said))
    return "hard_bounce" if is_hard and is_dead and not is_temporary else "soft_bounce"


def as_list(value):
    return value if isinstance(value, list) else [] if value is None else [value]


def text(fields, name):
    value = next(iter(as_list(fields.get(name))), None)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    # Half of a surrogate pair is no text for the host, and JSON may have one.
    return str(value).encode("utf-8", "replace").decode().strip() or None


def text_any_case(fields, name):
    return next((text(fields, key) for key in fields if key.lower().replace("_", "-") == name), None)


def address(given):
    found = re.search(r"([\w!#$%&'*+/=?^`{|}~.-]+)@((?:[\w-]+\.)+[\w-]+)", given)
    return found and f"{found[1]}@{found[2].lower()}"


def instant(given):
    try:
        time = datetime.fromisoformat(given).astimezone(timezone.utc)
    except (TypeError, ValueError, OverflowError):
        return None
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def key_of(*parts):
    data = "".join(f"{len(part or '')}:{part or ''}" for part in parts)
    return crypto.hash(crypto.Digest.SHA256, data.encode()).hex()[:32]
