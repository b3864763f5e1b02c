"""The bill of materials: a valid CycloneDX document with each package of an image once; and what the audit accepts."""

import json
import re
import subprocess
import sys

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.conftest import ROOT
from workflows.sbom import IMAGES, LIST_PACKAGES, describe

LINES = [
    "deb libc6 2.36-9+deb12u14 amd64",
    "deb haproxy 2.6.12-1+deb12u3 amd64",
    "pypi prometheus_client 0.24.1",
    "pypi numpy 1.26.4",
    "pypi numpy 1.26.4",
    "pypi timm ",
    "",
]


def test_a_document_is_valid_cyclonedx_and_names_each_package_once():
    document = describe("magnetic-tiles-front", LINES)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)) is None
    assert [
        "pkg:deb/debian/haproxy@2.6.12-1%2Bdeb12u3?arch=amd64",
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64",
        "pkg:pypi/numpy@1.26.4",
        "pkg:pypi/prometheus-client@0.24.1",
    ] == [component["purl"] for component in document["components"]]


def test_the_same_packages_in_any_order_give_the_same_document():
    assert describe("x", LINES) == describe("x", LINES[::-1])
    assert describe("x", LINES)["serialNumber"] != describe("x", LINES[:1])["serialNumber"]


def test_the_script_lists_what_is_installed_here_as_in_an_image():
    script = LIST_PACKAGES.replace("find / -xdev", f"find '{sys.prefix}/' -xdev")  # the whole machine takes long
    assert script != LIST_PACKAGES
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False).stdout
    found = {component["purl"].partition("@")[0] for component in describe("here", said.splitlines())["components"]}
    assert "pkg:pypi/pytest" in found


def test_every_image_that_is_tested_has_a_document():
    named = re.search(r"IMAGES = \{.*?\n\}", (ROOT / "tests/containers.py").read_text(), re.DOTALL)[0]
    assert set(IMAGES) == set(re.findall(r'"([a-z-]+)": \(', named))


@pytest.mark.parametrize("line", (ROOT / "requirements/audit.exceptions").read_text().splitlines())
def test_what_the_audit_accepts_has_a_reason(line):
    assert re.fullmatch(r"#.*|[A-Z]+-[\w-]+ \w.{20,}", line), "an identifier, a blank, and the reason"
