"""A JSON Schema in words."""

import pytest

from service.api_description.schema_rows import Resolver

DOCUMENT = {"components": {"schemas": {"Part": {"type": "string", "enum": ["a", "b"]}}}}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 8_000}, "integer, 1 to 8,000"),
        ({"type": "number", "minimum": 0.1}, "number, from 0.1"),
        ({"type": "number", "exclusiveMinimum": 0}, "number, more than 0"),
        ({"type": "string", "maxLength": 64}, "text, up to 64 characters"),
        ({"type": ["string", "null"], "format": "date-time"}, "RFC 3339 or null"),
        ({"type": "string", "format": "binary"}, "file"),
        ({"type": "array", "items": {"type": "number"}}, "list of number"),
        ({"$ref": "#/components/schemas/Part"}, "a | b"),
        ({"anyOf": [{"type": "object"}, {"type": "null"}]}, "object or null"),
        ({"const": True}, "true"),
        ({}, "any"),
    ],
)
def test_a_type_is_told_with_its_bounds(schema, words):
    assert Resolver(DOCUMENT).words(schema) == words


def test_fields_within_fields_have_the_names_around_them():
    inner = {"type": "object", "properties": {"part": {"$ref": "#/components/schemas/Part"}}}
    schema = {
        "type": "object",
        "required": ["list"],
        "properties": {
            "list": {"type": "array", "items": inner, "description": "Parts."},
            "map": {"type": "object", "additionalProperties": inner},
            "maybe": {"anyOf": [inner, {"type": "null"}]},
            "flag": {"type": "boolean", "default": False},
        },
    }
    rows = list(Resolver(DOCUMENT).rows(schema))
    names = ["list", "list[].part", "map", "map.*.part", "maybe", "maybe.part", "flag"]
    assert [row.name for row in rows] == names
    assert [row.name for row in rows if row.required] == ["list"]
    assert (rows[0].meaning, rows[-1].default) == ("Parts.", "false")
