"""The environment against the lock: what passes, what is told, and that the record is the same on every machine."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from training_data import ROOT

from training import packages
from training.errors import PackagesError
from training.packages import DECISIVE, check_packages, installed_version, locked_versions
from training.stages import check_packages as stage

LOCK = ROOT / "requirements" / "training.txt"


@pytest.fixture
def lock(tmp_path):
    """A lock of this environment, and what can be changed in it."""
    path = tmp_path / "training.txt"
    shutil.copyfile(LOCK, path)
    return path


def repin(lock, **versions):
    """Pin packages to other versions, or, with None, not at all."""
    for name, new in versions.items():
        package = name.replace("_", "-")
        old = f"{package}=={locked_versions()[package]} "
        assert 1 == lock.read_text().count(f"\n{old}")
        lock.write_text(lock.read_text().replace(f"\n{old}", f"\n{package}=={new} " if new else "\n# "))


def install(folder, monkeypatch, **versions):
    """Put packages of other versions before the installed ones, as far as importlib.metadata can tell."""
    for name, number in versions.items():
        meta = folder / f"{name}-{number}.dist-info" / "METADATA"
        meta.parent.mkdir(parents=True)
        meta.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n")
    monkeypatch.syspath_prepend(folder)


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_this_environment_has_what_the_shipped_lock_says():
    assert sorted(DECISIVE) == list(check_packages())


def test_every_package_that_differs_is_told_with_both_versions_and_the_mend(lock):
    wanted = locked_versions()
    repin(lock, numpy="1.0.0", scikit_learn="0.1")
    with pytest.raises(PackagesError) as refusal:
        check_packages(lock)
    said = str(refusal.value).splitlines()
    assert f"at {sys.prefix} differs from {lock}:" in said[0]
    assert [
        f"  numpy: locked 1.0.0, installed {wanted['numpy']}",
        f"  scikit-learn: locked 0.1, installed {wanted['scikit-learn']}",
    ] == said[1:-1]
    assert f"install the lock: {sys.executable} -m pip install --require-hashes -r {lock}" == said[-1]


def test_a_package_that_is_not_installed_is_told(lock, monkeypatch):
    monkeypatch.setattr(packages, "DECISIVE", (*DECISIVE, "there-is-no-such-package"))
    with lock.open("a") as file:
        file.write("there-is-no-such-package==1.0\n")
    with pytest.raises(PackagesError, match=r"there-is-no-such-package: locked 1\.0, installed not at all"):
        check_packages(lock)


def test_a_package_whose_installation_broke_off_counts_as_not_installed(tmp_path, monkeypatch):
    (tmp_path / "timm-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert installed_version("timm") is None


def test_a_lock_that_does_not_pin_a_decisive_package_names_it(lock):
    repin(lock, onnx=None, timm=None)
    with pytest.raises(PackagesError, match=r"training\.txt does not pin onnx, timm: make it with `make lock`"):
        check_packages(lock)


@pytest.mark.parametrize(
    "line",
    [
        "numpy>=2",
        "numpy",
        "numpy==2.*",
        "numpy===2",
        "numpy @ https://example.org/numpy-2.0.0-py3-none-any.whl",
        "a-package-that-changes-no-result>=1",
        "numpy==2.0.0 --hash=sha256:00",
        "<<<<<<< HEAD",
    ],
)
def test_a_line_that_is_no_pin_is_named_with_the_mend(lock, line):
    with lock.open("a") as file:
        file.write(f"{line} \\\n    --hash=sha256:00\n")
    with pytest.raises(PackagesError) as refusal:
        locked_versions(lock)
    assert f"{lock}: `{line}` does not pin a version with `==`: make it with `make lock`" == str(refusal.value)


def test_comments_and_options_are_no_pins(lock):
    wanted = locked_versions()
    lock.write_text(f"# by hand\n\n--index-url https://example.org/simple\n{lock.read_text()}")
    assert wanted == locked_versions(lock)


def test_a_package_is_found_however_its_name_is_spelled(lock):
    wanted = locked_versions()
    lock.write_text(lock.read_text().replace("\nscikit-learn==", "\nScikit_Learn=="))
    assert wanted == locked_versions(lock)


def test_a_locked_cpu_build_counts_as_its_release(lock):
    wanted = locked_versions()
    repin(lock, torch=f"{wanted['torch']}+cpu")
    assert wanted == check_packages(lock)


def test_a_missing_lock_says_where_to_run_from(tmp_path):
    with pytest.raises(PackagesError, match=r"nowhere\.txt is missing: run from the repository root"):
        check_packages(tmp_path / "nowhere.txt")


def test_only_the_pin_whose_marker_fits_this_interpreter_counts(lock):
    wanted = locked_versions()
    with lock.open("a") as file:
        file.write('numpy==9.9 ; python_version >= "4"\n')
    assert wanted == check_packages(lock)


def test_a_cpu_build_counts_as_its_release(tmp_path, monkeypatch):
    wanted = locked_versions()["torch"]
    install(tmp_path, monkeypatch, torch=f"{wanted}+cpu")
    assert wanted == installed_version("torch")
    assert wanted == check_packages()["torch"]


def test_another_release_of_the_cpu_build_differs(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, torch="1.0.0+cpu")
    with pytest.raises(PackagesError, match=r"torch: locked \S+, installed 1\.0\.0\n"):
        check_packages()


def record(folder, monkeypatch, lock=LOCK):
    (folder / "requirements").mkdir(parents=True)
    shutil.copyfile(lock, folder / "requirements" / "training.txt")
    monkeypatch.chdir(folder)
    stage.main()
    return Path("requirements/training.json").read_bytes()


def test_the_record_depends_on_the_lock_alone(tmp_path, lock, monkeypatch):
    first = record(tmp_path / "one", monkeypatch)
    assert locked_versions() == json.loads(first)

    install(tmp_path / "site", monkeypatch, torch=f"{locked_versions()['torch']}+cpu")
    with lock.open("a") as file:
        file.write("a-package-that-changes-no-result==1.0\n")
    assert first == record(tmp_path / "another", monkeypatch, lock)
