"""The pipeline loses nothing: a wrong parameter, a kill, a full disk, two runs at once and a damaged cache.

Each starts from a small pipeline under DVC, breaks one run of a stage, and lets the next run finish. What it then makes
must be equal to the byte to what a run makes that nothing disturbed.
"""

import contextlib
import csv
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tests.clones import DVC, change_params, commit, run
from tests.conftest import ROOT
from tests.training_data import SMALL_NETWORK, sample_members, write_knobs, write_zip
from training.errors import ParamsError
from training.stages import check_params

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

STAGES = ("data_load", "train", "export", "quantize")
OUTPUTS = {
    "data_load": "data/tiles",
    "train": "models/segmenter.safetensors",
    "export": "export/fp32.sha256",
    "quantize": "model_repository",
}
SMALL = {
    **SMALL_NETWORK,
    "data_load__digest": "",
    "data_split__folds": 3,
    "data_split__test_fold": 1,
    "data_split__validation_fold": 2,
    "train__encoder_weights": None,
    "train__epochs": 3,
    "train__crops_per_epoch": 8,
    "train__batch_size": 4,
    "train__crop_size": 64,
    "train__validate_every": 1,
    "quantize__excluded_nodes": [],
    "quantize__calibration_images": 4,
    "quantize__timed_images": 2,
    "quantize__max_dice_loss": 1.0,
    "quantize__max_dice_loss_of_type": 1.0,
    "quantize__min_speed_up": 0.001,
    "quantize__min_dice_pooled": 0.0,
    "quantize__min_auroc": 0.0,
    "quantize__skip_served_parity": "Triton would take most of the stage's time",
}


@dataclass
class Pipeline:
    """Copies of a small project, each from before a stage, and what the stage then makes where nothing disturbs it."""

    folder: Path
    seconds: dict[str, float] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)

    def before(self, stage: str, copy: Path) -> Path:
        """Copy the project as it was before the stage ran."""
        return shutil.copytree(self._at(stage), copy, symlinks=True)

    def reach(self, stage: str) -> None:
        """Run up to this stage, if that was not done yet; keep what stood there before."""
        for each in STAGES[: STAGES.index(stage) + 1]:
            if each in self.made:
                continue
            at, after = self._at(each), STAGES[STAGES.index(each) + 1 : STAGES.index(each) + 2]
            run(at, "dvc", "repro", *PRECEDING[each])
            project = shutil.copytree(at, self.folder / f"{each}.done", symlinks=True)
            with repro(project, each) as process:
                started = time.monotonic()
                said, _ = process.communicate()
            assert 0 == process.returncode, said
            self.seconds[each], self.made[each] = time.monotonic() - started, digest(project / OUTPUTS[each])
            for following in after:
                project.rename(self._at(following))

    def _at(self, stage: str) -> Path:
        return self.folder / stage


# What stands between a stage and the one before it in STAGES
PRECEDING = {"data_load": ["check_packages"], "train": ["data_split"], "export": ["evaluate"], "quantize": ["export"]}


def digest(path: Path) -> str:
    """The sha256 over a file, or over the names and bytes of a folder's files."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    found = hashlib.sha256()
    for file in (file for file in files if file.is_file()):
        found.update(f"{file.relative_to(path)}\0".encode() + file.read_bytes())
    return found.hexdigest()


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    folder = tmp_path_factory.mktemp("interrupted")
    project = folder / STAGES[0]
    run(ROOT, "git", "clone", "--quiet", "--depth", "1", ROOT.as_uri(), str(project))
    for name, value in (("user.name", "test"), ("user.email", "test@example.com")):
        run(project, "git", "config", name, value)
    change_params(project, **SMALL)
    images = sorted(Path(name).stem for name in sample_members() if name.endswith(".jpg"))
    with (project / "training/dataset/tile_ids.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["image", "tile"], *([image, image] for image in images)])
    commit(project, "small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTD_ARCHIVE", str(write_zip(folder / "small.zip", sample_members())))
        yield Pipeline(folder)
    shutil.rmtree(folder)


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1"}


def attempt(project: Path, *stages: str) -> subprocess.CompletedProcess:
    """`dvc repro`, which may fail."""
    return subprocess.run(
        [*DVC, "repro", *stages], cwd=project, env=environment(), capture_output=True, text=True, check=False
    )


class CompleteError(Exception):
    """The killed run before had just finished the stage."""


@contextlib.contextmanager
def repro(project: Path, stage: str) -> Iterator[subprocess.Popen]:
    """`dvc repro` of a stage in a process group of its own, once the stage has started.

    Raises: CompleteError.
    """
    words = [*DVC, "repro", stage]
    with subprocess.Popen(
        words,
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        said = ""
        while f"Running stage '{stage}'" not in said:
            line = process.stdout.readline()
            said += line
            if not line and re.search(f"Stage '{stage}' (didn't change|is cached)", said):
                raise CompleteError
            assert line, f"{stage} was not run:\n{said}"
        yield process


def mend_lock(project: Path) -> None:
    """Do what docs/experimenting.md says: DVC writes its lock file in place, and a kill may have left a part of it."""
    try:
        whole = set(YAML(typ="safe").load((project / "dvc.lock").read_text())) == {"schema", "stages"}
    except (TypeError, YAMLError):
        whole = False
    if not whole:
        run(project, "git", "checkout", "dvc.lock")


def kill(project: Path, stage: str, after_s: float) -> bool:
    """Kill a stage and the dvc that runs it some seconds after the stage's start; whether there was one to kill."""
    mend_lock(project)
    running = False
    with contextlib.suppress(CompleteError), repro(project, stage) as process:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=after_s)
        running = process.poll() is None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return running


def refuse_difference(pipeline: Pipeline, project: Path, stage: str) -> None:
    """Let the next run finish, and compare."""
    mend_lock(project)
    run(project, "dvc", "repro", stage)
    assert pipeline.made[stage] == digest(project / OUTPUTS[stage])
    assert not [*project.glob("**/*.new"), *project.glob("export/tmp*")]


def check_kills(pipeline: Pipeline, stage: str, tmp_path: Path, shares: list[float]) -> None:
    pipeline.reach(stage)
    project = pipeline.before(stage, tmp_path / "project")
    for number, share in enumerate(shares):  # each kill breaks the run that continues what the kill before left
        after_s = share * pipeline.seconds[stage]
        while not kill(project, stage, after_s):  # this run was quicker, and there is nothing left to break
            project, after_s = pipeline.before(stage, tmp_path / f"again-{number}-{after_s}"), after_s / 2
    refuse_difference(pipeline, project, stage)


WRONG = {
    "an unknown key": ("train", "epoch", 3, "train.epoch: Extra inputs are not permitted"),
    "a wrong kind": ("train", "epochs", "3", "train.epochs: "),
    "an encoder that does not exist": (
        "train",
        "encoder",
        "tu-tf_efficientnet_lite00",
        "did you mean tu-tf_efficientnet",
    ),
    "an encoder without the strides": ("train", "encoder", "tu-vit_base_patch16_224", "a U-Net cannot be built on"),
    "weights that do not exist": ("train", "encoder", "tu-tf_efficientnet_lite0.none", "there are no imagenet weights"),
    "a table that is not there": ("data_load", "table", "mine.csv", "data_load.table: mine.csv does not exist"),
    "no regular expression": ("quantize", "excluded_nodes", ["("], "expected a regular expression"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_each_wrong_parameter_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    """Figure: 7 kinds of mistake, 0 files written; the message names the parameter."""
    section, key, value, told = WRONG[mistake]
    monkeypatch.chdir(tmp_path)
    write_knobs(tmp_path / "params.yaml", **{f"{section}__{key}": value})

    with pytest.raises(ParamsError, match=re.escape(told)):
        check_params.main()

    assert ["params.yaml"] == [path.name for path in tmp_path.iterdir()]


def test_a_wrong_parameter_is_told_and_no_file_of_the_project_is_lost(tmp_path: Path) -> None:
    """Figure: 0 files lost, the model's among them."""
    section, key, value, told = WRONG["weights that do not exist"]
    project = tmp_path / "project"
    run(ROOT, "git", "clone", "--quiet", "--depth", "1", ROOT.as_uri(), str(project))
    change_params(project, **{f"{section}__{key}": value})

    done = attempt(project)

    assert done.returncode != 0
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert " M params.yaml\n" == run(project, "git", "status", "--porcelain")


def test_folds_that_no_type_has_enough_tiles_for_are_refused_and_the_old_split_is_kept(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    """Only the images tell: check_params cannot know it."""
    pipeline.reach("train")
    project = pipeline.before("train", tmp_path / "project")
    before = (project / "data/split.csv").read_bytes()
    change_params(project, data_split__folds=99)

    done = attempt(project, "data_split")

    assert done.returncode != 0
    assert "too few for 99 folds" in done.stdout + done.stderr
    assert before == (project / "data/split.csv").read_bytes()


def test_what_check_params_writes_never_changes(pipeline: Pipeline, tmp_path: Path) -> None:
    """A parameter that changed must run only the stages that read it."""
    pipeline.reach("train")
    project = pipeline.before("train", tmp_path / "project")
    change_params(project, evaluate__gallery_images=5)

    said = run(project, "dvc", "repro", "data_split")

    assert ["check_params"] == re.findall(r"Running stage '(\w+)'", said)


@pytest.mark.parametrize("stage", STAGES[:2])
def test_a_run_after_a_kill_makes_the_same_bytes(pipeline: Pipeline, stage: str, tmp_path: Path) -> None:
    """Figure: 2 kills, 0 differing bytes. All 20: test_a_run_after_kills_at_random_moments_makes_the_same_bytes."""
    check_kills(pipeline, stage, tmp_path, [0.4])


@pytest.mark.faults
@pytest.mark.parametrize("stage", STAGES)
def test_a_run_after_kills_at_random_moments_makes_the_same_bytes(
    pipeline: Pipeline, stage: str, tmp_path: Path
) -> None:
    """Figure: 20 kills, five of each stage, 0 differing bytes."""
    moments = random.Random(STAGES.index(stage))  # noqa: S311 - moments, not secrets
    check_kills(pipeline, stage, tmp_path, [moments.uniform(0, 0.9) for _ in range(5)])


def test_of_two_runs_at_once_one_waits_or_says_so_and_the_bytes_are_the_same(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    """Figure: 0 differing bytes; the second run's refusal names the first one."""
    pipeline.reach("train")
    project = pipeline.before("train", tmp_path / "project")
    with repro(project, "train") as first:
        second = attempt(project, "train")
        first.communicate()

    assert 0 == first.returncode
    assert 0 == second.returncode or "lock" in second.stderr.lower() or "busy" in second.stderr.lower(), second.stderr
    refuse_difference(pipeline, project, "train")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """small_disk(mebibytes) → a folder on a file system of that size; a second call resizes it."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(mebibytes: int) -> Path:
        options = f"size={mebibytes}m" + (",remount" if folder.is_mount() else "")
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip("only root may mount a file system of a stated size")
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.faults
@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_is_told_and_the_run_after_it_makes_the_same_bytes(
    pipeline: Pipeline, small_disk: Callable[[int], Path], stage: str
) -> None:
    """Figure: 0 differing bytes, and no traceback of ours."""
    pipeline.reach(stage)
    disk = small_disk(4096)
    project = pipeline.before(stage, disk / "project")
    used = sum(file.lstat().st_blocks for file in project.rglob("*")) // 2048
    small_disk(used + 1)  # MiB: for DVC's own records, and not for what the stage writes

    done = attempt(project, stage)
    small_disk(4096)

    assert done.returncode != 0, "the disk was large enough"
    assert re.search(r"No space left on device.*: make room on", done.stdout + done.stderr)
    refuse_difference(pipeline, project, stage)


def replace_object(cached: Path, content: bytes) -> None:
    cached.chmod(0o644)
    cached.write_bytes(content)
    cached.chmod(0o444)  # as DVC leaves it: it trusts such an object


def test_a_damaged_object_in_the_cache_is_told_before_it_is_used(pipeline: Pipeline, tmp_path: Path) -> None:
    """Figure: one flipped bit in either object is told, 0 weights are made of it, and the mend gives equal bytes."""
    pipeline.reach("train")
    project = pipeline.before("train", tmp_path / "project")
    weights = digest(project / OUTPUTS["train"])
    image = next((project / "data/tiles/images").iterdir())
    for example, output in ((image, "data/tiles"), (project / "data/split.csv", "data/split.csv")):
        md5 = hashlib.md5(example.read_bytes(), usedforsecurity=False).hexdigest()
        cached = project / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
        whole = cached.read_bytes()
        half = len(whole) // 2
        replace_object(cached, whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :])
        shutil.rmtree(project / "data")
        run(project, "dvc", "checkout", "data/tiles", "data/split.csv")

        done = attempt(project, "train")

        assert done.returncode != 0
        assert f"{output} differs from what dvc.lock says" in done.stderr
        assert "Delete .dvc/cache and data" in done.stderr
        assert weights == digest(project / OUTPUTS["train"])
        replace_object(cached, whole)
        example.unlink()
        run(project, "dvc", "checkout", output)

    shutil.rmtree(project / "data", ignore_errors=True)
    shutil.rmtree(project / ".dvc/cache")
    run(project, "dvc", "repro", "data_split")
    assert pipeline.made["data_load"] == digest(project / OUTPUTS["data_load"])
