"""docs/experimenting.md, command by command, in a small repository whose stages take no time."""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.pages import code, under

PAGE = (ROOT / "docs/experimenting.md").read_text()


def blocks(heading: str) -> list[list[str]]:
    return [block.splitlines() for block in code(under(PAGE, heading))]


SETUP, *_ = [block.splitlines() for block in code(PAGE)]
ONE, BACK = blocks("## Try one change")
QUEUE, WATCH = blocks("## Try many overnight")
(COMPARE,), (BROWSE,), (SHARE,) = (
    blocks(f"## {heading}") for heading in ("Compare", "Look at images", "Share, and tidy up")
)
BRANCH, *_ = blocks("## Release the best")
QUEUE_S = 60.0  # for four experiments that take a second each

# What the stages of the pipeline are to DVC, as far as the page is concerned
STAGES = {
    "train": {
        "params": ["train"],
        "outs": ["models/segmenter.json", "models/segmenter.safetensors"],
        "metrics": ["dvclive/metrics.json"],
    },
    "evaluate": {
        "deps": ["models/segmenter.json", "models/segmenter.safetensors"],
        "outs": ["evaluation/results_validation.csv"],
        "metrics": ["evaluation/metrics.json"],
        "plots": ["evaluation/plots/gallery"],
    },
    "export": {"deps": ["models/segmenter.json"], "outs": ["export/parity.json"]},
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def run(folder: Path, *commands: str) -> str:
    """Run commands there, one after another, with the training environment on the path; what they said."""
    path = f'export PATH="{Path(sys.executable).parent}:$PATH" PYTHONPATH="{ROOT}"'
    line = "\n".join([path, *commands])
    done = subprocess.run(["bash", "-euc", line], cwd=folder, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout + done.stderr


def write_stages(folder: Path) -> None:
    stages = {}
    for name, stage in STAGES.items():
        stages[name] = {"cmd": f"python stage.py {name}"} | stage
        for kind in stage.keys() & {"outs", "metrics", "plots"}:
            stages[name][kind] = [{path: {"cache": False}} for path in stage[kind]]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A small repository, run and committed, with a remote for git and one for DVC."""
    folder = tmp_path_factory.mktemp("experimenting") / "repository"
    folder.mkdir()
    run(folder, "git init --quiet --initial-branch dev", "dvc init --quiet")
    run(folder, "git config user.name test", "git config user.email test@example.com")
    run(folder, "git init --quiet --bare ../served.git", "git remote add origin ../served.git")
    run(folder, "dvc remote add --quiet --default storage ../storage")
    shutil.copyfile(ROOT / "tests/small_stage.py", folder / "stage.py")
    write_stages(folder)
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    shutil.copyfile(ROOT / "studies/tables/honest-4/test.csv", folder / "table.csv")  # a whole fold
    shutil.copyfile(ROOT / "evaluation/plots/gallery/worst.png", folder / "worst.png")
    shutil.copyfile(ROOT / ".gitignore", folder / ".gitignore")
    run(folder, "dvc repro --quiet", "git add --all", "git commit --quiet --message 'a small pipeline'")
    run(folder, "git push --quiet origin dev")
    return folder


def rate_of(folder: Path, revision: str) -> float:
    return json.loads(run(folder, f"git show {revision}:models/segmenter.json"))["rate"]


def finished(folder: Path) -> set[str]:
    """The names of all experiments that are done, as their git refs have them: `dvc exp show` takes seconds."""
    refs = run(folder, "git for-each-ref --format='%(refname)' 'refs/exps/??/*/*'").split()
    return {ref.rpartition("/")[2] for ref in refs}


def experiments(folder: Path) -> dict[str, dict]:
    """{name: state} of all experiments that are done."""
    shown = json.loads(run(folder, "dvc exp show --json"))
    return {e["name"]: e["revs"][0]["data"] for base in shown for e in base["experiments"] or [] if e["name"]}


@pytest.fixture(scope="module")
def tried(repository):
    """One experiment in the workspace and taken back, then four from the queue, as the page says; what was said."""
    said = {"one": run(repository, *ONE)}
    said["rate"] = (repository / "models/segmenter.json").read_text()
    run(repository, *BACK)
    said["status"] = run(repository, *QUEUE)
    until = time.monotonic() + QUEUE_S
    while len(finished(repository)) < 5:
        assert time.monotonic() < until, run(repository, "dvc queue status")
        time.sleep(0.2)
    said["logs"] = run(repository, *WATCH)
    return said


def test_one_change_trains_and_evaluates_and_leaves_the_rest(repository, tried):
    assert "0.001" in tried["rate"]
    assert "Running stage 'evaluate'" in tried["one"]
    assert "Running stage 'export'" not in tried["one"]
    assert 0.002 == json.loads((repository / "models/segmenter.json").read_text())["rate"]
    assert "" == run(repository, "git status --porcelain")


def test_a_choice_queues_an_experiment_for_each_value(repository, tried):
    rates = {"rate-1": 0.0005, "rate-2": 0.001, "rate-3": 0.002, "rate-4": 0.004}
    assert all(name in tried["status"] for name in rates)
    found = {
        name: data["params"]["params.yaml"]["data"]["train"]["learning_rate"]
        for name, data in experiments(repository).items()
    }
    assert {**rates, "slower": 0.001} == found
    assert "Running stage 'train'" in tried["logs"]
    assert "No experiment tasks in the queue" in run(repository, "dvc queue status")


@pytest.mark.usefixtures("tried")
def test_they_are_compared_by_table_difference_plots_and_on_their_validation_images(repository):
    show, diff, plots, compare = (run(repository, command) for command in COMPARE)
    order = re.findall(r"rate-\d|slower", show)
    assert order.index("rate-1") < order.index("rate-4")
    assert re.search(r"train\.learning_rate\s+0\.002\s+0\.0005", diff)
    assert "index.html" in plots
    pictures = {path.name for path in (repository / "dvc_plots/static").iterdir()}
    assert all(any(revision in name for name in pictures) for revision in ("HEAD", "rate-1", "rate-2"))
    assert re.search(r"^rate-1 .* \+0\.\d+ \(\+0\.\d+ to \+0\.\d+\)\*", compare, re.MULTILINE)
    assert re.search(r"^rate-2 .* \+0\.000 \(\+0\.000 to \+0\.000\) ", compare, re.MULTILINE)
    assert "" == run(repository, "git status --porcelain")


@pytest.mark.usefixtures("tried")
def test_an_experiment_that_only_trained_is_not_compared(repository):
    run(repository, "dvc exp run train --queue --name trained -S train.learning_rate=0.003", "dvc queue start")
    until = time.monotonic() + QUEUE_S
    while "trained" not in finished(repository):
        assert time.monotonic() < until, run(repository, "dvc queue status")
        time.sleep(0.2)
    refused = run(repository, "python -m studies.compare HEAD trained 2>&1 || true")
    assert "trained: the stage evaluate has not run since train wrote models/segmenter.json" in refused
    assert "`dvc exp apply trained` and `dvc repro evaluate`" in refused
    assert "data" not in experiments(repository)["trained"]["metrics"]["evaluation/metrics.json"]  # it has no figures
    run(repository, "dvc exp remove trained")


@pytest.mark.usefixtures("tried")
def test_the_best_becomes_a_branch_with_what_was_left_out_and_is_shared(repository):
    run(repository, BROWSE[0], *BRANCH)
    assert 0.0005 == rate_of(repository, "origin/experiment/rate")
    assert "0.0005" == run(repository, "git show origin/experiment/rate:export/parity.json")
    run(repository, "git switch --quiet dev", SHARE[0])
    assert "rate-2" in run(repository, SHARE[1])
    run(repository, "dvc exp remove rate-2", *SHARE[2:])
    assert {"rate-1", "rate-2", "rate-4"} == experiments(repository).keys()


def test_every_other_command_of_the_page_is_tested_elsewhere():
    assert ['export PATH="$PWD/.venv/bin:$PATH"', "dvc repro data_split"] == SETUP  # test_pipeline.py
    assert all(command.startswith("python -m studies.browse") for command in BROWSE[1:])  # test_browse.py
    assert [] == blocks("## The pipeline")
    assert [["python -m studies.crossval", "python -m studies.report", "python -m studies.misses"]] == blocks(
        "## Cross-validate"
    )  # test_crossval.py


def test_the_page_names_what_a_run_records():
    (table,) = re.findall(r"^\| key \| meaning \|\n\|.*\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    told = {key for row in table.splitlines() for key in re.findall(r"`(\w+)`", row.split("|")[1])}
    shipped = json.loads((ROOT / "models/segmenter.json").read_text()).keys()
    assert shipped | {"lock_digest", "begun"} == told
