"""What a stage of the pipeline leaves behind when it is told to end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

STAGE = """
import sys, tempfile, time
from training.errors import exit_status

def main():
    with tempfile.TemporaryDirectory(dir="."):
        print("writing aside", flush=True)
        time.sleep(60)

sys.exit(exit_status(main))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stage_that_is_told_to_end_leaves_nothing_half_written(number: signal.Signals, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-c", STAGE]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as stage:
        assert stage.stdout
        stage.stdout.readline()
        assert list(tmp_path.iterdir())
        stage.send_signal(number)
        assert 0 != stage.wait(timeout=10)
    assert not list(tmp_path.iterdir())
