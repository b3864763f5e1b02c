"""The tables of a run: results.csv with one row a photograph, tiles.csv with one row a tile."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from client.errors import WrongAnswerError
from client.files import replacing
from client.outcomes import COLUMNS, Outcome, written
from client.verdict import judge_tile

RESULTS, TILES = "results.csv", "tiles.csv"
TILE_COLUMNS = (
    "tile", "verdict", "defective", "score", "alarm_score", "type", "images", "failed", "familiar", "model",
    "model_sha256", "error",
)  # fmt: skip


def write_tables(folder: Path, outcomes: Sequence[Outcome], *, tile_alarm_score: float | None) -> list[dict[str, Any]]:
    """Write results.csv and, if the photographs have tiles, tiles.csv; return the rows of the latter.

    Without tiles an earlier run's tiles.csv is removed.
    """
    _write(folder / RESULTS, COLUMNS, (outcome.row for outcome in outcomes))
    rows = tile_rows(outcomes, tile_alarm_score)
    if rows:
        _write(folder / TILES, TILE_COLUMNS, rows)
    else:
        (folder / TILES).unlink(missing_ok=True)
    return rows


def tile_rows(outcomes: Iterable[Outcome], tile_alarm_score: float | None) -> list[dict[str, Any]]:
    """Return a row for each tile, sorted by name; photographs without an answer are counted as failed."""
    tiles: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.photograph.tile is not None:
            tiles.setdefault(outcome.photograph.tile, []).append(outcome)
    return [_tile_row(name, tiles[name], tile_alarm_score) for name in sorted(tiles)]


def _tile_row(name: str, outcomes: Sequence[Outcome], tile_alarm_score: float | None) -> dict[str, Any]:
    found = [outcome.found for outcome in outcomes if outcome.found is not None]
    row: dict[str, Any] = {"tile": name, "images": len(found), "failed": len(outcomes) - len(found)}
    if not found:
        return row | {"error": "no photograph of it was answered"}
    try:
        judged = judge_tile(found, tile_alarm_score=tile_alarm_score)
    except WrongAnswerError as error:
        return row | {"error": str(error)}
    model = found[0].model
    return row | {
        "verdict": judged.verdict,
        "defective": written(judged.defective),
        "score": judged.score,
        "alarm_score": judged.alarm_score,
        "type": judged.type,
        "familiar": written(judged.familiar),
        "model": f"{model.name}/{model.version}",
        "model_sha256": model.sha256,
    }


def _write(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with replacing(path) as aside, aside.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
