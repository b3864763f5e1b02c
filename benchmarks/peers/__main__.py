"""`make bench-peers`: the same graph on the same cores, served by this project and by others, in the same run.

The results are ratios within a round: to ONNX Runtime alone, which is the limit, and to the best peer.
"""

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.errors import AnswerError, exit_status, say
from benchmarks.peers.contenders import Contender, Result, contenders
from benchmarks.peers.rounds import Choice, choose_all, latency_alone, run_rounds
from benchmarks.record import spread, write_record
from benchmarks.samples import photographs, which_photographs
from benchmarks.servers import GRAPH
from host.cores import usable_cores

LIMIT = "onnxruntime"
OURS = "ours"
CLIENTS = (4, 8)


def main() -> None:
    """Measure, and write the record `peers`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description="The same graph, served by others.")
    parser.add_argument(
        "--seconds",
        type=float,
        default=5,
        help="approximate seconds of a measurement, of at least one cycle over the photographs; default: %(default)s",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds to measure; default: %(default)s")
    parser.add_argument(
        "--clients",
        type=int,
        nargs="+",
        default=CLIENTS,
        help="numbers of clients to choose from; default: %(default)s",
    )
    parser.add_argument("--graph", type=Path, default=GRAPH, help="graph that all serve; default: %(default)s")
    parser.add_argument("--only", nargs="+", help="names of the contenders; default: all")
    options = parser.parse_args()
    say(f"the images are {which_photographs()}")
    cores, left_out = usable_cores(), dict[str, str]()
    asked = {each.name: each for each in contenders(options.graph, cores) if each.name in (options.only or [each.name])}
    chosen = choose_all(list(asked.values()), options.graph, options.clients, left_out)
    check_limit(chosen, left_out)
    cycles = max(1, round(options.seconds * chosen[LIMIT].images_s / len(photographs())))
    rounds = run_rounds(list(asked.values()), chosen, options.rounds, cycles, left_out)
    check_limit(rounds, left_out)
    alone = None
    if OURS in rounds:
        alone = latency_alone(asked[LIMIT], asked[OURS], rounds=options.rounds, cycles=max(1, cycles // 2))
    figures = {
        "photographs": which_photographs(),
        "contenders": {name: summary(asked[name], chosen[name], rounds) for name in rounds},
        "left_out": left_out,
        "ours_to_best_peer": ours_to_best_peer(asked, rounds),
        "latency_alone": alone,
    }
    settings = {**vars(options), "cores": cores, "cycles": cycles, "tiles": len(photographs())}
    write_record("peers", figures=figures, settings=settings)


def check_limit(found: Mapping[str, Any], left_out: Mapping[str, str]) -> None:
    """Make sure that there is something to compare with.

    Raises: AnswerError.
    """
    if LIMIT not in found:
        reason = left_out.get(LIMIT, "add it to --only")
        raise AnswerError(f"the others are compared with {LIMIT} alone, which is missing: {reason}")


def summary(contender: Contender, choice: Choice, rounds: Mapping[str, Sequence[Result]]) -> dict[str, Any]:
    """Return a contender's figures, medians of the rounds, and its ratio to the limit in the same round."""
    ours, limits = ([result.images_s for result in rounds[name]] for name in (contender.name, LIMIT))
    latencies = [result.latency_ms for result in rounds[contender.name]]
    return {
        "what": contender.what,
        "kind": contender.kind,
        **choice._asdict(),
        "images_s": statistics.median(ours),
        "rounds_images_s": ours,
        "to_limit": spread(ours, limits),
        "latency_ms": {name: statistics.median(each[name] for each in latencies) for name in latencies[0]},
        "rounds_p50_ms": [each["p50"] for each in latencies if each],  # none without requests over a network
    }


def ours_to_best_peer(asked: Mapping[str, Contender], rounds: Mapping[str, Sequence[Result]]) -> dict[str, Any] | None:
    """Return our ratio to the peer with the highest median; None if either is missing."""
    images_s = {name: [result.images_s for result in results] for name, results in rounds.items()}
    peers = [name for name in rounds if asked[name].kind == "peer"]
    if not peers or OURS not in rounds:
        return None
    best = max(peers, key=lambda name: statistics.median(images_s[name]))
    return {"peer": best, **spread(images_s[OURS], images_s[best])}


if __name__ == "__main__":
    sys.exit(exit_status(main))
