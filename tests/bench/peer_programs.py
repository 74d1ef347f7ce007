"""The peers that come from npm and PyPI: installed once by their locks and hashes into the target folder, and run on the
same letter as the engine."""

import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from api import BODY, SUBJECT
from processes import program
from results import TARGET

PEERS = Path(__file__).resolve().parent / "peers"
NODE = TARGET / "tools" / "bench-node"
PYTHON = TARGET / "tools" / "bench-python"
PATIENCE = 600


def node(script, folder, *arguments):
    """Runs one of `peers/*.mjs`; what it prints is one JSON object."""
    install_node()
    # Node looks for packages beside the script that asks for them.
    for name in ("letter.mjs", script):
        shutil.copy(PEERS / name, NODE / name)
    return told([program("node"), NODE / script, *arguments], folder)


def python(script, folder, *arguments):
    """Runs one of `peers/*.py` likewise."""
    install_python()
    return told([PYTHON / "bin" / "python", PEERS / script, *arguments], folder)


def told(command, folder):
    letter = Path(folder) / "letter.json"
    letter.write_text(json.dumps({"subject": SUBJECT, "html": BODY, "text": re.sub("<[^>]*>", "", BODY)}))
    ran = subprocess.run(
        [str(word) for word in command], env={**os.environ, "LETTER": str(letter)}, stdout=subprocess.PIPE, text=True,
        timeout=PATIENCE, check=True)
    return json.loads(ran.stdout.splitlines()[-1])


def install_node():
    if is_installed(PEERS / "package-lock.json", NODE):
        return
    NODE.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PEERS / name, NODE / name)
    subprocess.run(
        [program("npm"), "ci", "--prefix", NODE, "--ignore-scripts", "--no-audit", "--no-fund"], check=True,
        stdout=sys.stderr, timeout=PATIENCE)
    shutil.copy(PEERS / "package-lock.json", NODE / "installed")


def install_python():
    requirements = PEERS / "requirements.txt"
    if is_installed(requirements, PYTHON):
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", PYTHON], check=True)
    subprocess.run(
        [PYTHON / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
         "--only-binary", ":all:", "-r", requirements], check=True, stdout=sys.stderr, timeout=PATIENCE)
    shutil.copy(requirements, PYTHON / "installed")


def is_installed(lock, folder):
    installed = folder / "installed"
    return installed.exists() and filecmp.cmp(lock, installed, shallow=False)
