"""How a stage of the pipeline runs and ends: its memory is kept; what it wrote aside is not, when it is told to end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

STAGE = """
import signal, sys, tempfile, time
from training.errors import exit_status

def main():
    with tempfile.TemporaryDirectory(dir="."):
        print("writing aside", flush=True)
        time.sleep(60)

sys.exit(exit_status(main))
"""


CHURN = """
import resource, sys
from training.errors import exit_status

def page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    [bytearray(2**25) for _ in range(4)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def main():
    page_faults()
    print(page_faults())

print(page_faults())
sys.exit(exit_status(main))
"""


def test_memory_that_one_step_freed_is_there_for_the_next_without_a_page_fault() -> None:
    said = subprocess.run([sys.executable, "-c", CHURN], capture_output=True, text=True, check=True).stdout
    given_back, kept = map(int, said.split())
    assert given_back > 10_000, "32 megabytes have 8192 pages"
    assert kept < 100


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


def test_a_name_that_the_terminal_cannot_show_ends_no_stage() -> None:
    program = "import sys\nfrom training.errors import exit_status\nsys.exit(exit_status(lambda: print('Riß…')))"
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    said = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True).stdout
    assert rb"Ri\xdf\u2026" in said
