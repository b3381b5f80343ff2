"""Rejects ONNX graphs that take data from other files, which the hashes of a manifest do not cover.

Reads the wire format of protobuf: the package onnx is not installed where models are served.
"""

from __future__ import annotations

from collections.abc import Iterator

from common.errors import ArtefactError

_HINTS = (b"location", b"EPContext")
"""External data is found by a key, a context of an accelerator by an operator. A graph without
either of these bytes refers to no file; a forest has millions of fields, so that matters."""
_ORT_FORMAT = b"ORTM"
_TENSOR, _ENTRY = "tensor", "entry"
_INSIDE = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: _TENSOR, 15: "sparse tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: _TENSOR, 6: "graph", 10: _TENSOR, 11: "graph", 22: "sparse tensor",
                  23: "sparse tensor"},
    "sparse tensor": {1: _TENSOR, 2: _TENSOR},
    _TENSOR: {13: _ENTRY},
}  # fmt: skip
"""Messages that may hold a tensor or a node: name and number of the field (onnx.proto)."""
_DATA_LOCATION = 14
_OPERATOR = 4
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT = 10


def check_self_contained(graph: bytes) -> None:
    """Raise ArtefactError if a graph refers to another file, or is not an ONNX graph.

    Looks at every tensor: initialisers, sparse ones, attributes, in subgraphs and functions.
    """
    if graph[4:8] == _ORT_FORMAT:
        raise ArtefactError("model.onnx is not an ONNX graph but one in ONNX Runtime's own format")
    if not any(hint in graph for hint in _HINTS):
        return
    messages = [("model", 0, len(graph))]
    while messages:
        message, begin, end = messages.pop()
        inside = _INSIDE[message]
        for field, value, (first, last) in fields(graph, begin, end):
            if message == _TENSOR and (field in inside or (field == _DATA_LOCATION and value)):
                raise ArtefactError(
                    "the graph takes the data of a tensor from another file (external data), "
                    "which the manifest's hashes do not cover: save it with its data inside"
                )
            if message == "node" and field == _OPERATOR and graph[first:last] == b"EPContext":
                raise ArtefactError(
                    "the graph holds a compiled context (EPContext), which may be in another file"
                )
            if field in inside and last > first:
                messages.append((inside[field], first, last))


def fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """Yield of each field its number, the value of a varint, and where its bytes begin and end.

    Raises ArtefactError on what is not protobuf.
    """
    while at < end:
        tag, at = _varint(data, at, end)
        field, wire, value, first = tag >> 3, tag & 7, 0, at
        if wire == _VARINT:
            value, at = _varint(data, at, end)
            first = at
        elif wire == _BYTES:
            length, first = _varint(data, at, end)
            at = first + length
        elif wire in (_FIXED32, _FIXED64):
            at += 4 if wire == _FIXED32 else 8
            first = at
        else:
            raise ArtefactError(f"model.onnx is not an ONNX graph: a field of wire type {wire}")
        if at > end:
            raise ArtefactError("model.onnx is not an ONNX graph: it ends inside a field")
        yield field, value, (first, at)


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = 0
    for place in range(_MAX_VARINT):
        if at + place >= end:
            break
        byte = data[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise ArtefactError("model.onnx is not an ONNX graph: a number in it does not end")
