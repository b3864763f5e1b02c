"""schemathesis against the running service: no answer that openapi.yaml does not describe."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter

import pytest
import yaml
from PIL import Image

from host.ports import free_port
from proxy.document import DOCUMENT
from proxy.mask_formats import MASKS
from proxy.views import VIEWS
from tests.conftest import ROOT, answers, wait_until
from tests.pages import code

PAGE = yaml.safe_load(DOCUMENT.read_bytes())
TILE = ROOT / "samples/tiles/MT_Blowhole/Imgs/exp1_num_317483.jpg"
CASES = 1000  # at least
PER_OPERATION = 400
# A correct request may be refused: for its image, or for a parameter of the other representation.
UNCHECKED = "positive_data_acceptance"


@pytest.fixture(scope="module")
def address(start_service, triton) -> str:
    """A proxy that refuses nothing because the machine is busy."""
    port = free_port()
    patient = dict.fromkeys(("DEADLINE_S", "TRITON_TIMEOUT_S", "MAX_WAIT_S", "UPLOAD_GRACE_S", "HEAD_S"), "600")
    service = start_service("proxy", PORT=str(port), TRITON_URL=triton.url, CHECK_INTERVAL_S="3600", **patient)
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(f"{url}/health/ready"), service)
    return url


def run(url, calls, phases="examples,coverage,fuzzing"):
    """Have schemathesis send its requests, and return its exit status and the end of what it says."""
    options = [
        "--phases",
        phases,
        "--max-examples",
        str(PER_OPERATION),
        "--exclude-checks",
        UNCHECKED,
    ]
    patient = ["--suppress-health-check", "all", "--request-timeout", "600"]
    quiet = ["--no-color", "--no-shrink", "--generation-database", "none", "--seed", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", DOCUMENT, "--url", url, *options, *patient, *quiet],
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.document_hooks", "PYTHONPATH": str(ROOT), "CALLS": str(calls)},
        cwd=calls.parent,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    return done.returncode, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.timeout(1200)  # of a busy machine; an idle one takes a minute
def test_no_answer_is_outside_the_document(address, tmp_path):
    calls = tmp_path / "calls"
    status, said = run(address, calls)
    assert 0 == status, said
    sent = [json.loads(line) for line in calls.read_text().splitlines()]
    good = Counter((call["path"], call["type"], call["mask"], call["view"]) for call in sent if call["status"] == 200)

    assert CASES <= len(sent)
    for mask in (None, *MASKS):
        assert good["/analyze", "application/json", mask, None], mask
        assert good["/analyze/tile", "application/json", mask, None], mask
    for view in (None, *VIEWS):
        assert good["/analyze", "image/png", None, view], view
    assert any(call["defects"] and call["warnings"] for call in sent)
    assert {200, 400, 405, 406, 415, 422} <= {call["status"] for call in sent}


@pytest.mark.slow
def test_below_v1_no_answer_to_an_example_is_outside_the_document(address, tmp_path):
    """The same handlers answer there, so the examples are enough."""
    calls = tmp_path / "calls"
    status, said = run(f"{address}/v1", calls, phases="examples")
    assert 0 == status, said
    assert calls.read_text()


SAMPLES = {"sh": ["sh"], "python": [sys.executable], "javascript": ["node", "--input-type=module"]}
OPERATIONS = [PAGE["paths"][path]["post"] for path in ("/analyze", "/analyze/tile")]
PROGRAMS = [(lang, text) for each in OPERATIONS for lang in SAMPLES for text in code(each["description"], lang)]


@pytest.mark.parametrize(("language", "program"), PROGRAMS, ids=[language for language, _ in PROGRAMS])
def test_a_program_of_the_document_works_as_it_stands(address, tmp_path, language, program):
    if shutil.which(SAMPLES[language][0]) is None:
        pytest.skip(f"{language} is not installed")
    for name in ("tile.jpg", "tile-2.jpg"):
        shutil.copy(TILE, tmp_path / name)
    text = re.sub(r"^curl", "curl -sS --fail", program, flags=re.MULTILINE).replace("http://127.0.0.1:8080", address)
    said = subprocess.run(
        SAMPLES[language], input=text, cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout

    assert re.search(r"\bdefect\b.*Blowhole", said, re.DOTALL)
    for file in re.findall(r"-o (\S+)", program):
        with Image.open(tmp_path / file) as picture:
            assert (218, 269) == picture.size
