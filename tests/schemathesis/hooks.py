"""What schemathesis has to know beyond the OpenAPI document."""
import uuid

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    """An Idempotency-Key that the document allows is made new for each call: two different calls with the key "0" would
    be refused, as they must be."""
    name = "Idempotency-Key"
    key = (case.headers or {}).get(name)
    if key and len(key) <= 255 and all("!" <= character <= "~" for character in key):
        case.headers[name] = str(uuid.uuid4())
