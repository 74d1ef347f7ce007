"""Benchmarks that stand with what they measure: programs that print lines of JSON as `results.py` writes them, among
whatever else they print. Those that are not there are passed over."""

import json
import subprocess
import sys

from results import ROOT

PATIENCE = 1800


def extensions(setting):
    """Calls of components and of Rhai scripts, beside other ways to run a customer's code."""
    collect(setting, ROOT / "benches" / "extensions" / "run", [])


def inbox(setting):
    """A backlog in a Dovecot mailbox, and many idle mailboxes."""
    collect(setting, *with_driver(setting, "inbox.py"))


def ingest(setting):
    """Providers' webhooks."""
    collect(setting, *with_driver(setting, "ingest.py"))


def with_driver(setting, name):
    return ROOT / "tests" / "bench" / name, ["--size", setting.size, "--release-binary", setting.binary]


def collect(setting, path, arguments):
    if not path.exists():
        print(f"  {path.relative_to(ROOT)} is not there")
        return
    interpreter = [sys.executable] if path.suffix == ".py" else []
    command = [str(word) for word in [*interpreter, path, *arguments]]
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE)
    for line in ran.stdout.splitlines():
        if line.startswith("{"):
            setting.results.add_line(json.loads(line))
