"""What tests read out of a Markdown page: the text under a heading, blocks of code, tables."""

import itertools
import re


def under(page: str, heading: str) -> str:
    """Return the text under a heading, up to the next one of its level or above."""
    level = heading.partition(" ")[0]
    assert f"\n{heading}\n" in page, f"the page has no heading {heading!r}"
    rest = page.split(f"\n{heading}\n", 1)[1]
    return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def code(page: str, language: str = "sh") -> list[str]:
    """Return each block of code in a language, as written."""
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    """Return every line that the page tells a reader to run."""
    return [line for block in code(page) for line in re.sub(r"\\\n\s*", "", block).splitlines()]


def table_after(page: str, text: str) -> list[list[str]]:
    """Return the cells of the first table behind a text, without its header."""
    behind = itertools.dropwhile(lambda line: not line.startswith("|"), page.split(text, 1)[1].splitlines())
    rows = list(itertools.takewhile(lambda line: line.startswith("|"), behind))
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]
