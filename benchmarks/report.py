"""`make bench-report`, second half: the records → docs/performance.md. No figure is typed: each is read or computed.

The words between the figures stand in performance.md.template. A benchmark that was not run is said to be missing.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.errors import exit_status, say
from benchmarks.record import read_record
from benchmarks.report_model import instances_text, peers_text, sizes_text, train_text
from benchmarks.report_service import batching_text, load_text, memory_text, overload_text, path_text, proxy_text

PAGE = Path("docs/performance.md")
TEMPLATE = Path(__file__).with_name("performance.md.template")
SECTIONS: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {  # in the template: (record, how)
    "path": ("analyze", path_text),
    "proxy": ("proxy", proxy_text),
    "sizes": ("triton", sizes_text),
    "load": ("analyze", load_text),
    "instances": ("triton", instances_text),
    "batching": ("batching", batching_text),
    "peers": ("peers", peers_text),
    "overload": ("analyze", overload_text),
    "memory": ("memory", memory_text),
    "train": ("train", train_text),
}


def render(records: Mapping[str, Mapping[str, Any] | None]) -> str:
    """Return the page of these records, by name; None stands for one that is missing."""
    sections = {}
    for section, (name, text_of) in SECTIONS.items():
        record = records.get(name)
        sections[section] = f"*Not measured yet: `make bench-{name}`.*" if record is None else text_of(record)
    return TEMPLATE.read_text().format(**sections)


def main() -> None:
    """Write the page."""
    records = {name: read_record(name) for name, _ in SECTIONS.values()}
    aside = PAGE.with_suffix(".part")
    aside.write_text(render(records))
    aside.replace(PAGE)
    missing = [name for name, record in records.items() if record is None]
    say(f"written: {PAGE}" + (f"; not measured: {', '.join(missing)}" if missing else ""))


if __name__ == "__main__":
    sys.exit(exit_status(main))
