"""Lines of results → the table that README.md shows."""

import json
from pathlib import Path

from results import figure


def read(path):
    """What the run was, and its lines."""
    lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
    return lines[0]["about"], lines[1:]


def table(path):
    about, lines = read(path)
    rows = ["| what | ours | peer | ratio | goal |", "| --- | --- | --- | --- | --- |"]
    rows.extend(row(line) for line in lines)
    return f"`{about['command']}` on {about['date']} ({about['machine']}):\n\n" + "\n".join(rows) + "\n"


def row(line):
    ours = f"{figure(line['value'])} {line['unit']}"
    peer = line.get("peer") or ""
    if line.get("peer_value"):
        peer = f"{figure(line['peer_value'])} {line['unit']}: {peer}"
    ratio = f"{line['ratio']:.2f}" if line.get("ratio") else ""
    goal = line.get("goal") or ""
    if line.get("goal_met") is False:
        goal += " (missed)"
    return f"| {line['name']} | {ours} | {peer} | {ratio} | {goal} |"
