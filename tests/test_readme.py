"""The README keeps its word: each command it shows is run here or named with the test that runs it."""

import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from host.environment import rows
from inference_server.settings import Settings as TritonSettings
from proxy.settings import Settings
from tests.conftest import ROOT, descendants, runs
from tests.ports import free_port
from training.measure import outcomes_at
from training.report import point_of
from training.results import read_results

README = (ROOT / "README.md").read_text()
CROSSVAL = json.loads((ROOT / "crossval/metrics.json").read_text())

# Commands that another test runs, or that this test run is.
ELSEWHERE = {
    "make test": "this run",
    "make repro": "test_pipeline.py, as `dvc repro` in a clone",
    "dvc repro": "test_pipeline.py",
    "dvc exp run -S train.epochs=3": "test_pipeline.py",
    "dvc exp show": "test_pipeline.py",
    "accelerate launch -m training.train": "test_train.py, with two processes on the CPU",
    "dvc commit train": "by hand, after a change that leaves the weights as they are",
    "python -m training.crossval": "test_crossval.py, by its functions",
    "python -m training.crossval baseline-4": "test_crossval.py, by its functions",
    "python -m training.report": "test_crossval.py, by its main",
    "dvc metrics show": "test_pipeline.py",
    "dvc plots show": "test_pipeline.py",
    "dvc remote modify storage url s3://your-bucket/dvc": "test_pipeline.py",
    "dvc remote modify storage endpointurl https://s3.example.com": "test_pipeline.py",
    "dvc push": "test_pipeline.py",
    "dvc pull": "test_pipeline.py",
    'export PATH="$PWD/.venv/bin:$PATH"': "the shell",
    "docker compose up": "containers.py, for `make container-test`",
    "docker build . -t mag-tiles": "containers.py",
    "docker run -p 8000:8000 -e PORT=8000 mag-tiles": "containers.py",
    "pipenv sync": "by hand, when Pipfile.lock changes",
    "pipenv run demo": "by hand, when Pipfile.lock changes",
}
HERE = {"make demo"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines()]


def table_after(text: str) -> list[list[str]]:
    """The cells of the first table behind a text."""
    lines = README.split(text, 1)[1].lstrip().splitlines()
    rows = list(itertools.takewhile(lambda line: line.startswith("|"), lines))
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def make(*words: str, **env: str) -> subprocess.Popen:
    return subprocess.Popen(
        ["make", *words],
        cwd=ROOT,
        env=os.environ | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def ports() -> dict[str, str]:
    return {name: str(free_port()) for name in ("PORT", "TRITON_HTTP_PORT", "TRITON_METRICS_PORT")}


def test_every_command_is_run_by_a_test() -> None:
    curls = {line for line in commands() if line.startswith("curl ")}

    assert set(commands()) == ELSEWHERE.keys() | HERE | curls


@pytest.mark.slow
def test_make_demo_draws_the_samples_and_leaves_no_process(ports: dict[str, str]) -> None:
    processes: set[int] = set()
    lines = []
    with make("demo", "ONCE=1", **ports) as demo:
        for line in demo.stdout:
            lines.append(line)
            processes |= set(descendants(demo.pid))

    assert demo.returncode == 0, "".join(lines)
    assert len(list((ROOT / "samples/tiles").rglob("*.jpg"))) + 1 == len(list((ROOT / "demo").glob("*.png")))
    assert len(processes) > 3  # make, the demonstration, Triton, its stubs, the proxy
    assert not [pid for pid in processes if runs(pid)]


@pytest.mark.slow
def test_the_api_examples_answer_while_make_serve_runs(ports: dict[str, str], tmp_path: Path) -> None:
    serve = make("serve", **ports)
    try:
        for line in serve.stdout:
            if "open http" in line:
                break
        else:
            pytest.fail("make serve ended")
        here = f"http://127.0.0.1:{ports['PORT']}"
        (tmp_path / "samples").symlink_to(ROOT / "samples")
        for command in (line for line in commands() if line.startswith("curl ")):
            words = shlex.split(command.replace("http://127.0.0.1:8080", here))
            subprocess.run([*words, "--fail", "--silent"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
        assert (tmp_path / "mask.png").read_bytes().startswith(b"\x89PNG")
        example = blocks("python")[0].replace("http://127.0.0.1:8080", here)
        said = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, check=True, capture_output=True, text=True)
        assert re.fullmatch(r"Blowhole [1-9]\d* \d+ x \d+\n", said.stdout)  # the example shows a defect that is found
    finally:
        processes = descendants(serve.pid)
        os.killpg(serve.pid, 2)
        serve.communicate(timeout=60)
    assert not [pid for pid in processes if runs(pid)]


def test_the_proxys_settings_are_the_ones_it_has() -> None:
    told = {row[0].strip("`"): row[2].strip("`") for row in table_after("prints the proxy's table.")}

    assert {
        name.upper(): f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in vars(Settings()).items()
    } == told


def test_tritons_settings_are_the_ones_it_has() -> None:
    told = {row[0].strip("`") for row in table_after("`python -m inference_server`:")}

    assert {row.name for row in rows(TritonSettings)} == told


def told_figures(figures: dict) -> list[str]:
    free = figures["free"]
    return [
        f"**{figures['dice_pooled']:.3f}** (IoU {figures['iou_pooled']:.3f})",
        f"{figures['dice_pooled_with_free']:.3f}",
        f"{figures['dice_image_mean']:.3f}",
        *(f"{dice:.3f}" for dice in figures["dice_by_type"].values()),
        f"{figures['found_images']} of {figures['defective_images']}",
        f"{figures['type_right_of_found']:.1%}",
        f"{figures['auroc']:.3f} ({figures['average_precision']:.3f})",
        f"{free['any_pixel']} of {free['images']}",
        f"{free['over_20_px']} of {free['images']}",
    ]


def test_the_figures_are_the_measured_ones() -> None:
    evaluated = json.loads((ROOT / "evaluation/metrics.json").read_text())["test"]
    precisions = json.loads((ROOT / "export/precisions.json").read_text())
    served = precisions[precisions["served"]["cpu"]]["test"]
    rows = table_after("checked against evaluation/metrics.json and export/precisions.json by tests/test_readme.py -->")

    assert f"| on the test fold | as served on CPUs, {precisions['served']['cpu']} | in float32 |" in README
    assert [list(pair) for pair in zip(told_figures(served), told_figures(evaluated), strict=True)] == [
        row[1:] for row in rows
    ]
    assert list(evaluated["dice_by_type"]) == [row[0].removeprefix("Dice of ") for row in rows[3:8]]


def of_all_folds(name: str, shown: str = ".3f") -> str:
    """A figure of the honest protocol with its interval, as the README writes it."""
    found = CROSSVAL["honest"]["all"][name]
    low, high = (format(bound, shown) for bound in found["interval"])
    return f"{found['value']:{shown}} ({low}–{high})"


def test_the_headline_is_the_measured_one() -> None:
    figures = CROSSVAL["honest"]["all"]
    found, defective, free = (
        int(figures[name]["value"]) for name in ("found_images", "defective_images", "free.images")
    )
    kinds = [name for name in figures if name.startswith("dice_by_type.")]
    assert f"all {figures['images']['value']} images, {len(CROSSVAL['honest']['folds'])} folds" in README
    assert table_after("the headline, checked against crossval/metrics.json by tests/test_readme.py -->") == [
        ["Dice, pooled over the defective images", of_all_folds("dice_pooled")],
        [
            "Dice of " + ", ".join(name.removeprefix("dice_by_type.") for name in kinds),
            ", ".join(f"{figures[name]['value']:.3f}" for name in kinds),
        ],
        ["… mean over the types", of_all_folds("dice_type_mean")],
        ["Dice, mean over the defective images", of_all_folds("dice_image_mean")],
        ["defective or not, AUROC", of_all_folds("auroc")],
        [f"of {defective} defective images something is found in", f"{found}"],
        ["type right, of these", of_all_folds("type_right_of_found", ".1%")],
        [f"of {free} Free images with a false alarm", of_all_folds("free.any_pixel_share", ".1%")],
    ]


def test_the_peers_are_the_measured_ones() -> None:
    record = json.loads((ROOT / "benchmarks/results/peers.json").read_text())

    assert f"on the same {record['settings']['cores']} cores" in README
    assert table_after("peers, checked against benchmarks/results/peers.json by tests/test_readme.py -->") == [
        [each["what"], f"{each['images_s']:.1f}", f"{each['to_limit']['median']:.2f}"]
        for each in record["figures"]["contenders"].values()
    ]


def test_the_comparison_is_the_measured_one() -> None:
    (found,) = CROSSVAL["baseline"].values()
    both = [found["theirs"], found["ours"]]
    assert table_after("the recipe, checked against crossval/metrics.json by tests/test_readme.py -->") == [
        [
            "its own scoring: defective images, centre crop, Dice",
            *(f"{one['centre_crop']['dice']:.3f}" for one in both),
        ],
        [
            "whole images, Dice pooled over the defective ones",
            *(f"{one['native']['dice_pooled']:.3f}" for one in both),
        ],
        ["defective or not, AUROC", *(f"{one['native']['auroc']:.3f}" for one in both)],
    ]


def test_the_leaky_comparison_is_the_measured_one() -> None:
    leaky = CROSSVAL["leaky"]
    cropped, stretched, native = (leaky[name] for name in ("centre_crop", "stretched", "native_with_free"))
    rows = table_after("leaky, checked against crossval/metrics.json by tests/test_readme.py -->")

    assert [
        *(f"{one['dice']:.3f} / {one['iou']:.3f}" for one in (cropped, stretched, native)),
        f"{leaky['mean_iou']:.1%}; {leaky['mean_iou_with_background']:.1%}",
    ] == [row[1] for row in rows]
    assert f"(AUROC {leaky['native']['auroc']:.3f}; CS-Flow, which" in README


def test_half_of_the_leaky_networks_wrong_pixels_lie_on_three_exposures() -> None:
    folder = ROOT / "crossval/random"
    outcomes = outcomes_at(read_results(folder / "test.csv"), point_of(folder))
    wrong = np.sort(outcomes.false_positive + outcomes.false_negative)
    assert 0.5 <= wrong[-3:].sum() / wrong.sum() < 0.6
