"""The page of plots, as Chromium shows it without a network: of one revision and of two, at two widths."""

import os
import re
import shutil

import numpy as np
import pytest
import yaml
from training_data import a_prediction, few_draws, params_with

from host.files import write_table
from tests.chromium import open_page
from tests.clones import commit, run
from tests.conftest import ROOT
from tiles import DEFECT_TYPES
from tiles.operating_point import OperatingPoint
from training.evaluation.image_results import result_of
from training.evaluation.operating_point import Chosen, Limits
from training.evaluation.outputs import write_outputs
from training.evaluation.perturbations import PERTURBATIONS
from training.files import ROBUSTNESS_FOLDER

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
PLOTS = {name: plot for each in PIPELINE["plots"] if isinstance(each, dict) for name, plot in each.items()}
SHEETS = [f"evaluation_plots_gallery_{name}_png" for name in ("best", "median", "worst")]
WIDTHS = (1280, 1920)  # pixels: a small laptop, and an ordinary screen

SEEN = """() => [...document.querySelectorAll("main > div")].map(card => ({
    id: card.id,
    text: card.textContent,
    cut: card.scrollWidth > card.clientWidth,
    marks: card.querySelectorAll("[role='graphics-symbol']").length,
    pictures: [...card.querySelectorAll("img")].map(image => [image.naturalWidth, image.width]),
}))"""
LOADED = "performance.getEntriesByType('resource').map(entry => entry.name)"


def write_evaluation(sureness):
    """Write what the stages evaluate and robustness write: a photograph of each type and two without a defect."""
    found = []
    for n, kind in enumerate((*DEFECT_TYPES, "Free", "Free")):
        mask = np.zeros((60, 80), bool)
        mask[20:40, 20:40] = kind != "Free"
        probability = np.where(np.roll(mask, 5, axis=0), sureness, 20 + n)
        found.append(a_prediction(mask, probability, found=1 + n % 5, defect_type=kind, name=f"{n}"))
    results = [result_of(prediction) for prediction in found]
    parts = {"validation": results[1:], "test": results}
    write_outputs(parts, found, Chosen(OperatingPoint(64, 0.5), 0.25, Limits(0.5, 0.25)), params_with())
    for name, change in PERTURBATIONS.items():
        rows = [
            {"change": name, "words": change.words, "level": level}
            | {"dice_pooled_kept": kept, "dice_type_mean_kept": kept * kept}
            for level, kept in ((change.neutral, 1.0), (change.neutral + 3, sureness / 300))
        ]
        write_table(ROBUSTNESS_FOLDER / f"{name}.csv", rows)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository with the plots of the pipeline, HEAD and the branch `other`."""
    folder = tmp_path_factory.mktemp("plots")
    for path in (".dvc/config", ".dvc/plots", ".gitignore", "dvc.yaml", "params.yaml", "dvclive"):
        (folder / path).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / path).is_dir() else shutil.copyfile
        copy(ROOT / path, folder / path)
    run(folder, "git", "init", "--quiet", "--initial-branch", "main")
    run(folder, "git", "config", "user.name", "test")
    run(folder, "git", "config", "user.email", "test@example.com")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        few_draws(patch)
        for branch, sureness in (("other", 120), ("main", 240)):
            run(folder, "git", "checkout", "--quiet", "-B", branch)
            write_evaluation(sureness)
            commit(folder, branch)
    return folder


def page_of(folder, *revisions):
    search = os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    said = run(folder, "python", "-m", "studies.plots_page", *revisions, PYTHONPATH=search)
    return said.split()[-1]


async def seen(browser, address, width):
    async with open_page(browser, address, viewport={"width": width, "height": 900}) as (page, said):
        await page.wait_for_function("document.querySelectorAll('main svg.marks').length == 8", timeout=20_000)
        return {card["id"]: card for card in await page.evaluate(SEEN)}, await page.evaluate(LOADED), said


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("revisions", [[], ["HEAD", "other"]], ids=["one", "two"])
async def test_every_plot_is_drawn_whole_without_a_network(browser, repository, revisions):
    address = page_of(repository, *revisions)
    for width in WIDTHS:
        cards, loaded, said = await seen(browser, address, width)
        assert [*PLOTS, *SHEETS] == list(cards)
        assert [] == [name for name in loaded if not name.startswith("data:")]
        assert [] == said
        assert [] == [name for name, card in cards.items() if card["cut"]]
        for name, plot in PLOTS.items():
            assert plot["title"] in cards[name]["text"]
            assert all(label in cards[name]["text"] for label in (revisions or ["workspace"]))
            assert cards[name]["marks"] >= 4 * max(1, len(revisions))
        for name in SHEETS:
            assert [1200] * max(1, len(revisions)) == [natural for natural, _ in cards[name]["pictures"]]
            assert all(500 < shown <= 1200 for _, shown in cards[name]["pictures"])


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_the_page_of_dvc_itself_says_what_is_missing_without_vega(browser, repository):
    (address,) = re.findall(r"file://\S+index\.html", run(repository, "dvc", "plots", "show"))
    async with open_page(browser, address) as (page, _):
        assert "Vega is missing: run `make setup`" in await page.inner_text("#scores")


def test_every_plot_has_a_template_axes_with_words_and_files_that_a_stage_writes():
    written = {
        path for stage in PIPELINE["stages"].values() for kind in ("outs", "metrics") for out in stage.get(kind, [])
        for path in (out if isinstance(out, dict) else [out])
    }  # fmt: skip
    for name, plot in PLOTS.items():
        assert (ROOT / f".dvc/plots/{plot['template']}.json").is_file(), name
        assert {"title", "template", "x", "y"} < plot.keys(), name
        assert all(any(path.startswith(out) for out in written) for path in plot["y"]), name
