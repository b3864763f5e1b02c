"""BentoML: a service of PEER_WORKERS processes, one inference at a time in each.

Its adaptive batching accepts and returns lists, but a request here has one image; on a CPU it would not help either.
"""

from typing import Annotated

import bentoml
from bentoml.validators import ContentType

from benchmarks.peers.local import LocalSegmenter, settings

CHOSEN = settings()


@bentoml.service(workers=CHOSEN.workers, threads=1, logging={"access": {"enabled": False}})
class Segmenter:
    """The network behind `POST /analyze`."""

    def __init__(self) -> None:
        self.segmenter = LocalSegmenter(CHOSEN.graph, CHOSEN.threads)

    @bentoml.api(route="/analyze")
    def analyze(
        self, image: Annotated[bytes, ContentType("image/jpeg")], /
    ) -> Annotated[bytes, ContentType("image/png")]:
        """Answer one image with the mask of its defects."""
        return self.segmenter.analyze(image)
