"""Do files come from one run? A small dvc.lock, and what is refused when a stage ran without those after it."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from training.errors import DatasetError, MixedRunsError
from training.runs import Stale, _md5, refuse_mixed_runs, refuse_unfit_inputs, stale_stage

FILES = {
    "requirements/training.json": "{}",
    "code/train.py": "train",
    "data/tiles/1.png": "pixels",
    "data/tiles/index.csv": "image,tile",
    "models/weights": "weights",
    "evaluation/table.csv": "a,b",
    "export/graph": "graph",
    "docs/card": "card",
    "params.yaml": "train: {rate: 0.1}\nother: 1\n",
}
# stage: what it reads, its parameters, what it writes
STAGES = {
    "check": ([], {"other": 0}, ["requirements/training.json"]),  # it ran with another parameter, which changed nothing
    "data": (["requirements/training.json"], {}, ["data/tiles"]),
    "train": (["data/tiles", "code"], {"train": {"rate": 0.1}}, ["models/weights"]),
    "evaluate": (["data/tiles", "models/weights"], {}, ["evaluation/table.csv"]),
    "export": (["models/weights", "evaluation/table.csv"], {}, ["export/graph"]),
    "card": (["data/tiles/index.csv"], {}, ["docs/card"]),
}
TABLE, GRAPH = Path("evaluation/table.csv"), Path("export/graph")


def write_lock(folder, entries):
    YAML(typ="safe").dump({"schema": "2.0", "stages": entries}, folder / "dvc.lock")


def listed(folder, paths):
    return [{"path": path, "hash": "md5", "md5": _md5(folder / path)} for path in paths]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder in which all stages have run, and the stages' entries of its dvc.lock."""
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    entries = {
        stage: {"deps": listed(tmp_path, deps), "params": {"params.yaml": params}, "outs": listed(tmp_path, outs)}
        for stage, (deps, params, outs) in STAGES.items()
    }
    write_lock(tmp_path, entries)
    stages = {stage: {"cmd": "true", "deps": deps} for stage, (deps, _, _) in STAGES.items()}
    YAML(typ="safe").dump({"stages": stages}, tmp_path / "dvc.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path, entries


def run_again(folder, entries, stage, content):
    """Have a stage write something else, as `dvc exp run <stage>` does: the stages after it do not run."""
    (path,) = STAGES[stage][2]
    (folder / path).write_text(content)
    entries[stage]["outs"] = listed(folder, [path])
    write_lock(folder, entries)


@pytest.mark.usefixtures("project")
def test_files_of_one_run_pass():
    assert stale_stage([TABLE, GRAPH], as_configured=True) is None
    refuse_mixed_runs([TABLE, GRAPH])


@pytest.mark.parametrize(
    ("again", "asked", "stage"),
    [
        ("train", TABLE, "evaluate"),
        ("train", GRAPH, "evaluate"),
        ("evaluate", GRAPH, "export"),
        ("export", TABLE, None),
    ],
)
def test_the_first_stage_that_did_not_follow_is_named(project, again, asked, stage):
    run_again(*project, again, "of another run")
    found = stale_stage([asked])
    assert stage == (found and found.stage)
    if stage:
        with pytest.raises(
            MixedRunsError, match=f"the stage {stage} has not run since {again} wrote .*: run `dvc repro {stage}`"
        ):
            refuse_mixed_runs([asked])


def test_a_file_that_somebody_changed_names_the_stage_that_writes_it(project):
    (project[0] / TABLE).write_text("x,y")
    assert Stale("evaluate", f"{TABLE} is not what the stage evaluate wrote") == stale_stage([TABLE])
    (project[0] / TABLE).unlink()
    assert "evaluate" == stale_stage([TABLE]).stage


@pytest.mark.parametrize(("path", "content"), [("params.yaml", "train: {rate: 0.2}"), ("code/train.py", "changed")])
def test_a_parameter_or_code_that_was_not_run_counts_only_where_it_is_asked_for(project, path, content):
    (project[0] / path).write_text(content)
    assert stale_stage([TABLE]) is None
    assert "train" == stale_stage([TABLE], as_configured=True).stage
    refuse_mixed_runs([TABLE])
    with pytest.raises(MixedRunsError, match="run `dvc repro train`"):
        refuse_mixed_runs([TABLE], as_configured=True)


def test_what_python_compiled_is_no_change_of_the_code(project):
    (project[0] / "code/__pycache__").mkdir()
    (project[0] / "code/__pycache__/train.pyc").write_text("compiled")
    assert stale_stage([TABLE], as_configured=True) is None


def test_a_file_of_no_stage_is_told_and_without_a_lock_nothing_is_compared(project):
    assert "does not say which stage wrote other.csv" in stale_stage([Path("other.csv")]).reason
    (project[0] / "dvc.lock").unlink()
    assert stale_stage([TABLE]) is None


def test_a_stage_that_dvc_runs_alone_refuses_the_figures_of_another_model(project, monkeypatch):
    run_again(*project, "train", "of another run")
    refuse_unfit_inputs()  # by hand
    monkeypatch.setenv("DVC_STAGE", "evaluate")
    refuse_unfit_inputs()  # it reads only the new weights
    monkeypatch.setenv("DVC_STAGE", "export")
    with pytest.raises(
        MixedRunsError, match="evaluate has not run since train wrote models/weights: run `dvc repro evaluate`"
    ):
        refuse_unfit_inputs()


@pytest.mark.parametrize("stage", ["train", "card"])
def test_a_damaged_object_of_the_cache_is_told_before_a_stage_uses_it_or_a_part_of_it(project, stage, monkeypatch):
    (project[0] / "data/tiles/index.csv").write_text("image,t1le")
    monkeypatch.setenv("DVC_STAGE", stage)
    with pytest.raises(DatasetError, match=r"data/tiles differs from what dvc\.lock says"):
        refuse_unfit_inputs()
