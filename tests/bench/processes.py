"""Processes that the benchmarks start: how they are ended, and what they have used of the machine."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 30


class Process:
    """A server in a session of its own, with its output in a file. Ends with the `with` block that it is used in."""

    def __init__(self, name, command, log, env=None, cwd=None, stop=signal.SIGTERM):
        self.name, self.log, self.stop_signal = name, Path(log), stop
        with open(self.log, "ab") as output:
            self.child = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=env, cwd=cwd, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def pid(self):
        return self.child.pid

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(self.stop_signal)
            try:
                self.child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.child.returncode

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.child.wait()

    def check_alive(self):
        if self.child.poll() is not None:
            raise RuntimeError(f"{self.name} has ended with {self.child.returncode}:\n{self.end_of_log()}")

    def end_of_log(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def wait_for_port(self, port):
        wait_until(lambda: (self.check_alive(), is_open(port))[1], f"{self.name} listens on {port}")

    def cpu_seconds(self):
        return cpu_seconds([self.pid])

    def resident_bytes(self):
        return status_bytes(self.pid, "VmRSS")

    def peak_bytes(self):
        return status_bytes(self.pid, "VmHWM")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def cpu_seconds(pids):
    """What these processes and their ended children have used."""
    total = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # The name in brackets may hold blanks.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(field) for field in fields[11:15])
    return total / TICKS


def descendants(pid):
    """This process and all that came of it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting.extend(parents.get(found[-1], []))
    return found


def status_bytes(pid, field):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/{pid}/status has no {field}")


def wait_until(check, what, patience=PATIENCE, pause=0.02):
    """Asks `check` until it gives something true, and gives that."""
    deadline = time.monotonic() + patience
    while True:
        seen = check()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {patience} s: {what}")
        time.sleep(pause)


def timed(work):
    """How many milliseconds it took."""
    began = time.monotonic()
    work()
    return (time.monotonic() - began) * 1000


def is_open(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port():
    """Below the ports that the kernel gives to outgoing connections: with thousands of those, one would take it meanwhile."""
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def program(name, *elsewhere):
    """Where a program is, in PATH or in folders that PATH often lacks."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", *elsewhere])
    found = shutil.which(name, path=path)
    if not found:
        raise RuntimeError(f"{name} is not installed; tests/bench/README.md says what the benchmarks need")
    return found


def is_root():
    return os.geteuid() == 0


def reachable(folder):
    """Lets a server that runs as another user into a folder below one that root has made for itself."""
    for parent in folder.parents:
        if parent == Path(tempfile.gettempdir()):
            return
        parent.chmod(parent.stat().st_mode | 0o011)
