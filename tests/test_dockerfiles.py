"""The Dockerfiles share no file, as Docker includes none: what they repeat is the same in each."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from inference_server.settings import Settings
from tests.conftest import ROOT

PLACES = ("Dockerfile", "*/Dockerfile", "deploy/*/Dockerfile")
FILES = {str(path.relative_to(ROOT)): path.read_text() for place in PLACES for path in sorted(ROOT.glob(place))}
SERVERS = sorted(FILES.keys() - {"training/Dockerfile"})
OURS = sorted(FILES.keys() - {"deploy/gpu/Dockerfile"})  # that one is mostly NVIDIA's


def instructions(name: str) -> list[tuple[str, str]]:
    """The instructions of the last stage and what stands behind them, continued lines joined."""
    last_stage = re.split(r"^(?=FROM )", FILES[name].replace("\\\n", " "), flags=re.MULTILINE)[-1]
    return [tuple(line.split(maxsplit=1)) for line in last_stage.splitlines() if line and not line.startswith("#")]


def of_kind(name: str, kind: str) -> list[str]:
    return [value for found, value in instructions(name) if found == kind]


def test_the_dockerfiles_are_found() -> None:
    assert {"Dockerfile", "proxy/Dockerfile", "inference_server/Dockerfile", "deploy/front/Dockerfile"} < FILES.keys()


@pytest.mark.parametrize("name", FILES)
def test_the_labels_are_the_same_but_for_the_title(name: str) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    (labels,) = of_kind(name, "LABEL")
    found = dict(re.findall(r'org\.opencontainers\.image\.(\w+)=("[^"]+"|\S+)', labels))

    assert [f"VERSION={version}", "REVISION=unknown", 'SOURCE=""'] == of_kind(name, "ARG")
    assert found.pop("title").startswith('"Defect segmentation: ')  # of whatever the model was trained with
    assert found == {"version": "$VERSION", "revision": "$REVISION", "source": "$SOURCE"} | (
        {"licenses": "MIT"} if name in OURS else {}
    )


@pytest.mark.parametrize("name", FILES)
def test_the_user_is_nobody(name: str) -> None:
    assert ["10001:10001"] == of_kind(name, "USER")


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_tells_its_health(name: str) -> None:
    (check,) = of_kind(name, "HEALTHCHECK")
    if "python" in check:  # an engine may pass HTTP_PROXY, but the server is asked itself
        assert "u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:" in check


def test_the_training_image_has_a_user_name_for_dvc_under_any_uid() -> None:
    assert "USER=training" in " ".join(of_kind("training/Dockerfile", "ENV")).split()


@pytest.mark.parametrize("name", ["Dockerfile", "inference_server/Dockerfile"])
def test_triton_may_start_as_long_as_it_says_before_its_container_is_unhealthy(name: str) -> None:
    (check,) = of_kind(name, "HEALTHCHECK")
    (period,) = re.findall(r"--start-period=(\d+)s", check)
    assert int(period) > Settings().start_timeout_s


@pytest.mark.parametrize("name", FILES)
def test_packages_are_locked_by_hashes_and_installed_before_the_last_stage(name: str) -> None:
    installs = re.findall(r"pip .*install.*", FILES[name])

    assert [] == [install for install in installs if "--require-hashes" not in install]
    assert "pip" not in " ".join(of_kind(name, "RUN"))


@pytest.mark.parametrize("name", sorted(FILES.keys() - {"deploy/front/Dockerfile"}))
def test_what_is_copied_is_in_the_context(name: str) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [
        path
        for line in FILES[name].splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for path in line.split()[1:-1]
        if not path.startswith("--")
    ]

    assert "*" == ignored[0]
    for path in copied:
        assert (ROOT / path).exists()
        assert any(f"{path}/".startswith(f"{kept.removeprefix('!')}/") for kept in ignored if kept.startswith("!")), (
            path
        )


@pytest.mark.parametrize("name", FILES)
def test_what_is_copied_can_be_read_by_the_user_whatever_the_umask_of_the_checkout(name: str) -> None:
    ours = [copied for copied in of_kind(name, "COPY") if "--from=" not in copied]

    assert [] == [copied for copied in ours if not copied.startswith("--chmod=755 ")]


def test_heroku_can_build_its_image_without_buildkit() -> None:
    sources = re.split(r"^(?=FROM )", FILES["Dockerfile"], flags=re.MULTILINE)[-2]

    assert "/app ." in of_kind("Dockerfile", "COPY")[-1]
    assert "RUN chmod -R 755 ." == sources.strip().splitlines()[-1]
    assert [] == re.findall(
        r"^(?:COPY|ADD|RUN) .*--(?:chmod|link|mount|parents|exclude)", FILES["Dockerfile"], re.MULTILINE
    )


@pytest.mark.parametrize("name", ["inference_server/Dockerfile", "deploy/gpu/Dockerfile"])
def test_triton_reads_the_folder_over_which_the_page_mounts_another_model(name: str) -> None:
    mounted = re.search(r"`\./model_repository:(\S+):ro`", (ROOT / "docs/deployment.md").read_text(encoding="utf-8"))[1]
    (copied,) = [line.split()[-1] for line in of_kind(name, "COPY") if "model_repository" in line]
    assert mounted == str(Path(*of_kind(name, "WORKDIR"), copied))


def test_windows_checks_the_shell_scripts_out_as_a_container_needs_them() -> None:
    scripts = [str(path.relative_to(ROOT)) for path in (ROOT / "deploy").rglob("*.sh")]
    assert "deploy/slim.sh" in scripts
    words = ["git", "check-attr", "eol", "--", *scripts, "params.yaml"]
    for line in subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines():
        assert line.endswith("eol: lf"), line
