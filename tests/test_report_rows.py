"""What the report says of its runs."""

import pytest

from studies.report_rows import commit_text, empty_masks, refused_text, trained_text

NAMES = [f"confirm-{fold}" for fold in range(5)]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (NAMES[:1], "Of these, confirm-0 was"),
        (NAMES[:2], "Of these, confirm-0 and confirm-1 were"),
        (NAMES[:3], "Of these, confirm-0, confirm-1 and confirm-2 were"),
        (NAMES[:4], "Of these, confirm-0, confirm-1, confirm-2 and confirm-3 were"),
        (NAMES, "All were"),
    ],
)
def test_the_folds_of_another_split_that_were_trained_are_named(names, said):
    assert said == trained_text(names, folds=5)


def test_a_commit_tells_whether_the_sources_were_changed():
    assert "0123456789ab" == commit_text({"commit": "0123456789abcdef", "dirty": False})
    assert "0123456789ab, changed" == commit_text({"commit": "0123456789abcdef", "dirty": True})


def test_a_refused_graph_is_told_with_its_losses():
    assert "honest-3: all 0.0051, Blowhole 0.0160" == refused_text("honest-3", {"all": 0.00509, "Blowhole": 0.016})


def test_images_with_a_type_and_an_empty_mask_are_counted():
    found = {name: {"value": value} for name, value in (("images", 9), ("defective_images", 3), ("free.images", 5))}
    assert 1 == empty_masks(found)
