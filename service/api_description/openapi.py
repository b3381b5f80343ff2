"""The document `/openapi.json`: OpenAPI 3.1, made from the tables of the routes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from service.api.authentication import ROUTE_SCOPES, needs_no_key
from service.api.middleware import REQUEST_ID
from service.api.page import VIEWS
from service.api_description import (
    model_routes,
    open_inference_routes,
    page_routes,
    record_routes,
    training_routes,
)
from service.api_description.errors import PROBLEM, codes_of, error_responses, response_components
from service.api_description.json_schema import Schema
from service.api_description.operation import Answer, Media, Operation, Parameter
from service.api_description.schemas import FILE_ID, MODEL_NAME, MODEL_VERSION, PLAIN_NAME, SCHEMAS
from service.auth.keys import SCOPES
from service.settings import Settings
from service.trainings.clip_store import MAX_LABEL

VERSION = "1"
"""Of the interface: the first part of its paths."""
LICENCE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
IN_PATH = re.compile(r"\{(\w+)\}")
ABOUT = (
    "Classifies sounds and pictures. Live sound is streamed over a WebSocket, which"
    " `/asyncapi.json` describes. Every route of GET answers HEAD too, but for the stream and"
    " `/v1/events`. Errors are RFC 9457 problem documents; a path that does not exist gets 404,"
    " another method 405 with `Allow`. A request may carry `X-Request-Id`, which is in the"
    " response and in the server's log; without one, the server makes one."
)
TAGS = {
    "Models": "Classify files, stream live sound, and see what is served.",
    "Events": "What all streams hear, as it happens.",
    "Health": "For orchestrators and load balancers.",
    "Trainings": "Train models from labelled clips, and serve them.",
    "Collections": "Labelled clips to train on.",
    "Open Inference Protocol": "Tensors in, scores out, for clients of KServe and Triton.",
    "Page": "The page in the browser, and this description.",
}
PATH_PARAMETERS = {
    "name": (MODEL_NAME, "Name of the model.", "instruments"),
    "collection": (PLAIN_NAME, "Name of the collection.", "garden"),
    "label": (
        {"type": "string", "minLength": 1, "maxLength": MAX_LABEL},
        f"The label, of {MAX_LABEL} bytes at most, printable and without a slash.",
        "robin",
    ),
    "id": (FILE_ID, "As the response that made it says.", training_routes.ID),
    "view": ({"type": "string", "enum": list(VIEWS)}, "Name of the view.", VIEWS[0]),
    "model_version": (MODEL_VERSION, "Version of the model.", "2"),
    "version": (
        {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        "Of the files, as the document names it.",
        "0123456789abcdef",
    ),
    "file": ({"type": "string", "minLength": 1}, "Name of the file.", "app.js"),
}
"""By the name in the path: schema, meaning, example."""


def operations(settings: Settings) -> tuple[Operation, ...]:
    """Return every operation of a server."""
    return (
        *model_routes.operations(settings),
        *record_routes.OPERATIONS,
        *training_routes.OPERATIONS,
        *open_inference_routes.OPERATIONS,
        *page_routes.OPERATIONS,
    )


def scope_of(path: str) -> str | None:
    """Return the scope that a key needs for a route; None: any key, or none at all."""
    return None if needs_no_key(path) else ROUTE_SCOPES.get(path, "admin")


def openapi(settings: Settings) -> Schema:
    """Return the document, with the bounds of a server."""
    paths: Schema = {}
    described = operations(settings)
    for operation in described:
        path = paths.setdefault(operation.path, {"parameters": _path_parameters(operation.path)})
        path[operation.method] = _operation(operation, has_keys=bool(settings.keys))
    return {
        "openapi": "3.1.0",
        "info": {"title": "Timbre", "version": VERSION, "description": ABOUT, "license": LICENCE},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": {"Problem": PROBLEM} | SCHEMAS,
            "responses": response_components(described),
            "parameters": {"RequestId": _request_id_sent()},
            "headers": {"RequestId": _request_id_returned()},
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "timbre_...",
                    "description": "An API key with the scope that the route names, of"
                    f" {', '.join(SCOPES)}. Only servers with keys ask for one; on others, what"
                    " needs `admin` is open to programs of the same machine only.",
                }
            },
        },
    }


def _request_id_sent() -> Schema:
    return {
        "name": "X-Request-Id",
        "in": "header",
        "description": "Returned in the response and written to the server's log; one of more than"
        " 128 characters, or of others than letters, digits and `_.:/+=-`, is replaced.",
        "schema": {"type": "string"},
    }


def _request_id_returned() -> Schema:
    return {
        "description": "Names the request in the server's log.",
        "required": True,
        "schema": {
            "type": "string",
            "pattern": f"^{REQUEST_ID.pattern}$".replace(r"\w", "A-Za-z0-9_"),
        },
    }


def _path_parameters(path: str) -> list[Schema]:
    found: list[Schema] = [{"$ref": "#/components/parameters/RequestId"}]
    for name in IN_PATH.findall(path):
        schema, meaning, example = PATH_PARAMETERS[name]
        found.append(
            {
                "name": name,
                "in": "path",
                "required": True,
                "description": meaning,
                "schema": schema,
                "example": example,
            }
        )
    return found


def _operation(operation: Operation, *, has_keys: bool) -> Schema:
    scope = scope_of(operation.path)
    needs = [] if scope is None else [scope]
    found: Schema = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": " ".join(
            filter(None, [operation.details, f"Scope: `{scope}`." if scope else ""])
        ),
        "security": (
            []
            if needs_no_key(operation.path)
            else [{"key": needs}]
            if has_keys
            else [{}, {"key": needs}]
        ),
        "parameters": [_parameter(each) for each in operation.parameters],
        "responses": _answers(operation.answers) | error_responses(codes_of(operation)),
    }
    if operation.body:
        found["requestBody"] = {
            "required": operation.needs_body,
            "content": _contents(operation.body),
        }
    return {name: value for name, value in found.items() if value or name == "security"}


def _parameter(parameter: Parameter) -> Schema:
    found = {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "description": parameter.meaning,
        "schema": parameter.schema,
    }
    return found if parameter.example is None else found | {"example": parameter.example}


def _answers(answers: Iterable[Answer]) -> Schema:
    return {
        str(answer.status): {
            "description": answer.meaning,
            "headers": {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
            | {name: _header(each) for name, each in answer.headers.items()},
            **({"content": _contents(answer.content)} if answer.content else {}),
            **({"links": dict(answer.links)} if answer.links else {}),
        }
        for answer in answers
    }


def _header(header: Parameter) -> Schema:
    return {
        "description": header.meaning,
        "required": header.required,
        "schema": header.schema,
    }


def _contents(content: Mapping[str, Media]) -> Schema:
    return {
        media_type: {
            "schema": media.schema,
            **({"examples": _examples(media.examples)} if media.examples else {}),
        }
        for media_type, media in content.items()
    }


def _examples(examples: Mapping[str, Any]) -> Schema:
    return {name: {"value": value} for name, value in examples.items()}
