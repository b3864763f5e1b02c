"""Grafana's dashboard asks for nothing that Triton and the proxy do not export."""

import json
import re
import urllib.request
from collections.abc import Callable

from conftest import ROOT, Service, Triton, answers, wait_until

from host.ports import free_port

DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/magnetic-tiles.json").read_text())
PROMETHEUS_OWN = {"up"}


def exported(url: str) -> set[str]:
    with urllib.request.urlopen(url, timeout=10) as response:
        return set(re.findall(r"^(\w+)[ {]", response.read().decode(), re.MULTILINE))


def asked(expression: str) -> set[str]:
    """The names of metrics in a PromQL expression: words that are neither functions nor labels nor their values."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\bby \([^)]*\)', "", expression)
    return set(re.findall(r"\b[a-z]\w*_\w+\b|\bup\b", re.sub(r"\w+(?= ?\()", "", bare)))


def test_every_metric_of_the_dashboard_is_exported(start_service: Callable[..., Service], triton: Triton) -> None:
    port = free_port()
    proxy = start_service("proxy", PORT=str(port), TRITON_URL=triton.url)
    wait_until(lambda: answers(f"http://127.0.0.1:{port}/health/ready"), proxy)
    image = next((ROOT / "samples/tiles").rglob("*.jpg")).read_bytes()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/analyze", image, {"Content-Type": "image/jpeg"})
    urllib.request.urlopen(request, timeout=60).close()

    there = exported(f"http://127.0.0.1:{port}/metrics") | exported(triton.metrics_url) | PROMETHEUS_OWN
    wanted = {name for panel in DASHBOARD["panels"] for target in panel["targets"] for name in asked(target["expr"])}

    assert len(wanted) > 10
    assert set() == wanted - there
