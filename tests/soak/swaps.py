"""Somebody who changes the reply filter all the time: two versions are bound in turn, and now and then none."""

from background import Background

FILTER = """//! name: soak-declines
//! version: 1.0.{}
//! hooks: reply-classifier
//! description: A short no ends the sequence.
//! license: Apache-2.0

fn classify(message) {{
    if message.text.matches("(?i)^\\\\s*no thanks") {{
        return #{{ verdict: "unsubscribe-request", reason: "version {}" }};
    }}
    #{{ verdict: "pass" }}
}}
"""
EVERY_SECONDS = 0.5


class Swaps:
    def __init__(self, api, campaign):
        self.api, self.campaign, self.count = api, campaign, 0
        upload = [FILTER.format(number, number).encode() for number in (1, 2)]
        self.versions = [api.call("POST", "/extensions", text, "text/rhai")["id"] for text in upload]
        self.thread = Background("Swapping extensions", EVERY_SECONDS, self.swap)

    def swap(self):
        version = [*self.versions, None][self.count % 3]
        bindings = [{"hook": "reply-classifier", "extension_id": version}] if version else []
        self.api.call("PUT", f"/bindings?scope=campaign&scope_id={self.campaign}", {"bindings": bindings})
        self.count += 1
