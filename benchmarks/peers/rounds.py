"""Finds each contender's best settings, then runs rounds in which each contender is started, measured and ended.

The order rotates, so that no contender has a disadvantage if the machine becomes slower. A contender that fails is left
out of the rest, with the reason.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.answers import differing_pixels, found_masks
from benchmarks.errors import BenchmarkError, say
from benchmarks.peers.contenders import Contender, Result, Variant
from benchmarks.peers.local import LocalSegmenter
from benchmarks.record import spread
from benchmarks.samples import image_files
from host.cores import usable_cores


class Choice(NamedTuple):
    """A contender's best settings, and the share of mask pixels in which it differs from ONNX Runtime alone, 0–1."""

    variant: Variant
    clients: int
    images_s: float
    differing_pixels: float | None


def choose_all(
    asked: Sequence[Contender], graph: Path, clients: Sequence[int], left_out: dict[str, str]
) -> dict[str, Choice]:
    """Return each contender's best settings; record in `left_out` why a contender failed."""
    segmenter = LocalSegmenter(graph, usable_cores())
    expected = [segmenter.mask(path.read_bytes()) for path in image_files()]
    chosen: dict[str, Choice] = {}
    for contender in asked:
        try:
            chosen[contender.name] = _choose(contender, clients, expected)
        except BenchmarkError as error:
            _leave_out(contender, error, left_out)
        else:
            best = chosen[contender.name]
            say(f"chosen: {best.clients} clients, {contender.name} {dict(best.variant) or 'as shipped'}")
    return chosen


def _choose(contender: Contender, clients: Sequence[int], expected: Sequence[np.ndarray]) -> Choice:
    """Try each variant with each number of clients, and compare its masks with ONNX Runtime's."""
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
    """Measure every chosen contender once in each round; return those that never failed; record why the others did."""
    results: dict[str, list[Result]] = {name: [] for name in chosen}
    racing = [contender for contender in asked if contender.name in chosen]
    for number in range(rounds):
        start = number % len(racing)
        for contender in [*racing[start:], *racing[:start]]:
            name = contender.name
            if name in left_out:
                continue
            try:
                with contender.start(chosen[name].variant) as running:
                    results[name].append(running.measure(chosen[name].clients, cycles))
            except BenchmarkError as error:
                _leave_out(contender, error, left_out)
            else:
                say(f"round {number + 1} of {rounds}: {name}: {results[name][-1].images_s:.2f} images/s")
    return {name: found for name, found in results.items() if name not in left_out}


def _leave_out(contender: Contender, error: BenchmarkError, left_out: dict[str, str]) -> None:
    """Record the reason, without this machine's paths."""
    left_out[contender.name] = str(error).replace(f"{Path.cwd()}/", "")
    say(f"{contender.name} is left out: {error}")


def latency_alone(limit: Contender, ours: Contender, *, rounds: int, cycles: int) -> dict[str, Any]:
    """Compare the latency of one client that waits for each answer with that of the network alone.

    Return the milliseconds per image of both, for each round, and the spread of their ratios.
    """
    one_session = {
        "workers": 1,
        "threads": 1,
    }  # as one instance has; ours, alone, also uses the idle instances' cores: decision 24
    network, served = [], []
    for number in range(rounds):
        with limit.start(one_session) as running:
            network.append(round(1000 / running.measure(1, cycles).images_s, 3))
        with ours.start({}) as running:
            served.append(running.measure(1, cycles).latency_ms["mean"])
        say(f"round {number + 1} of {rounds}, one client: {network[-1]:.1f} ms alone, {served[-1]:.1f} ms served")
    return {"network_ms": network, "service_ms": served, "ratio": spread(served, network)}
