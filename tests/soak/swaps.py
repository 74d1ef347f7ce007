"""Somebody who changes the reply filter all the time: two versions are bound in turn, and now and then none."""

import threading

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
        self.api, self.campaign, self.count, self.failure = api, campaign, 0, None
        upload = [FILTER.format(number, number).encode() for number in (1, 2)]
        self.versions = [api.call("POST", "/extensions", text, "text/rhai")["id"] for text in upload]
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.swap, daemon=True)
        self.thread.start()

    def swap(self):
        try:
            while not self.stopping.wait(EVERY_SECONDS):
                version = [*self.versions, None][self.count % 3]
                bindings = [{"hook": "reply-classifier", "extension_id": version}] if version else []
                path = f"/bindings?scope=campaign&scope_id={self.campaign}"
                self.api.call("PUT", path, {"bindings": bindings})
                self.count += 1
        except Exception as error:  # the verdict tells it
            self.failure = error

    def stop(self):
        self.stopping.set()
        self.thread.join()
        if self.failure:
            raise RuntimeError("Swapping extensions has failed") from self.failure
