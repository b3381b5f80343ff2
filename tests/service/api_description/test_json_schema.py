"""JSON Schema of dataclasses: types, texts and bounds."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pytest

from service.api_description.json_schema import object_schema, schema_of


@dataclass
class Inner:
    depth: float


@dataclass
class Sample:
    """A class with fields of every kind."""

    kind: ClassVar[str] = "sample"
    name: str
    """What it is
    called."""
    inner: Inner
    choice: Literal["a", "b"] = "a"
    """One of two."""
    counts: dict[str, int] = field(default_factory=dict)
    rest: Any = None


def test_a_dataclass_becomes_an_object_with_its_docstrings_and_defaults():
    assert object_schema(Sample) == {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "What it is called."},
            "inner": {
                "type": "object",
                "properties": {"depth": {"type": "number"}},
                "required": ["depth"],
            },
            "choice": {
                "type": "string",
                "enum": ["a", "b"],
                "description": "One of two.",
                "default": "a",
            },
            "counts": {
                "type": "object",
                "additionalProperties": {"type": "integer"},
                "default": {},
            },
            "rest": {"default": None},
        },
        "required": ["name", "inner"],
    }


def test_bounds_are_added_and_a_closed_object_admits_nothing_else():
    found = object_schema(Inner, {"depth": {"minimum": 1}}, closed=True)
    assert found["properties"]["depth"] == {"type": "number", "minimum": 1}
    assert found["additionalProperties"] is False


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (tuple[str, ...], {"type": "array", "items": {"type": "string"}}),
        (list[bool], {"type": "array", "items": {"type": "boolean"}}),
        (int | None, {"type": ["integer", "null"]}),
        (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}),
    ],
)
def test_types_have_the_schema_of_their_json(annotation, schema):
    assert schema_of(annotation) == schema


def test_a_type_that_json_does_not_have_is_an_error():
    with pytest.raises(TypeError, match="set"):
        schema_of(set[str])
