"""A JSON Schema in words: the rows of a table for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from service.api_description.json_schema import Schema

MAX_DEPTH = 4
"""Objects within each other that are shown."""
WORDS = {"string": "text", "object": "object", "array": "list", "null": "null"}


class Row(NamedTuple):
    """One field, or one parameter."""

    name: str
    """With the names around it: `windows[].start`."""
    required: bool
    type: str
    """With its bounds."""
    meaning: str
    default: str


class Resolver:
    """Follows references within one document."""

    def __init__(self, document: Schema) -> None:
        self._document = document

    def resolve(self, value: Schema) -> Schema:
        """Return what a reference names, or the value itself."""
        while "$ref" in value:
            found: Any = self._document
            for part in value["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            value = found
        return value

    def rows(self, schema: Schema, prefix: str = "", depth: int = 0) -> Iterator[Row]:
        """Yield the fields of an object, and of those within it."""
        schema = self.resolve(schema)
        for name, reference in schema.get("properties", {}).items():
            field = self.resolve(reference)
            required = name in schema.get("required", ())
            yield self.row(prefix + name, field, required=required)
            if depth < MAX_DEPTH:
                yield from self._within(prefix + name, field, depth + 1)

    def _within(self, name: str, field: Schema, depth: int) -> Iterator[Row]:
        for each in field.get("anyOf", [field]):
            found = self.resolve(each)
            if "items" in found:
                yield from self.rows(found["items"], f"{name}[].", depth)
            elif isinstance(found.get("additionalProperties"), dict):
                yield from self.rows(found["additionalProperties"], f"{name}.*.", depth)
            else:
                yield from self.rows(found, f"{name}.", depth)

    def row(self, name: str, schema: Schema, *, required: bool) -> Row:
        """Return the row of a field or parameter."""
        default = schema.get("default")
        shown = "" if default in (None, "", {}, []) else _shown(default)
        return Row(name, required, self.words(schema), schema.get("description", ""), shown)

    def words(self, schema: Schema) -> str:
        """Return a type and its bounds: `integer, 1 to 8`."""
        schema = self.resolve(schema)
        if "const" in schema:
            return _shown(schema["const"])
        if "enum" in schema:
            return " | ".join(map(_shown, schema["enum"]))
        if "anyOf" in schema and "type" not in schema:
            return " or ".join(self.words(each) for each in schema["anyOf"])
        kinds = schema.get("type", "any")
        kind = " or ".join(WORDS.get(each, each) for each in _listed(kinds))
        if "items" in schema:
            kind = f"list of {self.words(schema['items'])}"
        if schema.get("format") == "binary":
            kind = "file"
        if schema.get("format") in ("date-time", "uri"):
            kind = kind.replace("text", "RFC 3339" if schema["format"] == "date-time" else "URL")
        return ", ".join(filter(None, [kind, _range(schema)]))


def _listed(kinds: Any) -> list[str]:
    return kinds if isinstance(kinds, list) else [kinds]


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _range(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{_number(low)} to {_number(high)}"
    if low is not None:
        return f"from {_number(low)}"
    if "exclusiveMinimum" in schema:
        return f"more than {_number(schema['exclusiveMinimum'])}"
    if "maxLength" in schema:
        return f"up to {schema['maxLength']:,} characters"
    return ""


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"
