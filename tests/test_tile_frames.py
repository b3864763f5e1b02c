"""The photographs of a tile lie on one another to a fraction of a pixel; one of another tile does not."""

import numpy as np
import pytest
from surfaces import HEIGHT, WIDTH, mask_of, photograph, surface
from training_data import a_sample

from studies.tile_frames import between, lay, register_tiles

CORNERS = np.array([(0, 0, 1), (WIDTH - 1, 0, 1), (0, HEIGHT - 1, 1), (WIDTH - 1, HEIGHT - 1, 1)]).T


def shown(name, *, seed=1, tile="1", **how):
    return a_sample(photograph(surface(seed), **how), mask_of(), name=name, tile=tile)


def moved_and_turned(points, *, moved, degrees):
    """Where `photograph` puts the pixels (x, y) of a photograph that was neither moved nor turned."""
    centre, angle = np.array([[(WIDTH - 1) / 2], [(HEIGHT - 1) / 2]]), np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # counter-clockwise, y is down
    return centre + turn @ (points[:2] - np.array([[moved[1]], [moved[0]]]) - centre)


@pytest.mark.parametrize(
    ("moved", "degrees"), [((0, 0), 0.0), ((5, -7), 0.0), ((-4, 11), 1.3), ((3, 3), -2.2), ((2, -4), 180.4)]
)
def test_any_two_photographs_of_a_tile_are_related_to_a_fraction_of_a_pixel(moved, degrees):
    motion = {"moved": moved, "degrees": degrees}
    frames = register_tiles([shown("a"), shown("b", gain=0.7, moved=(1, 1)), shown("c", **motion)])
    assert {"a", "b", "c"} == frames.keys()
    found = (between(frames, "a", "c") @ CORNERS)[:2]
    np.testing.assert_allclose(moved_and_turned(CORNERS, **motion), found, atol=0.3)
    np.testing.assert_allclose(CORNERS, between(frames, "c", "a") @ between(frames, "a", "c") @ CORNERS, atol=1e-9)


def test_a_photograph_of_another_surface_or_of_nothing_is_not_registered():
    black = a_sample(np.zeros((HEIGHT, WIDTH), np.uint8), mask_of(), name="d", tile="1")
    frames = register_tiles([shown("a"), shown("b", moved=(2, 3)), shown("c", seed=2), black])
    assert "c" in frames  # the middle one of four
    assert 1 == len(frames)
    frames = register_tiles([shown("a"), shown("b", moved=(2, 3)), black])
    assert {"a", "b"} == frames.keys()


def test_a_tiles_only_photograph_is_its_own_frame():
    frames = register_tiles([shown("a"), shown("b", seed=2, tile="2")])
    assert {"a", "b"} == frames.keys()
    for name in "ab":
        np.testing.assert_array_equal(np.eye(3), frames[name])


def test_the_order_of_the_photographs_changes_nothing():
    samples = [shown("a"), shown("b", moved=(2, 3)), shown("c", moved=(-3, 1))]
    there, back = register_tiles(samples), register_tiles(samples[::-1])
    assert there.keys() == back.keys()
    assert all(np.array_equal(there[name], back[name]) for name in there)


def test_a_picture_is_laid_bilinearly_and_is_0_where_the_other_photograph_shows_nothing():
    ramp = np.tile(np.arange(10, dtype=np.float32), (6, 1))
    laid = lay(ramp, np.array([[1, 0, 2.25], [0, 1, -1], [0, 0, 1]]), (6, 9))
    expected = np.tile(np.arange(9) + 2.25, (6, 1))
    expected[:, 7] = 9  # in the outer half of its last column
    expected[:, 8] = 0  # to the right of the picture
    expected[0] = 0  # above it
    np.testing.assert_allclose(expected, laid, atol=1e-5)
