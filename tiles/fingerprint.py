"""Exact integers that an answer brings along: they prove that its outputs belong together, and to which image.

The served graph computes the same numbers (`training.graphs.proof`) as 32-bit integers. So they are equal to the bit on
every processor and in every precision of the network. The input and both outputs are cut into runs of 1024 pixels, and
each gives two sums.
"""

import numpy as np

RUN = 32 * 32  # pixels; a canvas's sides are multiples of 32
# The weight of place x in a run is 1 + (SQUARE · x² + LINEAR · x) mod PRIME: a byte, as the graph needs it, and so
# small that float32 keeps a run's sum exact. The square keeps a shifted image from looking like a darker one.
SQUARES, LINEARS, PRIMES = (7, 11), (3, 5), (61, 59)
SUMS = len(PRIMES)  # of a run


def weights() -> np.ndarray:
    """Return the weights of a run's pixels, (RUN, SUMS) uint8, from 1."""
    places = np.arange(RUN)[:, np.newaxis]
    return np.asarray(1 + (places * places * SQUARES + places * LINEARS) % PRIMES, np.uint8)


_COLUMNS = np.ascontiguousarray(weights().T, np.float32)  # one by one they take less time than as a matrix


def fingerprint(image: np.ndarray, probability: np.ndarray, defect_type: np.ndarray) -> np.ndarray:
    """Return what the served tensor `fingerprint` must say: the sums of the input and of both outputs, in this order.

    Shapes: three (N, 1, H, W) uint8, H and W multiples of 32 → (N, 3 · H · W / RUN, SUMS) int32.
    """
    planes = (image, probability, defect_type)
    count, runs = len(image), image[0].size // RUN
    sums = np.empty((count, len(planes), runs, SUMS), np.int32)
    for place, plane in enumerate(planes):
        numbers = plane.reshape(count, runs, RUN).astype(np.float32)
        for which, column in enumerate(_COLUMNS):
            sums[:, place, :, which] = numbers @ column
    return sums.reshape(count, -1, SUMS)
