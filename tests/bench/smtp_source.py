"""Postfix's smtp-source, the pace to measure against: it makes no message, keeps no ledger and asks nobody."""

import subprocess
import time

from processes import program

MESSAGE_BYTES = 2048
SESSIONS = (1, 4, 10, 20, 50)


def best(port, count):
    """Messages a second with the number of sessions that suits this machine best, connections kept."""
    return max(rate(port, count, sessions) for sessions in SESSIONS)


def rate(port, count, sessions):
    command = [program("smtp-source"), "-4", "-d", "-s", sessions, "-m", count, "-l", MESSAGE_BYTES,
               "-f", "ada@sender.test", "-t", "person@company.test", f"127.0.0.1:{port}"]
    began = time.monotonic()
    subprocess.run([str(word) for word in command], check=True, timeout=300)
    return count / (time.monotonic() - began)
