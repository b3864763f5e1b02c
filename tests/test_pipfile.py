"""Pipenv's files against the lists that make installs from: the same packages, of the same versions."""

import json
import re
import tomllib

from conftest import ROOT

PINNED = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)


def normal(name):
    """A package's name as PyPI compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_pipenv_installs_what_serving_asks_for():
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    included = [groups[each["include-group"]] for each in groups["serving"]]
    asked = {normal(re.match(r"[\w.-]+", line)[0]) for group in included for line in group}
    pipfile = tomllib.loads((ROOT / "Pipfile").read_text())
    assert asked == {normal(name) for name in pipfile["packages"]}
    assert {"demo": "python -m launch.demo", "serve": "python -m launch"} == pipfile["scripts"]


def test_pipenv_s_lock_has_the_versions_of_the_other_lock():
    """The other lock has packages of other systems, too, so it may name more."""
    locked = json.loads((ROOT / "Pipfile.lock").read_text())["default"]
    pinned = {normal(name): number for name, number in PINNED.findall((ROOT / "requirements/serving.txt").read_text())}
    versions = {normal(name): each["version"].removeprefix("==") for name, each in locked.items()}
    assert versions == {name: pinned[name] for name in versions}
    pipfile = tomllib.loads((ROOT / "Pipfile").read_text())
    assert {normal(name) for name in pipfile["packages"]} <= set(versions)
