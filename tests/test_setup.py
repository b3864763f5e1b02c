"""`make` in a clone that was moved or whose path has a blank, and in a shell that is set up for another project."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from host.ports import free_port
from tests.clones import is_script, make, moved_clone
from tests.conftest import ROOT

OTHERS = {
    "PYTHONHOME": "/nowhere",
    "PYTHONSAFEPATH": "1",
    "LC_ALL": "C",
    "PIP_USER": "1",
    "PIP_REQUIRE_VIRTUALENV": "1",
}


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone whose environments were installed at another path; the new one is not plain."""
    return moved_clone(ROOT, tmp_path_factory.mktemp("setup") / "a moved clöne")


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A folder with a blank, the Makefile and a lock of one package, and beside it a pip.conf and the package."""
    folder, wheel = tmp_path / "a clöne", tmp_path / "wheels/tiny-1.0-py3-none-any.whl"
    (folder / "requirements").mkdir(parents=True)
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny.py", "")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (folder / "requirements/training.txt").write_text(f"tiny==1.0 --hash=sha256:{digest}\n")
    (tmp_path / "pip.conf").write_text("[global]\nno-index = true\n[install]\nuser = true\n")
    shutil.copyfile(ROOT / "Makefile", folder / "Makefile")
    return folder


@pytest.mark.slow
def test_a_stage_runs_in_a_moved_clone_whatever_the_shell_has_set(moved: Path, tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('another project')\n")

    said = make(
        moved, "repro", "ARGS=--force --single-item check_packages",
        **OTHERS, PYTHONPATH=str(tmp_path), HOME="/proc/cannot-be-written", TMPDIR="/nowhere",
    )  # fmt: skip

    assert "Running stage 'check_packages'" in said
    assert "another project" not in said


@pytest.mark.slow
def test_lint_and_plots_run_in_a_moved_clone(moved: Path) -> None:
    assert is_script(moved / ".venv/bin/mypy"), "no script could have missed its Python"
    settings = moved / "pyproject.toml"  # mypy would take a minute over all folders
    text, changed = re.subn("(?m)^files = .*", 'files = ["host"]', settings.read_text())
    assert changed == 1
    settings.write_text(text)

    assert "0 broken" in make(moved, "lint", **OTHERS)
    assert "a%20moved%20cl%C3%B6ne/dvc_plots/plots.html" in make(moved, "plots", **OTHERS)


@pytest.mark.slow
def test_the_service_starts_in_a_moved_clone(moved: Path) -> None:
    ports = {name: str(free_port()) for name in ("PORT", "TRITON_HTTP_PORT", "TRITON_METRICS_PORT")}

    with subprocess.Popen(
        ["make", "serve"], cwd=moved, env=os.environ | OTHERS | ports, text=True, start_new_session=True, umask=0o077,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as service:  # fmt: skip
        assert service.stdout
        said = []
        for line in service.stdout:
            said.append(line)
            if "open http" in line:
                os.killpg(service.pid, signal.SIGINT)

    assert "open http" in "".join(said)


@pytest.mark.slow
def test_packages_go_into_the_environment_whatever_the_shell_has_set(empty: Path, tmp_path: Path) -> None:
    places = {name: str(tmp_path / name) for name in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")}
    files = {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "PIP_FIND_LINKS": str(tmp_path / "wheels")}

    make(
        empty, ".venv/training", f"PYTHON={sys.executable}",
        **OTHERS, **places, **files, TMPDIR="/nowhere",
    )  # fmt: skip

    assert ["tiny.py"] == [path.name for path in (empty / ".venv/lib").glob("python3*/site-packages/tiny.py")]
    assert [] == [name for name in places if (tmp_path / name).exists()]


def test_a_command_of_pyenv_that_does_not_run_is_not_chosen(empty: Path, tmp_path: Path) -> None:
    shims = tmp_path / "shims"
    shims.mkdir()
    (shims / "python3.11").write_text("#!/bin/sh\nexit 127\n")
    (shims / "python3.12").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    for shim in shims.iterdir():
        shim.chmod(0o755)

    said = make(empty, "-n", ".venv/training", PATH=f"{shims}:/usr/bin:/bin")

    assert "python3.12 -m venv .venv" in said


def test_a_python_that_is_too_old_is_refused_in_one_line_that_names_the_mend(empty: Path, tmp_path: Path) -> None:
    python = tmp_path / "python3.10"
    says_3_10 = "import sys; sys.version_info = (3, 10, 4); exec(sys.argv[1])"
    python.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{says_3_10}' \"$2\"\n")
    python.chmod(0o755)

    said = make(empty, ".venv/training", f"PYTHON={python}", check=False)

    refused, ended = said.splitlines()
    assert f"training needs Python 3.11 to 3.14, but {python} is 3.10" in refused
    assert "name another, such as PYTHON=python3.12" in refused
    assert "Error 1" in ended
    assert not (empty / ".venv").exists()
