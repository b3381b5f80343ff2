"""Numbers in JSON, read and written piece by piece.

To read a JSON text holds the interpreter's lock until its end, in a thread too. So the numbers of
tensors are cut out of a document, which is small without them, and read in pieces of a millisecond
each: the event loop runs in between. A small document is read at once, in half the time. Pure.
"""

from __future__ import annotations

import itertools
import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from common.errors import InputError, TooLarge
from common.mapping import parse_json
from common.strict_json import to_json
from features.config import Tensor
from service.open_inference.tensors import TensorSpec, checked

Check = Callable[[], None]
"""Called between pieces; raises when nobody waits for the work any more."""
SMALL = 2**14
"""Bytes of a document that is read at once."""
PIECE = 2**16
"""Bytes of JSON that are read at one time."""
MAX_DOCUMENT = 2**16
"""Bytes of a document beside the numbers of its tensors."""
MAX_DEPTH = 8
"""Lists within lists that numbers may stand in."""
BLANK = b" \t\r\n"
# A quote within a string stands behind a backslash: this finds keys only.
_DATA = re.compile(rb'(?<!\\)"data"[ \t\r\n]*:[ \t\r\n]*\[')
_NUMBERS = b"0123456789+-.eE,[]" + BLANK
_BRACKETS = bytes.maketrans(b"[]", b"  ")
_MARK = secrets.token_hex(16)
"""What stands in a document in the place of numbers; no client can send it."""


@dataclass(frozen=True)
class Numbers:
    """Numbers in a text, not read yet."""

    text: bytes
    begin: int
    """Index of the first byte behind the bracket that opens the list."""
    end: int
    """Index of the bracket that closes it."""


@dataclass(frozen=True)
class Document:
    """A JSON object without the numbers of its tensors."""

    value: dict[str, Any]
    numbers: list[Numbers] | None
    """None: they are lists in the document."""

    def numbers_of(self, tensor: Mapping[str, Any], *, name: str) -> Numbers | list[Any]:
        """Return the numbers of one of the tensors. Raises InputError if it has none."""
        data = tensor.get("data")
        if self.numbers is None and isinstance(data, list):
            return data
        mark, _, index = str(data).partition(":")
        if mark != _MARK or self.numbers is None:
            raise InputError(f"`data` of input {name!r} must be a list of numbers")
        return self.numbers[int(index)]


def read_document(text: bytes, *, check: Check) -> Document:
    """Return the document in a JSON text. Raises InputError, TooLarge."""
    # Its lists are no deeper than they are many.
    if len(text) <= SMALL and text.count(b"[") <= MAX_DEPTH:
        return Document(_object(text), None)
    parts, numbers, at, size = list[bytes](), list[Numbers](), 0, 0
    while True:
        found = _DATA.search(text, at, at + MAX_DOCUMENT - size + 1)
        until = found.end() if found else len(text)
        size += until - at
        if size > MAX_DOCUMENT:
            raise TooLarge(f"JSON of more than {MAX_DOCUMENT} bytes beside the numbers of tensors")
        if found is None:
            break
        cut = Numbers(text, until, _end_of(text, until, check))
        parts.append(text[at : until - 1] + f'"{_MARK}:{len(numbers)}"'.encode())
        numbers.append(cut)
        at = cut.end + 1
    return Document(_object(b"".join((*parts, text[at:]))), numbers)


def read_numbers(
    spec: TensorSpec, numbers: Numbers | list[Any], *, rows: int, check: Check
) -> Tensor:
    """Return the tensor (rows, *shape) of numbers, flat or nested as it is. Raises InputError."""
    total = rows * spec.row_size
    if isinstance(numbers, list):
        flat = _flat(numbers, rows, spec)
        if len(flat) == total and set(map(type, flat)) <= {int, float}:
            return checked(spec, _array(flat, spec).reshape(rows, *spec.shape))
        # What is nested deeper, or wrong, which this tells.
        text = to_json(numbers).encode()
        numbers = Numbers(text, 1, len(text) - 1)
    # Each number takes two bytes of text: nothing is allocated for numbers that are not there.
    if total > (numbers.end - numbers.begin) // 2 + 1:
        raise _wrong_count(spec, rows)
    array = np.empty(total, spec.dtype)
    nesting = _Nesting((rows, *spec.shape), spec.name)
    at = 0
    for piece in _pieces(numbers, spec.name):
        check()
        values = _values(nesting.flat(piece), spec)
        if at + len(values) > total:
            raise _wrong_count(spec, rows)
        array[at : at + len(values)] = values
        at += len(values)
    if at != total:
        raise _wrong_count(spec, rows)
    nesting.finish()
    return checked(spec, array.reshape(rows, *spec.shape))


def write_numbers(values: npt.NDArray[np.float32]) -> str:
    """Return numbers (rows, n) as the inside of a flat JSON list."""
    return ", ".join(to_json(row)[1:-1] for row in values.tolist())


def _end_of(text: bytes, begin: int, check: Check) -> int:
    """Return the index of the bracket that closes the list that opens before `begin`."""
    end, nested = text.find(b"]", begin), text.find(b"[", begin)
    if end >= 0 and not 0 <= nested < end:
        return end
    depth = 1
    for at in range(begin, len(text), PIECE):
        check()
        piece = np.frombuffer(text, np.uint8, min(PIECE, len(text) - at), at)
        depths = depth + np.cumsum((piece == ord("[")).astype(np.int8) - (piece == ord("]")))
        ends = np.flatnonzero(depths == 0)
        inside = depths[: ends[0]] if len(ends) else depths
        if len(inside) and inside.max() > MAX_DEPTH:
            raise InputError(f"`data` has more than {MAX_DEPTH} lists within each other")
        if len(ends):
            return at + int(ends[0])
        depth = int(depths[-1])
    raise InputError("the body is not JSON: `data` does not end")


def _object(text: bytes) -> dict[str, Any]:
    value = parse_json(text, error=InputError, where="the body")
    if not isinstance(value, dict):
        raise InputError("the body must be a JSON object")
    return value


def _flat(numbers: list[Any], rows: int, spec: TensorSpec) -> list[Any]:
    """Return a list of rows of numbers flat, any other as it is."""
    is_table = len(spec.shape) == 1 and len(numbers) == rows
    if is_table and all(isinstance(row, list) and len(row) == spec.row_size for row in numbers):
        return list(itertools.chain.from_iterable(numbers))
    return numbers


def _pieces(numbers: Numbers, name: str) -> Iterator[bytes]:
    """Yield a text in pieces between commas."""
    at = numbers.begin
    while numbers.end - at > PIECE:
        comma = numbers.text.rfind(b",", at, at + PIECE)
        if comma < 0:
            raise InputError(f"input {name!r} has a number of more than {PIECE} characters")
        yield numbers.text[at:comma]
        at = comma + 1
    yield numbers.text[at : numbers.end]


def _values(piece: bytes, spec: TensorSpec) -> npt.NDArray[Any]:
    """Return the numbers of a piece. Raises InputError."""
    try:
        values = json.loads(b"[" + piece + b"]")
    except ValueError as error:
        raise _no_list(spec, error) from error
    return _array(values, spec)


def _array(numbers: list[Any], spec: TensorSpec) -> npt.NDArray[Any]:
    """Return numbers as an array of the input's type. Raises InputError."""
    try:
        values = np.array(numbers, None if spec.datatype == "UINT8" else float)
    except (ValueError, OverflowError) as error:
        raise _no_list(spec, error) from error
    if not len(values):
        raise InputError(f"`data` of input {spec.name!r} is no list of numbers: one is missing")
    if spec.datatype == "UINT8":
        if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 255:
            raise InputError(f"input {spec.name!r} must be whole numbers between 0 and 255")
        return values
    # What is too large becomes infinite, and is rejected as such.
    with np.errstate(over="ignore"):
        return values.astype(spec.dtype)


def _no_list(spec: TensorSpec, error: Exception) -> InputError:
    return InputError(f"`data` of input {spec.name!r} is no list of numbers: {error}")


def _wrong_count(spec: TensorSpec, rows: int) -> InputError:
    shape = [rows, *spec.shape]
    return InputError(
        f"`data` of input {spec.name!r} must have {rows * spec.row_size} numbers,"
        f" as its shape {shape} tells"
    )


class _Nesting:
    """Checks that brackets stand where the shape of a tensor has them, or nowhere."""

    def __init__(self, shape: tuple[int, ...], name: str) -> None:
        self._shape, self._name = shape, name
        self._depth = 0
        """Of brackets that are open; the outermost pair was cut off."""
        self._opened = 0
        self._numbers = 0

    def flat(self, piece: bytes) -> bytes:
        """Return a piece between two commas without its brackets. Raises InputError."""
        if piece.translate(None, _NUMBERS):
            raise InputError(f"`data` of input {self._name!r} must be a list of numbers")
        if b"[" in piece or b"]" in piece:
            self._check(piece.translate(None, BLANK))
            piece = piece.translate(_BRACKETS)
        self._numbers += 1 + piece.count(b",")
        return piece

    def _check(self, piece: bytes) -> None:
        """Check the brackets in a piece without blanks."""
        codes = np.frombuffer(b"," + piece + b",", np.uint8)
        opens, closes = codes == ord("["), codes == ord("]")
        opened, closed = np.flatnonzero(opens), np.flatnonzero(closes)
        depths = self._depth + np.cumsum(opens.astype(np.int8) - closes)
        inside = np.concatenate((depths[opened] - 1, depths[closed]))
        # One comma was added, which stands for the number that a closing bracket follows.
        commas = self._numbers + np.cumsum(codes == ord(","))
        numbers = np.concatenate((commas[opened] - 1, commas[closed]))
        sizes = np.cumprod(self._shape[:0:-1])[::-1]
        if (
            inside.min() < 0
            or inside.max() >= len(sizes)
            or (numbers % sizes[inside]).any()
            or not np.isin(codes[opened - 1], (ord("["), ord(","))).all()
            or not np.isin(codes[closed + 1], (ord("]"), ord(","))).all()
        ):
            raise self._wrong()
        self._depth = int(depths[-1])
        self._opened += len(opened)

    def finish(self) -> None:
        """Raise InputError unless there were no brackets, or all."""
        if self._depth or (self._opened and self._opened != sum(np.cumprod(self._shape[:-1]))):
            raise self._wrong()

    def _wrong(self) -> InputError:
        return InputError(
            f"the lists within `data` of input {self._name!r} are not those of its shape"
        )
