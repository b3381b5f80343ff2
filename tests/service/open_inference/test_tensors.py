"""Tensors: names, datatypes, shapes and bytes that fit a model, and those that do not."""

import numpy as np
import pytest

from common.errors import InputError, TooLarge
from service.open_inference.tensors import (
    TensorSpec,
    check_tensor,
    checked,
    from_bytes,
    pack_texts,
    the_input,
)

SPEC = TensorSpec("log_mel", "FP32", (3, 2))
PIXELS = TensorSpec("pixels", "UINT8", (4,))


def check(shape, *, datatype="FP32", spec=SPEC, max_rows=10):
    return check_tensor(spec, datatype=datatype, shape=shape, max_rows=max_rows)


def test_the_shape_is_rows_of_what_the_model_takes():
    assert [check([rows, 3, 2]) for rows in (1, 10)] == [1, 10]


WRONG_SHAPES = (
    *([0, 3, 2], [-1, 3, 2], [1, 2, 3], [3, 2], [1, 3, 2, 1], [], [[1, 3, 2]], [1, 2**62, 2**62]),
    *([1, 3, 2.0], [True, 3, 2], ["1", 3, 2], "1,3,2", None, 6, {}),
)


@pytest.mark.parametrize("shape", WRONG_SHAPES)
def test_any_other_shape_is_rejected_by_name(shape):
    with pytest.raises(InputError, match="'log_mel' must be"):
        check(shape)


def test_rows_past_the_bound_are_rejected_however_many():
    for rows in (11, 2**63, 10**400):
        with pytest.raises(TooLarge, match="at most 10 are accepted"):
            check([rows, 3, 2])


@pytest.mark.parametrize("datatype", ["FP64", "UINT8", "fp32", "BYTES", "FP16", "", None, 7, []])
def test_another_datatype_is_rejected(datatype):
    with pytest.raises(InputError, match="'log_mel' is FP32, not"):
        check([1, 3, 2], datatype=datatype)


@pytest.mark.parametrize(
    "names", [[], ["other"], ["log_mel", "log_mel"], ["log_mel", "x"], [None], [["log_mel"]]]
)
def test_a_request_names_the_one_input(names):
    the_input(["log_mel"], SPEC)
    with pytest.raises(InputError, match="one input, 'log_mel'"):
        the_input(names, SPEC)


def test_bytes_are_little_endian_row_by_row():
    numbers = np.arange(12, dtype=np.float32)
    tensor = from_bytes(SPEC, numbers.astype("<f4").tobytes(), rows=2)
    assert np.array_equal(tensor, numbers.reshape(2, 3, 2))
    assert from_bytes(PIXELS, b"\x00\xff\x01\x02", rows=1).tolist() == [[0, 255, 1, 2]]


@pytest.mark.parametrize("size", [0, 47, 49, 24])
def test_bytes_of_another_length_are_rejected_with_both_numbers(size):
    with pytest.raises(InputError, match=f"'log_mel' has {size} bytes; 2 rows .* are 48"):
        from_bytes(SPEC, bytes(size), rows=2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_rejected(value):
    numbers = np.zeros((1, 3, 2), np.float32)
    assert checked(SPEC, numbers) is numbers
    numbers[0, 2, 1] = value
    with pytest.raises(InputError, match="NaN or infinite"):
        from_bytes(SPEC, numbers.tobytes(), rows=1)


def test_texts_are_packed_with_their_lengths():
    assert pack_texts(["ab", "", "é"]) == b"\2\0\0\0ab\0\0\0\0\2\0\0\0\xc3\xa9"
