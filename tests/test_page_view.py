"""The page's large view in a real Chromium: zoom, marks, the list of defects, the sliders."""

import asyncio
import contextlib
import io

import numpy as np
import pytest
from aiohttp import ClientSession, FormData
from browsers import REVIEW, analysed, choose, page_over_fake, photograph, pixels, set_range, texts
from PIL import Image
from proxy_servers import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

STRONG = (20, 30, 12, 10, 15)  # probability 240
WEAK = (80, 20, 8, 8, 115)  # probability 140: above the model's threshold of 128
FAINT = (60, 60, 10, 5, 155)  # probability 100: below it
SMALL = (20, 30, 4, 3, 15)  # as strong, but with a score of 0.414: for review
RED = "r > 200 && g < 90 && b < 90"
YELLOW = "r > 200 && g > 180 && b < 80"


@contextlib.asynccontextmanager
async def opened(browser, tmp_path, *spots, name="tile.png", **options):
    """The page with one analysed image in its large view."""
    image = photograph(tmp_path / name, *spots)
    async with page_over_fake(browser, **options) as (page, front, fake):
        await choose(page, image)
        await analysed(page, 1)
        await page.locator("#stage-note").wait_for(state="hidden")
        yield page, front, fake


async def zoomed_in(page, whole):
    return whole < await zoom(page)


async def zoom(page):
    return int((await page.inner_text("#zoom")).split()[0])


async def answer(front, image, **query):
    """What the service itself says."""
    form = FormData()
    form.add_field("image", image.read_bytes(), filename="tile.png")
    async with ClientSession() as session, session.post(f"{front.target}/analyze", params=query, data=form) as response:
        return await response.json()


async def test_the_whole_image_is_seen_first_and_zoomed_by_buttons_keys_and_wheel(browser, tmp_path):
    async with opened(browser, tmp_path, STRONG) as (page, _, _):
        whole = await zoom(page)
        await page.click("#zoom-in")
        assert round(1.5 * whole) == pytest.approx(await zoom(page), abs=1)
        await page.click("#zoom-out")
        assert whole == await zoom(page)
        await page.focus("#stage")
        await page.keyboard.press("+")
        assert whole < await zoom(page)
        await page.keyboard.press("0")
        assert whole == await zoom(page)
        await page.hover("#stage")
        await page.mouse.wheel(0, -300)
        await until(lambda: zoomed_in(page, whole))
        await page.click("#zoom-fit")
        assert whole == await zoom(page)


async def test_a_zoomed_image_is_moved_by_dragging_and_by_the_arrow_keys(browser, tmp_path):
    async with opened(browser, tmp_path, STRONG) as (page, _, _):
        await page.check("#marks input[value=none]")
        dark_left = "a > 0 && r < 60 && x < 0.5"
        for _ in range(3):
            await page.click("#zoom-in")  # around the middle: the spot in the left leaves the canvas
        assert 0 == await pixels(page, dark_left)
        box = await page.locator("#stage").bounding_box()
        await page.mouse.move(box["x"] + 50, box["y"] + 100)
        await page.mouse.down()
        await page.mouse.move(box["x"] + 500, box["y"] + 100, steps=5)
        await page.mouse.up()
        assert 0 < await pixels(page, dark_left)
        await page.focus("#stage")
        for _ in range(12):
            await page.keyboard.press("ArrowRight")
        assert 0 == await pixels(page, dark_left)


async def test_two_fingers_zoom(browser, tmp_path):
    async with opened(browser, tmp_path, STRONG, has_touch=True) as (page, _, _):
        whole = await zoom(page)
        box = await page.locator("#stage").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        session = await page.context.new_cdp_session(page)
        for kind, apart in (("touchStart", 20), ("touchMove", 60), ("touchMove", 120)):
            fingers = [{"x": x - apart, "y": y, "id": 1}, {"x": x + apart, "y": y, "id": 2}]
            await session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
        await session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert 2 * whole < await zoom(page)


async def test_an_outline_leaves_the_defect_visible_and_a_fill_covers_it(browser, tmp_path):
    async with opened(browser, tmp_path, STRONG) as (page, _, _):
        outlined = await pixels(page, RED)
        assert 0 < outlined
        inside = "a > 0 && r < 40 && g < 40 && b < 40 && x < 0.5"
        assert 0 < await pixels(page, inside)
        await page.check("#marks input[value=fill]")
        await set_range(page, "#opacity", 1)
        assert outlined < await pixels(page, RED)
        assert 0 == await pixels(page, inside)
        await page.check("#marks input[value=none]")
        assert 0 == await pixels(page, RED)


async def test_opacity_weakens_the_marks(browser, tmp_path):
    async with opened(browser, tmp_path, STRONG) as (page, _, _):
        await page.check("#marks input[value=fill]")
        reddish = "r - g > 180"
        await set_range(page, "#opacity", 1)
        assert 0 < await pixels(page, reddish)
        await set_range(page, "#opacity", 0.1)
        assert 0 == await pixels(page, f"{reddish} && y > 0.45")  # the label above the defect stays


async def test_before_and_after_are_compared_along_a_line(browser, tmp_path):
    async with opened(browser, tmp_path, STRONG, (90, 30, 12, 10, 15)) as (page, _, _):
        both = await pixels(page, RED)
        await set_range(page, "#wipe", 50)
        assert 0 == await pixels(page, f"{RED} && x < 0.49")
        assert 0 < await pixels(page, f"{RED} && x > 0.5") < both
        await set_range(page, "#wipe", 100)
        assert 0 == await pixels(page, RED)


async def test_contrast_stretches_the_picture_and_not_the_marks(browser, tmp_path):
    async with opened(browser, tmp_path, STRONG, FAINT) as (page, _, _):
        marked = await pixels(page, RED)
        black = "a > 0 && r < 20 && g < 20 && b < 20 && x > 0.45 && y > 0.7"  # where the faint spot is
        assert 0 == await pixels(page, black)
        await set_range(page, "#contrast", 4)
        assert 0 < await pixels(page, black)
        assert marked == pytest.approx(await pixels(page, RED), rel=0.05)


async def test_the_defects_are_listed_with_type_score_and_area_in_the_services_order(browser, tmp_path):
    async with opened(browser, tmp_path, WEAK, STRONG) as (page, _, _):
        assert ["Crack 0.941 120 px", "Crack 0.549 64 px"] == await texts(page, "#defects button")


async def test_a_click_jumps_to_a_defect_and_hovering_or_focus_highlights_it(browser, tmp_path):
    async with opened(browser, tmp_path, STRONG) as (page, _, _):
        whole = await zoom(page)
        assert 0 == await pixels(page, YELLOW)
        await page.hover("#defects button")
        assert 0 < await pixels(page, YELLOW)
        await page.hover("#view-name")
        assert 0 == await pixels(page, YELLOW)
        await page.focus("#defects button")
        assert 0 < await pixels(page, YELLOW)
        await page.keyboard.press("Enter")
        assert 1.5 * whole < await zoom(page)
        middle = "a > 0 && r < 40 && x > 0.3 && x < 0.7 && y > 0.3 && y < 0.7"
        assert 0 < await pixels(page, middle)


async def test_the_probabilities_are_fetched_once_and_only_when_a_slider_is_used(browser, tmp_path):
    async with opened(browser, tmp_path, STRONG) as (page, front, _):
        assert 1 == len(front.images())
        await set_range(page, "#threshold", 200)
        await set_range(page, "#threshold", 210)
        await page.locator("#point-note", has_text="defective").wait_for()
        assert 1 == len(front.images("view=probability"))


async def test_the_threshold_slider_marks_the_models_own_and_agrees_with_the_service(browser, tmp_path):
    async with opened(browser, tmp_path, STRONG, WEAK, FAINT) as (page, front, _):
        assert "128" == await page.input_value("#threshold")
        assert await page.is_visible("#threshold-shipped")
        for level, threshold in ((90, 0.3529), (139, 0.545), (141, 0.5529), (241, 0.9450)):
            await set_range(page, "#threshold", level)
            expected = await answer(front, tmp_path / "tile.png", threshold=threshold)
            count = expected["defect_pixels"]
            await page.locator("#point-note", has_text=f"{count} px defective").wait_for()
            await page.wait_for_function(
                "count => document.querySelectorAll('#defects button').length === count", arg=len(expected["defects"])
            )
        await page.click("#shipped")
        await page.wait_for_function("() => document.querySelectorAll('#defects button').length === 2")


async def test_an_image_below_the_alarm_score_has_no_defect_at_any_threshold(browser, tmp_path):
    async with opened(browser, tmp_path, STRONG) as (page, _, _):
        await set_range(page, "#alarm", 0.99)
        await page.locator("#point-note", has_text="0 px defective").wait_for()
        await page.locator("#verdict", has_text="OK").wait_for()
        await set_range(page, "#threshold", 1)
        await page.locator("#point-note", has_text="0 px defective").wait_for()
        await set_range(page, "#alarm", 0)
        await page.locator("#point-note", has_text="9,600 px defective").wait_for()


async def test_the_score_stands_on_a_bar_with_a_zone_for_each_verdict(browser, tmp_path):
    async with opened(browser, tmp_path, SMALL, model=REVIEW) as (page, _, _):
        bar = await page.locator("#scale-zones").bounding_box()
        zones = [await zone.bounding_box() for zone in await page.locator("#scale-zones span").all()]
        assert pytest.approx([0.3, 0.2, 0.5], abs=0.01) == [zone["width"] / bar["width"] for zone in zones]
        sign = await page.locator("#scale-score").bounding_box()
        assert pytest.approx(0.4142, abs=0.01) == (sign["x"] + sign["width"] / 2 - bar["x"]) / bar["width"]


async def test_a_model_without_a_review_score_has_a_bar_of_two_zones(browser, tmp_path):
    async with opened(browser, tmp_path, SMALL) as (page, _, _):
        assert ["OK below 0.5000", "Defect from 0.5000"] == await texts(page, "#limits li")
        assert 2 == await page.locator("#scale-zones span").count()
        assert "None." == await page.inner_text("#no-defects")


async def test_a_lower_alarm_score_shows_where_to_look_on_an_image_for_review(browser, tmp_path):
    async with opened(browser, tmp_path, SMALL, model=REVIEW) as (page, _, _):
        assert ["Review"] == await texts(page, "#verdict")
        assert "lower the alarm score" in await page.inner_text("#no-defects")
        await set_range(page, "#alarm", 0.4)
        await page.locator("#verdict", has_text="Defect Crack").wait_for()
        assert ["Crack 0.941 12 px"] == await texts(page, "#defects button")
        assert ["OK below 0.3000", "Review from 0.3000: a person should look", "Defect from 0.4000"] == await texts(
            page, "#limits li"
        )
        assert ["Review"] == await texts(page, "tbody .verdict-cell")  # the table keeps the model's limits
        await set_range(page, "#alarm", 0.2)
        await page.locator("#limits", has_text="OK below 0.2000").wait_for()
        assert ["OK below 0.2000", "Defect from 0.2000"] == await texts(page, "#limits li")


async def test_a_saved_mask_is_the_services_own_at_the_sliders_place(browser, tmp_path):
    async with opened(browser, tmp_path, STRONG, WEAK) as (page, _, _):
        await set_range(page, "#threshold", 200)
        async with page.expect_download() as download:
            await page.click("#save-mask")
        saved = await download.value
        mask = Image.open(await saved.path())
        assert ("tile_mask.png", "1", (120, 80)) == (saved.suggested_filename, mask.mode, mask.size)
        assert 120 == np.asarray(mask).sum()
        assert "Model" in mask.text


async def test_grey_levels_that_come_late_leave_the_services_defects(browser, tmp_path):
    async with opened(browser, tmp_path, STRONG) as (page, front, _):
        front.held = asyncio.Event()
        await set_range(page, "#threshold", 200)
        await page.locator("#point-note", has_text="120 px defective").wait_for()
        front.held.set()
        await page.wait_for_load_state("networkidle")
        assert 1 == await page.locator("#defects button").count()
        assert "stale" not in (await page.get_attribute("#defects", "class") or "")


@contextlib.asynccontextmanager
async def read_anew_with_other_limits(browser, tmp_path):
    """The page while its picture is still being read, with a threshold at which two spots more are defective."""
    async with opened(browser, tmp_path, STRONG, FAINT) as (page, _, _):
        await page.evaluate(
            """() => {
              const [read, let_go] = [createImageBitmap, new Promise((resolve) => (window.letGo = resolve))];
              window.createImageBitmap = async (file, ...options) => {
                if (!options.length) await let_go; // a picture, not the probabilities
                return read(file, ...options);
              };
            }"""
        )
        await page.click("tbody th button")
        await page.locator("#stage-note", has_text="Reading the image").wait_for()
        await set_range(page, "#threshold", 90)
        await page.wait_for_function("() => document.querySelectorAll('#defects button').length === 2")
        yield page


async def test_marks_that_come_before_the_picture_are_shown_with_it(browser, tmp_path):
    async with opened(browser, tmp_path, STRONG, FAINT) as (page, _, _):
        shipped = await pixels(page, RED)
    async with read_anew_with_other_limits(browser, tmp_path) as page:
        await page.evaluate("letGo()")
        await page.locator("#stage-note").wait_for(state="hidden")
        assert 1.5 * shipped < await pixels(page, RED)


async def test_an_overlay_that_is_saved_before_the_picture_is_there_has_the_marks_of_the_sliders_place(
    browser, tmp_path
):
    async with opened(browser, tmp_path, STRONG, FAINT) as (page, _, _):
        shipped = await red_of_saved_overlay(page)
    async with read_anew_with_other_limits(browser, tmp_path) as page:
        assert 1.5 * shipped < await red_of_saved_overlay(page, "letGo()")


async def red_of_saved_overlay(page, then="null"):
    """How many of the overlay's pixels are red; then: a script that runs after the click."""
    async with page.expect_download() as download:
        await page.click("#save-overlay")
        await page.evaluate(then)
    overlay = np.asarray(Image.open(await (await download.value).path()).convert("RGB")).astype(int)
    return ((overlay[..., 0] > 200) & (overlay[..., 1] < 90)).sum()


async def test_a_defective_image_without_a_defective_pixel_has_no_type(browser, tmp_path):
    async with opened(browser, tmp_path, STRONG) as (page, _, _):
        await set_range(page, "#threshold", 255)
        await page.get_by_role("img", name="tile.png. Defect, 0 pixels marked.").wait_for()


async def test_a_mask_of_another_model_than_the_one_that_is_shown_is_not_saved(browser, tmp_path):
    async with opened(browser, tmp_path, STRONG, model={"sha256": 64 * "a"}) as (page, front, _):
        front.model = 64 * "f"
        await page.click("#save-mask")
        await page.locator("#refusal", has_text="has another model: analyse this image again").wait_for()


async def test_a_saved_overlay_shows_the_image_and_its_marks(browser, tmp_path):
    async with opened(browser, tmp_path, STRONG) as (page, _, _):
        async with page.expect_download() as download:
            await page.click("#save-overlay")
        saved = await download.value
        overlay = np.asarray(Image.open(await saved.path()).convert("RGB")).astype(int)
        assert overlay.shape[1] % 120 == overlay.shape[0] % 80 == 0
        assert 0 < ((overlay[..., 0] > 200) & (overlay[..., 1] < 90)).sum()


async def test_nothing_of_a_large_picture_is_left_under_the_name_of_a_file_that_cannot_be_shown(browser, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    large = photograph(tmp_path / "large.png", (200, 300, 120, 100, 15), size=(1200, 1200))
    async with page_over_fake(browser) as (page, _, _):
        await choose(page, large, tmp_path / "notes.txt")
        await page.locator("#status", has_text="1 failed").wait_for()
        await page.locator("#stage-note").wait_for(state="hidden")
        assert 0 < await pixels(page, "a > 0")
        await page.click("text=notes.txt")
        await page.locator("#stage-note", has_text="The browser cannot show this file.").wait_for()
        assert 0 == await pixels(page, "a > 0")


async def test_what_a_button_could_not_do_is_told_until_the_next_click(browser, tmp_path):
    async with opened(browser, tmp_path, STRONG) as (page, front, fake):
        fake.open.clear()
        await choose(page, *[photograph(tmp_path / f"{number}.png") for number in range(4)])
        await until(lambda: are_sent(front, 5))
        front.busy = 1
        await page.click("#save-mask")
        await page.get_by_role("alert").filter(has_text="Busy").wait_for()
        fake.open.set()
        await analysed(page, 5)
        assert "Busy" == await page.inner_text("#refusal")
        await page.click("#next")
        await page.locator("#refusal").wait_for(state="hidden")


async def are_sent(front, count):
    return len(front.images("mask=rle")) == count


async def test_a_format_that_the_browser_cannot_show_is_shown_by_the_service(browser, tmp_path):
    async with opened(browser, tmp_path, STRONG, name="tile.tiff") as (page, _, _):
        assert 0 < await pixels(page, RED)


async def test_a_picture_that_the_service_does_not_draw_now_is_told_and_no_overlay_is_saved(browser, tmp_path):
    async with opened(browser, tmp_path, STRONG, name="tile.tiff") as (page, front, _):
        front.busy = 3  # the row's picture is there already
        await page.click("tbody th button")
        await page.locator("#stage-note", has_text="could not be fetched: Busy. Choose it again").wait_for()
        await page.click("#save-overlay")
        await page.locator("#refusal", has_text="Busy").wait_for()
        front.busy = 0
        await page.click("tbody th button")
        await page.locator("#stage-note").wait_for(state="hidden")


async def test_a_slider_that_was_moved_asks_nothing_of_an_image_without_an_answer(browser, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    async with page_over_fake(browser) as (page, front, _):
        await page.clock.install()
        await page.reload()
        await page.locator("#samples").wait_for()
        await page.clock.pause_at(await page.evaluate("Date.now() + 1000"))  # the slider does not rest yet
        await choose(page, photograph(tmp_path / "tile.png", STRONG), tmp_path / "notes.txt")
        await page.locator("#status", has_text="1 failed").wait_for()
        await set_range(page, "#threshold", 200)
        await page.click("text=notes.txt")
        await page.clock.run_for(1000)
        await page.click("#again")
        await until(lambda: are_sent(front, 3))
        assert [] == front.images("threshold=")


async def test_the_keys_move_the_alarm_score_in_small_steps(browser, tmp_path):
    async with opened(browser, tmp_path, STRONG) as (page, _, _):
        await page.focus("#alarm")
        for key, expected in (("ArrowRight", 0.51), ("PageDown", 0.41), ("ArrowLeft", 0.4), ("Home", 0.0)):
            await page.keyboard.press(key)
            assert expected == pytest.approx(float(await page.input_value("#alarm")))


async def test_the_true_mask_of_a_sample_can_be_shown(browser):
    async with page_over_fake(browser) as (page, _, _):
        await page.click("#samples-list li:nth-child(5) button")
        await analysed(page, 1)
        await page.locator("#stage-note").wait_for(state="hidden")
        blue = "b > 220 && r < 60"
        assert 0 == await pixels(page, blue)
        await page.check("#truth")
        assert 0 < await pixels(page, blue)


async def test_grey_levels_reach_the_page_to_the_bit(browser):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "PNG")
    async with page_over_fake(browser) as (page, _, _):
        read = await page.evaluate(
            """async (bytes) => {
              const { readGrey } = await import(new URL("page/picture.js", location.href));
              return Array.from(await readGrey(new Blob([new Uint8Array(bytes)], { type: "image/png" })));
            }""",
            list(buffer.getvalue()),
        )
        assert list(range(256)) == read
