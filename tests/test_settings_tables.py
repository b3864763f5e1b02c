"""docs/serving.md shows the tables that the classes of settings write; to mend one, put in what the test expects."""

import re

import pytest

import inference_server.settings
import launch.settings
import proxy.settings
from host.environment import rows
from tests.conftest import ROOT

SERVING = (ROOT / "docs/serving.md").read_text()


def markdown_table(settings: type) -> str:
    lines = ["| variable | default | allowed | meaning |", "|---|---|---|---|"]
    lines += [f"| `{row.name}` | `{row.default}` | {row.allowed} | {row.meaning} |" for row in rows(settings)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("proxy", proxy.settings.Settings),
        ("inference_server", inference_server.settings.Settings),
        ("launch", launch.settings.Settings),
    ],
)
def test_the_tables_of_settings_are_those_of_the_code(name: str, settings: type) -> None:
    (told,) = re.findall(rf"<!-- settings: {name} -->\n(.*?)<!-- /settings -->", SERVING, re.DOTALL)

    assert markdown_table(settings) == told.strip()
