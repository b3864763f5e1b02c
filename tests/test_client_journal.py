"""The journal of a run's folder: whose it is, and what of a broken one is kept."""

import pytest

from client.errors import InputError
from client.journal import Journal


def test_two_runs_do_not_write_into_one_folder(tmp_path):
    refused = pytest.raises(InputError, match=f"another run writes into {tmp_path}: wait until it ends, or choose")
    with Journal(tmp_path), refused, Journal(tmp_path):
        pass
    with Journal(tmp_path):
        pass  # the first one's end gave it back


@pytest.mark.parametrize("content", ['{"other": 1}\n', "Dear diary", "[1]\n", "{}"])
def test_a_foreign_journal_is_left_alone(tmp_path, content):
    (tmp_path / "journal.jsonl").write_text(content)

    with pytest.raises(InputError, match="choose another --out"), Journal(tmp_path):
        pass

    assert content == (tmp_path / "journal.jsonl").read_text()


def test_a_journal_that_breaks_off_anywhere_keeps_the_lines_before(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal(tmp_path) as journal:
        journal.add("one", "a.png", answer={"model": {"name": "segmenter"}})
        journal.add("two", "b.png", problem={"status": 422})
    content = path.read_bytes()
    first = content.index(b"\n")  # a line is whole without its end

    for length in range(len(content) + 1):
        path.write_bytes(content[:length])
        for run in range(3):
            with Journal(tmp_path) as journal:
                kept = [journal.find(key) is not None for key in ("one", "two")]
                assert [length >= first, length >= len(content) - 1] == kept
                journal.add(f"run {run}", "c.png", problem={})
                assert (run > 0) == (journal.find("run 0") is not None)


def test_a_broken_line_among_others_counts_as_none(tmp_path):
    with Journal(tmp_path) as journal:
        journal.add("one", "a.png", answer={})
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(bytes(4096) + b"\n5\n")
    with Journal(tmp_path) as journal:
        journal.add("two", "b.png", answer={})

    with Journal(tmp_path) as journal:
        assert 2 == len(journal)
