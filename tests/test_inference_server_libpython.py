"""How libpython comes out of the machine's package archive; `apt-get` and `dpkg-deb` are small scripts here."""

import os
import sys
from pathlib import Path

import pytest

from inference_server.errors import UnsupportedMachineError
from inference_server.libpython import fetch, libpython_folder
from inference_server.prepare import exit_status

VERSION = "3.99"  # no machine has it
LIBRARY = f"libpython{VERSION}.so.1.0"


def put_program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an apt-get and a dpkg-deb that bring the library, found before the machine's own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    put_program(folder, "apt-get", f'test "$*" = "-q download libpython{VERSION}" && touch package.deb')
    put_program(folder, "dpkg-deb", f'test -e "$2" && mkdir "$3/usr" && echo library > "$3/usr/{LIBRARY}"')
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The `lib` of a virtual environment that lacks the library."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    folder = tmp_path / "environment" / "lib"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.usefixtures("programs")
def test_the_library_comes_out_of_its_package_and_nothing_else_stays(own_folder: Path) -> None:
    fetch(VERSION)

    assert [own_folder / LIBRARY] == list(own_folder.iterdir())
    assert (own_folder / LIBRARY).read_text() == "library\n"
    assert str(own_folder) == libpython_folder(VERSION)


def test_a_library_that_is_there_is_not_fetched(programs: Path, own_folder: Path) -> None:
    put_program(programs, "apt-get", "exit 1")
    (own_folder / LIBRARY).touch()

    fetch(VERSION)


@pytest.mark.parametrize(
    ("program", "script", "cause"),
    [
        ("apt-get", "exit 100", "'apt-get', '-q', 'download', 'libpython3.99']' returned non-zero exit status 100."),
        ("dpkg-deb", "exit 2", "returned non-zero exit status 2."),
        ("dpkg-deb", 'mkdir "$3/usr"', f"the package has no {LIBRARY}"),
    ],
    ids=["no package", "damaged package", "empty package"],
)
def test_a_library_that_cant_be_had_is_told_with_the_cause_and_the_mend(
    programs: Path, own_folder: Path, program: str, script: str, cause: str
) -> None:
    put_program(programs, program, script)

    with pytest.raises(UnsupportedMachineError) as refusal:
        fetch(VERSION)

    said = str(refusal.value)
    assert said.startswith(f"this Python has no {LIBRARY} (`apt-get install libpython{VERSION}` installs it)")
    assert "`docker compose up` serves here without it" in said
    assert said.endswith(cause)
    assert [] == list(own_folder.iterdir())


@pytest.mark.usefixtures("programs")
def test_an_environment_that_cant_be_written_to_is_told_in_one_line(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own_folder.rmdir()

    assert 3 == exit_status(lambda: fetch(VERSION))

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"inference_server: this Python has no {LIBRARY} ")
    assert str(own_folder) in line


@pytest.mark.usefixtures("own_folder")
def test_a_machine_without_apt_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(UnsupportedMachineError, match=r"No such file or directory: 'apt-get'$"):
        fetch(VERSION)
