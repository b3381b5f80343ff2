"""JSON Schema of dataclasses: types from the annotations, texts from the docstrings of fields."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

Schema: TypeAlias = dict[str, Any]

SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def field_texts(kind: type[Any]) -> dict[str, str]:
    """Return the docstring of each field of a dataclass, on one line."""
    (definition,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: " ".join(str(text.value.value).split())
        for field, text in itertools.pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }


def schema_of(annotation: Any) -> Schema:
    """Return the schema of a type. Raises TypeError for one that has none."""
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return object_schema(annotation)
    if annotation is Any:
        return {}
    if annotation in SIMPLE:
        return {"type": SIMPLE[annotation]}
    return _generic(typing.get_origin(annotation), typing.get_args(annotation))


def _generic(origin: Any, arguments: tuple[Any, ...]) -> Schema:
    if origin is Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin in (types.UnionType, typing.Union):
        return {"type": [schema_of(each)["type"] for each in arguments]}
    if origin in (tuple, list):
        return {"type": "array", "items": schema_of(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(arguments[1])}
    raise TypeError(f"no schema for {origin} of {arguments}")


def object_schema(
    kind: type[Any], bounds: Mapping[str, Schema] | None = None, *, closed: bool = False
) -> Schema:
    """Return the schema of a dataclass.

    bounds: further keywords by field, as the code checks them. closed: other fields are rejected.
    """
    hints, texts = typing.get_type_hints(kind), field_texts(kind)
    properties: dict[str, Schema] = {}
    required = []
    for field in dataclasses.fields(kind):
        found = schema_of(hints[field.name])
        if field.name in texts:
            found["description"] = texts[field.name]
        if field.default is not dataclasses.MISSING:
            found["default"] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found["default"] = field.default_factory()
        else:
            required.append(field.name)
        properties[field.name] = found | (bounds or {}).get(field.name, {})
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        **({"additionalProperties": False} if closed else {}),
    }
