"""The page in a real Chromium: how images come in, and what becomes of them."""

import asyncio
import base64
import json
import struct

import pytest
from browsers import REVIEW, analysed, choose, choose_folder, page_over, page_over_fake, photograph, pixels, texts
from PIL import Image
from proxy_servers import until

from proxy.page import FOLDER

pytestmark = pytest.mark.asyncio(loop_scope="module")

DARK = (20, 30, 12, 10, 15)  # a spot whose probability is 240 of 255
SMALL = (20, 30, 4, 3, 15)  # the same in fewer pixels than the score counts: a score of 0.414
SAMPLES = json.loads((FOLDER / "page/samples/samples.json").read_text())["samples"]


async def drop(page, x, y, *files):
    """Drop files as a file manager does, at this place of the page."""
    session = await page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        await session.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})


async def test_files_dropped_on_the_box_are_analysed(browser, tmp_path):
    async with page_over_fake(browser) as (page, _, _):
        box = await page.locator("#drop").bounding_box()
        files = [photograph(tmp_path / "bad.png", DARK), photograph(tmp_path / "good.png")]
        await drop(page, box["x"] + 50, box["y"] + 20, *files)
        await analysed(page, 2)
        assert ["Defect Crack", "OK"] == await texts(page, "#view .verdict, tr:nth-child(2) .verdict-cell")


async def test_a_file_dropped_beside_the_box_is_analysed_and_the_page_stays(browser, tmp_path):
    async with page_over_fake(browser) as (page, _, _):
        address = page.url
        await drop(page, 5, 700, photograph(tmp_path / "bad.png", DARK))
        await analysed(page, 1)
        assert address == page.url


async def test_a_dropped_folder_gives_its_images_and_their_folder(browser, tmp_path):
    (tmp_path / "A-17").mkdir()
    for name in ("1.png", "2.png"):
        photograph(tmp_path / "A-17" / name, DARK)
    async with page_over_fake(browser) as (page, _, _):
        await drop(page, 5, 700, tmp_path / "A-17")
        await analysed(page, 2)
        await page.select_option("#group", "folder")
        assert ["A-17"] == await texts(page, "tr.tile strong")


async def test_a_chosen_folder_gives_its_images_and_their_folder(browser, tmp_path):
    (tmp_path / "A-17").mkdir()
    (tmp_path / "A-17/.thumbs").mkdir()
    for name in ("10.png", "2.png", ".hidden.png", ".thumbs/1.png"):
        photograph(tmp_path / "A-17" / name, DARK)
    async with page_over_fake(browser) as (page, _, _):
        await choose_folder(page, tmp_path / "A-17")
        await analysed(page, 2)
        await page.select_option("#group", "folder")
        assert ["A-17"] == await texts(page, "tr.tile strong")
        assert "A-17/2.png" == await page.locator("tbody tr:not(.tile) th button").first.get_attribute("title")


async def test_a_pasted_image_is_analysed(browser, tmp_path):
    image = base64.b64encode(photograph(tmp_path / "bad.png", DARK).read_bytes()).decode()
    async with page_over_fake(browser, permissions=["clipboard-read", "clipboard-write"]) as (page, _, _):
        await page.evaluate(
            """async (image) => {
              const bytes = Uint8Array.from(atob(image), (byte) => byte.charCodeAt(0));
              const blob = new Blob([bytes], { type: "image/png" });
              await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
            }""",
            image,
        )
        await page.keyboard.press("Control+v")
        await analysed(page, 1)
        assert (await page.inner_text("#view-name")).startswith("pasted")


async def test_a_photograph_of_the_camera_is_analysed(browser):
    async with page_over_fake(browser, permissions=["camera"]) as (page, _, _):
        await page.click("#camera")
        await page.click("#camera-take")
        await analysed(page, 1)
        await page.click("#camera-close")
        assert (await page.inner_text("#view-name")).startswith("camera")


async def test_a_sample_is_analysed_with_its_truth_at_hand(browser, triton):
    async with page_over(browser, triton.url) as (page, _):
        await page.click("#samples-list li:first-child button")
        await analysed(page, 1)
        await page.locator("#truth-label").wait_for()
        facts = dict(zip(await texts(page, "#facts dt"), await texts(page, "#facts dd"), strict=True))
        assert "Blowhole" == facts["True type"]
        assert "196 × 246 px" == facts["Image size"]


async def test_a_sample_that_cannot_be_fetched_is_told(browser):
    async with page_over_fake(browser) as (page, front, _):
        await page.locator("#samples").wait_for()
        front.away = True
        await page.click("#samples-list li:first-child button")
        await page.locator("#refusal", has_text="The sample could not be fetched").wait_for()
        await page.locator("#away").wait_for()
        front.away = False
        await page.locator("#away").wait_for(state="hidden")
        await page.click("#samples-list li:first-child button")
        await analysed(page, 1)
        assert not await page.is_visible("#refusal")


async def test_samples_are_offered_only_for_a_model_that_knows_their_types(browser):
    async with page_over_fake(browser) as (page, _, _):
        await page.locator("#samples").wait_for()
        expected = [sample["type"] or "No defect" for sample in SAMPLES]
        assert expected == await texts(page, "#samples-list .name")
    async with page_over_fake(browser, {"types": "Pore,Cold shut"}) as (page, _, _):
        await page.locator("h1", has_text="segmenter").wait_for()
        await page.wait_for_load_state("networkidle")
        assert not await page.is_visible("#samples")


@pytest.mark.parametrize(
    ("model", "shown"), [({"title": "Castings of line 3"}, "Castings of line 3"), ({}, "segmenter")]
)
async def test_the_title_is_the_models(browser, model, shown):
    async with page_over_fake(browser, model) as (page, _, _):
        await page.locator("h1", has_text=shown).wait_for()
        assert shown == await page.title()


async def test_several_files_are_sent_a_few_at_a_time_and_all_counted(browser, tmp_path):
    files = [photograph(tmp_path / f"{number}.png", *[DARK] * (number % 2)) for number in range(9)]
    async with page_over_fake(browser) as (page, front, fake):
        fake.open.clear()
        await choose(page, *files)
        await page.locator("#count", has_text="0 of 9").wait_for()
        await until(lambda: reaches(front, 4))
        await asyncio.sleep(0.3)
        assert 4 == len(front.images())
        fake.open.set()
        await analysed(page, 9)
        assert "9 analysed: 4 with a defect, 5 OK" == await page.inner_text("#status")
        assert [f"{number}.png" for number in range(9)] == await texts(page, "tbody th button")


async def test_many_images_that_come_together_are_counted_once(browser, tmp_path):
    async with page_over_fake(browser) as (page, _, fake):
        await page.evaluate(
            """() => {
              window.written = 0;
              const count = (changes) => (window.written += changes.length);
              new MutationObserver(count).observe(document.getElementById("retry"), { childList: true });
            }"""
        )
        fake.open.clear()
        await choose(page, *[photograph(tmp_path / f"{number}.png") for number in range(20)])
        await page.locator("#count", has_text="0 of 20").wait_for()
        assert 1 == await page.evaluate("written")
        fake.open.set()
        await analysed(page, 20)


async def reaches(front, count):
    return len(front.images()) >= count


async def test_a_refused_file_says_why_and_is_not_counted_as_analysed(browser, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    async with page_over_fake(browser) as (page, front, _):
        await choose(page, photograph(tmp_path / "bad.png", DARK), tmp_path / "notes.txt")
        await analysed(page, 1)
        assert "1 analysed: 1 with a defect; 1 failed" == await page.inner_text("#status")
        await page.click("text=notes.txt")
        detail = await page.inner_text("#detail")
        assert "send JPEG, PNG" in detail
        assert "Request" in detail
        asked = len(front.images())
        await page.click("#retry")
        await until(lambda: reaches(front, asked + 1))
        await analysed(page, 1)
        assert asked + 1 == len(front.images())  # the good one was not sent again


async def test_an_image_that_is_tried_again_is_queued_once(browser, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    async with page_over_fake(browser) as (page, front, _):
        await choose(page, tmp_path / "notes.txt")
        await page.locator("#again").wait_for()
        front.away = True
        await page.click("#again")
        await page.locator("#detail").wait_for(state="hidden")
        assert "Failed" not in await page.inner_text("#verdict")
        front.away = False
        await page.locator("#again").wait_for()


async def test_a_file_that_was_changed_after_it_was_chosen_fails_alone(browser, tmp_path):
    changed = photograph(tmp_path / "changed.png", DARK)
    async with page_over_fake(browser) as (page, front, _):
        await page.locator("#samples").wait_for()
        front.away = True
        await choose(page, changed)
        await page.locator("#away").wait_for()
        photograph(changed, DARK, size=(60, 40))
        front.away = False
        await page.locator("#status", has_text="1 failed").wait_for()
        await choose(page, *[photograph(tmp_path / f"{number}.png", DARK) for number in range(4)])
        await analysed(page, 4)


async def test_a_service_that_is_away_is_asked_again_and_the_images_wait(browser, tmp_path):
    async with page_over_fake(browser) as (page, front, _):
        await page.locator("#samples").wait_for()
        front.away = True
        await choose(page, *[photograph(tmp_path / f"{number}.png", DARK) for number in range(6)])
        await page.locator("#away", has_text="could not be reached").wait_for()
        await page.locator("#verdict", has_text="Waiting").wait_for()
        assert "6 images will be analysed" in await page.inner_text("#away-text")
        assert await page.is_visible("#away-retry")
        front.away = False
        await analysed(page, 6)
        assert not await page.is_visible("#away")
        assert "6 analysed: 6 with a defect" == await page.inner_text("#status")


async def test_a_page_that_is_opened_while_triton_is_away_works_when_it_is_back(browser, tmp_path):
    async with page_over_fake(browser) as (page, _, fake):
        fake.away = True
        await until(lambda: is_refused(page))
        await page.reload()
        await page.locator("#away", has_text="could not be reached").wait_for()
        await choose(page, photograph(tmp_path / "bad.png", DARK))
        fake.away = False
        await analysed(page, 1)
        assert not await page.is_visible("#away")


async def is_refused(page):
    return 503 == (await page.request.get(f"{page.url}health/ready")).status


async def test_try_again_now_does_not_wait_for_the_next_turn(browser, tmp_path):
    async with page_over_fake(browser) as (page, front, _):
        await page.clock.install()
        await page.reload()
        await page.locator("#samples").wait_for()
        await page.clock.pause_at(await page.evaluate("Date.now() + 1000"))  # the page's own turns never come
        front.away, asked = True, len(front.health())
        await choose(page, photograph(tmp_path / "bad.png", DARK))
        await page.locator("#away").wait_for()

        async def turned():
            return asked + 2 <= len(front.health())

        await until(turned)  # the page has asked why no answer came, and has taken its first turn
        front.away = False
        await page.click("#away-retry")
        await page.locator("#away").wait_for(state="hidden")


async def test_an_image_that_was_refused_for_overload_is_sent_again(browser, tmp_path):
    async with page_over_fake(browser) as (page, front, _):
        front.busy = 2
        await choose(page, photograph(tmp_path / "bad.png", DARK))
        await analysed(page, 1)
        assert 3 == len(front.images())
        assert "1 analysed: 1 with a defect" == await page.inner_text("#status")


async def test_a_refused_image_is_not_sent_again_before_the_time_that_was_asked_for(browser, tmp_path):
    files = [photograph(tmp_path / f"{number}.png") for number in range(5)]
    async with page_over_fake(browser) as (page, front, _):
        await page.clock.install()
        await page.reload()
        await page.locator("#samples").wait_for()
        await page.clock.pause_at(await page.evaluate("Date.now() + 1000"))
        front.busy = 1
        await choose(page, *files)
        await page.locator("#count", has_text="4 of 5").wait_for()
        await page.locator("tbody .verdict-cell", has_text="Waiting").wait_for()
        assert 5 == len(front.images())
        await page.clock.run_for(1000)
        await analysed(page, 5)
        assert 6 == len(front.images())


async def test_an_answer_that_breaks_off_is_asked_for_again(browser, tmp_path):
    async with page_over_fake(browser) as (page, front, _):
        front.torn = 1
        await choose(page, photograph(tmp_path / "bad.png", DARK))
        await analysed(page, 1)
        assert 2 == len(front.images())


async def test_uploads_that_are_too_slow_beside_each_other_are_sent_one_by_one(browser, tmp_path):
    async with page_over_fake(browser) as (page, front, _):
        front.crowded = True
        await choose(page, *(photograph(tmp_path / f"{number}.png") for number in range(5)))
        await analysed(page, 5)
        assert "5 analysed: 5 OK" == await page.inner_text("#status")


async def test_what_cannot_be_read_of_a_dropped_folder_is_named_and_the_rest_is_analysed(browser, tmp_path):
    image = base64.b64encode(photograph(tmp_path / "good.png").read_bytes()).decode()
    async with page_over_fake(browser) as (page, _, _):
        await page.evaluate(
            """(image) => {
              const bytes = Uint8Array.from(atob(image), (byte) => byte.charCodeAt(0));
              const good = (resolve) => resolve(new File([bytes], "good.png", { type: "image/png" }));
              const entries = [
                { isFile: true, name: "good.png", fullPath: "/card/good.png", file: good },
                { isFile: true, name: "gone.png", fullPath: "/card/gone.png", file: (_, no) => no(new Error()) },
              ];
              const event = new Event("drop", { cancelable: true });
              event.dataTransfer = { items: entries.map((entry) => ({ webkitGetAsEntry: () => entry })), files: [] };
              window.dispatchEvent(event);
            }""",
            image,
        )
        await analysed(page, 1)
        assert "1 analysed: 1 OK; not read: /card/gone.png." in await page.inner_text("#status")


async def test_behind_a_path_prefix_everything_works(browser, tmp_path):
    async with page_over_fake(browser, prefix="/line-3/tiles") as (page, front, _):
        await page.locator("#samples").wait_for()
        await choose(page, photograph(tmp_path / "bad.png", DARK))
        await analysed(page, 1)
        await page.focus("#threshold")
        await page.click("#clear")
        await page.click("#samples-list li:first-child button")
        await analysed(page, 1)
        assert [] == [path for path in front.asked if not path.startswith("/line-3/tiles/")]


async def test_an_unfamiliar_image_is_marked(browser, tmp_path):
    async with page_over_fake(browser) as (page, _, fake):
        fake.novelty = 31.0
        await choose(page, photograph(tmp_path / "screen.png", DARK))
        await analysed(page, 1)
        fake.novelty = 1.0
        await choose(page, photograph(tmp_path / "tile.png", DARK))
        await analysed(page, 2)
        assert ["Defect Unfamiliar", "Defect"] == await texts(page, "tbody .verdict-cell")
        assert "unlike" in await page.inner_text("#warnings")
        await page.select_option("#show", "unfamiliar")
        assert ["screen.png"] == await texts(page, "tbody th button")


async def test_an_unfamiliar_image_for_review_has_both_marks_in_different_colours(browser, tmp_path):
    Image.open(photograph(tmp_path / "grey.png", SMALL)).convert("RGB").save(tmp_path / "screen.png")
    async with page_over_fake(browser, REVIEW) as (page, _, fake):
        fake.novelty = 31.0
        await choose(page, tmp_path / "screen.png")
        await analysed(page, 1)
        assert ["Review Unfamiliar", "Review Unfamiliar"] == await texts(page, "#verdict, tbody .verdict-cell")
        assert 1 == await page.locator("#warnings li").count()
        colours = await page.eval_on_selector_all(
            "#verdict .badge", "(all) => all.map((it) => getComputedStyle(it).color)"
        )
        assert 2 == len(set(colours))


@pytest.mark.parametrize("order", "<>")
async def test_the_orientation_of_a_tiff_file_is_undone_where_a_browser_shows_it(browser, order):
    turned, stored = (
        struct.pack(f"{order}2sHIHHHIHHI", b"II" if order == "<" else b"MM", 42, 8, 1, 274, 3, 1, each, 0, 0)
        for each in (6, 1)
    )
    async with page_over_fake(browser) as (page, _, _):
        read = await page.evaluate(
            """async (bytes) => {
              const { unturned } = await import("/page/upright.js");
              const file = await unturned(new File([new Uint8Array(bytes)], "t.tif"));
              return Array.from(new Uint8Array(await file.arrayBuffer()));
            }""",
            list(turned),
        )
        assert stored == bytes(read)


@pytest.mark.parametrize("name", ["turned.jpg", "turned.png"])
async def test_the_stored_pixels_are_shown_not_the_turned_ones(browser, tmp_path, name):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90°
    Image.open(photograph(tmp_path / "bad.png", DARK)).save(tmp_path / name, exif=exif)
    async with page_over_fake(browser) as (page, _, _):
        await choose(page, tmp_path / name)
        await analysed(page, 1)
        await page.locator("#stage-note").wait_for(state="hidden")
        assert "120 × 80 px" in await texts(page, "#facts dd")
        await page.check("#marks input[value=none]")
        assert 0 < await pixels(page, "a > 0 && r < 60 && x < 0.4") == await pixels(page, "a > 0 && r < 60")
