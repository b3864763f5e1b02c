"""The alert rules ask for metrics that the proxy exports, and Kubernetes has the same rules as the composition."""

import re

import yaml
from conftest import ROOT
from prometheus_client import generate_latest

from proxy.telemetry import Telemetry

RULES = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"]


def test_every_metric_of_the_rules_is_exported():
    exported = generate_latest(Telemetry().registry).decode()
    asked = {name for group in RULES for rule in group["rules"] for name in re.findall(r"proxy_\w+", rule["expr"])}
    assert {"proxy_answer_mismatches_total", "proxy_ready"} <= asked
    assert [] == [name for name in asked if f"\n{name} " not in exported]


def test_the_absence_of_every_proxy_is_an_alert():
    """`proxy_ready == 0` is true of no series where there is none."""
    assert "absent(proxy_ready)" in {rule["expr"] for group in RULES for rule in group["rules"]}


def test_kubernetes_has_the_rules_of_the_composition():
    document = yaml.safe_load((ROOT / "deploy/kubernetes/components/prometheus/alerts.yaml").read_text())
    assert ("PrometheusRule", RULES) == (document["kind"], document["spec"]["groups"])


def test_prometheus_reads_the_rules():
    configuration = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    assert ["alerts.yml"] == configuration["rule_files"]
