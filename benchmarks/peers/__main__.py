"""`make bench-peers`: the same graph on the same cores, served by us and by others, in the same run.

First each contender's best settings are looked for. Then come rounds in which each is started, measured and ended, in
an order that rotates, so that a machine that grows slower meanwhile is unjust to none. What counts is the ratio within
a round: to ONNX Runtime alone, the limit, and to the best peer.
"""

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.answers import differing_pixels, found_masks
from benchmarks.errors import AnswerError, BenchmarkError, exit_status, say
from benchmarks.peers.contenders import Contender, Result, Variant, contenders
from benchmarks.peers.latency import latency_alone
from benchmarks.peers.local import LocalSegmenter
from benchmarks.peers.ratios import spread
from benchmarks.record import made_by, write_record
from benchmarks.samples import tile_files
from benchmarks.servers import GRAPH
from host.cores import usable_cores

LIMIT = "onnxruntime"
OURS = "ours"
CLIENTS = (4, 8)


class Choice(NamedTuple):
    """A contender's best settings, and the share of mask pixels in which it differs from ONNX Runtime alone, 0–1."""

    variant: Variant
    clients: int
    images_s: float
    differing_pixels: float | None


def main() -> None:
    """Measure, and write the record `peers`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description="The same graph, served by others.")
    parser.add_argument("--seconds", type=float, default=5, help="of a measurement, about; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS, help="to choose from; default: %(default)s")
    parser.add_argument("--graph", type=Path, default=GRAPH, help="that all serve; default: %(default)s")
    parser.add_argument("--only", nargs="+", help="contenders by name; default: all")
    options = parser.parse_args()
    cores = usable_cores()
    asked = [each for each in contenders(options.graph, cores) if each.name in (options.only or [each.name])]
    chosen, left_out = choose_all(asked, options.graph, options.clients)
    if LIMIT not in chosen:
        raise AnswerError(f"{LIMIT} alone is what the others are compared with: {left_out.get(LIMIT, 'ask for it')}")
    cycles = max(1, round(options.seconds * chosen[LIMIT].images_s / len(tile_files())))
    rounds = run_rounds([each for each in asked if each.name in chosen], chosen, options.rounds, cycles, left_out)
    if LIMIT not in rounds:
        raise AnswerError(f"{LIMIT} alone is what the others are compared with: {left_out[LIMIT]}")
    figures = {
        "contenders": summarize(asked, chosen, rounds),
        "left_out": left_out,
        "ours_to_best_peer": best(asked, rounds),
        "latency_alone": one_client(asked, rounds, options.rounds, cycles),
    }
    settings = {**vars(options), "cores": cores, "cycles": cycles, "tiles": len(tile_files())}
    say(f"written: {write_record('peers', command=made_by('bench-peers'), figures=figures, settings=settings)}")


def choose_all(
    asked: Sequence[Contender], graph: Path, clients: Sequence[int]
) -> tuple[dict[str, Choice], dict[str, str]]:
    """Return each contender's best settings, and why others are left out."""
    segmenter = LocalSegmenter(graph, usable_cores())
    expected = [segmenter.mask(path.read_bytes()) for path in tile_files()]
    chosen: dict[str, Choice] = {}
    left_out: dict[str, str] = {}
    for contender in asked:
        try:
            chosen[contender.name] = choose(contender, clients, expected)
        except BenchmarkError as error:
            leave_out(contender, error, left_out)
    return chosen, left_out


def choose(contender: Contender, clients: Sequence[int], expected: Sequence[Any]) -> Choice:
    """Try each variant with each number of clients, and look at the masks that it answers.

    Raises: BenchmarkError, where it cannot be started or asked.
    """
    tried = []
    for variant in contender.variants:
        with contender.start(variant) as running:
            differing = differing_pixels(found_masks(running.url), expected) if running.url else None
            for number in clients if contender.kind != "runtime" else clients[:1]:
                images_s = running.measure(number, 1).images_s
                say(f"choosing: {contender.name} {dict(variant)}, {number} clients: {images_s:.1f} images/s")
                tried.append(Choice(variant, number, images_s, differing))
    return max(tried, key=lambda choice: choice.images_s)


def run_rounds(
    asked: Sequence[Contender], chosen: Mapping[str, Choice], rounds: int, cycles: int, left_out: dict[str, str]
) -> dict[str, list[Result]]:
    """Measure everybody once a round; who fails is left out from then on, with the reason."""
    results: dict[str, list[Result]] = {contender.name: [] for contender in asked}
    for number in range(rounds):
        start = number % len(asked)
        for contender in [*asked[start:], *asked[:start]]:
            if contender.name in left_out:
                continue
            choice = chosen[contender.name]
            try:
                with contender.start(choice.variant) as running:
                    result = running.measure(choice.clients, cycles)
            except BenchmarkError as error:
                leave_out(contender, error, left_out)
                continue
            say(f"round {number + 1} of {rounds}: {contender.name}: {result.images_s:.2f} images/s")
            results[contender.name].append(result)
    return {name: found for name, found in results.items() if len(found) == rounds}


def leave_out(contender: Contender, error: BenchmarkError, left_out: dict[str, str]) -> None:
    """Note why, without this machine's paths."""
    left_out[contender.name] = str(error).replace(f"{Path.cwd()}/", "")
    say(f"{contender.name} is left out: {error}")


def summarize(
    asked: Sequence[Contender], chosen: Mapping[str, Choice], rounds: Mapping[str, Sequence[Result]]
) -> dict[str, Any]:
    """Return for each contender its figures, and its ratio to the limit in the same round."""
    limits = [result.images_s for result in rounds[LIMIT]]
    return {
        each.name: {
            "what": each.what,
            "kind": each.kind,
            **chosen[each.name]._asdict(),
            "images_s": statistics.median(result.images_s for result in rounds[each.name]),
            "rounds_images_s": [result.images_s for result in rounds[each.name]],
            "to_limit": spread([result.images_s for result in rounds[each.name]], limits),
            "latency_ms": rounds[each.name][-1].latency_ms,
        }
        for each in asked
        if each.name in rounds
    }


def best(asked: Sequence[Contender], rounds: Mapping[str, Sequence[Result]]) -> dict[str, Any] | None:
    """Return our ratio to the peer with the highest median, None where either is missing."""
    medians = {
        each.name: statistics.median(result.images_s for result in rounds[each.name])
        for each in asked
        if each.kind == "peer" and each.name in rounds
    }
    if not medians or OURS not in rounds:
        return None
    name = max(medians, key=medians.__getitem__)
    ours, theirs = ([result.images_s for result in rounds[each]] for each in (OURS, name))
    return {"peer": name, **spread(ours, theirs)}


def one_client(
    asked: Sequence[Contender], results: Mapping[str, Sequence[Result]], rounds: int, cycles: int
) -> dict[str, Any] | None:
    """Return our latency with one client beside the network's alone, None where we were not asked for or left out."""
    both = {each.name: each for each in asked if each.name in (LIMIT, OURS) and each.name in results}
    if OURS not in both:
        return None
    return latency_alone(both[LIMIT], both[OURS], rounds=rounds, cycles=max(1, cycles // 2))


if __name__ == "__main__":
    sys.exit(exit_status(main))
