"""Live metrics: what the server at DVC_STUDIO_URL hears of a run, and that a run ends well without it."""

import json
import logging
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import dvc.repo
import pytest
from training_data import SMALL_NETWORK, write_project

from host.ports import free_port
from tests.clones import DVC, git
from tests.conftest import ROOT
from tests.workflow_tools import served
from training.stages import train

KNOBS = {
    **SMALL_NETWORK,
    "train__encoder_weights": None,
    "train__epochs": 2,
    "train__crops_per_epoch": 2,
    "train__batch_size": 2,
    "train__crop_size": 64,
}
PARTS = {
    "train": ["Blowhole/exp1_num_317483", "Free/exp1_num_10903"],
    "validation": ["Blowhole/exp1_num_262480"],
}
TOKEN = "a-token"  # noqa: S105 - of the test's own server
REMOTE = "https://git.example.com/maker/tiles.git"


@dataclass(frozen=True)
class Post:
    """One request. said: the body."""

    path: str
    authorization: str
    said: dict


class Studio:
    """A server that notes what it is told; from the post `fails_from` on it answers 500."""

    def __init__(self, fails_from: float = float("inf")) -> None:
        self.posts: list[Post] = []
        self.fails_from = fails_from

    def answer(self, method, path, headers, body):
        assert "POST" == method
        self.posts.append(Post(path, headers["Authorization"], json.loads(body)))
        return (500, b"it is broken") if len(self.posts) > self.fails_from else (200, b"{}")

    @property
    def events(self) -> list[str]:
        return [post.said["type"] for post in self.posts]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A DVC repository with one commit and a remote, in which the stage can run."""
    folder = tmp_path / "project"
    folder.mkdir()
    write_project(folder, PARTS, **KNOBS)
    shutil.copyfile(ROOT / "dvc.yaml", folder / "dvc.yaml")
    monkeypatch.chdir(folder)
    git(folder, "init", "--quiet")
    git(folder, "remote", "add", "origin", REMOTE)
    dvc.repo.Repo.init().close()
    (folder / ".gitignore").write_text("/data\n/models\n/dvclive\n/.run\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "a project")
    monkeypatch.setattr(train, "check_packages", lambda: {"torch": "2.0"})  # tested by itself
    monkeypatch.setenv("DVC_STUDIO_TOKEN", TOKEN)
    return folder


def losses(folder):
    lines = (folder / "dvclive/plots/metrics/train/loss.tsv").read_text().splitlines()
    return [float(line.split("\t")[1]) for line in lines[1:]]


def trained(folder):
    return (folder / "models/segmenter.safetensors").is_file() and len(losses(folder)) == KNOBS["train__epochs"]


def test_studio_hears_of_the_start_each_epochs_figures_and_the_end(project, monkeypatch):
    studio = Studio()
    with served(studio.answer) as address:
        monkeypatch.setenv("DVC_STUDIO_URL", address)
        train.main()
    assert {("/api/live", f"token {TOKEN}")} == {(post.path, post.authorization) for post in studio.posts}
    assert ["start", "done"] == [studio.events[0], studio.events[-1]]
    assert {"data"} == set(studio.events[1:-1])
    for post in studio.posts:
        assert (git(project, "rev-parse", "HEAD"), REMOTE, "dvclive") == tuple(
            post.said[name] for name in ("baseline_sha", "repo_url", "client")
        )
    assert 1 == len({post.said["name"] for post in studio.posts})


def test_the_figures_that_studio_hears_are_those_of_the_run(project, monkeypatch):
    studio = Studio()
    with served(studio.answer) as address:
        monkeypatch.setenv("DVC_STUDIO_URL", address)
        train.main()
    heard = [post.said for post in studio.posts if post.said["type"] == "data"]
    metrics = [said["metrics"]["dvclive/metrics.json"]["data"] for said in heard if "metrics" in said]
    assert json.loads((project / "dvclive/metrics.json").read_text()) == metrics[-1]
    assert {"dice_pooled", "dice_image_mean", "threshold"} == metrics[-1]["validation"].keys()
    curves = [
        said["plots"].get("dvclive/plots/metrics/train/loss.tsv", {"data": []}) for said in heard if "plots" in said
    ]
    points = [point for curve in curves for point in curve["data"]]
    assert [(0, 1), tuple(losses(project))] == [
        tuple(point["step"] for point in points),
        pytest.approx(tuple(point["loss"] for point in points)),
    ]


@pytest.mark.parametrize("fails_from", [0, 1, 3])
def test_a_studio_that_answers_500_ends_no_training(project, monkeypatch, caplog, fails_from):
    studio = Studio(fails_from)
    with served(studio.answer) as address, caplog.at_level(logging.WARNING, "dvclive"):
        monkeypatch.setenv("DVC_STUDIO_URL", address)
        train.main()
    assert len(studio.posts) > fails_from
    assert "it is broken" in caplog.text or "failed" in caplog.text
    assert trained(project)


def test_a_studio_that_is_down_ends_no_training(project, monkeypatch):
    monkeypatch.setenv("DVC_STUDIO_URL", f"http://127.0.0.1:{free_port()}")
    train.main()
    assert trained(project)


def test_nobody_hears_of_a_run_without_a_token(project, monkeypatch):
    studio = Studio()
    monkeypatch.delenv("DVC_STUDIO_TOKEN")
    with served(studio.answer) as address:
        monkeypatch.setenv("DVC_STUDIO_URL", address)
        train.main()
    assert [] == studio.posts
    assert trained(project)


PIPELINE = """\
stages:
  train:
    cmd: python -m training.stages.train
    params: [train]
    outs:
      - models/segmenter.json: {cache: false}
    metrics:
      - dvclive/metrics.json: {cache: false}
    plots:
      - dvclive/plots/metrics: {cache: false}
"""


@pytest.mark.slow
def test_of_an_experiment_studio_hears_the_parameters_its_figures_and_its_commit(project):
    shutil.copytree(ROOT / "requirements", project / "requirements")
    (project / "dvc.yaml").write_text(PIPELINE)
    (project / ".gitignore").write_text("/data\n/.run\n/models/*.safetensors\n")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "a pipeline")
    for name, value in {"user.name": "test", "user.email": "test@example.com"}.items():
        git(project, "config", name, value)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    studio = Studio()
    with served(studio.answer) as address:
        environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "DVC_STUDIO_URL": address}
        command = [*DVC, "exp", "run", "--set-param", "train.learning_rate=0.001", "--name", "slower"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr[-3000:]
    assert ["start", "data", "done"] == list(dict.fromkeys(studio.events))
    start, end = studio.posts[0].said, studio.posts[-1].said
    assert 0.001 == start["params"]["params.yaml"]["train"]["learning_rate"]
    assert git(project, "rev-parse", "HEAD") == start["baseline_sha"]
    assert {"slower"} == {post.said["name"] for post in studio.posts}
    reference = git(project, "for-each-ref", "--format=%(refname)", "refs/exps/*/*/slower")
    assert git(project, "rev-parse", reference) == end["experiment_rev"]
    assert trained(project)
