"""Bodies of `infer` over HTTP: JSON, with the tensors in it or as bytes behind it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common.errors import InputError, Unsupported
from common.strict_json import to_json
from features.config import Tensor
from models.store import Model
from service.open_inference.json_tensors import (
    Check,
    Document,
    read_document,
    read_numbers,
    write_numbers,
)
from service.open_inference.outputs import Output, check_output
from service.open_inference.parameters import InferParameters, read_parameters
from service.open_inference.tensors import (
    TensorSpec,
    check_tensor,
    from_bytes,
    input_of,
    output_of,
    the_input,
)

Fields = Mapping[str, Any]
SMALL_SCORES = 4_096
"""Scores that are written at once."""


@dataclass(frozen=True)
class InferRequest:
    """What a request asks for."""

    tensor: Tensor
    """Shape (rows, ...), as the model takes it."""
    parameters: InferParameters = field(default_factory=InferParameters)
    id: str | None = None
    """Comes back in the response."""
    best: int = 0
    """Labels of each row, the best ones, instead of scores; 0: scores."""
    binary: bool = False
    """Whether the output comes as bytes behind the JSON."""


def read_request(
    body: bytes, model: Model, *, json_size: int | None, max_rows: int, check: Check
) -> InferRequest:
    """Return the request in a body. Raises InputError, TooLarge, Unsupported.

    json_size: bytes of JSON before the tensors; 0: the body is one tensor; None: all is JSON.
    check: called between steps that take long.
    """
    spec = input_of(model)
    if json_size == 0:
        row = spec.row_size * spec.dtype.itemsize
        shape = [len(body) // row, *spec.shape]
        rows = check_tensor(spec, datatype=spec.datatype, shape=shape, max_rows=max_rows)
        return InferRequest(from_bytes(spec, body, rows=rows), binary=True)
    size = len(body) if json_size is None else json_size
    if size > len(body):
        raise InputError(f"the body has {len(body)} bytes, fewer than the {size} of its JSON")
    document = read_document(body[:size], check=check)
    sent = document.value
    parameters = _object(sent, "parameters", "the request")
    best, binary = _output(sent, output_of(model), parameters)
    tensor = _tensor(document, spec, memoryview(body)[size:], max_rows=max_rows, check=check)
    name = sent.get("id")
    if not (name is None or isinstance(name, str)):
        raise InputError(f"id={name!r:.80} must be text")
    return InferRequest(tensor, read_parameters(parameters), name, best, binary)


def write_response(model: Model, request: InferRequest, output: Output) -> tuple[bytes, int | None]:
    """Return the body of a response, and how much of it is JSON; None: all."""
    response: dict[str, Any] = {"model_name": model.name, "model_version": model.version}
    if request.id is not None:
        response["id"] = request.id
    described: dict[str, Any] = {
        "name": output.name,
        "datatype": output.datatype,
        "shape": list(output.shape),
    }
    response["outputs"] = [described]
    if request.binary:
        raw = output.to_bytes()
        described["parameters"] = {"binary_data_size": len(raw)}
        header = to_json(response).encode()
        return header + raw, len(header)
    values = output.values
    if isinstance(values, list) or values.size <= SMALL_SCORES:
        described["data"] = output.to_list()
        return to_json(response).encode(), None
    start = to_json(response).removesuffix("}]}")
    return f'{start}, "data": [{write_numbers(values)}]}}]}}'.encode(), None


def json_size(header: str | None) -> int | None:
    """Return the value of Inference-Header-Content-Length. Raises InputError."""
    if header is None:
        return None
    if not (header.isascii() and header.isdecimal() and len(header) <= 12):
        raise InputError(f"Inference-Header-Content-Length={header!r:.40} is no number of bytes")
    return int(header)


def _output(sent: Fields, spec: TensorSpec, parameters: Fields) -> tuple[int, bool]:
    """Return the number of best labels that are asked for, and whether the output is binary."""
    wanted = _list(sent, "outputs", default=[])
    binary = _flag(parameters, "binary_data_output", default=False)
    if not wanted:
        return 0, binary
    if len(wanted) > 1:
        raise InputError(f"{len(wanted)} outputs are asked for; there is one, {spec.name!r}")
    own = _object(wanted[0], "parameters", f"output {spec.name!r}")
    _reject_shared_memory(own)
    best = check_output(spec, name=wanted[0].get("name"), parameters=own)
    return best, _flag(own, "binary_data", default=binary)


def _tensor(
    document: Document, spec: TensorSpec, raw: memoryview, *, max_rows: int, check: Check
) -> Tensor:
    inputs = _list(document.value, "inputs")
    the_input([each.get("name") for each in inputs], spec)
    sent = inputs[0]
    parameters = _object(sent, "parameters", f"input {spec.name!r}")
    _reject_shared_memory(parameters)
    rows = check_tensor(
        spec, datatype=sent.get("datatype"), shape=sent.get("shape"), max_rows=max_rows
    )
    size = parameters.get("binary_data_size")
    if size is None:
        if raw:
            raise InputError(f"{len(raw)} bytes follow the JSON, and no input takes them")
        return read_numbers(spec, document.numbers_of(sent, name=spec.name), rows=rows, check=check)
    if "data" in sent:
        raise InputError(f"input {spec.name!r} has both `data` and `binary_data_size`")
    if size != len(raw) or isinstance(size, bool):
        raise InputError(
            f"binary_data_size={size!r:.80} of input {spec.name!r}, and {len(raw)} bytes follow"
            " the JSON"
        )
    return from_bytes(spec, raw, rows=rows)


def _reject_shared_memory(parameters: Fields) -> None:
    if any(name.startswith("shared_memory") for name in parameters):
        raise Unsupported("tensors in shared memory are not supported; send their bytes")


def _list(fields: Fields, name: str, *, default: list[Fields] | None = None) -> list[Fields]:
    value = fields.get(name, default)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise InputError(f"`{name}` must be a list of objects")
    return value


def _object(fields: Fields, name: str, where: str) -> Fields:
    value = fields.get(name, {})
    if not isinstance(value, dict):
        raise InputError(f"`{name}` of {where} must be an object")
    return value


def _flag(fields: Fields, name: str, *, default: bool) -> bool:
    value = fields.get(name, default)
    if not isinstance(value, bool):
        raise InputError(f"{name}={value!r:.80} must be true or false")
    return value
