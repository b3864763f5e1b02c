"""schemathesis against the running service: no answer that openapi.yaml does not describe."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest
from document_hooks import MASKS, VIEWS

from proxy.document import DOCUMENT
from tests.conftest import ROOT, answers, wait_until
from tests.ports import free_port

CASES = 1000  # at least, in each of the two runs
PER_OPERATION = 400
# A correct request may be refused: for its image, or for a parameter of the other representation.
UNCHECKED = "positive_data_acceptance"


@pytest.fixture(scope="module")
def address(start_service, triton) -> str:
    port = free_port()
    service = start_service("proxy", PORT=str(port), TRITON_URL=triton.url)
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(f"{url}/health/ready"), service)
    return url


def run(url, calls):
    """Have schemathesis send its requests, and return its exit status and the end of what it says."""
    options = [
        "--phases",
        "examples,coverage,fuzzing",
        "--max-examples",
        str(PER_OPERATION),
        "--exclude-checks",
        UNCHECKED,
    ]
    quiet = ["--no-color", "--no-shrink", "--generation-database", "none", "--generation-deterministic"]
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", DOCUMENT, "--url", url, *options, *quiet],
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.document_hooks", "PYTHONPATH": str(ROOT), "CALLS": str(calls)},
        cwd=calls.parent,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    return done.returncode, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("version", ["", "/v1"])
def test_no_answer_is_outside_the_document(address, tmp_path, version):
    calls = tmp_path / "calls"
    status, said = run(f"{address}{version}", calls)
    sent = [json.loads(line) for line in calls.read_text().splitlines()]
    good = Counter((call["path"], call["type"], call["mask"], call["view"]) for call in sent if call["status"] == 200)

    assert 0 == status, said
    assert CASES <= len(sent)
    for mask in (None, *MASKS):
        assert good["/analyze", "application/json", mask, None], mask
        assert good["/analyze/tile", "application/json", mask, None], mask
    for view in (None, *VIEWS):
        assert good["/analyze", "image/png", None, view], view
    assert {200, 400, 405, 406, 415, 422} <= {call["status"] for call in sent}
