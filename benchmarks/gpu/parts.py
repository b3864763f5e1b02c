"""Runs the parts one after another and writes the record after each, so that an interrupted check continues."""

import importlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.errors import say
from benchmarks.gpu.scope import Scope
from benchmarks.record import write_json

PARTS = ("losses", "speed", "agreement", "batches", "first_requests", "fold")  # the longest last
CONDITIONS = ("commit", "dirty", "settings")  # figures of others are not continued; a borrowed machine changes
LEFT_OUT = "left_out"
UNFINISHED = "the process ended while this part ran"


def run_parts(names: Sequence[str], scope: Scope, record: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Measure the parts that the file does not have yet, and return the figures of all.

    record: what `make_record` returns. A part that fails is left out with its reason; the next call tries it again,
    after the parts that were never tried.
    """
    figures = figures_before(path, record)
    left_out = figures.setdefault(LEFT_OUT, {})
    for name in sorted(names, key=lambda name: name in left_out):
        if name in figures:
            say(f"{name}: measured before")
            continue
        left_out[name] = UNFINISHED
        write_json(path, {**record, "figures": figures})
        say(f"{name} …")
        started_s = time.monotonic()
        try:
            found = importlib.import_module(f"benchmarks.gpu.{name}").measure(scope)
        except Exception as error:  # noqa: BLE001 - whatever fails a part must not cost the others
            left_out[name] = " ".join(f"{type(error).__name__}: {error}".split())[:500]
            say(f"{name}: left out, {left_out[name]}")
        else:
            figures[name] = {"seconds": round(time.monotonic() - started_s, 1), **found}
            del left_out[name]
        write_json(path, {**record, "figures": figures})
    return figures


def figures_before(path: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of the file, if it was written under the same conditions; otherwise set the file aside."""
    if not path.is_file():
        return {}
    before: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    now = json.loads(json.dumps(record, default=str))
    if all(before.get(name) == now[name] for name in CONDITIONS):
        figures: dict[str, Any] = before.get("figures", {})
        return figures
    aside = path.replace(path.with_name(f"{path.stem}.before.json"))
    say(f"{path} was measured under other conditions: it is {aside.name} now")
    return {}
