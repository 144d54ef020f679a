"""Tables for people, files for the record."""

import json
import statistics

from .tools import BENCH, TOP, Failure

DOCUMENT = TOP / "docs" / "benchmarks.md"


def table(header, rows, text_columns=1):
    """A Markdown table; the first columns are text, the others are numbers."""
    yield "| " + " | ".join(header) + " |"
    yield "| --- " * text_columns + "| ---: " * (len(header) - text_columns) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def medians(results):
    """Of several runs of the same: each figure's median."""
    return {name: statistics.median(result[name] for result in results) for name in results[0]}


def milliseconds(microseconds):
    return f"{microseconds / 1000:,.2f}"


def machine_line(machine):
    return (
        f"{machine['cpu']}, {machine['cpus']} CPUs shared with the client, {machine['memory_gib']:g} GiB, Linux {machine['kernel']}, "
        f"fdatasync {machine['fdatasync_us']:.0f} µs. Commit {machine['commit'] or 'unknown'}, {machine['when']}."
    )


def keep(name, record):
    """Every single measurement, in a file that is not versioned."""
    results = BENCH / "results"
    results.mkdir(exist_ok=True)
    file = results / f"{record['machine']['when']}-{name}.json"
    file.write_text(json.dumps(record, indent=2, default=str) + "\n")
    return file


def publish(name, lines, write):
    """Prints a section, and puts it into docs/benchmarks.md between its marks if `write`."""
    text = "\n".join(lines).strip()
    print(text)
    if not write:
        return
    begin, end = f"<!-- bench/{name} writes from here -->", f"<!-- to here: bench/{name} -->"
    document = DOCUMENT.read_text()
    if document.count(begin) != 1 or document.count(end) != 1:
        raise Failure(f"{DOCUMENT} has no place for bench/{name}")
    before, rest = document.split(begin)
    after = rest.split(end)[1]
    DOCUMENT.write_text(f"{before}{begin}\n{text}\n{end}{after}")
