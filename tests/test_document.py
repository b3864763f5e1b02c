"""proxy/openapi.yaml against the code: routes, problems, examples; and the files of its page."""

import json
import re

import jsonschema
import pytest
import schemathesis
import yaml
from proxy_servers import running_proxy

from proxy.app import make_app, routes
from proxy.document import DOCUMENT, FOLDER
from proxy.errors import ProxyError, StartError
from proxy.report import describe_model
from proxy.served_model import read_model
from proxy.settings import Settings
from tests.conftest import ROOT
from tests.pages import table_after

PAGE = yaml.safe_load(DOCUMENT.read_bytes())
METHODS = {"get", "post", "put", "patch", "delete"}
FILES = re.compile(r"/(page|icon|docs/)")  # what the two pages load


def operations():
    """Each (method, path, operation) of the document."""
    for path, item in PAGE["paths"].items():
        yield from ((method, path, item[method]) for method in METHODS & item.keys())


def resolved(node):
    """The node itself, or what it refers to."""
    while "$ref" in node:
        target = PAGE
        for name in node["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        node = target
    return node


def media_types():
    """Each (place, media type object) of every answer."""
    for method, path, operation in operations():
        for status, response in operation["responses"].items():
            for name, content in resolved(response).get("content", {}).items():
                yield f"{method} {path} {status} {name}", content


def examples():
    """Each (place, schema, value)."""
    for place, content in media_types():
        if "example" in content:
            yield place, content["schema"], content["example"]
        for name, example in content.get("examples", {}).items():
            yield f"{place} {name}", content["schema"], example["value"]


def problem_examples():
    """Every (status, type) of the document, and all its answers that have it as an example."""
    return {(value["status"], value["type"]) for place, _, value in examples() if "problem+json" in place}


def error_classes(error=ProxyError):
    leaves = [each for each in error.__subclasses__() if not issubclass(each, StartError)]
    return sorted(
        {*leaves, *(below for each in leaves for below in error_classes(each))},
        key=lambda each: (each.title, each.__name__),
    )


def test_it_is_a_correct_openapi_document_of_version_3_1():
    assert "3.1.0" == PAGE["openapi"]
    schemathesis.openapi.from_dict(PAGE).validate()


def test_the_model_of_its_examples_is_the_shipped_one():
    config = (ROOT / "model_repository/segmenter/config.pbtxt").read_text(encoding="utf-8")
    parameters = dict(re.findall(r'key: "([^"]*)" value: { string_value: "([^"]*)"', config))
    model = json.loads(json.dumps(describe_model(read_model("segmenter", "1", parameters), parameters["model.sha256"])))

    shown = [value["model"] for _, _, value in examples() if "model" in value]
    assert shown
    assert [model] * len(shown) == shown


def keys_without_a_value(node, place=""):
    """The keys outside of examples that have none."""
    for name, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if value is None:
            yield f"{place}/{name}"
        elif name not in ("example", "examples"):
            yield from keys_without_a_value(value, f"{place}/{name}")


def test_no_description_is_cut_off_at_a_comma():
    """Unquoted, the rest of it would be a key of its own."""
    assert [] == list(keys_without_a_value(PAGE))


def test_every_route_is_in_the_document_and_every_route_of_the_document_is_there():
    there = {(route.method.lower(), route.path) for route in routes() if not FILES.match(route.path)}
    assert {(method, path) for method, path, _ in operations()} == there


def test_every_route_of_the_document_is_also_below_v1():
    paths = {resource.canonical for resource in make_app(Settings()).router.resources()}
    assert {f"/v1{path}" for path in PAGE["paths"]} <= paths


@pytest.mark.parametrize("error", error_classes(), ids=lambda error: error.__name__)
def test_every_error_has_its_status_and_type_and_an_example(error):
    slug = error.title.lower().replace(" ", "-")
    assert (error.status, f"urn:problem-type:{slug}") in problem_examples()


def test_no_other_problem_type_is_in_the_document():
    types = {f"urn:problem-type:{error.title.lower().replace(' ', '-')}" for error in error_classes()}
    assert types == set(re.findall(r"urn:problem-type:[\w-]+", DOCUMENT.read_text()))


def test_every_status_that_the_guide_explains_has_an_example():
    told = {int(row[0]) for row in table_after((ROOT / "docs/serving.md").read_text(), "## Errors")}
    assert set() == told - {status for status, _ in problem_examples()}


@pytest.mark.parametrize("header", ["Retry-After", "WWW-Authenticate", "Accept-Post"])
def test_a_header_of_an_error_is_in_its_answer(header):
    statuses = {str(error.status) for error in error_classes() if header in error.headers}
    answers = {
        status: resolved(response).get("headers", {})
        for _, _, operation in operations()
        for status, response in operation["responses"].items()
    }
    assert statuses
    assert {status for status, headers in answers.items() if header in headers} == statuses


EXAMPLES = {place: (schema, value) for place, schema, value in examples()}


@pytest.mark.parametrize("place", EXAMPLES)
def test_an_example_fits_its_schema(place):
    schema, value = EXAMPLES[place]
    jsonschema.Draft202012Validator({**schema, "components": PAGE["components"]}).validate(value)


def test_every_answer_in_json_has_an_example():
    missing = [
        place
        for place, content in media_types()
        if place.endswith("json") and not content.keys() & {"example", "examples"}
    ]
    assert ["get /openapi.json 200 application/json"] == missing


def test_every_type_that_an_answer_may_have_has_an_example():
    for place, content in media_types():
        if place.endswith("problem+json") and "allOf" in content["schema"]:
            allowed = content["schema"]["allOf"][1]["properties"]["type"]
            shown = {example["value"]["type"] for example in content["examples"].values()}
            assert set(allowed.get("enum", [allowed.get("const")])) == shown, place


async def test_a_file_is_sent_compressed_to_clients_that_take_it_and_then_has_another_tag():
    async with running_proxy("127.0.0.1:9") as proxy:
        bodies, tags = [], []
        codings = {
            "identity": None,
            "gzip;q=0": None,
            "br, GZIP; Q=0.0, *": None,
            "gzip, br": "gzip",
            "gzip;q=0.5": "gzip",
        }
        for taken, coding in codings.items():
            async with proxy.request("GET", "/docs/swagger-ui.js", headers={"Accept-Encoding": taken}) as response:
                assert (coding, "Accept-Encoding") == tuple(
                    response.headers.get(name) for name in ("Content-Encoding", "Vary")
                )
                bodies.append(await response.read())
                tags.append(response.headers["ETag"])
    assert 1 == len(set(bodies))
    assert len(bodies[0]) <= 1_600_000, "docs/serving.md states it"
    assert 2 == len(set(tags))


async def test_the_document_and_its_page_are_served_and_asked_for_again_they_cost_nothing():
    async with running_proxy("127.0.0.1:9") as proxy:
        async with proxy.request("GET", "/openapi.json") as response:
            assert PAGE == await response.json()
        for path in ("/openapi.json", "/docs", "/docs/swagger-ui.js"):
            async with proxy.request("GET", path) as response:
                etag = response.headers["ETag"]
                assert (200, "no-cache") == (response.status, response.headers["Cache-Control"])
                assert await response.read()
            async with proxy.request("GET", path, headers={"If-None-Match": f'"other", {etag}'}) as response:
                assert (304, b"", etag) == (response.status, await response.read(), response.headers["ETag"])


def test_the_pages_addresses_are_relative_and_nothing_stands_inline():
    page = (FOLDER / "index.html").read_text()
    addresses = re.findall(r'(?:href|src)="([^"]+)"', page)

    assert {"docs/docs.css", "docs/docs.js", "docs/swagger-ui.js"} < set(addresses)
    assert [] == [address for address in addresses if address.startswith("/") or ":" in address]
    assert [] == re.findall(r"<script>|<style|\sstyle=|\son\w+=", page)


def test_the_document_is_json_that_names_no_file_of_another_host():
    assert [] == re.findall(r'"\$ref": "(?!#)[^"]+"', json.dumps(PAGE))
