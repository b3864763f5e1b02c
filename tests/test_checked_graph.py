"""The float32 graph in the stage quantize: what the stage export left, or exported again, and never another one."""

from pathlib import Path

import onnx
import pytest
from tiny_graph import tiny_graph

from training.errors import ExportError
from training.files import GRAPH_DIGEST_FILE, GRAPH_FILE
from training.graphs import checked


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A graph that the stage export has checked; its bytes."""
    monkeypatch.chdir(tmp_path)
    GRAPH_FILE.parent.mkdir()
    onnx.save(tiny_graph(), "made.onnx")
    checked.keep_graph(Path("made.onnx"))
    return GRAPH_FILE.read_bytes()


def give(monkeypatch: pytest.MonkeyPatch, graph: onnx.ModelProto) -> list[Path]:
    """Have the weights give this graph, without a training; the list says where it was exported to."""
    exported = []

    def export_graph(path: Path, *, timeout_s: int) -> onnx.ModelProto:
        assert timeout_s == 9
        exported.append(path)
        onnx.save(graph, path)
        return graph

    monkeypatch.setattr(checked, "export_graph", export_graph)
    return exported


def test_what_the_export_left_is_taken(kept: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    exported = give(monkeypatch, tiny_graph(layers=2))

    assert kept == checked.checked_graph(9).read_bytes()
    assert [] == exported


@pytest.mark.parametrize("left", [None, b"of other weights"])
def test_a_missing_graph_and_one_of_other_weights_are_exported_again(
    kept: bytes, monkeypatch: pytest.MonkeyPatch, left: bytes | None
) -> None:
    exported = give(monkeypatch, tiny_graph())
    GRAPH_FILE.unlink()
    if left:
        GRAPH_FILE.write_bytes(left)

    assert kept == checked.checked_graph(9).read_bytes()
    assert 1 == len(exported)
    assert {GRAPH_FILE.name, GRAPH_DIGEST_FILE.name} == {path.name for path in GRAPH_FILE.parent.iterdir()}


def test_weights_that_give_another_graph_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, tiny_graph(layers=2))
    GRAPH_FILE.unlink()

    with pytest.raises(ExportError, match=r"fp32\.sha256 says: .*`dvc repro --force --single-item export`"):
        checked.checked_graph(9)
