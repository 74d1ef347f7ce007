"""Work that goes on in a thread of its own, again and again, until it is stopped; what went wrong is told then."""

import threading


class Background:
    def __init__(self, name, every_seconds, work):
        self.name, self.every_seconds, self.work, self.failure = name, every_seconds, work, None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while not self.stopping.wait(self.every_seconds):
                self.work()
        except Exception as error:
            self.failure = error

    def stop(self):
        self.stopping.set()
        self.thread.join()
        if self.failure:
            raise RuntimeError(f"{self.name} has failed") from self.failure
