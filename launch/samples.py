"""The sample images, laid out as the published dataset is: <MT_Type>/Imgs/<stem>.jpg with its true mask <stem>.png."""

from pathlib import Path

from inference_server.errors import ServingError

SAMPLES = Path("samples/tiles")
ABOVE = 127  # a labelled pixel is a defect where its grey value is greater
MAX_PIXELS = 4_000_000  # far above the largest sample


class SampleError(ServingError):
    """There are no samples, or one of them could not be analysed."""


def find_samples(folder: Path) -> list[Path]:
    """Return the sample images, sorted.

    Raises: SampleError.
    """
    samples = sorted(folder.glob("MT_*/Imgs/*.jpg"))
    if not samples:
        raise SampleError(f"{folder} has no MT_<Type>/Imgs/<stem>.jpg: `git checkout samples` restores the samples")
    masks = set(folder.glob("MT_*/Imgs/*.png"))
    if alone := [sample for sample in samples if sample.with_suffix(".png") not in masks]:
        raise SampleError(f"{alone[0]} has no mask {alone[0].stem}.png beside it: add it, as the picture shows it too")
    return samples
