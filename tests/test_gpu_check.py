"""`make gpu-check`: each part works, on the CPU in the GPU's place; a check continues, and says what it lacks."""

import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from conftest import ROOT
from pages import code, table_after, under
from training_data import write_knobs, write_project

from benchmarks import record, training_speed
from benchmarks.errors import BenchmarkError, ToolMissingError
from benchmarks.gpu import __main__ as command
from benchmarks.gpu import losses, packages, parts, speed
from benchmarks.gpu.__main__ import parser
from benchmarks.gpu.parts import PARTS, run_parts
from benchmarks.gpu.rows import NOT_MEASURED, rows
from benchmarks.gpu.scope import Scope
from tests.clones import git
from tiles.canvas import canvas_size

MEMBERS = {
    "train": ["Blowhole/exp1_num_317483", "Break/exp1_num_271361", "Free/exp1_num_10903"],
    "validation": ["Blowhole/exp1_num_262480", "Free/exp1_num_13526"],
    "test": ["Crack/exp1_num_3191", "Blowhole/exp1_num_322605", "Free/exp3_num_10448"],
}
GUIDE = (ROOT / "docs/gpu.md").read_text()
RECORD = {"name": "gpu", "commit": "c0ffee", "dirty": False, "machine": {}, "packages": {}, "settings": {"gpu": "H100"}}


def check(project, *options):
    program = [sys.executable, "-m", "benchmarks.gpu", *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(program, cwd=project, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with a few images and the published model."""
    folder = tmp_path_factory.mktemp("project")
    write_project(folder, MEMBERS)
    for name in ("dvc.yaml", "evaluation", "model_repository", "models"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(scope="module")
def checked(project):
    """The record of a small check, and what it said."""
    done = check(project, "--small", "--into", ".")
    assert 0 == done.returncode, done.stderr[-3000:]
    return json.loads((project / "gpu.json").read_text()), done.stderr


@pytest.mark.slow
def test_every_part_works_on_the_cpu_in_the_gpus_place(checked):
    record, said = checked
    assert {} == record["figures"]["left_out"], said
    assert {*PARTS, "left_out"} == record["figures"].keys()
    assert NOT_MEASURED not in [figure for _, figure in rows(record)]


@pytest.mark.slow
def test_the_same_device_gives_the_same_losses_and_the_same_answers(checked):
    figures = checked[0]["figures"]
    losses = figures["losses"]["losses"]
    assert 2 == len(losses["cpu_float32"])
    assert losses["cpu_float32"] == losses["gpu_float32"]
    agreement = figures["agreement"]
    assert 2 == agreement["images"]
    assert {0} == {*agreement["graph_gpu_to_graph_cpu"].values()} == {*agreement["torch_gpu_to_torch_cpu"].values()}
    assert 0 < agreement["graph_gpu_to_torch_cpu"]["grey_levels"] <= 8  # fp16 against float32
    assert agreement["operators"]["CPUExecutionProvider"]["Conv"]


@pytest.mark.slow
def test_the_figures_are_of_what_the_record_says(checked, project):
    record, _ = checked
    assert "make gpu-check ARGS='--small --into .'" == record["command"]
    assert (True, "the CPU in its place") == (record["settings"]["small"], record["settings"]["gpu"])
    assert {"torch", "onnxruntime", "segmentation-models-pytorch"} <= record["settings"]["versions"].keys()
    figures = record["figures"]
    assert (2, 2) == (figures["fold"]["epochs"], figures["fold"]["test"]["images"])
    published = json.loads((ROOT / "evaluation/metrics.json").read_text())["test"]
    assert published["dice_pooled"] == figures["fold"]["published"]["dice_pooled"]
    assert [1, 2] == [point["batch"] for point in figures["batches"]["points"]]
    sizes = [line.split(",")[3:5] for line in (project / "data/tiles/index.csv").read_text().splitlines()[1:]]
    canvases = {canvas_size(int(height), int(width)) for width, height in sizes}
    assert {tuple(canvas) for canvas in figures["first_requests"]["canvases"]} <= canvases
    assert tuple(figures["batches"]["canvas"]) in canvases


@pytest.mark.slow
def test_a_second_check_measures_nothing_again(checked, project):
    record, _ = checked
    done = check(project, "--small", "--into", ".", "--parts", "batches", "losses")
    assert "batches: measured before\nlosses: measured before\n" in done.stderr
    assert record["figures"] == json.loads((project / "gpu.json").read_text())["figures"]


def test_without_a_gpu_nothing_is_written(project, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))  # no nvidia-smi
    done = check(project, "--into", str(tmp_path))
    assert 1 == done.returncode
    assert "no result: there is no GPU" in done.stderr
    assert [] == [*tmp_path.iterdir()]


@pytest.fixture
def measured(monkeypatch):
    """Parts that count; `broken` fails until it is mended."""
    calls = []

    def module(name):
        part = name.rpartition(".")[2]

        def measure(scope):
            calls.append(part)
            if part == "broken":
                raise ValueError("no\n  luck")
            return {"small": scope.small}

        return SimpleNamespace(measure=measure)

    monkeypatch.setattr(parts.importlib, "import_module", module)
    return calls


def run_in(folder, *names, **changes):
    return run_parts(names, Scope(small=False, folder=folder), RECORD | changes, folder / "gpu.json")


def test_a_part_that_fails_is_left_out_with_its_reason_and_costs_no_other(tmp_path, measured):
    figures = run_in(tmp_path, "broken", "sound")
    assert ["broken", "sound"] == measured
    assert {"broken": "ValueError: no luck"} == figures["left_out"]
    assert figures["sound"]["small"] is False
    assert RECORD | {"figures": figures} == json.loads((tmp_path / "gpu.json").read_text())


def test_the_next_check_tries_what_was_left_out_after_what_was_never_tried(tmp_path, measured):
    run_in(tmp_path, "broken", "sound")
    measured.clear()
    run_in(tmp_path, "broken", "sound", "new")
    assert ["new", "broken"] == measured


def test_a_part_that_ends_the_process_is_told_in_the_record(tmp_path, monkeypatch):
    def killed(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(parts.importlib, "import_module", lambda _: SimpleNamespace(measure=killed))
    with pytest.raises(KeyboardInterrupt):
        run_in(tmp_path, "endless")
    left_out = json.loads((tmp_path / "gpu.json").read_text())["figures"]["left_out"]
    assert {"endless": "the process ended while this part ran"} == left_out


@pytest.mark.parametrize("part", [losses, speed])
def test_a_part_that_trains_has_a_class_for_each_type(tmp_path, monkeypatch, part):
    class AskedError(Exception):
        pass

    def trainer(_params, _seed, classes=None, **_):
        raise AskedError(classes)

    monkeypatch.chdir(tmp_path)
    write_knobs(tmp_path / "params.yaml", data_load__types=[*"abcdefg"])
    for module in (losses, training_speed):
        monkeypatch.setattr(module, "Trainer", trainer)
        monkeypatch.setattr(module, "load_part", lambda *_: [])
        monkeypatch.setattr(module, "CropSampler", lambda *_: None)
    with pytest.raises(AskedError, match="8"):
        part.measure(Scope(small=True, folder=tmp_path))


@pytest.mark.parametrize("change", [{"commit": "decaf"}, {"dirty": True}, {"settings": {"gpu": "A100"}}])
def test_figures_of_another_commit_or_gpu_are_not_continued_but_set_aside(tmp_path, measured, change):
    before = run_in(tmp_path, "sound")
    run_in(tmp_path, "sound", **change)
    assert ["sound", "sound"] == measured
    assert RECORD | {"figures": before} == json.loads((tmp_path / "gpu.before.json").read_text())


def test_figures_of_another_machine_with_the_same_gpu_are_continued(tmp_path, measured):
    run_in(tmp_path, "sound")
    run_in(tmp_path, "sound", "new", machine={"kernel": "another"})
    assert ["sound", "new"] == measured


NOTHING = pytest.raises(
    BenchmarkError, match=re.escape(f"{sys.executable}: the reasons are above; PYTHON names another")
)


@pytest.mark.parametrize(
    ("figures", "ends"), [({}, NOTHING), ({"speed": {}}, NOTHING), ({"losses": {}}, nullcontext())]
)
def test_a_check_that_measured_none_of_its_parts_fails_and_names_its_python(tmp_path, monkeypatch, figures, ends):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["gpu", "--small", "--parts", "losses", "batches"])
    monkeypatch.setattr(command, "run_parts", lambda *_: {"left_out": {"batches": "no torch"}} | figures)
    with ends:
        command.main()


def test_the_wheels_that_the_guide_has_downloaded_do_not_make_the_sources_dirty(tmp_path, monkeypatch):
    (folder,) = re.findall(r"--dest=(\S+)", GUIDE)
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message=first")

    def dirty_with(path):
        path.parent.mkdir(exist_ok=True)
        path.touch()
        return record.make_record("gpu", "make gpu-check", {})["dirty"]

    assert [False, True] == [dirty_with(tmp_path / folder / "torch.whl"), dirty_with(tmp_path / "changed.py")]


def write_wheel(folder, name="magnet", version="1.0"):
    """A wheel with one module."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", f"version = {version!r}\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


def split(wheel, size):
    content = wheel.read_bytes()
    for number, first in enumerate(range(0, len(content), size)):
        wheel.with_name(f"{wheel.name}.part-{number:02}").write_bytes(content[first : first + size])
    wheel.unlink()


def test_the_parts_of_a_wheel_are_joined_in_their_order(tmp_path):
    wheel = write_wheel(tmp_path)
    content = wheel.read_bytes()
    split(wheel, size=50)
    assert len([*tmp_path.iterdir()]) > 10
    (joined,) = packages.join_parts(tmp_path, into=tmp_path)
    assert content == joined.read_bytes()


def test_whole_and_split_wheels_are_installed_in_a_folder_of_their_own_once(tmp_path, monkeypatch):
    wheels, target = tmp_path / "wheels", tmp_path / "run/packages"
    wheels.mkdir()
    write_wheel(wheels, "whole")
    split(write_wheel(wheels, "torn"), size=300)
    packages.install(wheels, target)
    assert {"whole.py", "torn.py"} <= {path.name for path in target.iterdir()}

    monkeypatch.setattr(packages.subprocess, "run", lambda *_, **__: pytest.fail("installed again"))
    packages.install(wheels, target)


def test_a_folder_without_a_wheel_and_a_damaged_wheel_are_refused(tmp_path):
    with pytest.raises(ToolMissingError, match="has no wheel: put there what `pip download` brought"):
        packages.install(tmp_path, tmp_path / "packages")
    (tmp_path / "torn-1.0-py3-none-any.whl").write_bytes(b"no zip")
    with pytest.raises(ToolMissingError, match=rf"pip could not install .*{re.escape(sys.executable)}: PYTHON names"):
        packages.install(tmp_path, tmp_path / "packages")


def test_the_program_starts_again_with_the_installed_packages_before_all_others(tmp_path):
    installed = tmp_path / ".run/gpu/packages"
    installed.mkdir(parents=True)
    (installed / "tqdm.py").write_text("raise SystemExit('the one from the wheel')\n")  # the environment has one, too
    done = check(tmp_path, "--small", "--parts", "losses")
    assert "the one from the wheel" in done.stderr


def test_what_is_missing_is_named_by_its_package(monkeypatch):
    assert [] == packages.missing()
    monkeypatch.setattr(packages, "NEEDED", {"no_such_module": "no-such-package", "no.such": "other", "numpy": "numpy"})
    assert ["no-such-package", "other"] == packages.missing()


def test_a_part_that_was_left_out_is_not_measured():
    assert {NOT_MEASURED} == {figure for _, figure in rows(None)}
    record = {"figures": {"batches": {"points": [{"batch": 8, "images_s": 4000.4}]}, "left_out": {"speed": "no"}}}
    told = [figure for _, figure in rows(record) if figure != NOT_MEASURED]
    assert ["8: 4000"] == told


def test_the_guide_names_every_part_and_only_options_that_there_are():
    assert [f"`{name}`" for name in PARTS] == [row[0] for row in table_after(GUIDE, "**Everything else**")]
    arguments = re.findall(r"ARGS=(?:\"([^\"]+)\"|(--\S+?)`)", GUIDE)
    assert 3 == len(arguments)
    for quoted, bare in arguments:
        parser().parse_args(shlex.split(quoted or bare))


def test_the_guides_commands_for_several_gpus_are_the_tested_ones():
    assert ["accelerate launch -m training.stages.train", "dvc commit train"] in [
        block.splitlines() for block in code(under(GUIDE, "## Train"))
    ]  # test_train.py
