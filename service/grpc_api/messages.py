"""Bytes of gRPC messages to requests of the Open Inference Protocol, and responses back. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import repeat
from typing import Any

import numpy as np
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from common.errors import InputError, Unsupported
from features.config import Tensor
from service.grpc_api.schema import CLASSES, Message
from service.open_inference.compression import MAX_RATIO, unpack
from service.open_inference.outputs import Output, check_output
from service.open_inference.tensors import (
    TensorSpec,
    check_tensor,
    checked,
    from_bytes,
    the_input,
)

BEGINS = {"gzip": b"\x1f\x8b", "deflate": b"\x78"}
"""How a compressed message begins. No message of ours begins so: its first byte names a field."""
SMALL = 2**16
"""Bytes up to which a message is taken apart on the event loop."""
MOST_FIELDS = 10_000
"""Of a message that is not small: of 16 million empty ones, each would take a hundred bytes."""
TYPED = {"FP32": "fp32_contents", "UINT8": "uint_contents"}
"""Where the numbers of a datatype are that are not sent as bytes."""
_BYTES_FIELD = 2
"""The wire type of texts, bytes and messages."""
_SIZES = {1: 8, 5: 4}
"""Bytes of the wire types of one size."""
_GROUPS = (3, 4)
"""The wire types of the begin and the end of a group, which has fields and no size."""
_PACKED = object()
"""A field of whole numbers, each a byte at least, that take eight bytes of memory each."""
_NESTED: Mapping[int, Any] = {
    4: {},
    5: {3: _PACKED, 4: {}, 5: {2: _PACKED, 3: _PACKED, 5: _PACKED}},
    6: {2: {}},
}
"""Fields of a request that are messages, and their fields that are, or that are packed numbers."""


def parse(kind: str, data: bytes, *, limit: int) -> Message:
    """Return a message of a kind. limit: bytes, also once unpacked. Raises InputError, TooLarge."""
    if encoding := encoding_of(data):
        data = unpack(data, encoding, limit=limit, check=lambda: None)
    if len(data) > SMALL:
        _check_fields(data)
    try:
        return CLASSES[kind].FromString(data)
    except DecodeError:
        raise InputError(f"the message is no {kind}") from None


def encoding_of(data: bytes) -> str:
    """Return how a message is compressed; empty: it is not."""
    return next((name for name, begin in BEGINS.items() if data.startswith(begin)), "")


def is_small(data: bytes) -> bool:
    """Return whether a message is taken apart in less time than a thread takes to start."""
    return len(data) <= SMALL and not encoding_of(data)


def most_bytes(data: bytes, *, limit: int) -> int:
    """Return the bytes that a message and what it is unpacked to may take. limit: of the latter."""
    return len(data) + (min(limit, MAX_RATIO * len(data)) if encoding_of(data) else 0)


def _check_fields(data: bytes) -> None:
    """Raise InputError for a request of too many fields, before memory is allocated for them."""
    for count, _ in enumerate(_walk(memoryview(data), _NESTED)):
        if count == MOST_FIELDS:
            raise InputError(f"the message has more than {MOST_FIELDS} fields")


def _walk(data: memoryview, nested: Mapping[int, Any]) -> Iterator[int]:
    """Yield the number of every field, and of those within; what is damaged ends it.

    A packed number may count as a field.
    """
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        yield number
        if wire == _BYTES_FIELD:
            size, at = _varint(data, at)
            inside = data[at : at + size]
            within = nested.get(number)
            if within is _PACKED:
                yield from repeat(number, len(inside))
            elif within is not None:
                yield from _walk(inside, within)
            at += size
        elif wire in _SIZES:
            at += _SIZES[wire]
        elif wire == 0:
            _, at = _varint(data, at)
        elif wire not in _GROUPS:
            return


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return a number and the place behind it; past the end, 0 and a place past it."""
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, min(shift + 7, 63)
        if byte < 0x80:
            return value, at
    return 0, at + 1


def parameters_of(entries: Mapping[str, Message]) -> dict[str, object]:
    """Return parameters as plain values."""
    values: dict[str, object] = {}
    for name, value in entries.items():
        choice = value.WhichOneof("parameter_choice")
        values[name] = getattr(value, choice) if choice else None
    return values


def tensor_of(request: Message, spec: TensorSpec, *, max_rows: int) -> Tensor:
    """Return the tensor (rows, *shape) of a ModelInferRequest.

    Raises InputError, TooLarge, Unsupported for one in shared memory.
    """
    the_input([each.name for each in request.inputs], spec)
    sent = request.inputs[0]
    if "shared_memory_region" in sent.parameters:
        raise Unsupported("shared memory is not supported: send the tensor in the message")
    rows = check_tensor(
        spec, datatype=sent.datatype, shape=[int(side) for side in sent.shape], max_rows=max_rows
    )
    raw = request.raw_input_contents
    if not raw:
        return _typed(sent, spec, rows=rows)
    if len(raw) != 1 or sent.contents.ByteSize():
        raise InputError(
            f"raw_input_contents has {len(raw)} entries for one input;"
            " it must have one, and `contents` none"
        )
    return from_bytes(spec, raw[0], rows=rows)


def _typed(sent: Message, spec: TensorSpec, *, rows: int) -> Tensor:
    """Return the tensor of numbers that are not sent as bytes. Raises InputError."""
    name = TYPED[spec.datatype]
    numbers = getattr(sent.contents, name)
    wanted = rows * spec.row_size
    if len(numbers) != wanted or len(sent.contents.ListFields()) != 1:
        raise InputError(
            f"input {spec.name!r} has {len(numbers)} numbers in {name}; {rows} rows of"
            f" {list(spec.shape)} are {wanted}, and other contents must be empty"
        )
    # As sent, uint8 are of 32 bits.
    array = np.array(numbers, np.float32 if spec.datatype == "FP32" else np.uint32)
    if spec.datatype != "FP32" and array.max() > np.iinfo(np.uint8).max:
        raise InputError(f"input {spec.name!r} is {spec.datatype} and holds {array.max()}")
    return checked(spec, array.astype(spec.dtype, copy=False).reshape(rows, *spec.shape))


def best_of(request: Message, spec: TensorSpec) -> int:
    """Return how many of the best labels a request asks for; 0: the scores. Raises InputError."""
    if len(request.outputs) > 1:
        raise InputError(f"{len(request.outputs)} outputs are named; the model has one")
    for each in request.outputs:
        parameters = parameters_of(each.parameters)
        if "shared_memory_region" in parameters:
            raise Unsupported("shared memory is not supported: read the output from the response")
        return check_output(spec, name=each.name, parameters=parameters)
    return 0


def response_to(request: Message, output: Output, *, version: str) -> Message:
    """Return the ModelInferResponse with an output, as bytes: clients read no others."""
    response = CLASSES["ModelInferResponse"](
        model_name=request.model_name, model_version=version, id=request.id
    )
    response.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
    response.raw_output_contents.append(output.to_bytes())
    return response


def message_of(kind: str, document: Mapping[str, Any]) -> Message:
    """Return a document of the protocol as a message; what the message has not is left out."""
    return json_format.ParseDict(dict(document), CLASSES[kind](), ignore_unknown_fields=True)
