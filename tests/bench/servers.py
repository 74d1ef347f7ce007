"""The engine and the servers that it and its peers talk to, each with a folder and ports of its own on 127.0.0.1."""

import json
import os
import re
import shutil
import signal
import smtplib
import subprocess
import urllib.request
from pathlib import Path

from api import Api
from processes import Process, free_port, is_root, program, reachable, wait_until
from results import TARGET

SINK = Path(__file__).resolve().parent / "sink"

# What full speed on one machine needs; README.md says why.
SETTINGS = {
    "allow_plaintext": "true",
    "egress_allow": "127.0.0.0/8",
    "rate_limit_per_minute": "10000000",
    "smtp_connections_per_account": "256",
    "dns_servers": "127.0.0.1:9",
    "log": "warn",
}


class Engine(Process):
    """`ampout serve`, on a SQLite file of its own, or on the PostgreSQL database that it is given."""

    def __init__(self, binary, folder, database_url="", name="ampout", key=None, **settings):
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.metrics_port = free_port(), free_port()
        given = {
            **SETTINGS, "listen": f"127.0.0.1:{self.port}", "metrics_listen": f"127.0.0.1:{self.metrics_port}",
            "data_dir": str(folder), "database_url": database_url, **settings}
        env = {"PATH": os.environ["PATH"], **{f"AMPOUT_{name.upper()}": str(value) for name, value in given.items()}}
        self.key = key or json.loads(subprocess.run(
            [binary, "keys", "create", "--json"], env=env, check=True, capture_output=True).stdout)["plaintext"]
        self.folder = folder
        super().__init__(name, [str(binary), "serve"], folder / "log", env=env)
        self.api = Api(self.port, self.key)
        try:
            self.wait_for_port(self.port)
        except BaseException:
            self.kill()
            raise

    def metrics(self):
        """Samples by name and labels, as Prometheus would see them."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


class SmtpSink(Process):
    """Postfix's smtp-sink: the same neutral server for everybody."""

    def __init__(self, folder, name="smtp-sink"):
        self.port = free_port()
        as_nobody = ["-u", "nobody"] if is_root() else []
        command = [program("smtp-sink"), "-4", *as_nobody, "-m", "2000", f"127.0.0.1:{self.port}", "1024"]
        super().__init__(name, command, Path(folder) / f"{name}.log")
        self.wait_for_port(self.port)


class CountingSink(Process):
    """Our own sink (`sink/`): a round trip, CHUNKING, a count of the messages that came and of the different ones."""

    def __init__(self, folder, *options):
        self.port = free_port()
        super().__init__("sink", [built_sink(), self.port, *options], Path(folder) / "sink.log")
        self.wait_for_port(self.port)

    def count(self):
        with smtplib.SMTP("127.0.0.1", self.port, timeout=30) as client:
            messages, distinct = client.docmd("XCOUNT")[1].split()
        return int(messages), int(distinct)


class Redis(Process):
    """A Redis that keeps everything in memory, as its users run it for queues in benchmarks: our peers' best case."""

    def __init__(self, folder):
        self.port = free_port()
        command = [program("redis-server"), "--port", self.port, "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        super().__init__("redis", command, Path(folder) / "redis.log")
        self.wait_for_port(self.port)


class Postgres(Process):
    """A cluster of its own with its defaults, fsync among them, as `postgres` where we are root."""

    def __init__(self, folder):
        self.folder, self.port = Path(folder) / "postgres", free_port()
        self.folder.mkdir()
        data = self.folder / "data"
        binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        self.binaries = str(binaries[-1]) if binaries else ""
        self.as_user = []
        if is_root():
            shutil.chown(self.folder, "postgres", "postgres")
            self.as_user = [program("runuser"), "-u", "postgres", "--"]
            reachable(self.folder)
        initdb = [*self.as_user, program("initdb", self.binaries), "-D", data, "-U", "ampout", "--auth=trust",
                  "-E", "UTF8", "--locale=C.UTF-8"]
        subprocess.run([str(word) for word in initdb], check=True, capture_output=True, cwd="/")
        command = [*self.as_user, program("postgres", self.binaries), "-D", data, "-h", "127.0.0.1", "-p", self.port,
                   "-k", self.folder, "-c", "max_connections=200"]
        super().__init__("postgres", command, Path(folder) / "postgres.log", cwd="/", stop=signal.SIGINT)
        wait_until(lambda: (self.check_alive(), self.answers())[1], "PostgreSQL answers")

    def answers(self):
        return subprocess.run(self.psql("postgres") + ["-c", "SELECT 1"], capture_output=True).returncode == 0

    def psql(self, database):
        return [program("psql", self.binaries), "-h", "127.0.0.1", "-p", str(self.port), "-U", "ampout", "-d", database,
                "-v", "ON_ERROR_STOP=1", "-qAt"]

    def query(self, database, text):
        ran = subprocess.run(self.psql(database) + ["-c", text], check=True, capture_output=True, text=True)
        return ran.stdout.strip()

    def milliseconds(self, database, text):
        """How long statements take, as psql itself sees it: without its own start."""
        script = f"\\timing on\n{text};\n"
        ran = subprocess.run(self.psql(database), input=script, check=True, capture_output=True, text=True)
        return sum(float(one) for one in re.findall(r"^Time: ([\d.]+) ms", ran.stdout, re.MULTILINE))

    def create(self, name):
        self.query("postgres", f"CREATE DATABASE {name}")
        return f"postgres://ampout@127.0.0.1:{self.port}/{name}"


def built_sink():
    target = TARGET / "tools" / "bench-sink"
    subprocess.run(
        ["cargo", "build", "--release", "--quiet", "--locked", "--manifest-path", SINK / "Cargo.toml", "--target-dir",
         target], check=True)
    return target / "release" / "ampout-bench-sink"
