"""The process and the machine under it: files that appear whole or not at all, and which commit the sources are of."""

import contextlib
import csv
import json
import subprocess
from pathlib import Path

import pytest

from host.commit import describe_commit, git
from host.files import emptied_folder, replacing, replacing_folder, write_table, write_whole
from host.machine import describe_machine


class Stopped(BaseException):
    """What ends a block as SIGINT or SIGTERM do: no Exception."""


FAILURES = pytest.mark.parametrize("failure", [OSError("no space left"), Stopped()], ids=["an error", "a signal"])


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def write_half(path: Path, failure: BaseException) -> None:
    with replacing(path) as aside:
        aside.write_text("half")
        raise failure


def fill_half(path: Path, failure: BaseException) -> None:
    with replacing_folder(path) as folder:
        (folder / "new").write_text("half")
        raise failure


def test_a_file_is_replaced_at_the_end_of_the_block_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with replacing(path) as aside:
        aside.write_text("new")
        assert "old" == path.read_text()
        assert path.parent == aside.parent, "only a rename within a folder is atomic"
    assert {"file": "new"} == contents(tmp_path)


@FAILURES
def test_a_block_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path, failure: BaseException) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(type(failure)):
        write_half(path, failure)
    assert {"file": "old"} == contents(tmp_path)


@FAILURES
def test_a_block_that_fails_leaves_no_file_where_there_was_none(tmp_path: Path, failure: BaseException) -> None:
    with pytest.raises(type(failure)):
        write_half(tmp_path / "file", failure)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(("content", "expected"), [("grün\n", b"gr\xc3\xbcn\n"), (b"\x00\xff", b"\x00\xff")])
def test_text_is_written_as_utf_8_and_bytes_as_they_are_into_a_folder_that_is_made(
    tmp_path: Path, content: str | bytes, expected: bytes
) -> None:
    write_whole(tmp_path / "a" / "b" / "file", content)
    assert expected == (tmp_path / "a/b/file").read_bytes()
    assert ["file"] == [path.name for path in (tmp_path / "a/b").iterdir()]


def test_a_table_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    rows = [{"name": "a, b", "σ": "0.5"}, {"name": 'the "second"\nline', "σ": ""}]
    write_table(tmp_path / "plots/table.csv", rows)
    assert (tmp_path / "plots/table.csv").read_bytes().startswith('name,σ\n"a, b",0.5\n'.encode())
    with (tmp_path / "plots/table.csv").open(newline="", encoding="utf-8") as file:
        assert rows == list(csv.DictReader(file))


def test_a_row_that_does_not_fit_leaves_the_earlier_table(tmp_path: Path) -> None:
    write_table(tmp_path / "table.csv", [{"a": 1}])
    with pytest.raises(ValueError, match="b"):
        write_table(tmp_path / "table.csv", [{"a": 2}, {"a": 3, "b": 4}])
    assert {"table.csv": "a\n1\n"} == contents(tmp_path)


def test_a_folder_is_replaced_as_a_whole_at_the_end_of_the_block(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    (path / "below").mkdir(parents=True)
    (path / "below" / "stale").write_text("old")
    with replacing_folder(path) as folder:
        assert [] == list(folder.iterdir())
        (folder / "new").write_text("new")
        assert {"below/stale": "old"} == contents(path)
    assert {"folder/new": "new"} == contents(tmp_path)


def test_a_folder_appears_where_there_was_none(tmp_path: Path) -> None:
    with replacing_folder(tmp_path / "a" / "folder") as folder:
        (folder / "new").write_text("new")
    assert {"a/folder/new": "new"} == contents(tmp_path)


@FAILURES
def test_a_block_that_fails_leaves_the_old_folder_and_nothing_beside_it(tmp_path: Path, failure: BaseException) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "file").write_text("old")
    with pytest.raises(type(failure)):
        fill_half(path, failure)
    assert {"file": "old"} == contents(path)
    assert [path] == list(tmp_path.iterdir())


def test_what_a_killed_run_left_beside_a_folder_is_removed_first(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    (tmp_path / "folder.new").mkdir()
    (tmp_path / "folder.new" / "half").write_text("half")
    with replacing_folder(path) as folder:
        assert [] == list(folder.iterdir())
    assert [path] == list(tmp_path.iterdir())


@FAILURES
def test_a_folder_to_work_in_is_empty_at_first_and_gone_at_the_end_even_of_a_block_that_fails(
    tmp_path: Path, failure: BaseException
) -> None:
    (tmp_path / "a" / "folder").mkdir(parents=True)
    (tmp_path / "a" / "folder" / "half").write_text("of a run that was killed")
    with contextlib.suppress(type(failure)), emptied_folder(tmp_path / "a" / "folder") as folder:
        assert [] == list(folder.iterdir())
        (folder / "file").write_text("new")
        raise failure
    assert [] == list((tmp_path / "a").iterdir())


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is in no git checkout, to work in."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("outside")
def test_outside_a_git_checkout_the_commit_is_unknown_and_counts_as_changed() -> None:
    assert {"commit": "unknown", "dirty": True} == describe_commit("source")


def test_where_git_is_not_installed_the_commit_is_unknown_and_counts_as_changed(
    outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(outside))
    assert "" == git("--version")
    assert {"commit": "unknown", "dirty": True} == describe_commit("source")


def test_in_a_checkout_only_a_change_of_the_sources_counts(outside: Path) -> None:
    for name in ("source", "other"):
        (outside / name).write_text("1")
    author = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    for words in (["init", "-q"], ["add", "."], [*author, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *words], check=True)
    head = git("rev-parse", "HEAD")
    assert 40 == len(head)
    (outside / "other").write_text("2")
    assert {"commit": head, "dirty": False} == describe_commit("source", "nowhere")
    assert {"commit": head, "dirty": False} == describe_commit(".", ":!other")
    (outside / "source").write_text("2")
    assert {"commit": head, "dirty": True} == describe_commit("source", "nowhere")


def test_the_machine_is_described_in_plain_json_that_is_complete() -> None:
    described = describe_machine()
    assert described == json.loads(json.dumps(described))
    assert ["cpu", "usable_cores", "memory_mib", "kernel", "python"] == list(described)
    assert all(described.values())
