"""What Triton will not start with is told in one line that names the mend."""

import os
import socket
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from conftest import ROOT
from doubler import CONFIG, write_model
from other_users import NOBODY, closed, not_root, open_folder

from host.ports import free_port
from inference_server.errors import ModelRepositoryError
from inference_server.run_folder import models_of


def refusal(python: Path | str, repository: Path, **env: str) -> tuple[int, str]:
    """Start a server that must not start; return its exit status and all that it said."""
    ports = {"TRITON_HTTP_PORT": str(free_port()), "TRITON_METRICS_PORT": str(free_port())}
    ended = subprocess.run(
        [python, "-m", "inference_server"],
        cwd=ROOT,
        env=os.environ | {"MODEL_REPOSITORY": str(repository)} | ports | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_a_refused_model_is_told_in_one_line_in_the_backends_own_words(serving_python: Path, tmp_path: Path) -> None:
    unknown = CONFIG + 'parameters { key: "intra_op_threads" value: { string_value: "2" } }'

    status, said = refusal(serving_python, write_model(tmp_path, unknown))

    assert 6 == status
    assert said.startswith("inference_server: Triton did not start: doubler: unknown parameter 'intra_op_threads': ")
    assert said.endswith(
        f" ({tmp_path}: `dvc repro` makes one, `git checkout model_repository` restores the published one)\n"
    )
    assert 1 == len(said.splitlines())


def test_a_config_for_a_gpu_is_refused(serving_python: Path, tmp_path: Path) -> None:
    status, said = refusal(serving_python, write_model(tmp_path, CONFIG + "instance_group [ { kind: KIND_GPU } ]"))

    assert (6, True) == (status, "KIND_GPU" in said), said


def test_a_model_file_that_is_missing_is_named(serving_python: Path, tmp_path: Path) -> None:
    status, said = refusal(serving_python, write_model(tmp_path, CONFIG + 'default_model_filename: "other.onnx"'))

    assert (6, True) == (status, "other.onnx" in said), said


RUN = "runpy.run_module(sys.argv[0], run_name='__main__')"


@pytest.mark.parametrize("missing", ["doubler/1/model.onnx", "doubler/config.pbtxt"])
def test_a_repository_without_a_model_names_the_command_that_makes_one(
    serving_python: Path, tmp_path: Path, missing: str
) -> None:
    (write_model(tmp_path) / missing).unlink()

    status, said = refusal(serving_python, tmp_path)

    assert (5, True) == (status, "`dvc repro` makes one" in said), said


@pytest.mark.parametrize(
    ("shut", "mode", "told"),
    [
        ("..", 0, "."),
        (".", 0, "."),
        (".", 0o444, "."),
        ("doubler", 0, "doubler"),
        ("doubler", 0o444, "doubler"),
        ("doubler/config.pbtxt", 0, "doubler/config.pbtxt"),
        ("doubler/1", 0, "doubler/1"),
        ("doubler/1/model.onnx", 0, "doubler/1/model.onnx"),
    ],
)
def test_a_repository_that_this_user_cannot_read_is_told_with_what_is_closed_and_the_mend(
    shut: str, mode: int, told: str
) -> None:
    with open_folder() as folder:
        repository = write_model(folder / "above/models")
        for path in folder.rglob("*"):
            path.chmod(0o755)
        with closed(repository / shut, mode), not_root(), pytest.raises(ModelRepositoryError) as refusal:
            models_of(repository)

    user = os.geteuid() or NOBODY
    opened = repository / told if told == "doubler" else repository  # the others beside it are none of ours
    expected = f"{repository / told} (MODEL_REPOSITORY) cannot be read by user {user}: `chmod -R a+rX {opened}` "
    assert str(refusal.value).startswith(expected)


def test_a_closed_folder_beside_the_models_is_passed_over() -> None:
    """A disk of its own has such a folder: lost+found."""
    with open_folder() as folder:
        write_model(folder)
        (folder / "lost+found").mkdir()
        for path in folder.rglob("*"):
            path.chmod(0o755)
        with closed(folder / "lost+found"), not_root():
            assert [folder / "doubler"] == models_of(folder)


def test_a_disk_of_its_own_without_a_model_is_not_called_closed() -> None:
    with open_folder() as folder:
        (folder / "lost+found").mkdir()
        with closed(folder / "lost+found"), not_root(), pytest.raises(ModelRepositoryError, match=r"has no <model>"):
            models_of(folder)


@pytest.mark.parametrize("variable", ["TRITON_HTTP_PORT", "TRITON_METRICS_PORT"])
def test_a_port_in_use_is_named_with_the_variable_that_changes_it(
    serving_python: Path, tmp_path: Path, variable: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        status, said = refusal(serving_python, write_model(tmp_path), **{variable: port})

    assert 4 == status
    expected = (
        f"inference_server: cannot listen on 127.0.0.1:{port} (Address already in use): set {variable} to a free port"
    )
    assert expected == said.strip()


def test_an_environment_without_the_wheel_is_told_in_one_line_that_containers_serve(tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)

    status, said = refusal(tmp_path / "bare/bin/python", write_model(tmp_path / "models"))

    assert 3 == status
    assert "nvidia-pytriton wheel is not installed" in said
    assert "`docker compose up` serves here" in said
    assert 1 == len(said.splitlines())


def test_an_environment_with_numpy_2_is_told_in_one_line_what_to_install(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    venv.create(bare, with_pip=False, symlinks=True)
    (packages,) = bare.glob("lib/python*/site-packages")
    for name, version in (("nvidia-pytriton", "0.7.0"), ("numpy", "2.1.0")):
        metadata = packages / f"{name.replace('-', '_')}-{version}.dist-info/METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")

    status, said = refusal(bare / "bin/python", write_model(tmp_path / "models"))

    assert (3, 1) == (status, len(said.splitlines()))
    assert "install numpy < 2" in said


@pytest.mark.parametrize(
    ("pretend", "words"),
    [
        ("sys.platform = 'darwin'; platform.system = lambda: 'Darwin'", "there is no Triton wheel for Darwin"),
        ("platform.libc_ver = lambda: ('glibc', '2.31')", "needs glibc 2.35 or newer, but this machine has glibc 2.31"),
        ("platform.libc_ver = lambda: ('', '')", "needs glibc 2.35 or newer, but this machine has another libc;"),
        ("platform.libc_ver = lambda: ('glibc', '2.31-r1')", "this machine has glibc 2.31-r1;"),
        ("sys.version_info = (3, 13, 0)", "needs Python 3.11 or 3.12"),
    ],
)
@pytest.mark.parametrize("words_of", [["inference_server"], ["inference_server.prepare", "machine"]])
def test_a_machine_without_a_wheel_is_told_in_one_line_that_containers_serve(
    words_of: list[str], pretend: str, words: str
) -> None:
    program = f"import platform, runpy, sys; sys.argv = {words_of}; {pretend}; {RUN}"

    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )

    assert (3, 1) == (ended.returncode, len(ended.stderr.splitlines())), ended.stderr
    assert words in ended.stderr
    assert "`docker compose up` serves here" in ended.stderr


@pytest.mark.parametrize("words_of", [["inference_server"], ["inference_server.prepare", "machine"]])
def test_a_processor_without_a_wheel_is_told_in_one_line_that_emulation_serves(words_of: list[str]) -> None:
    pretend = "platform.machine = lambda: 'armv7l'"
    program = f"import platform, runpy, sys; sys.argv = {words_of}; {pretend}; {RUN}"

    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )

    assert (3, 1) == (ended.returncode, len(ended.stderr.splitlines())), ended.stderr
    assert "no Triton wheel for armv7l processors" in ended.stderr
    assert "--platform linux/amd64" in ended.stderr
