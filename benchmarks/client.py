"""`make bench-client`: `python -m client analyze` beside the closed loop, with as many requests at once.

Both work on the same service in turns: the load tool posts photographs, then the command analyses a folder with the
same ones. Some of its files are corrupt. The command does more: it reads and hashes files, and writes masks, overlays,
a journal and a table.
"""

import argparse
import csv
import itertools
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.answers import found_masks
from benchmarks.errors import AnswerError, exit_status, say
from benchmarks.load import fixed_work
from benchmarks.record import spread, write_record
from benchmarks.samples import JSON, jpeg_bodies, photographs, which_photographs
from benchmarks.servers import Server, service
from benchmarks.tools import Command, serving_python

AT_ONCE = 8
CORRUPT = 3
FAILED = 1  # the command's exit status if a file has no answer


def main() -> None:
    """Measure, and write the record `client`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.client", description="The client and a closed loop.")
    parser.add_argument("--files", type=int, default=1000, help="files of a run; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="turns of both; default: %(default)s")
    parser.add_argument("--folder", type=Path, help="where files are written; default: the system's temporary folder")
    options = parser.parse_args()
    say(f"the images are {which_photographs()}")
    chosen = list(itertools.islice(itertools.cycle(photographs()), options.files))
    with service() as started, tempfile.TemporaryDirectory(prefix="benchmarks-", dir=options.folder) as name:
        found_masks(started.analyze_url)
        folder = write_photographs(Path(name) / "photographs", chosen)
        rounds = [one_round(started, chosen, folder, Path(name) / f"out-{turn}") for turn in range(options.rounds)]
    share = spread([turn["client_s"] for turn in rounds], [turn["closed_loop_s"] for turn in rounds])
    settings = {**vars(options), "at_once": AT_ONCE, "corrupt": CORRUPT, "answer": JSON}
    figures = {"files": len(chosen), "photographs": which_photographs(), "rounds": rounds, "share": share}
    write_record("client", figures=figures, settings=settings)


def write_photographs(folder: Path, chosen: Sequence[Path]) -> Path:
    """Fill a folder with copies, of which the last ones are cut off."""
    folder.mkdir()
    for place, file in enumerate(chosen):
        path = folder / f"{place:05}.jpg"
        shutil.copy(file, path)
        if place >= len(chosen) - CORRUPT:
            path.write_bytes(path.read_bytes()[:1000])
    return folder


def one_round(started: Server, chosen: Sequence[Path], folder: Path, out: Path) -> dict[str, Any]:
    """Return images a second of both; `running_s` is the command's without the start of Python.

    Raises: LoadError; AnswerError, if the command did not do its work.
    """
    load = fixed_work(started.analyze_url, jpeg_bodies(JSON, chosen), clients=AT_ONCE, cycles=1)
    load.tell(f"closed loop, {AT_ONCE} clients")
    begun = time.monotonic()
    said = run_client(started, folder, out)
    rate = len(chosen) / (time.monotonic() - begun)
    running = re.search(r"([\d.]+) images/s", said)
    if running is None or rows(out) != len(chosen):
        raise AnswerError(f"the client wrote {rows(out)} rows for {len(chosen)} files: {said}")
    say(f"client: {rate:.1f}/s with its start, {running[1]}/s without")
    return {"closed_loop_s": load.answered_s, "client_s": round(rate, 3), "running_s": float(running[1])}


def run_client(started: Server, folder: Path, out: Path) -> str:
    """Run the command and return what it says; the corrupt files must be all that fails.

    Raises: AnswerError.
    """
    words: Command = ["-m", "client", "analyze", folder, "--out", out, "--at-once", str(AT_ONCE)]
    command: Command = [serving_python(), *words, "--url", f"http://{started.address}"]
    done = subprocess.run(list(map(str, command)), stderr=subprocess.PIPE, text=True, check=False, encoding="utf-8")
    if done.returncode != FAILED or f" {CORRUPT} without an answer" not in done.stderr:
        raise AnswerError(f"the client ended with {done.returncode}: {done.stderr}")
    return done.stderr


def rows(out: Path) -> int:
    """Return the number of rows in results.csv."""
    with (out / "results.csv").open(newline="", encoding="utf-8") as file:
        return sum(1 for _ in csv.DictReader(file))


if __name__ == "__main__":
    sys.exit(exit_status(main))
