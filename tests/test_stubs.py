"""The watch over Triton's stubs, at the moment when one of them ends."""

import os
import subprocess

import pytest

from inference_server import stubs
from inference_server.errors import ServingError


class Process:
    """What is asked of tritonserver."""

    def __init__(self) -> None:
        self.killed = False
        self._end, self._never = os.pipe()

    def fileno(self) -> int:
        return self._end

    def kill(self) -> None:
        self.killed = True

    def close(self) -> None:
        os.close(self._end)
        os.close(self._never)


def test_a_stub_that_ends_while_it_is_looked_for_ends_this_start_and_not_the_service(monkeypatch):
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    monkeypatch.setattr(stubs, "stubs_of", lambda _: [ended.pid])
    process = Process()
    with pytest.raises(ServingError, match="an instance of the model ended"), stubs.watched(process):
        pass
    assert process.killed
    process.close()
