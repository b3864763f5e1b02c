"""Check that a service finds the defects in the sample images, with the model of HEAD.

It posts each sample to /analyze, one after another, as a client would.
"""

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np

from launch.samples import ABOVE, MAX_PIXELS, find_samples
from tiles import decode_mask
from workflows.commands import say, summarise
from workflows.errors import ServiceError, SmokeError
from workflows.service import call

CONFIGURATION = Path("model_repository/segmenter/config.pbtxt")
MODEL_COMMIT = re.compile(r'key: "model.commit" value: \{ string_value: "(\w+)" \}')
READY_S = 180  # Triton and the proxy start in seconds; a sleeping dyno and a large container image take longer
POLL_S = 2
LEAST_DICE = 0.5  # pooled over the samples: far below any model worth serving, far above a broken one


def expected_model() -> str:
    """Return the training commit of the model that HEAD's repository serves.

    Raises: SmokeError.
    """
    if found := MODEL_COMMIT.search(CONFIGURATION.read_text(encoding="utf-8")):
        return found.group(1)
    raise SmokeError(f"{CONFIGURATION} has no parameter model.commit: run `dvc repro`, which writes it")


def check(url: str, model_commit: str | None) -> None:
    """Check a service and, if `model_commit` is given, that it serves this model.

    Raises: SmokeError.
    """
    url = url.rstrip("/")
    wait_until_ready(url)
    common = total = 0
    samples = find_samples(Path("samples/tiles"))
    for sample in samples:
        found = analyse(url, sample, model_commit)
        truth = decode_mask(sample.with_suffix(".png").read_bytes(), above=ABOVE, max_pixels=MAX_PIXELS)
        if found.shape != truth.shape:
            raise SmokeError(f"{sample}: the mask has the shape {found.shape}, but the image has {truth.shape}")
        common, total = common + int((found & truth).sum()), total + int(found.sum()) + int(truth.sum())
    dice = 2 * common / total
    if dice < LEAST_DICE:
        raise SmokeError(f"{url} answers with a Dice of {dice:.3f} over the samples; it must be {LEAST_DICE} or more")
    summarise(f"Smoke test of {url}: {len(samples)} images analysed, Dice {dice:.3f}")


def wait_until_ready(url: str) -> None:
    """Wait for GET /health/ready to answer 200.

    Raises: SmokeError with its last answer, if it is not ready in time.
    """
    deadline_s = time.monotonic() + READY_S
    while True:
        try:
            call("GET", f"{url}/health/ready", {})
        except ServiceError as error:
            if time.monotonic() > deadline_s:
                raise SmokeError(f"{url} was not ready within {READY_S} s: {error}") from error
            say(f"waiting: {error}")
            time.sleep(POLL_S)
        else:
            return


def analyse(url: str, sample: Path, model_commit: str | None) -> np.ndarray:
    """Return the mask that POST /analyze answers: (H, W) bool.

    Raises: SmokeError.
    """
    try:
        said = call("POST", f"{url}/analyze", {"Content-Type": "image/jpeg"}, sample.read_bytes())
        answer: dict[str, Any] = json.loads(said)
        served, mask = answer["model"]["commit"], np.array(answer["pred"], dtype=bool)
    except (ServiceError, ValueError, KeyError, TypeError) as error:
        raise SmokeError(f"{sample}: the answer to this sample has no mask: {error}") from error
    if model_commit not in (None, served):
        raise SmokeError(f"the service answers with the model of commit {served} instead of {model_commit}")
    return mask
