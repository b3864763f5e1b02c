"""The images that int8 is calibrated on: of every type and exposure, the same each time, nothing else."""

import numpy as np
from training_data import a_sample

from tiles import pad
from training.graphs.calibration import CalibrationImages, choose_images

IMAGE, MASK = np.arange(40, dtype=np.uint8).reshape(8, 5), np.zeros((8, 5), bool)


def samples(**counts):
    """Six exposures of so many tiles of each defect type."""
    return [
        a_sample(IMAGE, MASK, defect_type=name, name=f"exp{shot}_num_{name}{number}")
        for name, count in counts.items()
        for number in range(count)
        for shot in range(6)
    ]


def test_types_take_turns_however_many_images_they_have():
    chosen = choose_images(samples(Free=40, Fray=2, Crack=3), 30, seed=1)
    assert {"Free": 10, "Fray": 10, "Crack": 10} == {
        name: sum(sample.entry.defect_type == name for sample in chosen) for name in ("Free", "Fray", "Crack")
    }


def test_exposures_take_turns_within_a_type():
    chosen = choose_images(samples(Free=20, Fray=4), 12, seed=1)
    for name in ("Free", "Fray"):
        images = [sample.entry.name for sample in chosen if sample.entry.defect_type == name]
        assert {f"exp{shot}" for shot in range(6)} == {image.partition("_")[0] for image in images}


def test_the_seed_alone_decides_which():
    given = samples(Free=20, Fray=4)
    names = [[s.entry.name for s in choose_images(given, 12, seed=seed)] for seed in (1, 1, 2)]
    assert names[0] == names[1] != names[2]


def test_no_image_is_taken_twice_and_few_are_all_taken():
    given = samples(Free=2, Fray=1)
    chosen = [s.entry.name for s in choose_images(given, 100, seed=1)]
    assert sorted(s.entry.name for s in given) == sorted(chosen)


def test_the_quantizer_gets_each_image_at_its_own_size_and_then_nothing():
    reader = CalibrationImages(samples(Free=1)[:2])
    for _ in range(2):
        np.testing.assert_array_equal(pad(IMAGE)[np.newaxis], reader.get_next()["image"])
    assert reader.get_next() is None


def test_images_of_one_size_are_cut_and_padded_with_their_own_edge():
    reader = CalibrationImages([a_sample(IMAGE, MASK), a_sample(np.pad(IMAGE, 40), np.pad(MASK, 40))], side=64)
    narrow, wide = (reader.get_next()["image"] for _ in range(2))
    assert (1, 1, 64, 64) == narrow.shape == wide.shape
    np.testing.assert_array_equal(np.pad(IMAGE, ((0, 56), (0, 59)), mode="edge"), narrow[0, 0])
