"""An int8 model gives the answers that it was measured with, also on a processor whose int8 sums would saturate."""

import importlib
import re
from pathlib import Path

import onnxruntime
import pytest
from conftest import ROOT

from inference_server.backends.onnxruntime import exact_sums
from tiles.golden import deviation, golden_canvas
from training.files import CPU_GRAPH_FILE

SAME = 1.0  # grey levels of a block's mean: config.pbtxt has whole ones; sums that saturate differ by 5.8
CONFIG = ROOT / "model_repository/segmenter/config.pbtxt"


def is_set(options: onnxruntime.SessionOptions) -> bool:
    try:
        return bool("1" == options.get_session_config_entry(exact_sums.OPTION))
    except RuntimeError:  # it has no such entry
        return False


@pytest.mark.parametrize(
    ("line", "slower"),
    [
        ("flags\t\t: fpu avx2 avx512f", True),
        ("flags\t\t: fpu avx2 avx512f avx512_vnni", False),
        ("flags\t\t: fpu avx2 avx_vnni", False),
        ("Features\t: fp asimd", False),  # aarch64
    ],
    ids=["no vnni", "avx512 vnni", "avx vnni", "not x86"],
)
def test_only_a_processor_that_would_saturate_takes_the_slower_way(tmp_path: Path, line: str, slower: bool) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nmodel name\t: a processor\n{line}\nbugs\t\t:\n")
    options = onnxruntime.SessionOptions()

    exact_sums.sum_exactly(options, tmp_path / "cpuinfo")

    assert slower == is_set(options)


def test_where_nothing_is_known_of_the_processor_nothing_is_set(tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()

    exact_sums.sum_exactly(options, tmp_path / "missing")

    assert not is_set(options)


def test_the_published_model_gives_its_golden_answer_on_this_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "inference_server/backends/onnxruntime")
    sessions = importlib.import_module("inference_server.backends.onnxruntime.sessions")
    stated = re.search(r'"model\.golden" value: \{ string_value: "([0-9a-f]+)"', CONFIG.read_text())
    served = sessions.Sessions(CPU_GRAPH_FILE, CPU_GRAPH_FILE, {})

    probability = served.own.run(["probability"], {"image": golden_canvas()[None]})[0]
    served.close()

    assert stated
    assert SAME > deviation(probability[0], stated[1])
