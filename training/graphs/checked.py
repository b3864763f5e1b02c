"""The float32 graph that the stage export has checked. Git has its digest; the weights give the same bytes again."""

import hashlib
from pathlib import Path

from host.files import replacing, write_whole
from training.errors import ExportError
from training.files import GRAPH_DIGEST_FILE, GRAPH_FILE
from training.graphs.onnx_export import export_graph


def keep_graph(path: Path) -> None:
    """Move a checked graph to its place, and write its digest as `sha256sum --check` reads it."""
    path.replace(GRAPH_FILE)
    write_whole(GRAPH_DIGEST_FILE, f"{_digest(GRAPH_FILE)}  {GRAPH_FILE.name}\n")


def checked_graph(timeout_s: int) -> Path:
    """Return the graph's file; export it anew where it is missing, as in a fresh clone, or of other weights.

    Raises: ExportError, when the weights do not give the checked graph.
    """
    wanted = GRAPH_DIGEST_FILE.read_text(encoding="utf-8").split()[0]
    if not GRAPH_FILE.is_file() or _digest(GRAPH_FILE) != wanted:
        with replacing(GRAPH_FILE) as aside:
            export_graph(aside, timeout_s=timeout_s)
    if _digest(GRAPH_FILE) != wanted:
        raise ExportError(
            f"the weights give another graph here than {GRAPH_DIGEST_FILE} says: check this one, run "
            "`dvc repro --force --single-item export`"
        )
    return GRAPH_FILE


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
