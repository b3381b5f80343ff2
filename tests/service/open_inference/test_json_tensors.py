"""Numbers in JSON: read in pieces, as the whole would be, and rejected wherever it would be."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InputError, TimbreError, TooLarge
from service.open_inference import json_tensors
from service.open_inference.json_tensors import (
    MAX_DEPTH,
    MAX_DOCUMENT,
    PIECE,
    SMALL,
    read_document,
    read_numbers,
    write_numbers,
)
from service.open_inference.tensors import TensorSpec

SPEC = TensorSpec("x", "FP32", (3, 2))
PIXELS = TensorSpec("x", "UINT8", (3, 2))
NUMBERS = np.array([0, -0.5, 1e-7, 3, 1e20, 7.25, 1, 2, 3, 4, 5, 6], np.float32)
NESTED = NUMBERS.reshape(2, 3, 2).tolist()


@pytest.fixture(params=[(PIECE, SMALL), (PIECE, 0), (40, 0)])
def piece(request, monkeypatch):
    """Bytes that are read at one time, and of a document that is read at once."""
    monkeypatch.setattr(json_tensors, "PIECE", request.param[0])
    monkeypatch.setattr(json_tensors, "SMALL", request.param[1])


@pytest.fixture
def in_pieces(monkeypatch):
    """No document is read at once."""
    monkeypatch.setattr(json_tensors, "SMALL", 0)


def read(data, spec=SPEC, rows=2):
    text = b'{"inputs": [{"name": "x", "data" : ' + data + b', "shape": [2, 3, 2]}], "id": "a"}'
    document = read_document(text, check=lambda: None)
    assert document.value["id"] == "a"
    numbers = document.numbers_of(document.value["inputs"][0], name="x")
    return read_numbers(spec, numbers, rows=rows, check=lambda: None)


@pytest.mark.parametrize("data", [NUMBERS.tolist(), NESTED])
@pytest.mark.parametrize("options", [{}, {"separators": (",", ":")}, {"indent": 2}])
def test_numbers_are_read_flat_and_nested_with_any_blanks(piece, data, options):
    found = read(json.dumps(data, **options).encode())
    assert found.dtype == np.float32
    assert np.array_equal(found, NUMBERS.reshape(2, 3, 2))


@pytest.mark.parametrize(
    "data",
    [
        *("[]", "[1]", "[1,2,3,4,5,6,7,8,9,10,11,12,13]", "[1,2,3,4,5,6,7,8,9,10,11,]"),
        *("[,1,2,3,4,5,6,7,8,9,10,11]", "[1,2,3,4,5,6,,7,8,9,10,11,12]", "[01,2,3,4,5,6,7,8,9,10]"),
        *("[1,2,3,4,5,6,7,8,9,10,11 12]", "[1,2,3,4,5,6,7,8,9,10,1 1,12]", "[1,2,3,4,5,6,7,8,9"),
        *("[[1,2,3,4,5,6],[7,8,9,10,11,12]]", "[1,2,3,4,5,6,[7,8],9,10,11,12]"),
        "[[[1,2],[3,4],[5,6]],[[7,8],[9,10],[11,12]]",
        "[[[1,2],[3,4],[5,6]],[[7,8],[9,10],[11,12]]]]",
        "[[[1,2],[3,4],[5,6],[[7,8],[9,10],[11,12]]]]",
        "[[[1,2][,3,4],[5,6]],[[7,8],[9,10],[11,12]]]",
        "[[[1,2],[3,4],[5,6]],[[7,8],[9,10],[11,12,]]]",
        "[[[1,2],[3,4],[5,6]],[[7,8],[9,10],[11],12]]",
        "[[[1,2],[3,4],[5,6]],[[7,8],[9,10],[],[11,12]]]",
        "[[[1],[2,3,4],[5,6]],[[7,8],[9,10],[11,12]]]",
        "[[[[1,2],[3,4],[5,6]],[[7,8],[9,10],[11,12]]]]",
        "[[[1,2],[3,4],[5,6]][[7,8],[9,10],[11,12]]]",
        "[[[1,2],[3,4],[5,6]]],[[[7,8],[9,10],[11,12]]]",
        *(f"[1,2,3,4,5,6,7,8,9,10,11,{last}]" for last in ("true", "null", "NaN", '"1"', "{}")),
        *(f"[1,2,3,4,5,6,7,8,9,10,11,{last}]" for last in ("1e39", "-1e999", "9" * 400)),
        f"[1,2,3,4,5,6,7,8,9,10,11,{'9' * 5_000}]",
        *("7", "null", '"x"', "{}", "true", "[" * 10_000, "[" * 10_000 + "]" * 10_000),
    ],
)  # fmt: skip
def test_what_is_no_such_list_is_rejected(piece, data):
    with pytest.raises(InputError):
        read(data.encode())


def test_bytes_are_whole_numbers_in_their_range():
    assert read(b"[0,255,1,2,3,4]", PIXELS, rows=1).tolist() == [[[0, 255], [1, 2], [3, 4]]]
    for last in (b"256", b"-1", b"1.0", b"9" * 30, b"true"):
        with pytest.raises(InputError):
            read(b"[0,1,2,3,4," + last + b"]", PIXELS, rows=1)


@pytest.mark.parametrize("small", [0, SMALL])
@given(
    data=st.recursive(st.floats(width=32) | st.integers() | st.booleans(), st.lists, max_leaves=20)
)
def test_a_list_is_accepted_just_when_numpy_reads_the_same_from_it(small, data):
    text = json.dumps(data).encode()
    try:
        expected = np.array(json.loads(text, parse_constant=lambda _: None), np.float64)
        right = expected.shape in ((6,), (1, 3, 2)) and "true" not in str(data).lower()
        right = right and "false" not in str(data).lower() and bool(np.isfinite(expected).all())
    except (ValueError, TypeError, OverflowError):
        right = False
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(json_tensors, "SMALL", small)
            found = read(text, rows=1)
    except TimbreError:
        # What is finite as a double may be too large for a float.
        assert not right or np.abs(expected).max() > np.finfo(np.float32).max
    else:
        assert right
        assert np.array_equal(found.ravel(), expected.ravel().astype(np.float32))


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=6, max_size=6))
def test_what_is_written_is_read_to_the_last_bit(values):
    numbers = np.array(values, np.float32).reshape(2, 3)
    text = f"[{write_numbers(numbers)}]".encode()
    assert np.array_equal(read(text, rows=1).ravel(), numbers.ravel())


def test_no_memory_is_taken_for_numbers_that_are_not_there():
    with pytest.raises(InputError, match="must have"):
        read(b"[1,2]", TensorSpec("x", "FP32", (2**40,)), rows=2**20)


@pytest.mark.parametrize("more", [0, 1])
def test_a_document_up_to_the_bound_is_read_at_once_and_has_the_same_numbers(more):
    start, end = b'{"data": [[1, 2.5, 3]], "id": "', b'"}'
    text = start + b"x" * (SMALL + more - len(start) - len(end)) + end
    document = read_document(text, check=lambda: None)
    assert (document.numbers is None) == (more == 0)
    numbers = document.numbers_of(document.value, name="x")
    spec = TensorSpec("x", "FP32", (3,))
    assert read_numbers(spec, numbers, rows=1, check=lambda: None).tolist() == [[1, 2.5, 3]]


@pytest.mark.parametrize("data", ["[[1, 2], [3]]", "[[1, 2, 3]]", "[[[1, 2]]]", "[[1], [2]]"])
@pytest.mark.parametrize("small", [0, SMALL])
def test_rows_of_another_length_are_rejected_however_they_are_read(data, small, monkeypatch):
    monkeypatch.setattr(json_tensors, "SMALL", small)
    document = read_document(f'{{"data": {data}}}'.encode(), check=lambda: None)
    numbers = document.numbers_of(document.value, name="x")
    for rows in (1, 2):
        with pytest.raises(InputError):
            read_numbers(TensorSpec("x", "FP32", (2,)), numbers, rows=rows, check=lambda: None)


def test_the_document_beside_the_numbers_is_bounded_and_the_numbers_are_not():
    numbers = b"[" + b"1," * MAX_DOCUMENT + b"1]"
    start, end = b'{"inputs": [{"data": ' + numbers + b'}], "id": "', b'"}'
    room = MAX_DOCUMENT - len(start) - len(end) + len(numbers) - 1
    # One bracket counts, that which opens the numbers.
    assert read_document(start + room * b"x" + end, check=lambda: None).value["id"]
    for text in (start + (room + 1) * b"x" + end, b'{"id": "' + 10**6 * b"x" + end, b"[" * 10**6):
        with pytest.raises(TooLarge, match="beside the numbers"):
            read_document(text, check=lambda: None)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[1]", b"7", b"[" * 10_000, b'{"data": ' + b"[" * 10_000, b"\xff", b"{}x"]
)
def test_what_is_no_object_is_rejected(text):
    with pytest.raises(InputError):
        read_document(text, check=lambda: None)


def test_lists_are_as_deep_as_the_bound_and_no_deeper():
    read_document(b'{"data": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", check=lambda: None)
    deeper = MAX_DEPTH + 1
    with pytest.raises(InputError, match=f"more than {MAX_DEPTH} lists"):
        read_document(b'{"data": ' + b"[" * deeper + b"]" * deeper + b"}", check=lambda: None)


def test_text_that_looks_like_data_is_text(in_pieces):
    sent = {"id": 'say "data": [1, 2', "data": [3], "x": "data", "\\": {"data": [4]}}
    document = read_document(json.dumps(sent).encode(), check=lambda: None)
    assert document.value["id"] == sent["id"]
    assert len(document.numbers) == 2
    for forged in ({"data": 0}, {"data": ":0"}, {}, {"data": [0]}):
        with pytest.raises(InputError, match="list of numbers"):
            document.numbers_of(forged, name="x")


def test_numbers_are_read_in_small_pieces_so_that_others_run_in_between():
    text = b'{"data": [' + b"0.125," * 10**5 + b"1]}"
    document, checks = read_document(text, check=lambda: None), []
    numbers = document.numbers_of(document.value, name="x")
    spec = TensorSpec("x", "FP32", (10**5 + 1,))
    read_numbers(spec, numbers, rows=1, check=lambda: checks.append(1))
    assert len(checks) >= len(text) / PIECE
