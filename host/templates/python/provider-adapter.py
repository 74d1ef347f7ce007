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
        except ValueError as error:
            raise Err(Refusal_Malformed(str(error)))
        return Outcome_Events([event_of(each) for each in (body if isinstance(body, list) else [body])])


def event_of(fields):
    # Events with the same key are one, however often the provider sends them.
    return Event(
        kind=KINDS.get(fields.get("type"), "unknown"),
        recipient=fields.get("to"),
        dedupe_key=fields.get("id"),
        send_id=None, message_id=None, provider_message_id=None, at=None, smtp_code=None, status=None, reason=None,
        extra=[],
    )


def presents(request, secret):
    value = dict(request.headers).get("authorization", "")
    return crypto.constant_time_equal(value.encode(), f"Bearer {secret}".encode())
