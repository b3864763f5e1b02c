"""What the network says of a batch or of one of its images: all that the batcher and `analysis` know of Triton."""

from typing import NamedTuple, Self

import numpy as np

from proxy.served_model import ServedModel


class Segmentation(NamedTuple):
    """The network's output for each pixel and for the image, and the model that made it.

    Shapes: the first two (N, 1, H, W) uint8 for a batch and (1, H, W) for one image. `probability` is P(defect) · 255,
    `defect_type` numbers the defect types from 1. `novelty` is (N, 1) or (1,) float32: the larger, the less the image
    is like the training tiles.
    """

    probability: np.ndarray
    defect_type: np.ndarray
    novelty: np.ndarray
    model: ServedModel

    def of(self, place: int) -> Self:
        """Return one image's part of a batch."""
        return self._replace(
            probability=self.probability[place], defect_type=self.defect_type[place], novelty=self.novelty[place]
        )
