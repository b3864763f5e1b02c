"""From a changed parameter to a commit on the branch and a comment: small pipeline, real S3 server, git over HTTP."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clones import DVC, git
from tests.conftest import ROOT
from tests.s3_server import S3Server, credentials, s3_server
from tests.workflow_tools import GitHub, GitServer, Step, served
from workflows import comment, publish, runner

BRANCH = "experiment/longer"
TOKEN = "the-workflow's"  # noqa: S105 - the test's own server's
RUN = {
    "GITHUB_RUN_ID": "77",
    "GITHUB_RUN_ATTEMPT": "2",
    "AWS_REGION": "eu-north-1",
    "REPO_TOKEN": "may-register",
    "RUNNER_IMAGE": "tiles-runner-5f0c",
}
DOCS = (ROOT / "docs/workflows.md").read_text()
READER = {  # of the bucket that s3_server makes
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket", "s3:GetObject"],
            "Resource": ["arn:aws:s3:::tiles", "arn:aws:s3:::tiles/*"],
        }
    ],
}
RESULTS = ("evaluation/metrics.json", "export/parity.json", "export/precisions.json")
PIPELINE = """\
stages:
  data_split:
    cmd: mkdir -p data && echo data > data/tiles.txt
    params: [epochs]
    outs: [data]
  train:
    cmd: mkdir -p evaluation && echo $(cat data/tiles.txt) after $(grep epochs params.yaml) > evaluation/result.txt
    deps: [data]
    params: [epochs]
    outs:
      - evaluation/result.txt:
          cache: false
  measure:
    cmd: mkdir -p evaluation export && cp measured/evaluation/* evaluation && cp measured/export/* export
    deps: [measured]
    outs:
      - evaluation/metrics.json: {cache: false}
      - export/parity.json: {cache: false}
      - export/precisions.json: {cache: false}
"""


@dataclass
class Branch:
    """A clone in which an experiment's branch is checked out, and the bare repository behind it."""

    clone: Path
    bare: Path
    s3: S3Server
    step: Step

    def run(self, module: str, *words: str, **env: str) -> subprocess.CompletedProcess:
        return self.step.run(module, *words, cwd=self.clone, **env)

    def git(self, *words: str, folder: Path | None = None) -> str:
        return git(folder or self.clone, *words)

    def change(self, epochs: int) -> None:
        (self.clone / "params.yaml").write_text(f"epochs: {epochs}\n")
        self.git("commit", "--quiet", "--all", "--message", f"{epochs} epochs")


def dvc(folder: Path, *words: str) -> None:
    env = os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    subprocess.run([*DVC, *words], cwd=folder, env=env, check=True, capture_output=True)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3"), policies={"reader": json.dumps(READER)}) as server:
        yield server


@pytest.fixture(scope="module")
def small_pipeline(tmp_path_factory: pytest.TempPathFactory, s3: S3Server) -> Path:
    """A repository in which a small pipeline has run; each test gets a copy."""
    folder = tmp_path_factory.mktemp("small")
    git(folder, "init", "--quiet", "--initial-branch", "dev")
    dvc(folder, "init", "--quiet")
    dvc(folder, "remote", "add", "--default", "storage", f"s3://{s3.bucket}/small")
    dvc(folder, "remote", "modify", "storage", "endpointurl", s3.endpoint)
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text("epochs: 1\n")
    for path in RESULTS:
        (folder / "measured" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / "measured" / path)
    shutil.copytree(ROOT / "evaluation/plots/gallery", folder / "evaluation/plots/gallery")
    dvc(folder, "repro", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "a small pipeline")
    return folder


@pytest.fixture
def branch(tmp_path: Path, s3: S3Server, small_pipeline: Path) -> Iterator[Branch]:
    served_folder, folder = tmp_path / "served", tmp_path / "step"
    served_folder.mkdir()
    folder.mkdir()
    bare = served_folder / "tiles.git"
    git(served_folder, "init", "--quiet", "--bare", str(bare))
    git(bare, "config", "http.receivepack", "true")
    clone = Path(shutil.copytree(small_pipeline, tmp_path / "clone", symlinks=True))
    place = f"s3://{s3.bucket}/{tmp_path.name}"  # of its own: no test finds what another one pushed
    (clone / ".dvc/config.local").write_text(f"['remote \"storage\"']\n    url = {place}\n")
    git(clone, "checkout", "--quiet", "-b", BRANCH)
    git(clone, "remote", "add", "origin", str(bare))
    git(clone, "push", "--quiet", "origin", "dev", BRANCH)
    with served(GitServer(served_folder, TOKEN).answer) as address:
        git(clone, "remote", "set-url", "origin", f"{address}/tiles.git")
        variables = {"GITHUB_REF_NAME": BRANCH, "GITHUB_SERVER_URL": address, "GITHUB_TOKEN": TOKEN}
        step = Step(folder, {**s3.credentials, **RUN, **variables, "GITHUB_REPOSITORY": "maker/tiles"})
        yield Branch(clone, bare, s3, step)


@pytest.mark.slow
def test_an_experiments_results_reach_the_branch_as_one_commit_and_its_data_the_remote(branch: Branch) -> None:
    branch.change(epochs=3)
    before = branch.git("rev-parse", "HEAD")
    branch.git("push", "--quiet", str(branch.bare), BRANCH)

    for module, keys in (("reproduce", {}), ("publish", credentials("expired"))):
        done = branch.run(module, **keys)
        assert 0 == done.returncode, done.stderr

    assert before == branch.git("rev-parse", f"{BRANCH}^", folder=branch.bare)
    assert ["dvc.lock", "evaluation/result.txt"] == branch.git(
        "diff", "--name-only", before, BRANCH, folder=branch.bare
    ).splitlines()
    title, author = branch.git("log", "-1", "--format=%s%n%an", BRANCH, folder=branch.bare).splitlines()
    assert publish.title(BRANCH, "77") == title
    assert "github-actions[bot]" == author
    assert f"commit={branch.git('rev-parse', BRANCH, folder=branch.bare)}\n" == branch.step.said("output")
    assert TOKEN not in done.stdout + done.stderr + (branch.clone / ".git/config").read_text()

    shutil.rmtree(branch.clone / ".dvc/cache")
    shutil.rmtree(branch.clone / "data")
    done = branch.run("reproduce")
    assert "data\n" == (branch.clone / "data/tiles.txt").read_text()
    assert "Running stage" not in done.stdout + done.stderr  # pulled, not made anew


def push_meanwhile(branch: Branch, folder: Path, changed: str) -> str:
    """Push a change of this file from another clone, and return its commit."""
    git(folder, "clone", "--quiet", "--branch", BRANCH, str(branch.bare), "other")
    with (folder / "other" / changed).open("a") as file:
        file.write("\n")
    git(folder / "other", "add", changed)
    git(folder / "other", "commit", "--quiet", "--message", "meanwhile")
    git(folder / "other", "push", "--quiet")
    return branch.git("rev-parse", BRANCH, folder=branch.bare)


@pytest.mark.slow
def test_a_branch_whose_pipeline_changed_meanwhile_is_left_as_it_is(branch: Branch, tmp_path: Path) -> None:
    branch.change(epochs=3)
    branch.git("push", "--quiet", str(branch.bare), BRANCH)
    theirs = push_meanwhile(branch, tmp_path, "params.yaml")

    assert 0 == branch.run("reproduce").returncode
    done = branch.run("publish")

    assert 1 == done.returncode
    assert "was refused: either a newer push changed the pipeline" in done.stderr
    assert theirs == branch.git("rev-parse", BRANCH, folder=branch.bare)


@pytest.mark.slow
def test_an_attempt_after_the_one_that_published_says_which_jobs_to_run_again(branch: Branch) -> None:
    branch.change(epochs=3)
    branch.git("push", "--quiet", str(branch.bare), BRANCH)
    for module in ("reproduce", "publish"):
        assert 0 == branch.run(module).returncode
    branch.git("reset", "--quiet", "HEAD^")  # as the next attempt checks out and trains

    done = branch.run("publish")

    assert 1 == done.returncode
    assert "already published its results (then re-run only the failed jobs)" in done.stderr


@pytest.mark.slow
def test_results_are_put_on_top_of_a_change_of_anything_else(branch: Branch, tmp_path: Path) -> None:
    branch.change(epochs=3)
    branch.git("push", "--quiet", str(branch.bare), BRANCH)
    theirs = push_meanwhile(branch, tmp_path, "README.md")

    for module in ("reproduce", "publish"):
        done = branch.run(module)
        assert 0 == done.returncode, done.stderr

    assert theirs == branch.git("rev-parse", f"{BRANCH}^", folder=branch.bare)
    assert "dvc.lock" in branch.git("diff", "--name-only", theirs, BRANCH, folder=branch.bare)
    assert f"commit={branch.git('rev-parse', BRANCH, folder=branch.bare)}\n" == branch.step.said("output")


def remove_meanwhile(branch: Branch) -> str:
    """Push a change and a mistake, take the mistake back on the remote alone, and return the commit that stays."""
    branch.change(epochs=3)
    kept = branch.git("rev-parse", "HEAD")
    (branch.clone / "secret.txt").write_text("secret\n")
    branch.git("add", "secret.txt")
    branch.git("commit", "--quiet", "--message", "a mistake")
    branch.git("push", "--quiet", str(branch.bare), BRANCH)
    branch.git("update-ref", f"refs/heads/{BRANCH}", kept, folder=branch.bare)
    return kept


@pytest.mark.slow
def test_a_commit_that_its_author_removed_meanwhile_does_not_come_back(branch: Branch) -> None:
    kept = remove_meanwhile(branch)

    for module in ("reproduce", "publish"):
        done = branch.run(module)
        assert 0 == done.returncode, done.stderr

    assert kept == branch.git("rev-parse", f"{BRANCH}^", folder=branch.bare)
    assert "secret.txt" not in branch.git("ls-tree", "--name-only", BRANCH, folder=branch.bare).splitlines()


@pytest.mark.slow
def test_a_removed_commit_does_not_come_back_under_a_newer_one(branch: Branch, tmp_path: Path) -> None:
    remove_meanwhile(branch)
    theirs = push_meanwhile(branch, tmp_path, "README.md")

    for module in ("reproduce", "publish"):
        done = branch.run(module)
        assert 0 == done.returncode, done.stderr

    assert theirs == branch.git("rev-parse", f"{BRANCH}^", folder=branch.bare)
    assert "secret.txt" not in branch.git("ls-tree", "--name-only", BRANCH, folder=branch.bare).splitlines()


@pytest.mark.slow
def test_what_is_up_to_date_makes_no_commit(branch: Branch) -> None:
    before = branch.git("rev-parse", BRANCH, folder=branch.bare)

    assert 0 == branch.run("reproduce").returncode
    done = branch.run("publish")

    assert 0 == done.returncode, done.stderr
    assert "the branch already has these results" in done.stderr
    assert before == branch.git("rev-parse", BRANCH, folder=branch.bare)


@pytest.mark.slow
def test_a_remote_that_refuses_the_data_does_so_before_the_training(branch: Branch) -> None:
    branch.change(epochs=3)

    done = branch.run("reproduce", **credentials("reader"))

    assert 1 == done.returncode
    assert " -m dvc push` ended with" in done.stderr
    assert "epochs: 1" in (branch.clone / "evaluation/result.txt").read_text()


@pytest.mark.slow
def test_the_comment_compares_with_the_target_and_goes_to_the_pull_request(branch: Branch) -> None:
    branch.step.install("cml")
    branch.change(epochs=3)
    metrics = branch.clone / "measured/evaluation/metrics.json"
    found = json.loads(metrics.read_text())
    shipped = found["test"]["dice_pooled"]
    found["test"]["dice_pooled"] += 0.01
    metrics.write_text(json.dumps(found))
    dvc(branch.clone, "repro", "--quiet", "measure")
    branch.git("commit", "--quiet", "--all", "--message", "better")

    done = branch.run("comment", "--against", "dev")

    assert 0 == done.returncode, done.stderr
    text = re.sub(" +", " ", branch.step.said("comment.md"))
    head, address = branch.git("rev-parse", "HEAD"), branch.step.env["GITHUB_SERVER_URL"]
    worst = f"{address}/maker/tiles/blob/{head}/evaluation/plots/gallery/worst.png?raw=true"
    assert f"| Dice, pooled over the defective images | {shipped + 0.01:.3f} | {shipped:.3f} | +0.010 |" in text
    assert re.search(r"\| params.yaml\s*\| epochs\s*\| 1\s*\| 3\s*\|", text)
    assert f"![worst]({worst})" in text
    assert "times as fast as fp32 on one core" in text
    assert "mask pixels where ONNX Runtime and torch differ" in text
    assert branch.step.said("comment.md").strip() == branch.step.said("summary").strip()
    assert [["comment", "create", "--publish=false", "comment.md"]] == branch.step.calls("cml")
    assert "may-register" == branch.step.said("token")


@pytest.mark.slow
def test_results_of_another_run_make_no_comment_and_are_not_compared_with(branch: Branch) -> None:
    metrics = branch.clone / "evaluation/metrics.json"
    metrics.write_text(metrics.read_text().replace('"images"', '"pictures"'))
    refused = branch.run("comment", "--against", "dev")
    branch.git("commit", "--quiet", "--all", "--message", "by hand")
    branch.git("checkout", "--quiet", "dev")
    alone = branch.run("comment", "--against", BRANCH)

    assert 1 == refused.returncode
    reason = "evaluation/metrics.json is not what the stage measure wrote"
    assert f"{reason}: run `dvc repro measure`" in refused.stderr
    assert 0 == alone.returncode, alone.stderr
    assert f"there is nothing to compare with: at {BRANCH} {reason}" in alone.stderr


def test_the_shipped_results_make_a_comment_without_cml(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    git(tmp_path, "clone", "--quiet", str(ROOT), str(repository))

    done = Step(tmp_path).run("comment", "--against", "unknown", cwd=repository)

    assert 0 == done.returncode, done.stderr
    assert "the comment is only on the run's page" in done.stderr
    text = (tmp_path / "summary").read_text()
    assert 2 == text.count("xychart-beta")
    assert "| Dice of Uneven, pooled " in text


@pytest.fixture
def step(tmp_path: Path) -> Step:
    step = Step(tmp_path, RUN)
    step.install("cml", "aws")
    return step


def test_a_runner_is_a_spot_instance_that_ends_after_one_job_or_in_time(step: Step) -> None:
    done = step.run("runner", "launch")

    assert 0 == done.returncode, done.stderr
    ((*command,),) = step.calls("cml")
    options = dict(word.removeprefix("--").partition("=")[::2] for word in command[2:])
    assert ["runner", "launch"] == command[:2]
    assert {"single", "cloud-spot"} <= options.keys()
    assert "tiles-77-2" == options["labels"] == options["name"]
    assert "magnetic-tiles-run=77" == options["cloud-metadata"]
    assert "tiles-runner-5f0c" == options["cloud-image"]
    startup = base64.b64decode(options["cloud-startup-script"]).decode()
    assert f"shutdown --poweroff +{runner.LIFE_MINUTES}" in startup
    assert "launched=true\nlabel=tiles-77-2\n" == step.said("output")
    assert "may-register" not in done.stderr + step.said("calls")


def test_a_wrong_disk_size_is_refused_before_anything_is_launched(step: Step) -> None:
    done = step.run("runner", "launch", RUNNER_DISK_GB="64 GB")

    assert 1 == done.returncode
    assert "RUNNER_DISK_GB=64 GB is not a number: give a whole number" in done.stderr
    assert [] == step.calls("cml")


@pytest.mark.parametrize("missing", ["RUNNER_IMAGE", "REPO_TOKEN"])
def test_no_runner_is_launched_on_cmls_own_too_old_image_or_without_a_token_that_registers_it(
    step: Step, missing: str
) -> None:
    done = step.run("runner", "launch", **{missing: ""})

    assert 1 == done.returncode
    assert f"{missing} is not set: docs/workflows.md, or the head of the module in workflows/" in done.stderr
    assert [] == step.calls("cml")


def test_a_laptop_launches_with_the_variables_that_the_document_exports(tmp_path: Path) -> None:
    (variables,) = re.findall(r"^export (.+)\npython -m workflows.runner launch", DOCS, re.MULTILINE)
    step = Step(tmp_path, dict(word.split("=", 1) for word in variables.split()))
    step.install("cml")

    done = step.run("runner", "launch")

    assert 0 == done.returncode, done.stderr


OF_THE_RUN, OF_ANOTHER = ({"tag:magnetic-tiles-run": run} for run in ("77", "78"))
RUNNING = {"kind": "instance", "instance-state-name": "running"}


def terminated(step: Step, **things: dict) -> tuple[subprocess.CompletedProcess, list[list[str]]]:
    """Run `terminate` where EC2 has these things; what it ended, in order: command, ids."""
    (step.folder / "ec2.json").write_text(json.dumps({name.replace("_", "-"): each for name, each in things.items()}))
    done = step.run("runner", "terminate")
    calls = [[words[1], *words[3:]] for words in step.calls("aws") if not words[1].startswith("describe-")]
    return done, calls


def test_all_that_the_run_launched_is_ended_and_nothing_of_another(step: Step) -> None:
    done, calls = terminated(
        step,
        sir_1=OF_THE_RUN | {"kind": "request", "state": "active"},
        i_1=OF_THE_RUN | RUNNING | {"spot-instance-request-id": "sir-1"},
        i_2=OF_THE_RUN | RUNNING,
        cml_1=OF_THE_RUN | {"kind": "key"},
        sir_8=OF_ANOTHER | {"kind": "request", "state": "active"},
        i_8=OF_ANOTHER | RUNNING | {"spot-instance-request-id": "sir-8"},
        cml_8=OF_ANOTHER | {"kind": "key"},
    )

    assert 0 == done.returncode, done.stderr
    assert [
        ["cancel-spot-instance-requests", "sir-1"],
        ["terminate-instances", "i-1", "i-2"],
        ["delete-key-pair", "cml-1"],
    ] == calls
    assert "no instance of this run is left" in step.run("runner", "terminate").stderr


def test_a_spot_request_that_has_no_instance_yet_is_cancelled(step: Step) -> None:
    done, calls = terminated(step, sir_1=OF_THE_RUN | {"kind": "request", "state": "open"})

    assert 0 == done.returncode, done.stderr
    assert [["cancel-spot-instance-requests", "sir-1"]] == calls


@pytest.mark.parametrize("state", ["active", "cancelled"])
def test_an_instance_that_has_no_tag_yet_is_found_by_its_spot_request(step: Step, state: str) -> None:
    done, calls = terminated(
        step,
        sir_1=OF_THE_RUN | {"kind": "request", "state": state},
        i_1=RUNNING | {"spot-instance-request-id": "sir-1"},
    )

    assert 0 == done.returncode, done.stderr
    assert ["terminate-instances", "i-1"] == calls[-1]


def test_an_instance_whose_spot_request_cannot_be_cancelled_is_terminated(step: Step) -> None:
    done, calls = terminated(
        step,
        sir_gone=OF_THE_RUN | {"kind": "request", "state": "active"},
        i_1=RUNNING | {"spot-instance-request-id": "sir-gone"},
    )

    assert 1 == done.returncode
    assert "cancel-spot-instance-requests" in done.stderr
    assert ["terminate-instances", "i-1"] == calls[-1]


@dataclass
class Merges:
    """The branch dev of a clone, and what GitHub knows of its workflow's runs."""

    clone: Path
    github: GitHub
    step: Step

    def merge(self, path: str) -> str:
        (self.clone / path).write_text(f"changed after {git(self.clone, 'rev-parse', 'HEAD')}\n")
        git(self.clone, "commit", "--quiet", "--all", "--message", "a merge")
        return git(self.clone, "rev-parse", "HEAD")

    def launched(self) -> str:
        done = self.step.run("runner", "launch", "--since-success-of", "2-develop.yaml", cwd=self.clone)
        assert 0 == done.returncode, done.stderr
        return re.findall(r"^launched=(\w+)$", self.step.said("output"), re.MULTILINE)[-1]


@pytest.fixture
def merges(tmp_path: Path) -> Iterator[Merges]:
    git(tmp_path, "clone", "--quiet", str(ROOT), "clone")
    github = GitHub("github's")
    with served(github.answer) as address:
        known = {"GITHUB_REPOSITORY": "Maker/Tiles", "GITHUB_REF_NAME": "dev", "GITHUB_TOKEN": "github's"}
        step = Step(tmp_path, RUN | known | {"GITHUB_API_URL": address})
        step.install("cml")
        yield Merges(tmp_path / "clone", github, step)


@pytest.mark.parametrize(
    ("path", "launched"), [("README.md", "false"), ("dvc.lock", "false"), ("training/fitting/run.py", "true")]
)
def test_a_merge_launches_a_runner_only_if_it_touches_the_pipeline(merges: Merges, path: str, launched: str) -> None:
    merges.github.good_runs.append(git(merges.clone, "rev-parse", "HEAD"))
    merges.merge(path)

    assert launched == merges.launched()


def test_a_merge_whose_run_did_not_end_well_is_trained_with_the_next(merges: Merges) -> None:
    merges.github.good_runs.append(git(merges.clone, "rev-parse", "HEAD"))
    merges.merge("params.yaml")
    merges.github.good_runs.append(merges.merge("README.md"))
    assert "false" == merges.launched()

    merges.github.good_runs.pop()
    assert "true" == merges.launched()


@pytest.mark.parametrize("known", [[], ["0" * 40]])
def test_a_branch_of_which_no_run_is_known_launches_a_runner(merges: Merges, known: list[str]) -> None:
    merges.github.good_runs += known

    assert "true" == merges.launched()


@pytest.mark.parametrize(
    ("later", "is_the_tip"), [("model_repository/segmenter/config.pbtxt", True), ("params.yaml", False)]
)
def test_a_push_that_trained_nothing_deploys_the_newest_results_but_no_untrained_parameters(
    merges: Merges, later: str, is_the_tip: bool
) -> None:
    pushed = merges.merge("README.md")
    tip = merges.merge(later)

    done = merges.step.run("source", cwd=merges.clone, GITHUB_SHA=pushed)

    assert 0 == done.returncode, done.stderr
    assert (tip if is_the_tip else pushed) == git(merges.clone, "rev-parse", "HEAD")


def test_the_stand_in_for_cml_refuses_an_option_that_cml_does_not_document(step: Step) -> None:
    command = [step.folder / "bin/cml", "runner", "launch", "--cloud-spots"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert 1 == done.returncode
    assert "cml: not known here" in done.stderr


def test_a_comment_on_a_random_split_names_its_figures_leaky(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "clone", "--quiet", str(ROOT), "repository")
    monkeypatch.chdir(tmp_path / "repository")
    monkeypatch.setattr(comment, "stale_stage", lambda *_: None)  # as if the pipeline had written them
    for path in (comment.METRICS_FILE, comment.PRECISIONS_FILE):
        path.write_text(path.read_text().replace('"test":', '"test_leaky":'))

    text = comment.render("unknown")

    assert "| on `test_leaky` " in text
    honest = comment.render("HEAD")
    assert re.search(r"\| Dice[^|]*\| 0\.\d{3} *\| – *\| *\|", honest), "it is compared with another measurement"
    assert re.search(r"\| int8: size, Dice on the test fold \| [\d.]+ MB, 0\.\d{3} \|", text)
    assert 'x-axis "epoch" [5, 10, 15, ' in text  # as people count
