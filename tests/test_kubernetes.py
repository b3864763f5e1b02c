"""The manifests, as kustomize renders them: valid by Kubernetes' own schemas, and true to what the two servers need.

No cluster is asked. Custom resources (of the Gateway API, the Prometheus operator and KServe) have no schema here: of
them it is checked that what they name exists.
"""

import functools
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from benchmarks.replicas import CORES, FEWEST, TARGET_UTILISATION
from host.environment import rows
from inference_server.settings import Settings as TritonSettings
from proxy.app import make_app
from proxy.settings import Settings
from proxy.telemetry import Telemetry
from tests.clones import git
from tests.conftest import ROOT

FOLDER = ROOT / "deploy/kubernetes"
KUBECTL = Path(sys.executable).parent / "kubectl"
OVERLAYS = ("cpu", "gpu", "canary", "kserve")
VERSIONS = ("1.30", kubernetes_validate.latest_version())  # the first that knows `sleep` by default, and the newest
CUSTOM = {"HTTPRoute", "PrometheusRule", "ServiceMonitor", "ServingRuntime", "InferenceService"}
SCRAPER = {"app.kubernetes.io/name": "prometheus"}
STRANGER = {"app.kubernetes.io/name": "curious"}
RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


@functools.cache
def rendered(folder):
    text = subprocess.run([KUBECTL, "kustomize", folder], check=True, capture_output=True, text=True).stdout
    return tuple(yaml.safe_load_all(text))


def overlay(name):
    return rendered(FOLDER / "overlays" / name)


@pytest.fixture(scope="module")
def with_bucket(tmp_path_factory):
    """The overlay `cpu` with the component that no overlay has, as docs/kubernetes.md adds it."""
    folder = tmp_path_factory.mktemp("bucket") / "kubernetes"
    shutil.copytree(FOLDER, folder)
    overlay = folder / "overlays/cpu"
    parts = yaml.safe_load((overlay / "kustomization.yaml").read_text())
    parts["components"].append("../../components/model-from-bucket")
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(parts))
    model = (overlay / "model.yaml").read_text()
    (overlay / "model.yaml").write_text(model.replace("https://git.example.com/magnetic-tiles.git", "s3://our-bucket"))
    return rendered(overlay)


def of_kind(documents, kind):
    return {document["metadata"]["name"]: document for document in documents if document["kind"] == kind}


def one(documents, kind, role):
    (found,) = (each for name, each in of_kind(documents, kind).items() if role in name)
    return found


def pod(documents, role):
    return one(documents, "Deployment", role)["spec"]["template"]["spec"]


def main_container(documents, role):
    (container,) = pod(documents, role)["containers"]
    return container


def environment(container):
    return {variable["name"]: variable["value"] for variable in container.get("env", ())}


def selects(selector, labels):
    return selector.get("matchLabels", {}).items() <= labels.items()


def labels_of(documents, role):
    return one(documents, "Deployment", role)["spec"]["template"]["metadata"]["labels"]


def container_port(container, port):
    """A port's number, whether it is given so or by name."""
    return {each["name"]: each["containerPort"] for each in container["ports"]}.get(port, port)


def patches():
    """The text of each entry of each kustomization's `patches`."""
    for file in sorted(FOLDER.rglob("kustomization.yaml")):
        for entry in yaml.safe_load(file.read_text()).get("patches", ()):
            yield file, entry["patch"] if "patch" in entry else (file.parent / entry["path"]).read_text()


def test_each_patch_stands_alone_as_kubectl_before_1_34_needs_it():
    """kubectl 1.32 and 1.33 crash on several `$patch: delete` in one file; 1.30 takes one document a file."""
    several = [file for file, text in patches() if len(list(yaml.safe_load_all(text))) != 1]
    assert [] == several
    assert len(list(patches())) > 10


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", OVERLAYS)
def test_every_manifest_is_valid(name, version):
    for document in overlay(name):
        if document["kind"] not in CUSTOM:
            kubernetes_validate.validate(document, version, strict=True)


def test_the_manifests_with_a_bucket_are_valid(with_bucket):
    for document in with_bucket:
        if document["kind"] not in CUSTOM:
            kubernetes_validate.validate(document, VERSIONS[-1], strict=True)
    (init,) = pod(with_bucket, "triton")["initContainers"]
    assert "model-bucket" == init["envFrom"][0]["secretRef"]["name"]
    assert "amazon/aws-cli:2.31.0" == init["image"]
    assert {"MODEL_SOURCE": "s3://our-bucket", "MODEL_REVISION": "v0.1.0"}.items() <= environment(init).items()


def test_a_wrong_manifest_is_found_by_its_schema():
    (deployment, *_) = of_kind(overlay("cpu"), "Deployment").values()
    wrong = json.loads(json.dumps(deployment))
    wrong["spec"]["template"]["spec"]["terminationGracePeriod"] = 40
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGracePeriod"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_proxys_variables_are_settings_that_it_takes(name):
    variables = environment(main_container(overlay(name), "proxy"))
    assert variables.keys() <= {row.name for row in rows(Settings)}
    settings = Settings.from_environment(variables)
    assert ("0.0.0.0", "fresh") == (settings.host, settings.triton_connections)  # noqa: S104 a pod's own network
    assert container_port(main_container(overlay(name), "proxy"), "http") == settings.port


@pytest.mark.parametrize("name", ["cpu", "canary"])
def test_tritons_variables_are_settings_that_it_takes(name):
    container = main_container(overlay(name), "triton")
    variables = environment(container)
    check_triton(variables)
    settings = TritonSettings.from_environment(variables)
    ports = [container_port(container, port) for port in ("http", "metrics")]
    assert [settings.http_port, settings.metrics_port] == ports
    assert str(CORES["triton"]) == container["resources"]["limits"]["cpu"] == container["resources"]["requests"]["cpu"]


def check_triton(variables):
    assert variables.keys() <= {row.name for row in rows(TritonSettings)}
    assert "0.0.0.0" == TritonSettings.from_environment(variables).host  # noqa: S104 a pod's own network


def test_on_a_gpu_triton_is_told_what_the_launcher_would_tell_it():
    container = main_container(overlay("gpu"), "triton")
    (command,) = container["args"]
    told = dict(re.findall(r"--([a-z-]+)=(\S+)", command))
    assert [container_port(container, port) for port in ("http", "metrics")] == [
        int(told["http-port"]),
        int(told["metrics-port"]),
    ]
    assert (ROOT / f"model_repository/segmenter/configs/{told['model-config-name']}.pbtxt").exists()
    assert told["http-restricted-api"].startswith("shared-memory,model-repository,trace,logging:closed=")
    assert ("none", "false", "true") == tuple(
        told[name] for name in ("model-control-mode", "allow-grpc", "strict-readiness")
    )
    assert 1 == container["resources"]["limits"]["nvidia.com/gpu"]
    assert f"TRITON_IMAGE={container['image']}\n" in (ROOT / "deploy/gpu/Dockerfile").read_text()
    (volume,) = (mount for mount in container["volumeMounts"] if mount["name"] == "models")
    assert told["model-repository"].startswith(volume["mountPath"])


def test_on_a_gpu_tensorrts_engines_are_kept_in_a_volume_that_triton_may_write():
    config = (ROOT / "training/graphs/tensorrt.pbtxt.template").read_text()
    (folder,) = set(re.findall(r'key: "trt_\w+_cache_path" value: "([^"]+)"', config))
    container = main_container(overlay("gpu"), "triton")
    (mount,) = (each for each in container["volumeMounts"] if each["mountPath"] == folder)
    assert not mount.get("readOnly")
    (volume,) = (each for each in pod(overlay("gpu"), "triton")["volumes"] if each["name"] == mount["name"])
    assert "2Gi" == volume["emptyDir"]["sizeLimit"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_probes_ask_paths_that_the_servers_have(name):
    routes = {resource.canonical for resource in make_app(Settings()).router.resources()}
    proxy = main_container(overlay(name), "proxy")
    for probe, path in (("startup", "live"), ("readiness", "ready"), ("liveness", "live")):
        assert f"/health/{path}" == proxy[f"{probe}Probe"]["httpGet"]["path"]
        assert f"/health/{path}" in routes
    if name != "kserve":
        triton = main_container(overlay(name), "triton")
        for probe, path in (("startup", "ready"), ("readiness", "ready"), ("liveness", "live")):
            assert f"/v2/health/{path}" == triton[f"{probe}Probe"]["httpGet"]["path"]
            assert 8000 == container_port(triton, triton[f"{probe}Probe"]["httpGet"]["port"])


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_triton_may_start_as_long_as_it_says(name):
    probe = main_container(overlay(name), "triton")["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] > 120  # TRITON_START_S


@pytest.mark.parametrize("name", ["cpu", "gpu", "canary"])
def test_the_proxys_triton_is_the_service_beside_it(name):
    documents = overlay(name)
    host, _, port = environment(main_container(documents, "proxy"))["TRITON_URL"].partition(":")
    service = of_kind(documents, "Service")[host]["spec"]
    assert selects({"matchLabels": service["selector"]}, labels_of(documents, "triton"))
    (target,) = (each["targetPort"] for each in service["ports"] if str(each["port"]) == port)
    assert 8000 == container_port(main_container(documents, "triton"), target)


@pytest.mark.parametrize("name", OVERLAYS)
@pytest.mark.parametrize("role", ["proxy", "triton"])
def test_pods_ask_for_no_right(name, role):
    if (name, role) == ("kserve", "triton"):
        containers = one(overlay(name), "ServingRuntime", role)["spec"]["containers"]
    else:
        spec = pod(overlay(name), role)
        assert not spec["automountServiceAccountToken"]
        assert spec["securityContext"]["runAsNonRoot"]
        assert {"type": "RuntimeDefault"} == spec["securityContext"]["seccompProfile"]
        containers = [*spec["containers"], *spec.get("initContainers", ())]
    for container in containers:
        assert RESTRICTED.items() <= container["securityContext"].items()
        assert "memory" in container["resources"]["limits"]
        assert not re.search(r":latest$|^[^:]+$", container["image"])


def test_the_namespace_refuses_pods_that_ask_for_more():
    namespace = of_kind(overlay("cpu"), "Namespace")["magnetic-tiles"]
    assert "restricted" == namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert {"magnetic-tiles"} == {
        document["metadata"]["namespace"] for document in overlay("cpu") if document["kind"] != "Namespace"
    }


def test_kserves_init_container_is_let_in_and_triton_gets_no_name_outside():
    documents = overlay("kserve")
    namespace = of_kind(documents, "Namespace")["magnetic-tiles"]
    assert "baseline" == namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    service = of_kind(documents, "InferenceService")["magnetic-tiles"]
    assert "cluster-local" == service["metadata"]["labels"]["networking.kserve.io/visibility"]


def admitted(documents, target, port, source, namespace="magnetic-tiles"):
    """Whether the network policies let a pod reach another one, by labels, port and the source's namespace."""
    policies = [
        policy["spec"]
        for policy in of_kind(documents, "NetworkPolicy").values()
        if selects(policy["spec"]["podSelector"], target) and "Ingress" in policy["spec"]["policyTypes"]
    ]
    rules = [rule for policy in policies for rule in policy.get("ingress", ())]
    return not policies or any(
        port in (each["port"] for each in rule["ports"])
        and ("from" not in rule or any(is_peer(peer, source, namespace) for peer in rule["from"]))
        for rule in rules
    )


def is_peer(peer, labels, namespace):
    ours = "namespaceSelector" not in peer and namespace == "magnetic-tiles"
    named = selects(peer.get("namespaceSelector", {}), {"kubernetes.io/metadata.name": namespace})
    return (ours or ("namespaceSelector" in peer and named)) and selects(peer.get("podSelector", {}), labels)


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_only_the_proxy_reaches_triton(name):
    documents = (*overlay(name), *overlay("canary"))
    for own, other in (overlay(name), overlay("canary")), (overlay("canary"), overlay(name)):
        triton = labels_of(own, "triton")
        assert admitted(documents, triton, "http", labels_of(own, "proxy"))
        assert not admitted(documents, triton, "http", labels_of(other, "proxy"))
        assert not admitted(documents, triton, "http", STRANGER)
        assert not admitted(documents, triton, "http", labels_of(own, "proxy"), namespace="elsewhere")
        assert not admitted(documents, triton, "http", SCRAPER, namespace="monitoring")
        assert admitted(documents, triton, "metrics", SCRAPER, namespace="monitoring")
        assert not admitted(documents, triton, "metrics", STRANGER)
        assert admitted(documents, labels_of(own, "proxy"), "http", STRANGER, namespace="gateways")
    assert not admitted(documents, STRANGER, "http", labels_of(overlay(name), "proxy"))


def test_only_the_proxy_reaches_kserves_triton():
    documents = overlay("kserve")
    triton = {"serving.kserve.io/inferenceservice": "magnetic-tiles"}
    assert admitted(documents, triton, 8080, labels_of(documents, "proxy"))
    assert not admitted(documents, triton, 8080, STRANGER)


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_proxy_reaches_names_and_its_own_triton_alone(name):
    policy = one(overlay(name), "NetworkPolicy", "tiles-proxy")["spec"]
    names, triton = policy["egress"]
    assert [53, 53] == [port["port"] for port in names["ports"]]
    (peer,) = triton["to"]
    if name == "kserve":
        assert {"serving.kserve.io/inferenceservice": "magnetic-tiles"} == peer["podSelector"]["matchLabels"]
    else:
        assert selects(peer["podSelector"], labels_of(overlay(name), "triton"))
        assert not selects(peer["podSelector"], labels_of(overlay(name), "proxy"))


@pytest.mark.parametrize(
    ("name", "role"), [*itertools.product(("cpu", "gpu", "canary"), ("proxy", "triton")), ("kserve", "proxy")]
)
def test_a_pod_is_replaced_before_it_ends_and_ends_what_it_began(name, role):
    documents = overlay(name)
    deployment, container = one(documents, "Deployment", role)["spec"], main_container(documents, role)
    assert {"maxUnavailable": 0, "maxSurge": 1} == deployment["strategy"]["rollingUpdate"]
    assert "replicas" not in deployment  # the autoscaler's
    finishing_s = {"proxy": Settings.from_environment(environment(main_container(documents, "proxy"))).shutdown_grace_s}
    finishing_s["triton"] = TritonSettings.from_environment({}).stop_timeout_s
    leaving_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod(documents, role)["terminationGracePeriodSeconds"] >= leaving_s + finishing_s[role] + 5
    budget = one(documents, "PodDisruptionBudget", role)["spec"]
    assert 1 == budget["maxUnavailable"]
    assert selects(budget["selector"], labels_of(documents, role))


@pytest.mark.parametrize("name", ["cpu", "gpu", "canary"])
@pytest.mark.parametrize("role", ["proxy", "triton"])
def test_pods_are_spread_over_nodes_and_zones(name, role):
    spread = pod(overlay(name), role)["topologySpreadConstraints"]
    assert ["kubernetes.io/hostname", "topology.kubernetes.io/zone"] == [each["topologyKey"] for each in spread]
    assert all(selects(each["labelSelector"], labels_of(overlay(name), role)) for each in spread)


@pytest.mark.parametrize("name", ["cpu", "gpu", "canary"])
def test_the_fewest_proxies_keep_the_most_tritons_busy(name):
    documents = overlay(name)
    proxies, tritons = (one(documents, "HorizontalPodAutoscaler", role)["spec"] for role in ("proxy", "triton"))
    in_flight = int(environment(main_container(documents, "proxy"))["IN_FLIGHT_BATCHES"])
    for_each = 4 if name == "gpu" else 8
    assert in_flight * proxies["minReplicas"] == for_each * tritons["maxReplicas"]


@pytest.mark.parametrize("name", ["cpu", "gpu", "canary"])
def test_triton_is_scaled_by_a_metric_that_the_proxy_has(name):
    documents = overlay(name)
    autoscaler = one(documents, "HorizontalPodAutoscaler", "triton")["spec"]
    (waiting,) = (metric["object"] for metric in autoscaler["metrics"] if metric["type"] == "Object")
    assert waiting["metric"]["name"] in {family.name for family in Telemetry().registry.collect()}
    assert waiting["describedObject"]["name"] in of_kind(documents, "Service")
    assert "service" in adapted()[waiting["metric"]["name"]]
    cpu = [metric for metric in autoscaler["metrics"] if metric["type"] == "Resource"]
    assert bool(cpu) == (name != "gpu")


def adapted():
    """The metrics that the adapter offers, each with the labels that name its object."""
    rules = yaml.safe_load((FOLDER / "components/prometheus/adapter-values.yaml").read_text())["rules"]["custom"]
    return {rule["seriesQuery"].partition("{")[0]: rule["resources"]["overrides"] for rule in rules}


def test_on_gpus_tritons_that_keep_up_stay_by_their_utilisation():
    """Few images wait while the service keeps up: by these alone it would be scaled down under a steady load."""
    autoscaler = one(overlay("gpu"), "HorizontalPodAutoscaler", "triton")["spec"]
    (utilisation,) = (metric["pods"] for metric in autoscaler["metrics"] if metric["type"] == "Pods")
    assert "pod" in adapted()[utilisation["metric"]["name"]]
    target = utilisation["target"]["averageValue"]  # in thousandths of the metric, which Triton gives from 0 to 1
    assert f"{round(1000 * TARGET_UTILISATION)}m" == target


@pytest.mark.parametrize("role", ["proxy", "triton"])
def test_the_formula_for_replicas_has_the_autoscalers_numbers(role):
    autoscaler = one(overlay("cpu"), "HorizontalPodAutoscaler", role)["spec"]
    assert FEWEST == autoscaler["minReplicas"]
    assert round(100 * TARGET_UTILISATION) == autoscaler["metrics"][0]["resource"]["target"]["averageUtilization"]


@pytest.mark.parametrize("name", ["cpu", "gpu", "kserve"])
def test_autoscalers_scale_what_is_there(name):
    for autoscaler in of_kind(overlay(name), "HorizontalPodAutoscaler").values():
        assert autoscaler["spec"]["scaleTargetRef"]["name"] in of_kind(overlay(name), "Deployment")


def test_prometheus_scrapes_both_servers():
    documents = overlay("cpu")
    monitor = of_kind(documents, "ServiceMonitor")["magnetic-tiles"]["spec"]
    (selector,) = monitor["selector"]["matchExpressions"]
    names = {service["metadata"]["labels"][selector["key"]] for service in of_kind(documents, "Service").values()}
    assert names == set(selector["values"])
    ports = {port["name"] for service in of_kind(documents, "Service").values() for port in service["spec"]["ports"]}
    assert ports == {endpoint["port"] for endpoint in monitor["endpoints"]}


def leads(match, path):
    """Whether the gateway lets a path through; a prefix is one of whole names between slashes."""
    if match["type"] == "Exact":
        return path == match["value"]
    return f"{path}/".startswith(f"{match['value']}/")


def test_the_gateway_is_given_the_api_and_its_page_and_nothing_else():
    routes = {resource.canonical for resource in make_app(Settings()).router.resources()}
    (rule,) = of_kind(overlay("cpu"), "HTTPRoute")["magnetic-tiles"]["spec"]["rules"]
    kept = {f"{version}{path}" for version in ("", "/v1") for path in ("/metrics", "/health/live")}
    assert routes - kept == {path for path in routes if any(leads(match["path"], path) for match in rule["matches"])}
    assert int(rule["timeouts"]["request"].removesuffix("s")) > Settings().deadline_s
    (backend,) = rule["backendRefs"]
    assert [backend["port"]] == [
        port["port"] for port in of_kind(overlay("cpu"), "Service")[backend["name"]]["spec"]["ports"]
    ]


def test_a_canary_gets_a_tenth_and_shares_no_pod():
    stable, canary = overlay("cpu"), overlay("canary")
    before, during = (of_kind(documents, "HTTPRoute")["magnetic-tiles"] for documents in (stable, canary))
    assert [("magnetic-tiles-proxy", 90), ("magnetic-tiles-proxy-canary", 10)] == [
        (backend["name"], backend["weight"]) for backend in during["spec"]["rules"][0].pop("backendRefs")
    ]
    del before["spec"]["rules"][0]["backendRefs"]
    assert before == during  # the host and the Gateway, too
    assert "magnetic-tiles-proxy-canary" in of_kind(canary, "Service")
    for role in ("proxy", "triton"):
        for one_side, other in (stable, canary), (canary, stable):
            selector = {"matchLabels": one(one_side, "Service", role)["spec"]["selector"]}
            assert selects(selector, labels_of(one_side, role))
            assert not selects(selector, labels_of(other, role))
    same = {(document["kind"], document["metadata"]["name"]) for document in stable}
    assert {("HTTPRoute", "magnetic-tiles")} == {
        (document["kind"], document["metadata"]["name"]) for document in canary
    } & same


def test_a_canary_can_do_without_prometheus_and_adds_no_second_alert(tmp_path):
    shutil.copytree(FOLDER, tmp_path / "kubernetes")
    stack = tmp_path / "kubernetes/overlays/canary/stack/kustomization.yaml"
    parts = yaml.safe_load(stack.read_text())
    del parts["components"]
    stack.write_text(yaml.safe_dump(parts))
    kinds = {document["kind"] for document in rendered(tmp_path / "kubernetes/overlays/canary")}
    assert {"HTTPRoute", "HorizontalPodAutoscaler", "NetworkPolicy"} < kinds
    assert not {"PrometheusRule", "ServiceMonitor"} & (kinds | {document["kind"] for document in overlay("canary")})


def test_kserve_runs_our_triton_where_the_proxy_looks_for_it():
    documents = overlay("kserve")
    service = of_kind(documents, "InferenceService")["magnetic-tiles"]
    runtime = of_kind(documents, "ServingRuntime")[service["spec"]["predictor"]["model"]["runtime"]]
    (container,) = runtime["spec"]["containers"]
    check_triton(environment(container))
    assert [int(environment(container)["TRITON_HTTP_PORT"])] == [port["containerPort"] for port in container["ports"]]
    assert "magnetic-tiles-predictor:80" == environment(main_container(documents, "proxy"))["TRITON_URL"]
    alone = pod(overlay("cpu"), "triton")["terminationGracePeriodSeconds"]
    assert alone == service["spec"]["predictor"]["terminationGracePeriodSeconds"]
    assert main_container(overlay("cpu"), "triton")["lifecycle"] == container["lifecycle"]
    formats = [each["name"] for each in runtime["spec"]["supportedModelFormats"]]
    assert service["spec"]["predictor"]["model"]["modelFormat"]["name"] in formats
    assert not [name for name in of_kind(documents, "Deployment") if "triton" in name]


@pytest.fixture
def published(tmp_path):
    """A git repository whose model changed once; the first commit has the tag v1."""
    folder = tmp_path / "published"
    config = folder / "model_repository/segmenter/config.pbtxt"
    config.parent.mkdir(parents=True)
    git(folder, "init", "--quiet")
    for switch in ("allowFilter", "allowAnySHA1InWant"):  # as forges have it
        git(folder, "config", f"uploadpack.{switch}", "true")
    for text in ("first", "second"):
        config.write_text(text)
        (folder / "large-file").write_text(text)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", text)
    git(folder, "tag", "v1", "HEAD~1")
    return folder


@pytest.mark.parametrize(("revision", "expected"), [("v1", "first"), ("HEAD", "second"), (None, "first")])
def test_the_init_container_fetches_the_model_of_a_revision(published, tmp_path, revision, expected):
    (init,) = pod(overlay("cpu"), "triton")["initContainers"]
    models = tmp_path / "models"
    models.mkdir()
    words = [*init["command"], *(line.replace("/models", str(models)) for line in init["args"])]
    variables = {
        "MODEL_SOURCE": published.as_uri(),
        "MODEL_REVISION": revision or git(published, "rev-parse", "v1"),  # a commit id
    }
    assert environment(init).keys() == {*variables, "HOME"}
    for _ in range(2):  # a container that is started again finds what the last one left
        subprocess.run(words, check=True, env=os.environ | variables)
        assert ["model_repository"] == [path.name for path in models.iterdir()]
        assert expected == (models / "model_repository/segmenter/config.pbtxt").read_text()


@pytest.mark.parametrize("revision", ["v9", "without-model"])
def test_a_revision_without_a_model_stops_the_pod_and_says_what_is_wanted(published, tmp_path, revision):
    git(published, "rm", "-r", "--quiet", "model_repository")
    git(published, "commit", "--quiet", "-m", "no model")
    git(published, "tag", "without-model")
    (init,) = pod(overlay("cpu"), "triton")["initContainers"]
    words = [*init["command"], *(line.replace("/models", str(tmp_path / "models")) for line in init["args"])]
    (tmp_path / "models").mkdir()
    variables = {"MODEL_SOURCE": published.as_uri(), "MODEL_REVISION": revision}
    done = subprocess.run(words, check=False, env=os.environ | variables, capture_output=True, text=True)
    assert 1 == done.returncode
    assert f"MODEL_REVISION={revision} must be a tag or a whole commit id" in done.stderr


def test_every_folder_that_the_documentation_names_can_be_applied():
    texts = [ROOT / "docs/kubernetes.md", *FOLDER.rglob("*.yaml")]
    named = {path for text in texts for path in re.findall(r"kubectl \w+ -k (\S+)", text.read_text())}
    assert {str(path.parent.relative_to(ROOT)) for path in FOLDER.glob("overlays/**/kustomization.yaml")} == named
    assert all(rendered(ROOT / path) for path in named)


def printed_set_env(page):
    """The words behind `kubectl` of the one command that a page gives for another model."""
    (command,) = re.findall(r"^kubectl (.* set env .*)$", (ROOT / page).read_text(), re.MULTILINE)
    return shlex.split(command.replace("$version", "v0.2.0"))


def test_another_model_is_one_command_away(tmp_path):
    """`kubectl set env`, as docs/kubernetes.md shows it, changes the init container and so the pod's template."""
    deployment = tmp_path / "triton.yaml"
    deployment.write_text(yaml.safe_dump(one(overlay("cpu"), "Deployment", "triton")))
    words = printed_set_env("docs/kubernetes.md")
    words.remove("deployment/magnetic-tiles-triton")  # a file has its place, as no cluster is there
    done = subprocess.run(
        [KUBECTL, *words, "--local", "-f", deployment, "-o", "yaml"], check=True, capture_output=True, text=True
    )
    (init,) = yaml.safe_load(done.stdout)["spec"]["template"]["spec"]["initContainers"]
    assert "segmenter@v0.2.0" == environment(init)["MODEL_REVISION"]


@pytest.mark.parametrize("page", ["docs/kubernetes.md", "docs/experimenting.md"])
def test_the_printed_command_for_another_model_is_in_the_order_that_kubectl_takes(page):
    """It gets as far as the cluster, which nothing answers for."""
    words = [KUBECTL, "--server=http://127.0.0.1:1", *printed_set_env(page)]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert "must be specified before" not in done.stderr
    assert (1, True) == (done.returncode, "127.0.0.1:1" in done.stderr)
