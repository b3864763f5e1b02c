"""What the sections of docs/performance.md share: tables, pictures, and where figures come from."""

from collections.abc import Mapping, Sequence
from typing import Any

COMMIT_LETTERS = 10
PERCENTILES = ("p50", "p95", "p99")


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; all columns but the first are aligned to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in lines)


def picture(name: str, words: str) -> str:
    """Return the plot `bench-<name>.svg`, described for those who do not see it."""
    return f"![{words}](images/bench-{name}.svg)"


def source(record: Mapping[str, Any]) -> str:
    """Say which command measured this, at which commit, when and where."""
    machine = record["machine"]
    commit = record["commit"][:COMMIT_LETTERS] + (" with changes" if record["dirty"] else "")
    cores = f"{machine['cpu']}, {machine['usable_cores']} cores, {machine['memory_mib'] / 1024:.0f} GiB"
    return (
        f"*`{record['command']}` at {commit}, {record['date'][:10]}; {cores}, {machine['kernel']}, "
        f"Python {machine['python']}. "
        f"[All figures](../benchmarks/results/{record['name']}.json).*"
    )


def latencies(point: Mapping[str, Any]) -> list[str]:
    """Return the percentiles of a point's latency in milliseconds, a dash where nothing was answered."""
    return [milliseconds(point["latency_ms"].get(name)) for name in PERCENTILES]


def left_out(figures: Mapping[str, Any]) -> list[str]:
    """Say what could not be measured, and why."""
    return [f"Left out: {name}, because {reason}." for name, reason in figures["left_out"].items()]


def milliseconds(value: float | None) -> str:
    """Return a time with as many digits as it is worth."""
    if value is None:
        return "–"
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"  # noqa: PLR2004 - below, the tenths count


def rate(value: float) -> str:
    """Return so many a second with three digits or so."""
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004 - from three digits on


def share(value: float) -> str:
    """Return a share, 0–1, in percent."""
    return f"{100 * value:.1f} %"
