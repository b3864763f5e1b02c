"""README, docs/serving.md and CONTRIBUTING.md keep their word: commands run here or in the test named beside them."""

import csv
import functools
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from host.ports import free_port
from studies.report import BOOTSTRAP_SAMPLES, SEED
from studies.runs import honest_folders, outcomes_of
from tests.conftest import ROOT, answers, descendants, runs
from tests.pages import code, commands, table_after
from training.evaluation.bootstrap import bootstrap, interval
from training.evaluation.figures import Outcomes, join

README = (ROOT / "README.md").read_text()
SERVING = (ROOT / "docs/serving.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
MEASURED = json.loads((ROOT / "studies/tables/metrics.json").read_text())["honest"]
HONEST, TILES = MEASURED["all"], MEASURED["tiles"]["all"]

# Commands that another test runs, or that this test run is.
ELSEWHERE = {
    'export PATH="$PWD/.venv/bin:$PATH"': "the shell",
    "docker build . -t mag-tiles": "containers.py, for `make container-test`",
    "docker run -p 127.0.0.1:8080:8080 mag-tiles": "containers.py",
    "make repro": "test_pipeline.py, in a clone",
    'make try SET="train.epochs=3"': "test_pipeline.py, with fewer epochs",
    "make plots": "test_setup.py",
    "make setup": "before this run",
    "make lint": "before this run, by `make test`",
    "make test": "this run",
    'python -m pytest -m "not slow" tests/test_tiles.py': "a part of this run",
    "ruff check . && ruff format .": "`make lint`",
    "mypy": "`make lint`",
    "lint-imports": "`make lint`",
}
HERE = {"make demo"}


@pytest.fixture(scope="module")
def ports() -> dict[str, str]:
    return {name: str(free_port()) for name in ("PORT", "TRITON_HTTP_PORT", "TRITON_METRICS_PORT")}


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
def address(ports: dict[str, str]) -> Iterator[str]:
    """Where `make serve` answers; when it ends, no process of it is left."""
    serve = make("serve", **ports)
    try:
        for line in serve.stdout:
            if "open http" in line:
                break
        else:
            pytest.fail("make serve ended")
        yield f"http://127.0.0.1:{ports['PORT']}"
    finally:
        processes = descendants(serve.pid)
        os.killpg(serve.pid, 2)
        serve.communicate(timeout=60)
    assert not [pid for pid in processes if runs(pid)]


def curls(page: str, address: str) -> list[list[str]]:
    told = [line for line in commands(page) if line.startswith("curl ")]
    assert told
    return [
        [*shlex.split(line.replace("http://127.0.0.1:8080", address)), "--fail", "--silent", "--show-error"]
        for line in told
    ]


def test_every_command_is_run_by_a_test() -> None:
    told = {line for page in (README, CONTRIBUTING) for line in commands(page) if not line.startswith("curl ")}

    assert told == ELSEWHERE.keys() | HERE


@pytest.mark.slow
def test_make_demo_draws_the_samples_serves_and_leaves_no_process(ports: dict[str, str]) -> None:
    began_s, lines, processes, serves = time.time(), [], set(), False
    with make("demo", **ports) as demo:
        for line in demo.stdout:
            lines.append(line)
            processes |= set(descendants(demo.pid))
            if "Ctrl-C ends it" in line:
                serves = answers(f"http://127.0.0.1:{ports['PORT']}/health/ready")
                os.killpg(demo.pid, signal.SIGINT)

    assert serves, "".join(lines)
    assert "Traceback" not in "".join(lines)
    drawn = [path for path in (ROOT / "demo").glob("*.png") if path.stat().st_mtime >= began_s]
    assert len(list((ROOT / "samples/tiles").rglob("*.jpg"))) + 1 == len(drawn)
    assert len(processes) > 3  # make, the demonstration, Triton, its stubs, the proxy
    assert not [pid for pid in processes if runs(pid)]


@pytest.mark.slow
def test_the_readmes_request_gets_the_answer_that_it_shows(address: str) -> None:
    (command,), (shown,) = curls(README, address), code(README, "json")

    answer = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    pred = answer.pop("pred")

    figures, mask = shown.split(',\n "pred": ')
    told = json.loads(figures.replace(", …", "") + "}")
    for shortened in ("types", "model"):
        assert told.pop(shortened).items() <= answer.pop(shortened).items()
    assert told.items() <= answer.items()
    assert "[[0, 0, 0, …], …]}" == mask.strip()
    assert [0, 0, 0] == pred[0][:3]
    assert (answer["height"], answer["width"]) == (len(pred), len(pred[0]))


@pytest.mark.slow
def test_the_serving_pages_requests_are_answered(address: str, tmp_path: Path) -> None:
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    for command in curls(SERVING, address):
        subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    assert (tmp_path / "mask.png").read_bytes().startswith(b"\x89PNG")

    (example,) = code(SERVING, "python")
    example = example.replace("http://127.0.0.1:8080", address)
    said = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert re.fullmatch(r"Blowhole [1-9]\d* \d+ x \d+\n", said.stdout)  # the example shows a defect that is found


def test_the_samples_show_tiles_of_the_test_part() -> None:
    """Those of another part were trained on, or chose the alarm score."""
    with (ROOT / "evaluation/images.csv").open(newline="") as file:
        tested = {row["image"] for row in csv.DictReader(file)}
    samples = {path.stem for path in (ROOT / "samples/tiles").rglob("*.jpg")}
    assert len(samples) >= 12
    assert samples <= tested


def bounds(interval_of: Sequence[float], shown: str) -> str:
    low, high = (format(bound, shown) for bound in interval_of)
    return f"({low}–{high})"


@functools.cache
def outcomes_of_all_folds() -> Outcomes:
    """What each fold's network found on its test images, at its own operating point."""
    return join([outcomes_of(folder) for folder in honest_folders()])


def test_the_headline_is_the_measured_one() -> None:
    found, defective, alarms, free = (
        int(HONEST[name]["value"]) for name in ("found_images", "defective_images", "free.any_pixel", "free.images")
    )
    alarms_interval, dice = HONEST["free.any_pixel_share"]["interval"], HONEST["dice_pooled"]
    peers = json.loads((ROOT / "benchmarks/results/peers.json").read_text())
    images_s, cores = peers["figures"]["contenders"]["ours"]["images_s"], peers["settings"]["cores"]
    tiles_found, defective_tiles, alarmed, sound = (
        TILES[name]["value"] for name in ("found_tiles", "defective_tiles", "false_alarms", "sound_tiles")
    )
    rows = {row[0]: row[1:] for row in table_after(README, "by tests/test_readme.py -->")}
    share = f"{found / defective:.0%} {bounds(found_interval(), '.0%')}"

    assert {
        "defective images found": f"{found} of {defective} images, {share}",
        "false alarms": f"{alarms} of {free} images, {alarms / free:.1%} {bounds(alarms_interval, '.1%')}",
        "defective tiles flagged": f"{tiles_found} of {defective_tiles} tiles, {shown_share('found_share', '.0%')}",
        "Dice": f"{dice['value']:.3f} {bounds(dice['interval'], '.3f')}",
        "speed": f"{images_s:.0f} images/s on {cores} CPU cores",
    } == {name: measured for name, (measured, _) in rows.items()}
    assert "defective tiles flagged" == next(iter(rows)), "what a line engineer understands comes first"
    assert f"on the other {defective - found} images it misses the defect" == rows["defective images found"][1]
    assert rows["defective tiles flagged"][1].endswith(
        f"it also flags {alarmed} of {sound} sound tiles, {shown_share('false_alarm_share', '.1%')}"
    )
    flagged, false = (TILES[name]["value"] for name in ("found_share", "false_alarm_share"))
    assert 0.05 * flagged < 0.95 * false, '"under 5 % of the tiles are defective, most alarms are false"'
    assert 0.06 * flagged > 0.94 * false, "it is the right percentage"


def shown_share(name: str, shown: str) -> str:
    """A share of tiles, with its interval."""
    return f"{TILES[name]['value']:{shown}} {bounds(TILES[name]['interval'], shown)}"


def found_interval() -> tuple[float, float]:
    """The 95 % interval of the share of defective images that are found, by the report's bootstrap over tiles."""
    draws = bootstrap(
        outcomes_of_all_folds(),
        samples=BOOTSTRAP_SAMPLES,
        seed=SEED,
        figures=lambda drawn: {"share": (drawn.true_positive > 0)[drawn.defective].mean()},
    )
    return interval([draw["share"] for draw in draws])


def test_the_changelog_tells_the_same_figures() -> None:
    text = " ".join((ROOT / "CHANGELOG.md").read_text().split())
    pooled, auroc, found, defective, alarms = (
        HONEST[name]["value"]
        for name in ("dice_pooled", "auroc", "found_images", "defective_images", "free.any_pixel_share")
    )

    assert (
        f"pooled Dice {pooled:.2f}, AUROC {auroc:.2f}; defects found in {found} of {defective} images "
        f"at {100 * alarms:.1f} % false alarms"
    ) in text


def test_the_tiles_with_a_defect_are_counted() -> None:
    outcomes = outcomes_of_all_folds()
    tiles = set(outcomes.tile[outcomes.defective])

    assert f"Only {len(tiles)} tiles of the public dataset have a defect" in " ".join(README.split())
