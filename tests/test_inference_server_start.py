"""A start of Triton: whose readiness counts, and what is read while it starts."""

import io
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Service, Triton, wait_until
from doubler import write_model
from test_inference_server_end import left_in, start_only

from host.ports import free_port
from inference_server.child import Child, child, first_of
from inference_server.errors import StartError
from inference_server.launcher import _wait_for_triton
from inference_server.log import Log
from inference_server.settings import Settings


@contextmanager
def instead_of_triton(program: str) -> Iterator[tuple[Child, Log]]:
    """A process of this program, started as tritonserver is, and its log."""
    with child([sys.executable, "-c", program], grace_s=5, capture=True) as process:
        log = Log(process.output, io.StringIO(), live=False)
        try:
            yield process, log
        finally:
            process.kill()
            log.reason()


def test_another_tritons_readiness_is_not_taken_for_that_of_the_one_that_starts(triton: Triton) -> None:
    settings = Settings(http_port=int(triton.url.partition(":")[2]))
    program = "import time; time.sleep(1); print('error: the port is in use')"

    with (
        instead_of_triton(program) as (process, log),
        pytest.raises(StartError, match="Triton did not start: the port is in use"),
    ):
        _wait_for_triton(process, log, settings, identifier="0123456789abcdef", kills=0, stop=None)


def test_a_triton_that_is_late_is_killed_before_its_log_is_read_to_the_end() -> None:
    settings = Settings(http_port=free_port(), start_timeout_s=1)
    program = "import time; print('error: slow disk', flush=True); time.sleep(600)"

    with instead_of_triton(program) as (process, log):
        with pytest.raises(StartError, match=r"was not ready after 1 s: slow disk \(raise TRITON_START_S"):
            _wait_for_triton(process, log, settings, identifier="0123456789abcdef", kills=0, stop=None)

        assert first_of([process], timeout_s=10) is process
        assert -signal.SIGKILL == process.status


def test_a_repository_that_is_moved_away_while_triton_starts_is_not_missed(
    start_service: Callable[..., Service], tmp_path: Path
) -> None:
    models, temporary = write_model(tmp_path / "models"), tmp_path / "temporary"
    temporary.mkdir()

    def is_copied() -> bool:
        copies = [path for folder in left_in(temporary) for path in folder.glob("models/doubler/config.pbtxt")]
        return any("Written for this machine" in copy.read_text() for copy in copies)

    service = start_only(start_service, models, temporary, MODEL_INSTANCES="1")
    wait_until(is_copied, service)
    models.rename(tmp_path / "elsewhere")

    wait_until(lambda: "Ctrl-C ends it" in service.said, service)
