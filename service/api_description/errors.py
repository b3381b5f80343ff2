"""Errors in the description: every status with the codes that it may have."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, NamedTuple

from common.errors import (
    Busy,
    InputError,
    Leaving,
    Misdirected,
    NotAllowed,
    TimbreError,
    TooMany,
    Unauthorised,
)
from service.api.authentication import ROUTE_SCOPES, needs_no_key
from service.api_description.json_schema import Schema
from service.api_description.operation import ErrorKind, Operation, component
from service.protocol import code_of

PREFIX = "urn:timbre:problem:"
MEDIA_TYPE = "application/problem+json"
PROBLEM: Schema = {
    "type": "object",
    "description": "An RFC 9457 problem document. The last part of `type` is the code.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "For programs.", "pattern": f"^{PREFIX}"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "For people: what is wrong, and the limit."},
        "error": {"type": "string", "description": "Of `/v2` only: the same as `detail`."},
    },
}


class Code(NamedTuple):
    """One code of a problem document."""

    code: str
    title: str
    status: int
    meaning: str


def http_code(status: HTTPStatus, meaning: str) -> Code:
    """Return the code of an error of HTTP itself."""
    title = status.phrase.capitalize()
    return Code(title.lower().replace(" ", "-"), title, status, meaning)


OF_HTTP = (
    http_code(HTTPStatus.BAD_REQUEST, "Bytes that are no HTTP request, or no handshake."),
    http_code(HTTPStatus.EXPECTATION_FAILED, "An `Expect` other than `100-continue`."),
)
"""What every route may answer before Timbre sees the request."""


def code(error: ErrorKind) -> Code:
    """Return the code of a class of errors."""
    meaning = inspect.getdoc(error) or ""
    first = " ".join(meaning.partition("\n\n")[0].split())
    if error is TimbreError:
        first = "A fault of the server; its log has it under the request's id."
    return Code(code_of(error("")), error.title, error.status, first)


def codes_of(operation: Operation) -> list[Code]:
    """Return every code that an operation may answer, by status."""
    kinds: list[ErrorKind] = [TimbreError, Misdirected, *operation.errors]
    if operation.method != "get":
        kinds.append(NotAllowed)
    if not needs_no_key(operation.path):
        kinds += [InputError, Unauthorised, TooMany, Busy]
        if ROUTE_SCOPES.get(operation.path, "admin"):
            kinds.append(NotAllowed)
    if operation.body:
        kinds.append(InputError)
    found = {*OF_HTTP, *map(code, kinds)}
    return sorted(found, key=lambda each: (each.status, each.code))


def grouped(codes: Iterable[Code]) -> dict[str, list[Code]]:
    """Return codes by the name of the response that has them: one for each status."""
    by_status: dict[int, list[Code]] = {}
    for each in codes:
        by_status.setdefault(each.status, []).append(each)
    return {".".join(each.code for each in found): found for found in by_status.values()}


def error_responses(codes: Iterable[Code]) -> dict[str, Schema]:
    """Return references to the responses of some codes by status."""
    return {
        str(int(found[0].status)): {"$ref": f"#/components/responses/{name}"}
        for name, found in grouped(codes).items()
    }


def response_components(operations: Iterable[Operation]) -> dict[str, Schema]:
    """Return the responses of all errors of some operations by their names."""
    groups = {
        name: found
        for operation in operations
        for name, found in grouped(codes_of(operation)).items()
    }
    return {name: _response(int(found[0].status), found) for name, found in sorted(groups.items())}


def _response(status: int, codes: list[Code]) -> Schema:
    types = [PREFIX + each.code for each in codes]
    own = {"properties": {"type": {"enum": types}, "status": {"const": status}}}
    return {
        "description": "\n".join(f"- `{each.code}`: {each.meaning}" for each in codes),
        "headers": _headers(codes),
        "content": {
            MEDIA_TYPE: {
                "schema": {"allOf": [component("Problem"), own]},
                "examples": {each.code: {"value": _example(each)} for each in codes},
            }
        },
    }


def _example(code: Code) -> dict[str, Any]:
    return {
        "type": PREFIX + code.code,
        "title": code.title,
        "status": int(code.status),
        "detail": EXAMPLES.get(code.code, code.meaning),
    }


EXAMPLES = {"not-found": "no model 'piano'; there is instruments"}
"""Details of examples; for others the meaning."""


def _headers(codes: list[Code]) -> Schema:
    names = {each.code for each in codes}
    headers: Schema = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    if names & {code(kind).code for kind in (Busy, Leaving, TooMany)}:
        headers["Retry-After"] = {
            "description": "Seconds to wait.",
            "required": True,
            "schema": {"type": "integer", "minimum": 0},
        }
    if code(Unauthorised).code in names:
        headers["WWW-Authenticate"] = {"required": True, "schema": {"type": "string"}}
    return headers
