"""`python -m launch.demo`: serve, send the sample images to POST /analyze, and draw the answers."""

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from host.files import replacing
from inference_server.child import Waitable, first_of, stop_signals
from inference_server.errors import ServingError, StopAskedError
from launch.samples import ABOVE, MAX_PIXELS, SAMPLES, SampleError, find_samples
from launch.together import refused, say, serving
from tiles import DecodeError, decode_image, decode_mask
from tiles.pictures import overview, side_by_side

PICTURES = Path("demo")
AT_ONCE = 4
TIMEOUT_S = 60
PAUSE_S = 1  # after a refusal that names no other
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # without http_proxy: this is our own machine


@dataclass(frozen=True)
class AnalysedSample:
    """One sample and the answer of POST /analyze."""

    name: str  # <MT_Type>_<stem>
    true_type: str
    found_type: str | None  # None where nothing was found
    score: float  # of the image, 0–1
    image: np.ndarray  # (H, W) uint8
    truth: np.ndarray  # (H, W) bool
    found: np.ndarray  # (H, W) bool
    for_review: bool = False  # nothing was found, but a person should look

    @property
    def dice(self) -> float:
        """Return 2·|truth ∩ found| / (|truth| + |found|); 1 where both are empty."""
        pixels = int(self.truth.sum()) + int(self.found.sum())
        return 2 * int((self.truth & self.found).sum()) / pixels if pixels else 1.0

    def draw(self) -> Image.Image:
        """Draw image | truth | prediction."""
        nothing = "nothing, for review" if self.for_review else "nothing"
        found = f"{self.found_type or nothing} (score {self.score:.2f}, Dice {self.dice:.2f})"
        captions = [self.name, f"truth: {self.true_type}", f"found: {found}"]
        return side_by_side(self.image, self.truth, self.found, captions)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the samples, then go on serving unless --once is given; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m launch.demo", description="Serve, and analyse the sample images.")
    parser.add_argument("--once", action="store_true", help="end after the pictures are drawn")
    parser.add_argument("--samples", type=Path, default=SAMPLES, help="default: %(default)s")
    parser.add_argument("--pictures", type=Path, default=PICTURES, help="where to draw; default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        samples = find_samples(options.samples)
        with (
            stop_signals() as stop,
            serving(os.environ | {"LOG_LEVEL": os.environ.get("LOG_LEVEL") or "WARNING"}, stop) as service,
        ):
            show(samples, service.url, options.pictures, stop)
            if options.once:
                return 0
            say(f"open {service.url} in a browser; Ctrl-C ends it")
            return service.wait(stop)
    except ServingError as error:
        return refused(error)


def show(samples: Sequence[Path], url: str, pictures: Path, stop: Waitable) -> None:
    """Analyse the samples, a few at a time, save the pictures and print a table.

    Raises: SampleError, or StopAskedError when `stop` happens before the last sample is sent.
    """

    def analyse_unless_stopped(sample: Path) -> AnalysedSample:
        if first_of([stop], timeout_s=0) is not None:
            raise StopAskedError("stopped while the samples were analysed")
        return analyse(sample, url)

    with _writing_to(pictures):
        pictures.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        analyses = list(pool.map(analyse_unless_stopped, samples))
    drawn = [analysis.draw() for analysis in analyses]
    with _writing_to(pictures):
        for analysis, picture in zip(analyses, drawn, strict=True):
            save(picture, pictures / f"{analysis.name}.png")
        save(overview(drawn), pictures / "overview.png")
    sys.stdout.write(table(analyses))
    sys.stdout.flush()
    say(f"{len(drawn)} pictures are in {pictures}; {pictures / 'overview.png'} shows all of them")


@contextmanager
def _writing_to(pictures: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SampleError(
            f"{pictures} cannot be written to ({error.strerror or error}): free some space, or name another folder "
            "with --pictures"
        ) from None


def analyse(path: Path, url: str) -> AnalysedSample:
    """Send one image to POST /analyze and read its true mask beside it.

    Raises: SampleError.
    """
    try:
        data = path.read_bytes()
        image = decode_image(data, max_pixels=MAX_PIXELS)
        truth = decode_mask(path.with_suffix(".png").read_bytes(), above=ABOVE, max_pixels=MAX_PIXELS)
    except (OSError, DecodeError) as error:
        raise SampleError(f"{path} or its mask cannot be read: {error}") from None
    answer = _post(f"{url}/analyze", data, path)
    defect_type = path.parent.parent.name
    return AnalysedSample(
        name=f"{defect_type}_{path.stem}",
        true_type=defect_type.removeprefix("MT_"),
        found_type=answer["type"],
        score=answer["score"],
        image=image,
        truth=truth,
        found=np.array(answer["pred"], dtype=bool),
        for_review=answer["verdict"] == "review",
    )


def _post(url: str, data: bytes, path: Path) -> Any:
    """Ask until the service has time: a slow or busy machine may refuse some of the samples that are sent at once."""
    headers = {"Content-Type": "image/jpeg", "Accept": "application/json"}
    request = urllib.request.Request(url, data, headers)  # noqa: S310  our own proxy's address
    ends = time.monotonic() + TIMEOUT_S
    try:
        while True:
            try:
                with DIRECTLY.open(request, timeout=TIMEOUT_S) as response:
                    return json.load(response)
            except urllib.error.HTTPError as error:
                with error:
                    problem = error.read().decode()
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > ends:
                    raise SampleError(f"{path}: POST {url} answered {error.code}: {problem}") from None
                time.sleep(int(error.headers.get("Retry-After", PAUSE_S)))
    except OSError as error:
        raise SampleError(f"{path}: POST {url} failed: {error}") from None


def table(analyses: Sequence[AnalysedSample]) -> str:
    """Return one line an image, for a person at a terminal."""
    width = max(len(analysis.name) for analysis in analyses)
    lines = [f"{'file':<{width}}  {'true type':<10}{'found type':<12}{'Dice':>5}"]
    for analysis in analyses:
        found = analysis.found_type or ("review" if analysis.for_review else "-")
        lines.append(f"{analysis.name:<{width}}  {analysis.true_type:<10}{found:<12}{analysis.dice:>5.2f}")
    return "\n".join([*lines, ""])


def save(picture: Image.Image, path: Path) -> None:
    """Write a picture whole: nobody sees half of one."""
    with replacing(path) as aside:
        picture.save(aside, format="PNG")


if __name__ == "__main__":
    sys.exit(main())
