"""The customer's app: it takes events, counts the different ones by type and notes how late each was."""

import json
import threading
import time
from collections import Counter
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    def __init__(self):
        self.lock, self.seen, self.types, self.lags = threading.Lock(), set(), Counter(), []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Headers and the end of an answer are one packet.
            wbufsize = -1

            def do_POST(self):
                receiver.take(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/events"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, event):
        happened = datetime.fromisoformat(event["created_at"].replace("Z", "+00:00")).timestamp()
        with self.lock:
            if event["id"] not in self.seen:
                self.seen.add(event["id"])
                self.types[event["type"]] += 1
                self.lags.append(time.time() - happened)

    def lags_since(self, before):
        """The lags of the events that came after the first `before`."""
        with self.lock:
            return self.lags[before:]

    def count(self, *types):
        with self.lock:
            return sum(self.types[one] for one in types)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
