"""Consensus masks: each photograph gets what most masks of its tile's photographs mark, laid onto it.

Every mask was drawn by hand on its own photograph, and those of one tile disagree. The rules:

- A photograph votes in each pixel that it shows. A doubtful one does not vote, because its own mask is in doubt.
- A photograph that cannot be registered keeps its own mask, and has no vote in the others'.
- A pixel is defective if more than half of the votes mark it. A Free photograph that gets such a pixel also gets the
  defect type that most of the voting photographs have.
- A doubtful photograph without such a pixel is left out: it shows a defect, but the others do not agree where.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from studies.tile_frames import Frames, between, lay
from training.dataset.doubtful import doubtful_images
from training.dataset.index import FREE
from training.dataset.samples import Sample

HALF = 0.5
TIE = 0.01  # how near to a half a share counts as one: rounding errors must not make a majority


def with_consensus(samples: Sequence[Sample], frames: Frames) -> list[Sample]:
    """Return the samples, in their order, with the consensus of these samples; some doubtful ones are left out.

    The mask, its number of pixels and a Free photograph's type follow the consensus.
    frames: what `register_tiles` returned for these samples.
    Raises: DatasetError, when the list of doubtful images is missing.
    """
    doubtful = set(doubtful_images())
    voters: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.entry.name not in doubtful:
            voters[sample.entry.tile].append(sample)
    marked = {tile for tile, some in voters.items() if any(voter.mask.any() for voter in some)}
    agreed = [_agreed(s, voters[s.entry.tile], frames) if s.entry.tile in marked else s for s in samples]
    return [s for s in agreed if s.entry.name not in doubtful or (s.entry.tile in marked and s.mask.any())]


def _agreed(sample: Sample, voters: Sequence[Sample], frames: Frames) -> Sample:
    mask = _majority(sample, voters, frames)
    types = Counter(voter.entry.defect_type for voter in voters if voter.entry.defect_type != FREE)
    found = sample.entry.defect_type == FREE and mask.any()
    defect_type = max(sorted(types), key=types.__getitem__) if found else sample.entry.defect_type
    entry = replace(sample.entry, defect_type=defect_type, defect_pixels=int(mask.sum()))
    return replace(sample, entry=entry, mask=mask)


def _majority(sample: Sample, voters: Sequence[Sample], frames: Frames) -> np.ndarray:
    """Return which pixels more than half of the votes mark; none where nobody votes. Shapes: (H, W) bool."""
    marked, votes = np.zeros((2, *sample.mask.shape), np.float32)
    for voter in voters:
        if voter is sample:
            transform = np.eye(3)
        elif {sample.entry.name, voter.entry.name} <= frames.keys():
            transform = between(frames, sample.entry.name, voter.entry.name)
        else:
            continue
        marked += lay(voter.mask.astype(np.float32), transform, sample.mask.shape)
        votes += lay(np.ones(voter.mask.shape, np.float32), transform, sample.mask.shape)
    share = np.clip(marked / np.maximum(votes, 1), 0, 1)
    return np.asarray((share > HALF) & (np.abs(share - HALF) >= TIE))
