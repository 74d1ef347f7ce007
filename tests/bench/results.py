"""What was measured: one JSON object a line, as whoever measures prints it and as `render.py` reads it."""

import json
import os
import platform
import time
from datetime import datetime, timezone
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


class Results:
    """Collects the lines of a run, and writes each at once: a run that is cut off keeps what it has."""

    def __init__(self, path, about):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.lines = path, []
        self.file = path.open("w")
        self.write({"about": about})

    def write(self, line):
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()

    def add(self, name, value, unit, goal=None, goal_met=None, peer=None, peer_value=None, detail=None, **more):
        """`ratio` is always ours by the peer's, so that for a rate more is better and for a time less is."""
        ratio = value / peer_value if peer_value else None
        self.add_line({"name": name, "value": value, "unit": unit, "goal": goal, "goal_met": goal_met, "peer": peer,
                       "peer_value": peer_value, "ratio": ratio, "detail": detail, **more})

    def add_line(self, line):
        self.lines.append(line)
        self.write(line)
        print(shown(line), flush=True)


def about(command, size, folder):
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    date = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    return {"date": date, "command": command, "size": size, "machine": machine,
            "disk": f"{figure(write_milliseconds(folder))} ms"}


def write_milliseconds(folder):
    """What one write that is to last costs on this disk: the median of fdatasync after a page. A ledger pays it."""
    seen = []
    with open(Path(folder) / "written", "wb", buffering=0) as file:
        for _ in range(200):
            file.write(bytes(4096))
            began = time.monotonic()
            os.fdatasync(file.fileno())
            seen.append((time.monotonic() - began) * 1000)
    return median(seen)


def shown(line):
    text = f"  {line['name']}: {figure(line['value'])} {line['unit']}"
    if line.get("peer"):
        text += f"; {line['peer']}"
        if line.get("peer_value"):
            text += f": {figure(line['peer_value'])} {line['unit']}"
        if line.get("ratio"):
            text += f", ratio {line['ratio']:.2f}"
    if line.get("detail"):
        text += f" ({line['detail']})"
    if line.get("goal"):
        met = {None: "", True: ", met", False: ", MISSED"}[line.get("goal_met")]
        text += f" [goal: {line['goal']}{met}]"
    return text


def figure(value):
    if isinstance(value, str):
        return value
    if value >= 1000:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.3g}"
