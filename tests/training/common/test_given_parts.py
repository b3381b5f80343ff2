"""Folders named as parts of a split are recognised in every usual spelling, and never guessed."""

import pytest

from training.common.errors import MaterialError
from training.common.given_parts import part_levels


@pytest.mark.parametrize(
    ("folders", "depth", "levels"),
    [
        ([("train", "cat"), ("val", "cat"), ("test", "dog")], 1, [0]),
        ([("train", "cat"), ("test", "dog")], 1, [0]),
        ([("train", "cat"), ("train", "dog")], 1, [0]),
        ([("cat", "train"), ("cat", "test"), ("dog", "train")], 1, [1]),
        ([("train", "anna", "cat"), ("test", "ben", "cat")], 2, [0]),
        ([("seg_train", "seg_train", "cat"), ("seg_test", "seg_test", "cat")], 1, [0, 1]),
        ([("train",), ("val",)], 1, [0]),
        ([("train",), ("bus",), ("car",)], 1, []),
        ([("train",)], 1, []),
        ([("val", "cat"), ("test", "cat")], 1, []),
        ([("cat",), ("dog",)], 1, []),
        ([("cat", "1", "train"), ("cat", "1", "test")], 1, []),
        ([], 1, []),
    ],
)
def test_levels_of_parts(folders, depth, levels):
    assert part_levels(folders, depth) == levels


@pytest.mark.parametrize("other", ["cat", "unlabeled", "predictions"])
def test_a_folder_beside_parts_that_is_none_is_asked_about(other):
    with pytest.raises(MaterialError, match=f"test, train are named as parts .* {other!r}"):
        part_levels([("train", "cat"), ("test", "cat"), (other, "cat")], 1)
