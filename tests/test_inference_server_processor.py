"""An int8 model on a processor whose int8 arithmetic saturates is served, and told of."""

from pathlib import Path

import pytest
from conftest import ROOT

from inference_server.processor import advice

PUBLISHED = ROOT / "model_repository"


def repository(folder: Path, precision: str) -> Path:
    (folder / "segmenter").mkdir()
    line = f'parameters {{ key: "model.precision" value: {{ string_value: "{precision}" }} }}'
    (folder / "segmenter/config.pbtxt").write_text(f"max_batch_size: 8\n{line}\n")
    return folder


def processor(folder: Path, line: str) -> Path:
    path = folder / "cpuinfo"
    path.write_text(f"processor\t: 0\nmodel name\t: a processor\n{line}\nbugs\t\t:\n")
    return path


@pytest.mark.parametrize(
    ("precision", "line", "told"),
    [
        ("int8", "flags\t\t: fpu avx2 avx512f", True),
        ("int8", "flags\t\t: fpu avx2 avx512f avx512_vnni", False),
        ("int8", "flags\t\t: fpu avx2 avx_vnni", False),
        ("int8", "Features\t: fp asimd", False),  # aarch64
        ("fp32", "flags\t\t: fpu avx2 avx512f", False),
    ],
    ids=["no vnni", "avx512 vnni", "avx vnni", "not x86", "float32"],
)
def test_int8_without_exact_sums_is_told_of(tmp_path: Path, precision: str, line: str, told: bool) -> None:
    said = advice(repository(tmp_path, precision), processor(tmp_path, line))

    assert told == ("quantize.serve=fp32" in said)


def test_a_repository_of_others_says_nothing_of_precision(tmp_path: Path) -> None:
    (tmp_path / "doubler").mkdir()
    (tmp_path / "doubler/config.pbtxt").write_text("max_batch_size: 4\n")

    assert "" == advice(tmp_path, processor(tmp_path, "flags\t\t: fpu avx2"))


def test_the_published_configuration_names_its_precision_as_it_is_looked_for(tmp_path: Path) -> None:
    config = (PUBLISHED / "segmenter/config.pbtxt").read_text()

    assert ('value: { string_value: "int8" }' in config) == bool(
        advice(PUBLISHED, processor(tmp_path, "flags\t\t: fpu avx2"))
    )
