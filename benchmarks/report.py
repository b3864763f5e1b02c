"""`make bench-report`, second half: the records → docs/performance.md.

performance.md.j2 has the words and tables. No figure is typed there: each is read from a record or computed here.
"""

import re
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from tabulate import tabulate

from benchmarks.errors import exit_status, say
from benchmarks.gpu.rows import rows
from benchmarks.perf_analyzer import by_share
from benchmarks.record import read_record
from benchmarks.replicas import CORES, FEWEST, TARGET_UTILISATION, core_seconds, replicas
from benchmarks.samples import JSON, PNG, canvases, files_of_one_canvas_size
from host.files import write_whole

PAGE = Path("docs/performance.md")
TEMPLATE = Path(__file__).with_name("performance.md.j2")
CPU_BATCH_PIXELS = 327_680  # as proxy/app.py has it, whose packages this environment lacks
RECORDS = ("analyze", "proxy", "triton", "batching", "peers", "memory", "client", "train", "gpu")

Records = Mapping[str, Mapping[str, Any] | None]


def main() -> None:
    """Write the page."""
    records = {name: read_record(name) for name in RECORDS}
    write_whole(PAGE, render(records))
    missing = [name for name, record in records.items() if record is None]
    say(f"written: {PAGE}" + (f"; not measured: {', '.join(missing)}" if missing else ""))


def render(records: Records) -> str:
    """Return the page of these records, by name; a record that is missing is named in the page."""
    # Markdown, not HTML: there is nothing to escape.
    templates = Environment(  # noqa: S701
        loader=FileSystemLoader(TEMPLATE.parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters |= {"table": table, "ms": milliseconds, "rate": rate, "percent": percent}
    templates.filters |= {"median": statistics.median, "spread": spread}
    templates.globals |= {"zip": zip, "PNG": PNG, "JSON": JSON, "replicas": replicas, "core_seconds": core_seconds}
    templates.globals |= {"gpu_rows": rows, "by_share": by_share}
    one_size = canvases(files_of_one_canvas_size())[0].size
    constants = {"cores": CORES, "target": TARGET_UTILISATION, "fewest": FEWEST, "batch_pixels": CPU_BATCH_PIXELS}
    constants["batch_of_one_size"] = CPU_BATCH_PIXELS // one_size
    template = templates.get_template(TEMPLATE.name)
    page = template.render(records={**dict.fromkeys(RECORDS), **records}, **constants)
    return re.sub(r"\n{3,}", "\n\n", page)  # what the template's own lines leave


def table(lines: str) -> str:
    """Turn lines of cells, separated by |, into a Markdown table; the first line names the columns."""
    header, *rows = ([cell.strip() for cell in line.split("|")] for line in lines.strip().splitlines())
    sides = ["left", *["right"] * (len(header) - 1)]
    return tabulate(rows, header, tablefmt="pipe", colalign=sides, disable_numparse=True) + "\n"


def milliseconds(value: float | None) -> str:
    """Return a time, with tenths below 10, or a dash if it is missing."""
    if value is None:
        return "–"
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"  # noqa: PLR2004


def rate(value: float) -> str:
    """Return images per second, with tenths below 100."""
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004


def percent(value: float) -> str:
    """Return a share, 0–1, in percent."""
    return f"{100 * value:.1f} %"


def spread(found: Mapping[str, float]) -> str:
    """Return a ratio's median, in brackets its least and greatest."""
    return f"**{found['median']:.2f}** ({found['min']:.2f}–{found['max']:.2f})"


if __name__ == "__main__":
    sys.exit(exit_status(main))
