"""The backend loads the published model alone, and ends Triton together with itself when an answer may be late."""

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from conftest import ROOT
from test_inference_server_refusals import refusal

BACKEND = ROOT / "inference_server/backends/onnxruntime"
REMEDY = "publish the model again, together with its config.pbtxt"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of the published model, as CPUs serve it."""
    return Path(shutil.copytree(ROOT / "model_repository", tmp_path / "models", ignore=shutil.ignore_patterns("*gpu*")))


def edit(repository: Path, pattern: str, replacement: str) -> None:
    config = repository / "segmenter/config.pbtxt"
    text, count = re.subn(pattern, replacement, config.read_text())
    assert 1 == count
    config.write_text(text)


BROKEN = {
    "no threshold": (r"parameters \{ key: \"model.threshold\".*\n", "", "model.threshold is missing in config.pbtxt"),
    "text for a number": (r"(model.alarm_score.*string_value: )\"[^\"]*\"", r'\1"half"', "is 'half' in config.pbtxt"),
    "too few types": (r"Blowhole,Break,Crack,Fray,Uneven", "Blowhole,Break", "is 'Blowhole,Break' in config.pbtxt"),
    "another threshold": (r"(model.threshold\".*string_value: )\"[^\"]*\"", r'\1"1"', "is '1' in config.pbtxt"),
    "no sha256": (r"parameters \{ key: \"model.sha256\".*\n", "", "config.pbtxt has no parameter model.sha256"),
    "another signature": (
        r"\"fingerprint\", data_type: TYPE_INT32",
        '"fingerprint", data_type: TYPE_INT64',
        "TYPE_INT64",
    ),
}


@pytest.mark.parametrize(("pattern", "replacement", "words"), BROKEN.values(), ids=BROKEN)
def test_a_broken_configuration_is_refused_with_the_reason_as_the_last_line(
    serving_python: Path, repository: Path, pattern: str, replacement: str, words: str
) -> None:
    edit(repository, pattern, replacement)

    status, said = refusal(serving_python, repository)

    assert (6, True) == (status, words in said.splitlines()[-1]), said


@pytest.mark.parametrize("bit", [0, 7])
def test_a_single_flipped_bit_in_the_middle_of_the_graph_is_refused(
    serving_python: Path, repository: Path, bit: int
) -> None:
    graph = repository / "segmenter/1/model.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1 << bit
    graph.write_bytes(content)

    status, said = refusal(serving_python, repository)

    assert (6, True) == (status, "model.onnx is damaged or another model's" in said.splitlines()[-1]), said
    assert REMEDY in said


def test_another_graph_with_its_own_sha256_is_told_by_its_parameters(serving_python: Path, repository: Path) -> None:
    graph = repository / "segmenter/1/model.onnx"
    model = onnx.load(graph)
    next(entry for entry in model.metadata_props if entry.key == "model.commit").value = "other"
    onnx.save(model, graph)
    digest = subprocess.run(["sha256sum", graph], capture_output=True, text=True, check=True).stdout.split()[0]
    edit(repository, r"(model.sha256.*string_value: )\"[^\"]*\"", rf'\1"{digest}"')

    status, said = refusal(serving_python, repository)

    assert (6, True) == (status, "parameter model.commit is" in said.splitlines()[-1]), said


# The parent stands for tritonserver, its child for the stub: the child tells when its watchdog lets an answer pass.
FAMILY = """
import os, subprocess, sys, time
stub = subprocess.Popen([sys.executable, "-c", '''
import sys, time
sys.path.insert(0, {backend!r})
from pathlib import Path
from watchdog import Watchdog
watchdog = Watchdog([Path({region!r})])
watchdog.start()
print("started", flush=True)
while True:
    time.sleep(0.02)
    watchdog.check()
    print("answer", flush=True)
'''])
print(stub.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def family(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    region = tmp_path / "region"
    region.touch()
    program = FAMILY.format(backend=str(BACKEND), region=str(region))
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as process:
        yield process
        process.kill()


def test_a_server_is_ended_even_if_nobody_reads_what_its_stub_says_of_it(family: subprocess.Popen[bytes]) -> None:
    family.stderr.close()
    stub = int(family.stdout.readline())
    assert [b"started\n", b"answer\n"] == [family.stdout.readline() for _ in range(2)]
    os.kill(stub, signal.SIGSTOP)
    time.sleep(0.8)
    os.kill(stub, signal.SIGCONT)

    assert -signal.SIGKILL == family.wait(2)


def test_a_stub_that_was_stopped_gives_no_further_answer_and_ends_its_server(
    family: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    stub = int(family.stdout.readline())
    assert [b"started\n", b"answer\n"] == [family.stdout.readline() for _ in range(2)]
    os.kill(stub, signal.SIGSTOP)
    before = drain(family)
    time.sleep(0.8)
    os.kill(stub, signal.SIGCONT)

    assert -signal.SIGKILL == family.wait(2)
    assert b"" == family.stdout.read(), f"answers after the stop, {before} before"
    assert b"this process was stopped for" in family.stderr.read()
    assert not (tmp_path / "region").exists()


def test_a_stub_that_was_stopped_for_a_moment_answers_on(family: subprocess.Popen[bytes]) -> None:
    stub = int(family.stdout.readline())
    family.stdout.readline()
    os.kill(stub, signal.SIGSTOP)
    time.sleep(0.2)
    os.kill(stub, signal.SIGCONT)
    for _ in range(50):
        assert b"answer\n" == family.stdout.readline()
    assert family.poll() is None


def test_a_stub_ends_with_its_server(family: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert family.stdout.readline()
    assert b"started\n" == family.stdout.readline()
    family.kill()
    deadline_s = time.monotonic() + 5
    while (tmp_path / "region").exists() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert not (tmp_path / "region").exists()


def drain(family: subprocess.Popen[bytes]) -> int:
    """Read what was answered before the stop: the pipe is quiet then."""
    count = 0
    while select.select([family.stdout], [], [], 0.2)[0]:
        count += len(os.read(family.stdout.fileno(), 2**16))
    return count
