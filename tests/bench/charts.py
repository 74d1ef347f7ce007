"""Charts of the results as SVG, written by hand: no library draws what is as small as this. Colours follow the reader's
light or dark mode; every figure also stands in the README's table."""

from html import escape
from math import log10

from results import figure

STYLE = """<style>
  svg { font: 12px system-ui, sans-serif; --ink: #24292f; --faint: #d0d7de; --one: #0550ae; --two: #bc4c00; --rest: #8c959f; }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #e6edf3; --faint: #30363d; --one: #79c0ff; --two: #ffa657; --rest: #6e7681; }
  }
  text { fill: var(--ink); } .title { font-weight: 600; } .line { fill: none; stroke-width: 2; }
  .axis { stroke: var(--faint); } .goal { stroke: var(--ink); stroke-dasharray: 3 4; }
  .one { stroke: var(--one); fill: var(--one); } .two { stroke: var(--two); fill: var(--two); } .rest { fill: var(--rest); }
  .bar { stroke: none; } .line.one, .line.two { fill: none; }
</style>"""
DATABASES = {"SQLite": "one", "PostgreSQL": "two"}
# What a panel shows: its title, the chart that lines name, what the value is multiplied with (by the row where it says
# so), and the goal that is drawn.
PANELS = [
    ("import, µs a contact", "import", 1e6, True, None),
    ("enroll and dispatch, µs a contact", "enroll and dispatch", 1e6, True, None),
    ("claim of the next 512 due, ms", "claim", 1, False, 20),
    ("GET /campaigns/:id, ms", "campaign page", 1, False, 20),
]
WIDTH, HEIGHT, MARGIN = 360, 220, 44


def bars(title, unit, values):
    """Horizontal bars, ours first. `values`: names and figures."""
    step, left, width = 30, 190, 760
    most = max(value for _, value in values)
    height = 44 + step * len(values)
    parts = [head(width, height, title), f'<text class="title" x="8" y="22">{escape(title)}</text>']
    for number, (name, value) in enumerate(values):
        y = 36 + step * number
        length = max(2, value / most * (width - left - 120))
        kind = "rest" if number else "one"
        parts.append(f'<text x="{left - 10}" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect class="bar {kind}" x="{left}" y="{y}" width="{length:.0f}" height="20"/>')
        parts.append(f'<text x="{left + length + 8:.0f}" y="{y + 15}">{figure(value)} {escape(unit)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def growth(lines):
    """Cost against size: a panel for each thing, a line for each database."""
    rows = (len(PANELS) + 1) // 2
    width, height = WIDTH * 2, HEIGHT * rows + 34
    parts = [head(width, height, "Cost against the number of rows")]
    for number, (name, kind) in enumerate(DATABASES.items()):
        x = MARGIN + number * 110
        parts.append(f'<rect class="bar {kind}" x="{x}" y="10" width="12" height="12"/>')
        parts.append(f'<text x="{x + 18}" y="20">{name}</text>')
    for number, (title, chart, factor, is_by_row, goal) in enumerate(PANELS):
        series = {
            database: sorted(
                (line["rows"], line["value"] * factor / (line["rows"] if is_by_row else 1)) for line in lines
                if line.get("chart") == chart and line["database"] == database)
            for database in DATABASES}
        at = (number % 2 * WIDTH, number // 2 * HEIGHT + 34)
        parts.append(f'<g transform="translate{at}">{panel(title, series, goal)}</g>')
    return "\n".join([*parts, "</svg>\n"])


def panel(title, series, goal):
    points = [point for line in series.values() for point in line]
    parts = [f'<text class="title" x="{MARGIN}" y="16">{escape(title)}</text>']
    if not points:
        return parts[0]
    fewest, most = min(rows for rows, _ in points), max(rows for rows, _ in points)
    top = nice(max([value for _, value in points] + ([goal] if goal else [])))
    span = log10(most / fewest) or 1
    right, bottom, upper = WIDTH - 40, HEIGHT - 32, 30

    def x(rows):
        return MARGIN + log10(rows / fewest) / span * (right - MARGIN)

    def y(value):
        return bottom - value / top * (bottom - upper)

    for value in (0, top / 2, top):
        parts.append(f'<line class="axis" x1="{MARGIN}" x2="{right}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text x="{MARGIN - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for rows in sorted({rows for rows, _ in points}):
        parts.append(f'<text x="{x(rows):.1f}" y="{bottom + 18}" text-anchor="middle">{figure(rows)}</text>')
    if goal:
        parts.append(f'<line class="goal" x1="{MARGIN}" x2="{right}" y1="{y(goal):.1f}" y2="{y(goal):.1f}"/>')
        parts.append(f'<text x="{right}" y="{y(goal) + 14:.1f}" text-anchor="end">bound</text>')
    for database, line in series.items():
        kind = DATABASES[database]
        path = " ".join(f"{x(rows):.1f},{y(value):.1f}" for rows, value in line)
        parts.append(f'<polyline class="line {kind}" points="{path}"/>')
        parts.extend(f'<circle class="{kind}" cx="{x(rows):.1f}" cy="{y(value):.1f}" r="3"/>' for rows, value in line)
    return "".join(parts)


def head(width, height, title):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'role="img" aria-label="{escape(title)}">\n{STYLE}')


def nice(value):
    """The next of 1, 2, 5, 10, 20, …"""
    power = 10 ** int(log10(value) // 1) if value > 0 else 1
    return next(power * step for step in (1, 2, 5, 10) if power * step >= value)
