"""The routes of the Open Inference Protocol."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from common.errors import (
    ArtefactError,
    Busy,
    Failed,
    InputError,
    Late,
    Leaving,
    NotAllowed,
    NotFound,
    Refused,
    TooLarge,
    Unprocessable,
    Unsupported,
    UnsupportedMedia,
)
from service.api.open_inference import HEADER
from service.api_description.json_schema import Schema
from service.api_description.operation import ErrorKind, Media, Operation, Parameter, json_answer
from service.api_description.schemas import ANYTHING, COUNT, TEXT, TEXTS
from service.open_inference.descriptions import EXTENSIONS, PLATFORM, READY, UNAVAILABLE

MODEL, VERSION = "/v2/models/{name}", "/versions/{model_version}"
NAME, NUMBER = "instruments-forest", "2"
BODY_ERRORS = (InputError, UnsupportedMedia, TooLarge, Unprocessable, Busy, Leaving)
OF_MODEL: tuple[ErrorKind, ...] = (NotFound, Unprocessable, Busy, Leaving)
OF_VERSION: tuple[ErrorKind, ...] = (*OF_MODEL, Late, ArtefactError)
FLAG: Schema = {"type": "boolean"}
LIST: Schema = {"type": "array", "items": ANYTHING}
LENGTH = Parameter(
    name=HEADER,
    schema=COUNT,
    meaning="Bytes of JSON, which the bytes of the tensors follow; 0: the body is one tensor;"
    " without it, all is JSON.",
    place="header",
)
OF_RESPONSE = {
    HEADER: Parameter(
        name=HEADER, schema=COUNT, meaning="Of a binary response: bytes of JSON.", place="header"
    )
}
BINARY = Media(schema={"type": "string", "format": "binary"})
SHAPE: Schema = {"type": "array", "items": {"type": "integer"}}
TENSOR: Schema = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": TEXT,
        "shape": SHAPE,
        "datatype": {"type": "string", "enum": ["FP32", "UINT8", "BYTES"]},
        "parameters": ANYTHING,
        "data": {"type": "array", "description": "Flat, row by row, or nested as the shape."},
    },
}
REQUEST: Schema = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string", "description": "Comes back."},
        "parameters": ANYTHING,
        "inputs": {"type": "array", "items": TENSOR, "minItems": 1, "maxItems": 1},
        "outputs": {"type": "array", "items": ANYTHING, "maxItems": 1},
    },
}
RESPONSE: Schema = {
    "type": "object",
    "required": ["model_name", "model_version", "outputs"],
    "properties": {
        "model_name": TEXT,
        "model_version": TEXT,
        "id": TEXT,
        "outputs": {"type": "array", "items": TENSOR},
    },
}
INPUT = {"name": "features", "datatype": "FP32", "shape": [-1, 26]}
OUTPUT = {"name": "scores", "datatype": "FP32", "shape": [-1, 11]}
REQUEST_EXAMPLE = {"inputs": [{**INPUT, "shape": [1, 26], "data": [0.5] * 26}]}
RESPONSE_EXAMPLE = {
    "model_name": NAME,
    "model_version": NUMBER,
    "outputs": [{**OUTPUT, "shape": [1, 11], "data": [0.02, 0.91]}],
}
METADATA_EXAMPLE = {
    "name": NAME,
    "versions": [NUMBER],
    "platform": PLATFORM,
    "inputs": [INPUT],
    "outputs": [OUTPUT],
    "parameters": {"labels": ["violin"]},
}
CONFIG_EXAMPLE = {"name": NAME, "platform": PLATFORM, "max_batch_size": 1_200}
STATS_EXAMPLE = {"model_stats": [{"name": NAME, "version": NUMBER, "inference_count": 3}]}
INDEX_EXAMPLE = [{"name": NAME, "version": NUMBER, "state": READY, "reason": ""}]
UNLOADED_EXAMPLE = {"name": NAME, "previous": NUMBER, "kept": True}


def _fields(**properties: Schema) -> Schema:
    return {"type": "object", "required": list(properties), "properties": properties}


def _get(
    id_: str, path: str, summary: str, schema: Schema, example: Any, errors: tuple[ErrorKind, ...]
) -> Operation:
    return Operation(
        id=id_,
        method="get",
        path=path,
        tag="Open Inference Protocol",
        summary=summary,
        answers=(json_answer(schema, example, meaning="As asked for."),),
        errors=errors,
    )


SERVER = (
    _get(
        "inferenceServer",
        "/v2",
        "Name, version and extensions of the server",
        _fields(name=TEXT, version=TEXT, extensions=TEXTS),
        {"name": "timbre", "version": "0.1.0", "extensions": list(EXTENSIONS)},
        (Unprocessable,),
    ),
    _get(
        *("inferenceLive", "/v2/health/live", "Whether the process lives"),
        *(_fields(live=FLAG), {"live": True}, (Unprocessable, Busy)),
    ),
    _get(
        *("inferenceReady", "/v2/health/ready", "Whether requests are accepted"),
        *(_fields(ready=FLAG), {"ready": True}, (Unprocessable, Busy, Leaving)),
    ),
    _get(
        *("inferenceStatistics", "/v2/models/stats", "Statistics of all models"),
        *(_fields(model_stats=LIST), STATS_EXAMPLE, OF_MODEL),
    ),
)


def _reads(id_: str, path: str, errors: tuple[ErrorKind, ...]) -> tuple[Operation, ...]:
    """Return what can be read of a model or of a version."""
    return (
        _get(
            f"{id_}Metadata",
            path,
            "Inputs, outputs, labels and versions",
            _fields(name=TEXT, versions=TEXTS, platform=TEXT, inputs=LIST, outputs=LIST),
            METADATA_EXAMPLE,
            errors,
        ),
        _get(
            *(f"{id_}Ready", f"{path}/ready", "Whether requests are answered"),
            *(_fields(name=TEXT, ready=FLAG), {"name": NAME, "ready": True}, errors),
        ),
        _get(
            *(f"{id_}Config", f"{path}/config", "Triton's ModelConfig"),
            *(_fields(name=TEXT, platform=TEXT, max_batch_size=COUNT), CONFIG_EXAMPLE, errors),
        ),
        _get(
            *(f"{id_}Statistics", f"{path}/stats", "Statistics"),
            *(_fields(model_stats=LIST), STATS_EXAMPLE, errors),
        ),
    )


def _infer(id_: str, path: str) -> Operation:
    scores = json_answer(RESPONSE, RESPONSE_EXAMPLE, meaning="The scores.", headers=OF_RESPONSE)
    answer = replace(scores, content={**scores.content, "application/octet-stream": BINARY})
    return Operation(
        id=id_,
        method="post",
        path=f"{path}/infer",
        tag="Open Inference Protocol",
        summary="Scores of a tensor",
        details="With binary tensors, request and response are JSON and the bytes behind it,"
        f" and `{HEADER}` says where they begin. A body may be compressed (gzip, deflate).",
        parameters=(LENGTH,),
        body={
            "application/json": Media(schema=REQUEST, examples={"request": REQUEST_EXAMPLE}),
            "application/octet-stream": BINARY,
        },
        answers=(answer,),
        errors=(*BODY_ERRORS, *OF_VERSION, NotAllowed, Failed, Unsupported),
    )


def _post(id_: str, path: str, summary: str, answer: tuple[Schema, Any], **more: Any) -> Operation:
    schema, example = answer
    return Operation(
        id=id_,
        method="post",
        path=f"/v2/repository/{path}",
        tag="Open Inference Protocol",
        summary=summary,
        body={
            "application/json": Media(schema={"type": "object"}, examples={"request": {}}),
        },
        needs_body=False,
        answers=(json_answer(schema, example, meaning="As asked for."),),
        **more,
    )


ENTRY = _fields(
    name=TEXT, version=TEXT, state={"enum": [READY, UNAVAILABLE]}, reason={"type": "string"}
)
SERVED: Schema = _fields(name=TEXT, kept=FLAG)
OPERATIONS: tuple[Operation, ...] = (
    *SERVER,
    *_reads("inferenceModel", MODEL, OF_MODEL),
    *_reads("inferenceVersion", MODEL + VERSION, OF_VERSION),
    _infer("infer", MODEL),
    _infer("inferVersion", MODEL + VERSION),
    _post(
        "inferenceIndex",
        "index",
        "Every version of every model, and why one is not served",
        ({"type": "array", "items": ENTRY}, INDEX_EXAMPLE),
        errors=BODY_ERRORS,
    ),
    _post(
        "inferenceLoad",
        "models/{name}/load",
        "Serve the latest version of a model",
        (SERVED, {**UNLOADED_EXAMPLE, "version": NUMBER, "seconds": 0.2}),
        errors=(*BODY_ERRORS, NotFound, Late, Refused, Unsupported),
    ),
    _post(
        "inferenceUnload",
        "models/{name}/unload",
        "Serve a model no more, until it is loaded",
        (SERVED, UNLOADED_EXAMPLE),
        errors=(*BODY_ERRORS, NotFound),
    ),
)
