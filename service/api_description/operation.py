"""What one route is: the rows of which the description of the API is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from common.errors import TimbreError
from service.api_description.json_schema import Schema

Tag: TypeAlias = Literal[
    "Models", "Events", "Health", "Trainings", "Collections", "Open Inference Protocol", "Page"
]
ErrorKind: TypeAlias = type[TimbreError]


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One value in the query, the path or a header."""

    name: str
    schema: Schema
    """With the bounds of the code that checks it."""
    meaning: str
    place: Literal["query", "path", "header"] = "query"
    required: bool = False
    example: Any = None


@dataclass(frozen=True, kw_only=True)
class Media:
    """A body of one media type."""

    schema: Schema
    examples: Mapping[str, Any] = field(default_factory=dict)
    """By name."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A response that is no error."""

    meaning: str
    status: int = 200
    content: Mapping[str, Media] = field(default_factory=dict)
    """By media type; none: no body."""
    headers: Mapping[str, Parameter] = field(default_factory=dict)
    links: Mapping[str, Any] = field(default_factory=dict)
    """Link objects of OpenAPI by name."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one route, as `service.app` registers it."""

    id: str
    """For programs: a word in camel case that no other operation has."""
    method: Literal["get", "post", "delete"]
    path: str
    tag: Tag
    summary: str
    answers: tuple[Answer, ...]
    details: str = ""
    parameters: tuple[Parameter, ...] = ()
    """Those of the path are added by their names."""
    body: Mapping[str, Media] = field(default_factory=dict)
    """By media type; none: no body is read."""
    needs_body: bool = True
    errors: tuple[ErrorKind, ...] = ()
    """Those besides what every route may answer."""
    curl: str = ""
    """Words of curl before the URL, and `?` with a query behind it; empty: only the URL."""


def json_answer(
    schema: Schema,
    example: Any,
    *,
    meaning: str,
    status: int = 200,
    headers: Mapping[str, Parameter] | None = None,
    links: Mapping[str, Any] | None = None,
) -> Answer:
    """Return a response of JSON."""
    return Answer(
        meaning=meaning,
        status=status,
        content={"application/json": Media(schema=schema, examples={"response": example})},
        headers=headers or {},
        links=links or {},
    )


def component(name: str) -> Schema:
    """Return a reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}
