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


def test_a_foreign_journal_is_left_alone(tmp_path):
    (tmp_path / "journal.jsonl").write_text('{"other": 1}\n')

    with pytest.raises(InputError, match="choose another --out"), Journal(tmp_path):
        pass
