"""The page for everybody: axe finds nothing, the keyboard and a phone suffice, nothing comes from elsewhere."""

import pytest
from axe_playwright_python.async_playwright import Axe
from browsers import REVIEW, analysed, choose, page_over_fake, photograph, texts

pytestmark = pytest.mark.asyncio(loop_scope="module")

DARK = (20, 30, 12, 10, 15)
SMALL = (20, 30, 4, 3, 15)  # for review


SCHEMES = {  # the elements are the same in both, only their colours differ
    "light": None,
    "dark": {"runOnly": ["color-contrast", "link-in-text-block"]},
}


async def findings(page):
    found = []
    for scheme, options in SCHEMES.items():
        await page.emulate_media(color_scheme=scheme)
        violations = (await Axe().run(page, options=options)).response["violations"]
        found += [f"{scheme}, {each['id']}: {node['target']}" for each in violations for node in each["nodes"]]
    return found


@pytest.mark.parametrize("width", [1440, 390])
async def test_axe_finds_nothing_whatever_the_page_shows(browser, tmp_path, width):
    (tmp_path / "notes.txt").write_text("no image")
    options = {"viewport": {"width": width, "height": 900}, "permissions": ["camera"]}
    async with page_over_fake(browser, REVIEW, **options) as (page, front, fake):
        await page.locator("#samples").wait_for()
        assert [] == await findings(page)
        fake.novelty = 31.0
        spots = {"A-1.png": [SMALL], "A-2.png": [DARK], "B-1.png": []}
        await choose(page, *[photograph(tmp_path / name, *spots[name]) for name in spots], tmp_path / "notes.txt")
        await analysed(page, 3)
        await page.locator("#stage-note").wait_for(state="hidden")
        assert [] == await findings(page)
        await page.select_option("#group", "pattern")
        await page.click("th[data-key=score] button")
        await page.click("text=notes.txt")
        assert [] == await findings(page)
        front.away = True
        await choose(page, photograph(tmp_path / "A-3.png"))
        await page.locator("#away").wait_for()
        assert [] == await findings(page)
        front.away = False
        await page.locator("#away").wait_for(state="hidden")
        await page.click("#camera")
        await page.locator("#camera-take:enabled").wait_for()
        assert [] == await findings(page)


async def test_the_keyboard_reaches_everything_that_acts(browser, tmp_path):
    async with page_over_fake(browser) as (page, _, _):
        await page.locator("#samples").wait_for()
        await choose(page, photograph(tmp_path / "A-1.png", DARK))
        await analysed(page, 1)
        acting = await page.evaluate(
            """() => [...document.querySelectorAll("button, input, select, summary, canvas[tabindex]")]
              .filter((each) => each.checkVisibility() && !each.disabled && each.tabIndex >= 0)
              .filter((each) => each.type !== "radio" || each.checked).length"""
        )
        await page.evaluate("document.activeElement.blur()")
        reached = set()
        for _ in range(acting + 10):
            await page.keyboard.press("Tab")
            reached.add(await page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
        reached_acting = await page.evaluate(
            """(indexes) => indexes.map((index) => document.querySelectorAll("*")[index])
              .filter((each) => each?.matches("button, input, select, summary, canvas[tabindex]")).length""",
            sorted(reached),
        )
        assert acting == reached_acting


async def test_the_state_of_the_work_is_told_to_a_screen_reader(browser, tmp_path):
    async with page_over_fake(browser) as (page, _, _):
        await choose(page, photograph(tmp_path / "A-1.png", DARK))
        await page.get_by_role("status").filter(has_text="1 analysed: 1 with a defect").wait_for()
        await page.get_by_role("img", name="A-1.png. Defect: Crack, 120 pixels marked").wait_for()
        await page.get_by_role("button", name="Crack, score 0.941, 120 px: show it").wait_for()


async def test_a_run_is_read_out_at_its_beginning_and_its_end_and_not_with_each_image(browser, tmp_path):
    async with page_over_fake(browser) as (page, _, _):
        await choose(page, photograph(tmp_path / "A-1.png"))
        await analysed(page, 1)
        await page.select_option("#group", "name")
        await page.evaluate(
            """() => {
              window.said = [];
              const hear = ([{ target }]) => target.ariaLive === "off" || said.push(target.textContent);
              for (const region of document.querySelectorAll("#status, #shown"))
                new MutationObserver(hear).observe(region, { childList: true });
            }"""
        )
        await choose(page, *[photograph(tmp_path / f"B-{number}.png") for number in range(12)])
        await page.locator("#shown", has_text="2 tiles: 2 OK").wait_for()
        limit = "by mean score: defect from 0.500"
        beginning = [f"13 images; 2 tiles: 1 OK; {limit}", "Analysing 13 images…"]
        end = ["13 analysed: 13 OK", f"13 images; 2 tiles: 2 OK; {limit}"]
        assert [*beginning, *end] == await page.evaluate("said")


async def test_where_the_score_stands_is_told_to_a_screen_reader(browser, tmp_path):
    async with page_over_fake(browser, REVIEW) as (page, _, _):
        await choose(page, photograph(tmp_path / "A-1.png", SMALL))
        await analysed(page, 1)
        await page.get_by_role("img", name="A-1.png. For review, 0 pixels marked").wait_for()
        await page.get_by_role("heading", name="Score 0.4142").wait_for()
        limits = page.get_by_role("list", name="Limits of the score")
        assert "Review from 0.3000: a person should look" == await limits.locator("[aria-current=true]").inner_text()
        assert ["OK below 0.3000", "Defect from 0.5000"] == await limits.locator(
            "li:not([aria-current])"
        ).all_inner_texts()


PHONES = [(360, 0), (390, 0)]  # a scroll bar there takes no room
SIDE_BY_SIDE = (1344, 15)  # the narrowest window with the large view and the table side by side


@pytest.mark.parametrize(("width", "bar"), [*PHONES, SIDE_BY_SIDE])
async def test_every_column_of_the_table_is_seen_at_once(browser, tmp_path, width, bar):
    model = REVIEW | {"types": "Break,Crack,Blowhole"}
    async with page_over_fake(browser, model, viewport={"width": width, "height": 800}) as (page, _, fake):
        fake.novelty = 31.0
        large = photograph(tmp_path / "exp1_num_262480.png", (0, 0, 600, 400, 15), size=(600, 400))
        await choose(page, large, photograph(tmp_path / "exp1_num_262481.png", SMALL))
        await analysed(page, 2)
        await page.select_option("#group", "folder")
        await page.click("th[data-key=score] button")
        assert ["Defect Unfamiliar", "240,000 px"] == (await texts(page, "tbody :is(.verdict-cell, .area)"))[:2]
        table = page.locator(".scroll")
        await table.evaluate("(it, bar) => (it.style.marginRight = `${bar}px`)", bar)
        assert await table.evaluate("(it) => it.scrollWidth") == await table.evaluate("(it) => it.clientWidth")


@pytest.mark.parametrize("width", [360, 768, 1024])
async def test_nothing_is_wider_than_the_screen(browser, tmp_path, width):
    async with page_over_fake(browser, viewport={"width": width, "height": 800}) as (page, _, _):
        await page.locator("#samples").wait_for()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        await choose(page, photograph(tmp_path / "a_long_name_of_an_image_from_a_line.png", DARK))
        await analysed(page, 1)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert ["120 px"] == await texts(page, "tbody .area")


async def test_nothing_is_asked_of_another_host_and_the_policy_is_never_broken(browser, tmp_path):
    async with page_over_fake(browser) as (page, _, _):
        asked, said = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        origin = page.url
        await page.reload()
        await page.locator("#samples").wait_for()
        await choose(page, photograph(tmp_path / "A-1.png", DARK))
        await analysed(page, 1)
        await page.focus("#threshold")
        await page.wait_for_load_state("networkidle")
        assert [] == [url for url in asked if not url.startswith((origin, "blob:" + origin))]
        assert [] == said
