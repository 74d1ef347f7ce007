"""Asked of every request to `/inbound/@NAME@/<token>`: what a provider posts becomes events."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.provider_ingestion import Event, Outcome_Events, Refusal_Malformed, Refusal_Unauthorized
from wit_world.imports import crypto

KINDS = {"delivered": "delivered", "bounced": "hard_bounce", "complained": "complaint"}


class ProviderIngestion(exports.ProviderIngestion):
    def ingest(self, request, settings):
        """Reads `{"id": …, "type": "bounced", "to": …}`, or a list of those."""
        secret = dict(settings).get("signing_secret")
        if secret and not presents(request, secret):
            raise Err(Refusal_Unauthorized("the Authorization header does not present the signing_secret"))
        try:
            body = json.loads(request.body)
        except (ValueError, RecursionError) as error:
            raise Err(Refusal_Malformed(str(error)))
        events = body if isinstance(body, list) else [body]
        # Whoever has the address can post anything.
        if not all(isinstance(event, dict) for event in events):
            raise Err(Refusal_Malformed("the body holds something else than events"))
        return Outcome_Events([event_of(event) for event in events])


def event_of(fields):
    # Events with the same key are one, however often the provider sends them.
    return Event(
        kind=KINDS.get(text(fields.get("type")), "unknown"),
        recipient=text(fields.get("to")),
        dedupe_key=text(fields.get("id")),
        send_id=None, message_id=None, provider_message_id=None, at=None, smtp_code=None, status=None, reason=None,
        extra=[],
    )


def text(value):
    """A text or a number as text. Half of a surrogate pair is no text for the host, and JSON may have one."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    return str(value).encode("utf-8", "replace").decode()


def presents(request, secret):
    value = dict(request.headers).get("authorization", "")
    return crypto.constant_time_equal(value.encode(), f"Bearer {secret}".encode())
