"""Made-up photographs of made-up tiles.

A surface is smooth noise; a photograph is a crop of it, turned and lit as told, under the streaks that all share.
"""

import numpy as np
from training_data import a_sample

from studies.registration import running_mean, turn

HEIGHT, WIDTH = 150, 190
BORDER = 30  # of a surface around the photographed part
SPOT = (slice(90, 104), slice(120, 134))  # a defect's place on a surface


def smooth(noise, radius):
    blurred = running_mean(running_mean(noise, radius, 0), radius, 1)
    return blurred / blurred.std()


def surface(seed, *spots):
    """(H + 2 · BORDER, W + 2 · BORDER) float64, grey levels around 0, a defect where told."""
    rough = 14 * smooth(np.random.default_rng(seed).normal(size=(HEIGHT + 2 * BORDER, WIDTH + 2 * BORDER)), 2)
    for spot in spots:
        rough[spot] -= 60
    return rough


STREAKS = 18 * np.random.default_rng(99).normal(size=WIDTH)


def photograph(of, *, moved=(0, 0), degrees=0.0, gain=1.0, height=HEIGHT):
    """(height, WIDTH) uint8: the surface's middle, the camera moved down and to the right, the tile turned."""
    shifted = np.roll(of, (-moved[0], -moved[1]), (0, 1))[BORDER : BORDER + height, BORDER : BORDER + WIDTH]
    lit = np.clip(128 + shifted, 0, 255).astype(np.uint8)
    return np.clip(gain * (turn(lit, degrees) + STREAKS), 0, 255).astype(np.uint8)


def mask_of(*spots, moved=(0, 0), height=HEIGHT):
    whole = np.zeros((HEIGHT + 2 * BORDER, WIDTH + 2 * BORDER), bool)
    for spot in spots:
        whole[spot] = True
    return np.roll(whole, (-moved[0], -moved[1]), (0, 1))[BORDER : BORDER + height, BORDER : BORDER + WIDTH]


def series(seed, frame, *spots, defect_type="Free", tile=None, exposures=(1, 2, 3, 4, 5, 6), labelled=True):
    """Samples of one tile, an image an exposure, each moved and lit otherwise."""
    samples = []
    for exposure in exposures:
        moved = (exposure % 3, -exposure)
        picture = photograph(surface(seed, *spots), moved=moved, gain=0.7 + 0.08 * exposure)
        mask = mask_of(*(spots if labelled else ()), moved=moved)
        name = f"exp{exposure}_num_{frame + 10 * exposure}"
        samples.append(a_sample(picture, mask, defect_type=defect_type, name=name, tile=tile or str(frame)))
    return samples
