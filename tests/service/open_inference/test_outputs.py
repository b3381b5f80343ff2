"""Outputs: scores as they are, and the best labels as texts."""

import numpy as np
import pytest

from common.errors import InputError
from service.open_inference.outputs import check_output, output
from service.open_inference.tensors import TensorSpec

SPEC = TensorSpec("scores", "FP32", (3,))
SCORES = np.array([[0.25, 0.5, 0.5], [0.125, 0, 1]], np.float32)
LABELS = ("a", "b:c", "d")


def test_scores_are_given_as_they_are():
    found = output(SPEC, SCORES, labels=LABELS)
    assert (found.name, found.datatype, found.shape) == ("scores", "FP32", (2, 3))
    assert found.to_list() == [0.25, 0.5, 0.5, 0.125, 0, 1]
    assert found.to_bytes() == SCORES.astype("<f4").tobytes()


def test_a_classification_names_the_best_labels_of_each_row():
    found = output(SPEC, SCORES, labels=LABELS, best=2)
    assert (found.datatype, found.shape) == ("BYTES", (2, 2))
    assert found.to_list() == ["0.500000:1:b:c", "0.500000:2:d", "1.000000:2:d", "0.125000:0:a"]
    assert found.to_bytes().startswith(b"\x0e\0\0\x000.500000:1:b:c\x0c\0\0\0")


def test_no_more_labels_are_named_than_there_are():
    assert output(SPEC, SCORES, labels=LABELS, best=10**30).shape == (2, 3)


def test_an_output_is_checked_by_name_and_number_of_labels():
    assert check_output(SPEC, name="scores", parameters={}) == 0
    assert check_output(SPEC, name="scores", parameters={"classification": 2}) == 2
    for name in ("other", None, 3):
        with pytest.raises(InputError, match="no output"):
            check_output(SPEC, name=name, parameters={})
    for count in (-1, 1.0, "2", True, None):
        with pytest.raises(InputError, match="classification="):
            check_output(SPEC, name="scores", parameters={"classification": count})
