#!/usr/bin/env python3
"""Lines of results → the table that README.md shows, and the charts in docs/benchmarks/.

    tests/bench/render.py target/bench/results-full.jsonl            the table
    tests/bench/render.py target/bench/results-full.jsonl --write    writes it into README.md, and the charts
"""

import json
import sys
from pathlib import Path

import charts
from results import ROOT, figure

BEGIN, END = "<!-- benchmarks: begin -->\n", "<!-- benchmarks: end -->\n"
CHARTS = ROOT / "docs" / "benchmarks"


def read(path):
    """What the run was, and its lines."""
    lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
    return lines[0]["about"], lines[1:]


def table(path):
    about, lines = read(path)
    rows = ["| what | ours | peer, in the same run | ours ÷ peer | bound |", "| --- | --- | --- | --- | --- |"]
    rows.extend(row(line) for line in lines)
    return f"`{about['command']}` on {about['date']}, {about['machine']}:\n\n" + "\n".join(rows) + "\n"


def row(line):
    ours = f"{figure(line['value'])} {line['unit']}"
    if line.get("detail"):
        ours += f" ({line['detail']})"
    peer = line.get("peer") or ""
    if line.get("peer_value"):
        peer = f"{peer}: {figure(line['peer_value'])} {line['unit']}"
    ratio = f"{line['ratio']:.2f}" if line.get("ratio") else ""
    bound = line.get("goal") or ""
    if line.get("goal_met") is False and bound:
        bound += ": **missed**"
    return f"| {line['name'].replace('_', ' ')} | {ours} | {peer} | {ratio} | {bound} |"


def write(path):
    _, lines = read(path)
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    _, is_marked, after = rest.partition(END)
    if not is_marked:
        sys.exit(f"README.md has no place for it: {BEGIN.strip()} … {END.strip()}")
    readme.write_text(before + BEGIN + table(path) + END + after)
    CHARTS.mkdir(exist_ok=True)
    (CHARTS / "growth.svg").write_text(charts.growth(lines))
    to_sink = [line for line in lines if line["name"] == "messages to a local sink, SQLite" and line.get("peer_value")]
    if to_sink:
        values = [("ampout, whole path", to_sink[0]["value"])] + [(one["peer"], one["peer_value"]) for one in to_sink]
        title = "Messages a second to the same local sink"
        (CHARTS / "sending.svg").write_text(charts.bars(title, "a second", values))


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[2] == "--write":
        write(sys.argv[1])
    elif len(sys.argv) == 2:
        print(table(sys.argv[1]))
    else:
        sys.exit(__doc__)
