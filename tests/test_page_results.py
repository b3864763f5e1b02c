"""The page's table of results in a real Chromium: sort, filter, tiles, files to save."""

import contextlib
import csv
import zipfile

import pytest
from aiohttp import ClientSession, FormData
from browsers import REVIEW, analysed, choose, choose_folder, page_over_fake, photograph, texts
from PIL import Image
from proxy_servers import until

from tiles.operating_point import tile_score

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPOTS = {  # by file; 32 pixels and more of one level give a score of it
    "A-1.png": [(20, 30, 12, 10, 15)],  # 0.941
    "A-2.png": [],  # 0.098
    "B-1.png": [(20, 30, 20, 20, 55)],  # 0.784
    "B-2.png": [(20, 30, 8, 8, 80)],  # 0.686
    "C-1.png": [],
}


DOUBTFUL = SPOTS | {"D-1.png": [(20, 30, 4, 3, 15)]}  # 0.414: for review by a model that has such a limit


@contextlib.asynccontextmanager
async def results(browser, tmp_path, names=tuple(SPOTS), **options):
    files = [photograph(tmp_path / name, *DOUBTFUL[name]) for name in names]
    async with page_over_fake(browser, **options) as (page, front, _):
        await choose(page, *files)
        await analysed(page, len(files))
        yield page, front


async def names(page):
    return await texts(page, "tbody th[scope=row] button")


async def test_the_table_shows_verdict_type_score_and_area(browser, tmp_path):
    async with results(browser, tmp_path) as (page, _):
        row = await texts(page, "tbody tr:first-child :is(th button, td:not(.thumb))")
        assert ["A-1.png", "Defect", "Crack", "0.941", "120 px"] == row
        sound = await texts(page, "tbody tr:nth-child(2) :is(th button, td:not(.thumb))")
        assert ["A-2.png", "OK", "", "0.098", "0 px"] == sound


async def test_a_click_on_a_head_sorts_and_another_one_turns_the_order(browser, tmp_path):
    async with results(browser, tmp_path) as (page, _):
        await page.click("th[data-key=score] button")
        assert ["A-1.png", "B-1.png", "B-2.png", "A-2.png", "C-1.png"] == await names(page)
        assert "descending" == await page.get_attribute("th[data-key=score]", "aria-sort")
        await page.click("th[data-key=score] button")
        assert ["A-2.png", "C-1.png", "B-2.png", "B-1.png", "A-1.png"] == await names(page)
        await page.click("th[data-key=area] button")
        assert "B-1.png" == (await names(page))[0]
        await page.click("th[data-key=name] button")
        assert sorted(SPOTS) == await names(page)


async def test_results_are_filtered_by_verdict_and_words(browser, tmp_path):
    async with results(browser, tmp_path) as (page, _):
        await page.select_option("#show", "ok")
        assert ["A-2.png", "C-1.png"] == await names(page)
        await page.fill("#search", "c-")
        assert ["C-1.png"] == await names(page)
        assert "1 of 5 images shown" == await page.inner_text("#shown")
        await page.select_option("#show", "")
        await page.fill("#search", "crack")
        assert ["A-1.png", "B-1.png", "B-2.png"] == await names(page)


async def test_a_tiles_verdict_is_that_of_its_mean_score(browser, tmp_path):
    async with results(browser, tmp_path) as (page, _):
        await page.select_option("#group", "name")
        rows = await texts(page, "tr.tile th")
        assert [
            "A Defect 2 images, mean score 0.520",
            "B Defect 2 images, mean score 0.735",
            "C OK 1 image, mean score 0.098",
        ] == rows
        assert "5 images; 3 tiles: 2 with a defect, 1 OK; by mean score: defect from 0.500" == await page.inner_text(
            "#shown"
        )
        await page.select_option("#show", "ok")
        assert 2 == len(rows := await texts(page, "tr.tile th"))
        assert rows[0].startswith("A Defect 2 images, mean score 0.520")  # of all its images, shown or not


async def test_images_for_review_are_counted_filtered_and_sorted_between_defect_and_ok(browser, tmp_path):
    async with results(browser, tmp_path, DOUBTFUL, model=REVIEW) as (page, _):
        assert "6 analysed: 3 with a defect, 1 for review, 2 OK" == await page.inner_text("#status")
        await page.click("th[data-key=verdict] button")
        expected = ["Defect", "Defect", "Defect", "Review", "OK", "OK"]
        assert expected == await texts(page, "tbody .verdict-cell")
        await page.select_option("#show", "review")
        assert ["D-1.png"] == await names(page)


async def test_tiles_for_review_are_counted_and_found_whatever_the_verdicts_of_their_images(browser, tmp_path):
    async with results(browser, tmp_path, DOUBTFUL, model=REVIEW) as (page, _):
        await page.select_option("#group", "name")
        counts, limits = "1 with a defect, 2 for review, 1 OK", "review from 0.200, defect from 0.600"
        assert f"6 images; 4 tiles: {counts}; by mean score: {limits}" == await page.inner_text("#shown")
        await page.select_option("#show", "review")
        assert [
            "A Review 2 images, mean score 0.520",
            "D Review 1 image, mean score 0.414",
        ] == await texts(page, "tr.tile th")
        assert ["A-1.png", "A-2.png", "D-1.png"] == await names(page)


@pytest.mark.parametrize("model", [None, REVIEW])
async def test_the_pages_verdict_of_a_tile_is_the_services(browser, tmp_path, model):
    async with results(browser, tmp_path, model=model) as (page, front):
        await page.select_option("#group", "name")
        for tile, files in {"A": ("A-1.png", "A-2.png"), "B": ("B-1.png", "B-2.png"), "C": ("C-1.png",)}.items():
            parts = {"multipart": [("image", (tmp_path / name).read_bytes()) for name in files]}
            expected = await analyze_tile(front, parts["multipart"])
            shown = await page.inner_text(f"tr.tile:has(strong:text-is('{tile}')) th")
            assert f"mean score {expected['score']:.3f}" in shown
            assert {"defect": "Defect", "review": "Review", "ok": "OK"}[expected["verdict"]] in shown


async def test_a_tile_is_judged_by_the_limits_of_its_answers_model_and_never_by_two_models_together(browser, tmp_path):
    async with results(browser, tmp_path, model=REVIEW) as (page, _):
        judged = await page.evaluate(
            """async () => {
              const { judge } = await import("/page/tiles.js");
              const item = (score, model) => ({ state: "done", answer: { score, defect_pixels: 1, types: {}, model } });
              const old = { sha256: "a", alarm_score: 0.9, tile_alarm_score: 0.6, tile_review_score: 0.3 };
              const fresh = { sha256: "b", alarm_score: 0.9, tile_alarm_score: 0.4, tile_review_score: 0.2 };
              return [[item(0.5, old), item(0.5, old)], [item(0.5, fresh)], [item(0.9, old), item(0.1, fresh)]]
                .map((items) => judge(items)).map(({ verdict, score, alarm }) => [verdict, score, alarm]);
            }"""
        )
        assert [["review", 0.5, 0.6], ["defect", 0.5, 0.4], ["mixed", None, None]] == judged


async def test_a_mean_in_the_middle_of_two_roundings_is_rounded_as_the_service_does(browser):
    scores = [[0.0312, 0.0313], [0.0937, 0.0938], [0.2187, 0.2188], [0.5, 0.5001], [0.9062, 0.9063], [0.0001]]
    async with page_over_fake(browser) as (page, _, _):
        means = await page.evaluate(
            """async (scores) => {
              const { judge } = await import("/page/tiles.js");
              const model = { sha256: "a", tile_alarm_score: 0.6 };
              const item = (score) => ({ state: "done", answer: { score, defect_pixels: 1, types: {}, model } });
              return scores.map((each) => judge(each.map(item)).score);
            }""",
            scores,
        )
        assert [tile_score(each) for each in scores] == means


async def analyze_tile(front, images):
    form = FormData()
    for name, data in images:
        form.add_field(name, data, filename="image.png", content_type="image/png")
    async with (
        ClientSession() as session,
        session.post(f"{front.target}/analyze/tile?mask=none", data=form) as response,
    ):
        return await response.json()


async def test_a_tile_has_no_verdict_while_one_of_its_images_waits(browser, tmp_path):
    async with results(browser, tmp_path) as (page, front):
        front.away = True
        await choose(page, photograph(tmp_path / "A-3.png"))
        await page.locator("#away").wait_for()
        await page.select_option("#group", "name")
        assert "A Waiting 3 images" == (await texts(page, "tr.tile th"))[0]
        front.away = False
        await analysed(page, 6)
        await page.locator("tr.tile th", has_text="A OK 3 images, mean score 0.379").wait_for()


async def test_a_focused_row_keeps_the_focus_when_the_table_is_arranged_anew(browser, tmp_path):
    async with results(browser, tmp_path) as (page, _):
        await page.click("th[data-key=score] button")
        await page.focus("tbody tr:nth-child(2) th button")
        focused = "document.activeElement.textContent"
        before = await page.evaluate(focused)
        await choose(page, photograph(tmp_path / "Z-1.png"))
        await analysed(page, 6)
        assert before == await page.evaluate(focused)


async def test_a_tile_is_named_by_a_pattern(browser, tmp_path):
    async with results(browser, tmp_path) as (page, _):
        await page.select_option("#group", "pattern")
        await page.fill("#pattern", r"-(\d)")
        assert ["1", "2"] == await texts(page, "tr.tile strong")
        await page.fill("#pattern", "(")  # not complete yet: each image is a tile of its own
        assert sorted(SPOTS) == await texts(page, "tr.tile strong")


@pytest.mark.parametrize(
    ("rule", "pattern", "expected"),
    [
        ("name", "", ["lot-1/A", "lot-2/A", "lot-1/one.png", "A", "B.png", "lot-1/_DSC1.png", "2.3/A"]),
        ("folder", "", ["lot-1", "lot-2", "lot-1", "A-1.png", "B.png", "lot-1", "2.3"]),
        ("pattern", r"^(?:.*/)?[^/_-]+", ["lot-1/A", "lot-2/A", "lot-1/one.png", "A", "B.png", "lot", "2.3/A"]),
        (
            "pattern",
            "no such words",
            ["lot-1/A-1.png", "lot-2/A-1.png", "lot-1/one.png", "A-1.png", "B.png", "lot-1/_DSC1.png", "2.3/A"],
        ),
        ("pattern", r"([A-Z])-\d", ["A", "A", "lot-1/one.png", "A", "B.png", "lot-1/_DSC1.png", "2.3/A"]),
    ],
)
async def test_files_of_one_name_in_two_folders_are_two_tiles(browser, rule, pattern, expected):
    items = [["lot-1", "A-1.png"], ["lot-2", "A-1.png"], ["lot-1", "one.png"], ["", "A-1.png"], ["", "B.png"],
             ["lot-1", "_DSC1.png"], ["2.3", "A"]]  # fmt: skip
    async with page_over_fake(browser) as (page, _, _):
        named = await page.evaluate(
            """async ([items, rule, pattern]) => {
              const { tileOf } = await import("/page/tiles.js");
              return items.map(([folder, name]) => tileOf({ folder, name }, rule, new RegExp(pattern)));
            }""",
            [items, rule, pattern],
        )
        assert expected == named


async def test_the_pattern_that_is_offered_first_keeps_folders_apart(browser, tmp_path):
    for folder in ("lot_1", "lot_2"):
        (tmp_path / "photos" / folder).mkdir(parents=True)
        for name in ("A_1.png", "A_2.png"):
            photograph(tmp_path / "photos" / folder / name)
    async with page_over_fake(browser) as (page, _, _):
        await choose_folder(page, tmp_path / "photos")
        await analysed(page, 4)
        await page.select_option("#group", "pattern")
        assert ["photos/lot_1/A", "photos/lot_2/A"] == await texts(page, "tr.tile strong")


async def test_a_file_that_is_chosen_again_is_analysed_again_and_counts_once(browser, tmp_path):
    async with results(browser, tmp_path, ("A-1.png", "A-2.png")) as (page, front):
        await page.select_option("#group", "name")
        await choose(page, tmp_path / "A-1.png")
        await page.locator("tr.tile th", has_text="A Defect 2 images, mean score 0.520").wait_for()
        assert 3 == len(front.images("mask=rle"))
        assert ["A-1.png", "A-2.png"] == await names(page)
        assert "2 analysed: 1 with a defect, 1 OK" == await page.inner_text("#status")


async def test_a_file_that_is_chosen_again_while_it_is_on_its_way_is_sent_once(browser, tmp_path):
    image = photograph(tmp_path / "A-1.png")
    async with page_over_fake(browser) as (page, front, fake):
        fake.open.clear()
        await choose(page, image)
        await choose(page, image)
        fake.open.set()
        await analysed(page, 1)
        assert 1 == len(front.images("mask=rle"))


async def test_a_tile_that_two_models_answered_has_a_verdict_once_its_images_are_analysed_again(browser, tmp_path):
    old, new = 64 * "a", 64 * "b"
    async with page_over_fake(browser, {"sha256": old}) as (page, _, fake):
        await choose(page, photograph(tmp_path / "A-1.png", *SPOTS["A-1.png"]))
        await analysed(page, 1)
        fake.config["parameters"]["model.sha256"] = {"string_value": new}
        await until(lambda: is_served(page, new))
        await choose(page, photograph(tmp_path / "A-2.png"))
        await analysed(page, 2)
        await page.select_option("#group", "name")
        assert ["A Two models 2 images, analyse them again"] == await texts(page, "tr.tile th")
        assert "A-1.png" == await page.inner_text("#view-name")
        await page.click("#again")
        await page.locator("tr.tile th", has_text="A Defect 2 images, mean score 0.520").wait_for()
        assert ["A-1.png"] == await texts(page, "tr[aria-current] th button")


async def is_served(page, sha256):
    ready = await page.request.get(f"{page.url}health/ready")
    return sha256 in await ready.text()


async def test_failed_images_do_not_count_for_their_tile(browser, tmp_path):
    (tmp_path / "A-3.png").write_bytes(b"no image")
    async with results(browser, tmp_path) as (page, _):
        await choose(page, tmp_path / "A-3.png")
        await page.locator("#status", has_text="1 failed").wait_for()
        await page.select_option("#group", "name")
        rows = await texts(page, "tr.tile th")
        assert "A Defect 3 images, mean score 0.520, 1 failed and not counted" == rows[0]


async def test_the_csv_has_a_row_for_each_image_in_the_order_shown(browser, tmp_path):
    (tmp_path / "=bad.png").write_bytes(b"no image")
    async with results(browser, tmp_path) as (page, _):
        await choose(page, tmp_path / "=bad.png")
        await page.locator("#status", has_text="1 failed").wait_for()
        await page.select_option("#group", "name")
        await page.click("th[data-key=score] button")
        rows = await saved_csv(page)
        assert ["B-1.png", "B-2.png", "A-1.png", "A-2.png", "C-1.png", "'=bad.png"] == [row["file"] for row in rows]
        assert ("B", "defect", "Crack", "0.7843", "400", "0.7353") == tuple(
            rows[0][name] for name in ("tile", "verdict", "type", "score", "defect_pixels", "tile_score")
        )
        assert ("failed", "") == (rows[-1]["verdict"], rows[-1]["score"])
        assert rows[-1]["problem"]


async def saved_csv(page):
    """The rows of a CSV file that is saved now."""
    async with page.expect_download() as download:
        await page.click("#save-csv")
    saved = await (await download.value).path()
    return list(csv.DictReader(saved.read_text("utf-8-sig").splitlines()))


async def test_the_csv_has_the_results_for_which_the_table_was_not_arranged_yet(browser, tmp_path):
    async with page_over_fake(browser) as (page, _, _):
        await page.clock.install()
        await page.reload()
        await page.locator("#samples").wait_for()
        await page.clock.pause_at(await page.evaluate("Date.now() + 1000"))  # what is to be arranged later never is
        await choose(page, photograph(tmp_path / "A-1.png", *SPOTS["A-1.png"]))
        await analysed(page, 1)
        await page.select_option("#show", "defect")
        await choose(page, photograph(tmp_path / "B-1.png", *SPOTS["B-1.png"]))
        await analysed(page, 2)
        assert ["A-1.png"] == await names(page)
        assert ["A-1.png", "B-1.png"] == [row["file"] for row in await saved_csv(page)]


async def test_the_csv_tells_what_is_for_review_and_by_which_limits(browser, tmp_path):
    async with results(browser, tmp_path, ("A-1.png", "A-2.png", "D-1.png"), model=REVIEW) as (page, _):
        await page.select_option("#group", "name")
        rows = await saved_csv(page)
        assert ["defect", "ok", "review"] == [row["verdict"] for row in rows]
        assert ["review"] * 3 == [row["tile_verdict"] for row in rows]
        limits = {"alarm_score": "0.5", "review_score": "0.3", "tile_alarm_score": "0.6", "tile_review_score": "0.2"}
        assert limits.items() <= rows[0].items()


async def test_the_zip_holds_an_overlay_of_each_image_that_is_shown(browser, tmp_path):
    async with results(browser, tmp_path) as (page, front):
        (tmp_path / "more").mkdir()
        await choose(page, photograph(tmp_path / "more/A-1.png", *SPOTS["A-1.png"]))  # the same name once more
        await analysed(page, 6)
        asked = len(front.images())
        await page.select_option("#show", "defect")
        async with page.expect_download() as download:
            await page.click("#save-zip")
        with zipfile.ZipFile(await (await download.value).path()) as archive:
            assert archive.testzip() is None
            expected = ["A-1_overlay.png", "B-1_overlay.png", "B-2_overlay.png", "A-1_overlay (2).png"]
            assert expected == archive.namelist()
            with archive.open("A-1_overlay.png") as file:
                assert 0 == Image.open(file).width % 120
        assert asked == len(front.images())  # drawn in the browser


async def test_the_zip_keeps_the_folders(browser, tmp_path):
    for folder in ("A-17", "A-18"):
        (tmp_path / "all" / folder).mkdir(parents=True)
        photograph(tmp_path / "all" / folder / "1.png")
    async with page_over_fake(browser) as (page, _, _):
        await page.set_input_files("#folder", tmp_path / "all")
        await analysed(page, 2)
        async with page.expect_download() as download:
            await page.click("#save-zip")
        with zipfile.ZipFile(await (await download.value).path()) as archive:
            expected = ["all/A-17/1_overlay.png", "all/A-18/1_overlay.png"]
            assert expected == sorted(archive.namelist())


async def test_an_image_that_cannot_be_drawn_is_named_and_the_zip_holds_the_others(browser, tmp_path):
    image = Image.open(photograph(tmp_path / "C-1.png"))
    image.save(tmp_path / "C-1.tiff")  # the service draws it, as no browser can
    async with page_over_fake(browser) as (page, front, _):
        await choose(page, photograph(tmp_path / "A-1.png", *SPOTS["A-1.png"]), tmp_path / "C-1.tiff")
        await analysed(page, 2)
        front.busy = 1
        async with page.expect_download() as download:
            await page.click("#save-zip")
        with zipfile.ZipFile(await (await download.value).path()) as archive:
            assert ["A-1_overlay.png"] == archive.namelist()
        await page.locator("#shown", has_text="1 overlay saved. These could not be drawn: C-1.tiff.").wait_for()


async def test_a_zip_of_more_than_4_gib_is_refused_with_what_to_do(browser):
    async with page_over_fake(browser) as (page, _, _):
        said = await page.evaluate(
            """async () => {
              const { zipOf } = await import("/page/zip.js");
              const arrayBuffer = async () => new ArrayBuffer(0);
              const zip = (size) => zipOf([{ name: "t.png", blob: { size, arrayBuffer } }]);
              const most = 2 ** 32 - 1 - 86; // 86: the two headers
              await zip(most);
              return zip(most + 1).then(() => "written", ({ message }) => message);
            }"""
        )
        assert "a zip holds at most 4 GiB: show fewer images" == said


async def test_a_tiles_score_is_rounded_as_the_services(browser, tmp_path):
    async with results(browser, tmp_path) as (page, _):
        judged = await page.evaluate(
            """async () => {
              const { judge } = await import("/page/tiles.js");
              const model = { sha256: "a", alarm_score: 0.9, tile_alarm_score: 0.5707 };
              const item = (score) => ({ state: "done", answer: { score, defect_pixels: 1, types: {}, model } });
              const { verdict, score } = judge([item(0.5706), item(0.5707)]);
              const tenths = [0.1, 0.2, 0.3, ...Array(29).fill(0)]; // one after the other they sum up to more than 0.6
              return [verdict, score, judge(tenths.map(item)).score];
            }"""
        )
        assert ["ok", tile_score([0.5706, 0.5707]), tile_score([0.1, 0.2, 0.3] + 29 * [0])] == judged


async def test_thirty_results_fit_on_two_screens(browser, tmp_path):
    files = [photograph(tmp_path / f"{number}.png") for number in range(30)]
    async with page_over_fake(browser, viewport={"width": 1440, "height": 900}) as (page, _, _):
        await choose(page, *files)
        await analysed(page, 30)
        assert await page.evaluate("document.documentElement.scrollHeight") < 1800


async def test_the_results_are_walked_through_in_the_order_shown(browser, tmp_path):
    async with results(browser, tmp_path) as (page, _):
        await page.click("th[data-key=score] button")
        await page.click("text=B-1.png")
        await page.click("#next")
        assert "B-2.png" == await page.inner_text("#view-name")
        await page.click("#previous")
        await page.click("#previous")
        assert "A-1.png" == await page.inner_text("#view-name")
        assert "A-1.png" == await page.inner_text("tr[aria-current] th button")


async def test_a_row_that_was_left_while_it_was_filtered_out_is_no_longer_the_current_one(browser, tmp_path):
    async with results(browser, tmp_path) as (page, _):
        await page.click("text=A-1.png")
        await page.select_option("#show", "ok")
        await page.click("text=A-2.png")
        await page.select_option("#show", "")
        assert ["A-2.png"] == await texts(page, "tr[aria-current] th button")


async def test_clear_empties_the_page(browser, tmp_path):
    async with results(browser, tmp_path) as (page, _):
        await page.click("#clear")
        assert not await page.is_visible("#results")
        assert not await page.is_visible("#view")
        assert await page.is_visible("#samples")
