"""By how much results on the same images differ: intervals over the same draws of tiles."""

from collections.abc import Collection, Mapping, Sequence

from training.evaluation.bootstrap import bootstrap, interval, of_one_tile
from training.evaluation.figures import Outcomes
from training.evaluation.flat import flat

Bounds = dict[str, tuple[float, float]]  # of the 95 % interval, by the figure's name


def differences(
    outcomes: Mapping[str, Outcomes], figures: Collection[str], *, samples: int, seed: int
) -> dict[str, Bounds]:
    """Return for each result but the first the 95 % interval of each figure's difference from the first's.

    All have the same images and masks, in any order: each draw has the same tiles for all. What one tile alone
    decides, or no draw shows, has no interval.

    figures: nested ones by their flat names. samples, seed: of the bootstrap.
    """
    draws = {
        name: [flat(draw) for draw in bootstrap(each, samples=samples, seed=seed)] for name, each in outcomes.items()
    }
    first, *others = outcomes
    alone = of_one_tile(outcomes[first])
    shown = [name for name in figures if name not in alone]
    return {other: _intervals(draws[first], draws[other], shown) for other in others}


def _intervals(
    first: Sequence[Mapping[str, float]], other: Sequence[Mapping[str, float]], figures: Sequence[str]
) -> Bounds:
    pairs = list(zip(first, other, strict=True))
    found = {name: [b[name] - a[name] for a, b in pairs if name in a and name in b] for name in figures}
    return {name: interval(each) for name, each in found.items() if each}
