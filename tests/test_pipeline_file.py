"""What dvc.yaml and dvc.lock say of a stage: which code it depends on, and how DVC ran it."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from inference_server.backends.onnxruntime.exact_sums import sum_exactly
from tests.conftest import ROOT
from training.errors import ParamsError
from training.files import PIPELINE_FILE, PIPELINE_LOCK
from training.pipeline import code_digest, lock_digest

FILES = {
    "code/one.py": "1",
    "code/below/two.py": "2",
    "code/table.csv": "a,b",
    "alone.py": "3",
    "other/three.py": "4",
    "code.py": "5",
    "data/index.csv": "image",
}
COVERED = {"code/one.py", "code/below/two.py", "alone.py"}
DEPENDENCIES = ["data/index.csv", "code", "alone.py", "nowhere", "nowhere.csv"]


def write_pipeline(folder: Path, **dependencies: list[str]) -> Path:
    stages = {stage: {"cmd": "true", "deps": deps} for stage, deps in dependencies.items()}
    YAML(typ="safe").dump({"stages": stages}, folder / "dvc.yaml")
    return folder / "dvc.yaml"


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """The dvc.yaml of a folder with FILES, whose stage train depends on DEPENDENCIES."""
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return write_pipeline(tmp_path, train=DEPENDENCIES, other=["other"])


@pytest.mark.parametrize("name", FILES)
def test_the_digest_changes_with_each_python_file_of_the_dependencies_and_with_nothing_else(
    pipeline: Path, name: str
) -> None:
    before = code_digest("train", pipeline)
    (pipeline.parent / name).write_text("changed")
    assert (name in COVERED) == (before != code_digest("train", pipeline))


@pytest.mark.parametrize("name", ["code/below/deeper/new.py", "code/new.py", "other/new.py", "code/new.txt"])
def test_a_new_file_changes_the_digest_where_it_is_code_below_a_dependency(pipeline: Path, name: str) -> None:
    before = code_digest("train", pipeline)
    (pipeline.parent / name).parent.mkdir(parents=True, exist_ok=True)
    (pipeline.parent / name).write_text("")
    assert (name.startswith("code/") and name.endswith(".py")) == (before != code_digest("train", pipeline))


def test_a_file_that_is_moved_or_removed_changes_the_digest(pipeline: Path) -> None:
    digests = [code_digest("train", pipeline)]
    path = pipeline.parent / "code/one.py"
    moved = path.rename(path.with_name("moved.py"))
    digests.append(code_digest("train", pipeline))
    moved.unlink()
    digests.append(code_digest("train", pipeline))
    assert 3 == len(set(digests))


def test_the_digest_depends_neither_on_the_folder_nor_on_the_order_of_the_list(
    pipeline: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    moved = pipeline.parent.rename(tmp_path_factory.mktemp("elsewhere") / "moved") / "dvc.yaml"
    before = code_digest("train", moved)
    write_pipeline(moved.parent, train=DEPENDENCIES[::-1])
    assert before == code_digest("train", moved)


def test_the_digest_of_the_current_folders_pipeline_is_read_where_none_is_named(
    pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = code_digest("train", pipeline)
    monkeypatch.chdir(pipeline.parent)
    assert expected == code_digest("train")
    assert expected != code_digest("other")


@pytest.mark.parametrize("name", ["validate", ""])
def test_an_unknown_stage_is_refused_by_its_name(pipeline: Path, name: str) -> None:
    with pytest.raises(ParamsError, match=rf"dvc\.yaml has no stage {name}: run from the repository root"):
        code_digest(name, pipeline)


def test_a_missing_pipeline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"dvc\.yaml has no stage train: run from the repository root"):
        code_digest("train", tmp_path / "dvc.yaml")


def test_the_repositorys_stage_train_depends_on_what_its_weights_are_made_of() -> None:
    dependencies = YAML(typ="safe").load(ROOT / PIPELINE_FILE)["stages"]["train"]["deps"]
    code = {"tiles", "training/dataset", "training/fitting", "training/network"}
    assert code == {name for name in dependencies if list((ROOT / name).rglob("*.py")) and name != "data/tiles"}


@pytest.mark.parametrize("stage", ["export", "quantize"])
def test_a_stage_that_measures_a_graph_depends_on_how_the_processor_sums(stage: str) -> None:
    dependencies = YAML(typ="safe").load(ROOT / PIPELINE_FILE)["stages"][stage]["deps"]
    assert sum_exactly.__module__.replace(".", "/") + ".py" in dependencies


def test_the_digest_of_a_run_changes_with_the_stages_own_entry_alone(tmp_path: Path) -> None:
    digests = []
    for entries in (
        {"train": {"cmd": "a"}},
        {"train": {"cmd": "a"}, "export": {"cmd": "b"}},
        {"train": {"cmd": "a", "params": {"params.yaml": {"train": 1}}}},
    ):
        YAML(typ="safe").dump({"schema": "2.0", "stages": entries}, tmp_path / "dvc.lock")
        digests.append(lock_digest("train", tmp_path / "dvc.lock"))
    assert digests[0] == digests[1] != digests[2]
    assert [64, 64, 64] == [len(digest) for digest in digests]


@pytest.mark.parametrize("content", [None, "", "schema: '2.0'\n", "stages: {}\n", "stages:\n  export: {cmd: b}\n"])
def test_the_digest_is_empty_where_dvc_did_not_run_the_stage(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "dvc.lock").write_text(content)
    assert "" == lock_digest("train", tmp_path / "dvc.lock")


def test_the_repositorys_lock_holds_every_stage_of_its_pipeline() -> None:
    stages = YAML(typ="safe").load(ROOT / PIPELINE_FILE)["stages"]
    digests = {lock_digest(stage, ROOT / PIPELINE_LOCK) for stage in stages}
    assert "" not in digests
    assert len(stages) == len(digests)
