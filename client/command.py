"""`python -m client analyze`: a folder of photographs → masks, overlays and a table."""

import argparse
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from client.allocator import keep_freed_memory
from client.errors import ClientError, InputError
from client.journal import Journal
from client.outcomes import Outcome
from client.photographs import MASKS, OVERLAYS, Photograph, find_photographs
from client.request import URL, check_seconds, check_share
from client.run import Run
from client.service import WAIT_S, Client
from client.tables import RESULTS, TILES, write_tables

MOST_AT_ONCE = 256  # each has a thread
AT_ONCE = 8  # on two cores, fewer or more answer fewer images a second
NAMED_FAILURES = 20
KEY_VARIABLE = "CLIENT_API_KEY"
FAILED = 1


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this command."""
    parser.add_argument(
        "sources", type=Path, nargs="+", metavar="FOLDER_OR_FILE", help="images, or folders with their subfolders"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where results go")
    parser.add_argument("--url", default=URL, help="of the service; default: %(default)s")
    parser.add_argument("--pattern", default="*", help="of file names in folders, such as '*.jpg'; default: all images")
    parser.add_argument(
        "--part-from", type=_expression, metavar="REGEX", help="what it finds in a file's path is sent as its part"
    )
    parser.add_argument(
        "--tile-from", type=_expression, metavar="REGEX", help="files whose paths give the same match show one tile"
    )
    parser.add_argument("--threshold", type=float, help="0-1; default: the model's own")
    parser.add_argument("--alarm-score", type=float, help="0-1, of one image; default: the model's own")
    parser.add_argument("--tile-alarm-score", type=float, help="0-1, of a tile's mean score; default: the model's own")
    parser.add_argument("--at-once", type=_at_once, default=AT_ONCE, help="images at once; default: %(default)s")
    parser.add_argument(
        "--wait",
        type=float,
        default=WAIT_S,
        metavar="SECONDS",
        help="how long to wait for a service that is away; default: %(default)g",
    )
    parser.add_argument("--again", action="store_true", help="send refused images again, too")
    parser.add_argument(
        "--api-key-file", type=Path, help=f"a file with the API key; or set the environment variable {KEY_VARIABLE}"
    )


def analyze(options: argparse.Namespace) -> int:
    """Analyse all photographs; return the exit status, 1 if one of them has no answer.

    Raises: ClientError, if nothing can be done.
    """
    for name in ("threshold", "alarm_score", "tile_alarm_score"):
        if (share := getattr(options, name)) is not None:
            check_share(f"--{name.replace('_', '-')}", share)
    check_seconds("--wait", options.wait)
    keep_freed_memory()
    try:
        photographs = find_photographs(
            options.sources,
            out=options.out,
            pattern=options.pattern,
            part_from=options.part_from,
            tile_from=options.tile_from,
        )
        with Journal(options.out) as journal:
            return _analyze(options, photographs, journal)
    except OSError as error:
        # a rename has two names: the second is that of the file that was meant
        path = error.filename2 or error.filename or options.out
        raise InputError(
            f"{path} cannot be used: {error.strerror}; make room, change its permissions, or name another"
        ) from None


def _analyze(options: argparse.Namespace, photographs: Sequence[Photograph], journal: Journal) -> int:
    settings = {"threshold": options.threshold, "alarm_score": options.alarm_score}
    with (
        Client(options.url, api_key=_api_key(options), wait_s=options.wait) as client,
        tqdm(total=len(photographs), unit="image", disable=None, dynamic_ncols=True) as bar,
    ):
        run = Run(client, journal, options.out, settings, _Progress(bar), again=options.again)
        if len(journal):
            run.model = _served_model(client)
        try:
            started = time.perf_counter()
            run.over(photographs, at_once=options.at_once)
            took_s = time.perf_counter() - started
        finally:
            outcomes = [run.outcomes[each.name] for each in photographs if each.name in run.outcomes]
            tiles = write_tables(options.out, outcomes, tile_alarm_score=options.tile_alarm_score)
    _tell(options.out, outcomes, tiles, run.stopped, took_s)
    return FAILED if any(outcome.found is None for outcome in outcomes) else 0


def _served_model(client: Client) -> dict[str, object] | None:
    """Return what is served now. Where the service is away, earlier answers count whichever model gave them."""
    try:
        return client.served_model()
    except ClientError as error:
        _say(f"earlier answers are kept, whichever model gave them: {error}")
        return None


class _Progress:
    """Moves the bar, and counts beside it."""

    def __init__(self, bar: "tqdm[None]") -> None:
        self._bar = bar
        self._counts = {"defect": 0, "failed": 0}

    def __call__(self, outcome: Outcome) -> None:
        if outcome.found is None:
            self._counts["failed"] += 1
        elif outcome.found.verdict == "defect":
            self._counts["defect"] += 1
        self._bar.set_postfix(self._counts, refresh=False)
        self._bar.update()


def _tell(
    folder: Path, outcomes: Sequence[Outcome], tiles: Sequence[dict[str, object]], stopped: str, took_s: float
) -> None:
    """Write what came out, and name the failures."""
    found = [outcome.found for outcome in outcomes if outcome.found is not None]
    verdicts = {verdict: sum(each.verdict == verdict for each in found) for verdict in ("defect", "review", "ok")}
    counted = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.items() if number or verdict != "review")
    sent = sum(outcome.sent for outcome in outcomes)
    _say(f"{len(outcomes)} images: {counted}, {len(outcomes) - len(found)} without an answer; "
         f"{sent} were sent now, {len(outcomes) / took_s:.1f} images/s")  # fmt: skip
    if tiles:
        defective = sum(row.get("verdict") == "defect" for row in tiles)
        _say(f"{len(tiles)} tiles, {defective} with a defect: {folder / TILES}")
    _say(f"{folder / RESULTS} has a row for each image; {folder / MASKS} and {folder / OVERLAYS} have the pictures")
    models = {(each.model.name, each.model.version, each.model.sha256) for each in found}
    if len(models) > 1:
        _say(f"{len(models)} models answered: run the command again to have all by the one that is served now")
    _name_failures(outcomes)
    if stopped:
        _say(f"stopped: {stopped}. Run the command again: what was answered is not sent again")


def _name_failures(outcomes: Sequence[Outcome]) -> None:
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    for outcome in failed[:NAMED_FAILURES]:
        _say(f"{outcome.photograph.name}: {outcome.error}")
    if len(failed) > NAMED_FAILURES:
        _say(f"and {len(failed) - NAMED_FAILURES} more, which {RESULTS} names")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _api_key(options: argparse.Namespace) -> str | None:
    if options.api_key_file is None:
        return os.environ.get(KEY_VARIABLE, "").strip() or None
    try:
        key = str(options.api_key_file.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise InputError(
            f"--api-key-file {options.api_key_file} cannot be read: {error}; name a text file that has the key"
        ) from None
    if not key:
        raise InputError(f"--api-key-file {options.api_key_file} is empty: write the key into it")
    return key


def _expression(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"{text!r:.150} is no regular expression ({error}): correct it") from None


def _at_once(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_AT_ONCE:
        raise argparse.ArgumentTypeError(f"{number} is not from 1 to {MOST_AT_ONCE}")
    return number
