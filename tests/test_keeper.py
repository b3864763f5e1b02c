"""What ends is started again after a growing pause, up to a number; what never ran is not."""

import errno
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from inference_server import keeper
from inference_server.errors import ModelRepositoryError, ServingError, StopAskedError
from inference_server.keeper import kept


class Mayfly:
    """A service that ends as soon as it runs."""

    def __init__(self) -> None:
        self.ended, self._end = socket.socketpair()
        self._end.close()

    def fileno(self) -> int:
        return self.ended.fileno()

    def why_ended(self) -> ServingError:
        return ModelRepositoryError("the mayfly ended")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(keeper, "LONGEST_PAUSE_S", 0.002)


@contextmanager
def mayfly(_stop: object) -> Iterator[Mayfly]:
    service = Mayfly()
    yield service
    service.ended.close()


@pytest.mark.usefixtures("at_once")
def test_it_is_given_up_after_so_many_ends_in_a_row_with_the_last_ones_reason_and_class() -> None:
    said: list[str] = []
    with kept("the mayfly", mayfly, restarts=3, stop=None, say=said.append) as (service, _):
        assert keeper.first_of([service], timeout_s=10) is service
        error = service.error()

    assert isinstance(error, ModelRepositoryError)
    assert "the mayfly ended. It is not started again: that was end number 4 in a row (RESTARTS)" == str(error)
    told = [line.rpartition("again in ")[2] for line in said if "starting" in line]
    assert ["0 s (1 of 3)", "0.001 s (2 of 3)", "0.002 s (3 of 3)"] == told
    assert 3 == sum("is ready again after" in line for line in said)


@pytest.mark.usefixtures("at_once")
def test_a_service_that_lasted_starts_the_count_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "LASTING_S", 0.0)
    enough = threading.Event()
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if len(said) > 20:
            enough.set()

    with kept("the mayfly", mayfly, restarts=1, stop=None, say=say) as (service, _):
        assert enough.wait(10)
        assert keeper.first_of([service], timeout_s=0) is None


@pytest.mark.usefixtures("at_once")
def test_what_cannot_be_started_for_a_moment_is_started_later() -> None:
    failures = [
        None,
        BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)),
        subprocess.SubprocessError("Exception occurred in preexec_fn."),
        RuntimeError("can't start new thread"),
        None,
    ]
    said: list[str] = []

    @contextmanager
    def short_of_processes(stop: object) -> Iterator[Mayfly]:
        if (failure := failures.pop(0)) is not None:
            raise failure
        with mayfly(stop) as service:
            yield service

    with kept("the mayfly", short_of_processes, restarts=4, stop=None, say=said.append) as (service, _):
        assert keeper.first_of([service], timeout_s=10) is service

    assert [] == failures
    for reason in (
        "[Errno 11] Resource temporarily unavailable",
        "Exception occurred in preexec_fn.",
        "can't start new thread",
    ):
        assert any(line.startswith(f"the mayfly could not be started or ended: {reason}; starting") for line in said)
    assert 1 == sum("is ready again after" in line for line in said)


def test_a_first_start_that_fails_is_not_repeated() -> None:
    starts: list[int] = []

    @contextmanager
    def broken(_stop: object) -> Iterator[Mayfly]:
        starts.append(1)
        raise ModelRepositoryError("there is no model")
        yield

    with (
        pytest.raises(ModelRepositoryError, match="there is no model"),
        kept("it", broken, restarts=3, stop=None, say=str),
    ):
        pass

    assert [1] == starts


def test_a_stop_while_it_starts_ends_the_start() -> None:
    asked, ask = socket.socketpair()
    ask.close()

    @contextmanager
    def slow(stop: keeper.Waitable) -> Iterator[Mayfly]:
        assert keeper.first_of([stop], timeout_s=10) is not None
        raise StopAskedError("stopped")
        yield

    with pytest.raises(StopAskedError), kept("it", slow, restarts=3, stop=asked, say=str):
        pass
    asked.close()
