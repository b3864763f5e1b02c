"""The documents hold together: links lead somewhere, pages are few, tables are those of the code."""

import re
import subprocess
from pathlib import Path

import pytest

import proxy.errors
from tests.conftest import ROOT
from tests.pages import table_after

TRACKED = subprocess.check_output(["git", "ls-files", "*.md"], cwd=ROOT, text=True).split()
PAGES = [ROOT / name for name in TRACKED if (ROOT / name).is_file()]
SERVING = (ROOT / "docs/serving.md").read_text()


def prose(page: Path) -> str:
    """The page without its code, where brackets are no links and # begins no heading."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", lambda found: found[0] if found[0].count("[") == 0 else "", text)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    words = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {each.replace(" ", "-") for each in words}


def dead_links(page: Path) -> list[str]:
    links = re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", prose(page))
    links += [(target, "") for target in re.findall(r"^\[[^]]+\]: (\S+)$", prose(page), re.MULTILINE)]
    found = []
    for link in (one or other for one, other in links):
        path, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert [] == dead_links(page)


def test_a_dead_link_is_seen(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# There, and back\n")
    page = tmp_path / "page.md"
    page.write_text("[a](there.md#there-and-back) [b](there.md#here) [c](gone.md) [d](https://example.com) [e](#no)\n")

    assert ["there.md#here", "gone.md", "#no"] == dead_links(page)


def test_every_test_that_a_page_names_is_there() -> None:
    named = {name for page in PAGES for name in re.findall(r"::(test_\w+)", page.read_text())}
    defined = {
        name
        for path in (ROOT / "tests").glob("*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }

    assert len(named) > 30
    assert set() == named - defined


def test_the_readme_is_read_in_minutes_and_the_guides_are_few() -> None:
    assert 900 >= len((ROOT / "README.md").read_text().split())
    assert 13 >= len(list((ROOT / "docs").glob("*.md")))


def test_every_guide_and_decision_is_linked_where_readers_look() -> None:
    links = set(re.findall(r"\]\(docs/([\w.-]+\.md)", (ROOT / "README.md").read_text()))
    decisions = set(re.findall(r"\]\((\d[\w.-]+\.md)\)", (ROOT / "docs/decisions/README.md").read_text()))

    assert {path.name for path in (ROOT / "docs").glob("*.md")} == links
    assert {path.name for path in (ROOT / "docs/decisions").glob("[0-9]*.md")} == decisions


def test_the_glossary_is_in_alphabetical_order() -> None:
    words = re.findall(r"^\*\*([^*]+)\.\*\* ", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)

    assert 20 < len(words)
    assert sorted(words, key=str.lower) == words


def test_every_status_that_the_proxy_answers_is_explained() -> None:
    def leaves(error: type) -> set[int]:
        return {error.status}.union(*map(leaves, error.__subclasses__()))

    statuses = {status for each in proxy.errors.ProxyError.__subclasses__() for status in leaves(each)}
    told = {int(row[0]) for row in table_after(SERVING, "## Errors")}

    assert (statuses | {405, 431}) - {500} == told  # 405 is the router's, 431 the HTTP parser's; 500 is a bug
