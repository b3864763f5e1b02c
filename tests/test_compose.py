"""compose.yaml and its overlays, read as files: what is discovered by name is found once. No container is started."""

import re
from collections.abc import Iterator

import pytest
import yaml

from tests.conftest import ROOT

OVERLAYS = sorted(path.stem for path in (ROOT / "deploy/compose").glob("*.yaml"))


def services(*overlays: str) -> dict[str, dict]:
    """The services of compose.yaml and those that overlays add."""
    files = [ROOT / "compose.yaml", *(ROOT / f"deploy/compose/{name}.yaml" for name in overlays)]
    found: dict[str, dict] = {}
    for file in files:
        for name, service in yaml.safe_load(file.read_text())["services"].items():
            found[name] = found.get(name, {}) | service
    return found


def networks(service: dict) -> dict[str, dict]:
    """A service's networks with what stands beside each."""
    stated = service.get("networks", ["default"])
    named = stated if isinstance(stated, dict) else {name: {} for name in stated}
    return {name: more or {} for name, more in named.items()}


def addresses(name: str, asker: dict, found: dict[str, dict]) -> list[tuple[str, str]]:
    """What an engine's DNS answers the asker: a container has an address in each network that both share.

    A service's own name is known in all its networks, an alias only in the one that states it.
    """
    return [
        (service, network)
        for service, words in found.items()
        for network, more in networks(words).items()
        if network in networks(asker) and name in (service, *more.get("aliases", ()))
    ]


def scraped() -> Iterator[str]:
    for job in yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]:
        for discovery in job.get("dns_sd_configs", ()):
            yield from discovery["names"]


@pytest.mark.parametrize("name", [*scraped()])
def test_prometheus_finds_each_container_at_one_address(name: str) -> None:
    found = services("observability")

    assert 1 == len(addresses(name, found["prometheus"], found)), "each address is a target, and is counted"


def test_prometheus_scrapes_proxies_and_tritons() -> None:
    found = services("observability")

    assert {"proxy", "triton"} == {
        service for name in scraped() for service, _ in addresses(name, found["prometheus"], found)
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_front_proxy_finds_each_proxy_at_one_address(overlay: str) -> None:
    found = services() if overlay == "s3" else services(overlay)
    default = re.search(r"presetenv PROXY_ADDRESS (\S+):8080", (ROOT / "deploy/front/haproxy.cfg").read_text())
    assert default

    assert ["proxy"] == [service for service, _ in addresses(default[1], found["front"], found)]


def test_a_name_that_stands_in_two_shared_networks_is_found_twice() -> None:
    found = services("observability")

    assert [("proxy", "triton"), ("proxy", "proxy")] == addresses("proxy", found["prometheus"], found)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_log_of_each_container_that_stays_has_a_limit(overlay: str) -> None:
    staying = [service for service in services(overlay).values() if "restart" in service]

    assert {("json-file", "50m")} == {
        (service["logging"]["driver"], service["logging"]["options"]["max-size"]) for service in staying
    }
