"""Mappings are read to the letter, or rejected with the place and the value."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict

import pytest

from common.errors import InputError, Unprocessable
from common.mapping import (
    parse_json,
    read_json,
    read_settings,
    read_some_settings,
    split_assignment,
)


class Origin(TypedDict):
    licence: str


@dataclass(frozen=True, kw_only=True)
class Inner:
    size: tuple[int, int] = (1, 2)
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Thing:
    name: str
    count: int = 1
    rate: float = 0.5
    live: bool = False
    where: Path = Path()
    fit: Literal["crop", "pad"] = "crop"
    inner: Inner = field(default_factory=Inner)
    pairs: tuple[tuple[int, int], ...] = ()
    weights: dict[str, float] = field(default_factory=dict)
    origins: list[Origin] = field(default_factory=list)
    anything: Any = None


@dataclass(frozen=True, kw_only=True)
class Ratio:
    ratio: float
    kind: Literal["old"] = "old"


def as_json(**values):
    values = {"name": "x"} | values
    return read_json(Thing, values, where="thing", error=InputError, outside=Unprocessable)


def as_settings(**values):
    return read_settings(Thing, {"name": "x"} | values, where="thing", error=InputError)


def test_json_of_the_right_types_becomes_the_dataclass():
    found = as_json(
        rate=2,
        inner={"size": [3, 4], "names": ["a"]},
        weights={"a": 1},
        origins=[{"licence": "CC0-1.0"}],
        anything=[None],
    )
    assert found == Thing(
        name="x",
        rate=2.0,
        inner=Inner(size=(3, 4), names=("a",)),
        weights={"a": 1.0},
        origins=[{"licence": "CC0-1.0"}],
        anything=[None],
    )
    assert isinstance(found.rate, float)
    assert isinstance(found.weights["a"], float)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"colour": 1}, "thing: unknown field colour; known: name, count"),
        ({"inner": {"colour": 1}}, r"thing\.inner: unknown field colour"),
        ({"origins": [{}]}, r"thing\.origins\[0\]: missing field licence"),
        ({"name": 3}, "thing.name=3 must be of type str"),
        ({"count": True}, "thing.count=True must be of type int"),
        ({"count": 1.0}, "thing.count=1.0 must be of type int"),
        ({"count": "1"}, "thing.count='1' must be of type int"),
        ({"rate": False}, "thing.rate=False must be of type float"),
        ({"live": 1}, "thing.live=1 must be of type bool"),
        ({"fit": ["crop"]}, "must be 'crop' or 'pad'"),
        ({"inner": []}, r"thing\.inner=\[\] must be an object"),
        ({"inner": {"size": [1]}}, r"inner\.size=\[1\] must be a list of 2"),
        ({"inner": {"names": "a"}}, "must be a list"),
        ({"weights": {"a": "b"}}, r"thing\.weights\.a='b' must be of type float"),
        ({"name": ["y" * 1_000]}, r"yyy\.\.\. must be of type str"),
    ],
)
def test_json_of_another_form_is_rejected_with_place_and_value(values, message):
    with pytest.raises(InputError, match=message) as caught:
        as_json(**values)
    assert type(caught.value) is InputError


def test_a_missing_field_is_named():
    with pytest.raises(InputError, match="thing: missing field name"):
        read_json(Thing, {}, where="thing", error=InputError)


def test_a_text_outside_the_choices_can_be_an_error_of_its_own():
    with pytest.raises(Unprocessable, match=r"thing\.fit='stretch' must be 'crop' or 'pad'"):
        as_json(fit="stretch")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"count": "3"}, {"count": 3}),
        ({"rate": "1"}, {"rate": 1.0}),
        ({"rate": ".5"}, {"rate": 0.5}),
        ({"live": "true"}, {"live": True}),
        ({"where": "/a=b"}, {"where": Path("/a=b")}),
        ({"inner": {"names": "a, b,"}}, {"inner": Inner(names=("a", "b"))}),
        ({"inner": {"size": "[5, 6]"}}, {"inner": Inner(size=(5, 6))}),
        ({"pairs": "[[1, 2], [3, 4]]"}, {"pairs": ((1, 2), (3, 4))}),
        ({"weights": "{a = 1}"}, {"weights": {"a": 1.0}}),
        ({"pairs": [[1, 2]]}, {"pairs": ((1, 2),)}),
    ],
)
def test_settings_are_values_or_texts(values, expected):
    assert as_settings(**values) == Thing(name="x", **expected)


def test_a_number_for_a_text_stays_a_text():
    assert as_settings(name="7").name == "7"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"colour": 1}, "thing: unknown setting colour"),
        ({"count": "many"}, "thing.count='many' must be of type int"),
        ({"live": "yes"}, "thing.live='yes' must be of type bool"),
        ({"pairs": "[1"}, r"thing\.pairs='\[1' must be a list"),
        ({"inner": "a"}, "thing.inner='a' must be a section"),
        ({"inner": {"size": "1"}}, "must be a list of 2"),
        ({"name": 3}, "thing.name=3 must be of type str"),
    ],
)
def test_settings_of_another_form_are_rejected_with_place_and_value(values, message):
    with pytest.raises(InputError, match=message):
        as_settings(**values)


def test_some_settings_are_read_without_the_others():
    assert read_some_settings(Thing, {"count": "2"}, error=InputError) == {"count": 2}
    with pytest.raises(InputError, match="count='x' must be of type int"):
        read_some_settings(Thing, {"count": "x"}, error=InputError)


@pytest.mark.parametrize(
    "text", ["", "{", "NaN", '{"a": -Infinity}', b"\xff", "[" * 100_000, "1e999", "[-1e400]"]
)
def test_what_is_not_strict_json_is_rejected(text):
    with pytest.raises(InputError, match=r"keys\.json is not JSON"):
        parse_json(text, error=InputError, where="keys.json")


def test_a_whole_number_that_no_float_holds_is_rejected():
    with pytest.raises(InputError, match=r"thing\.ratio=10+\.\.\. must be of type float"):
        read_json(Ratio, {"ratio": 10**400}, where="thing", error=InputError)
    assert read_json(Ratio, {"ratio": 10**300}, where="thing", error=InputError).ratio == 1e300


def test_choices_may_be_open_to_those_of_a_later_version():
    given = {"ratio": 1.0, "kind": "new"}
    with pytest.raises(InputError, match="kind='new' must be 'old'"):
        read_json(Ratio, given, where="thing", error=InputError)
    assert read_json(Ratio, given, where="x", error=InputError, open_choices=True).kind == "new"
    with pytest.raises(InputError, match="kind=3"):
        read_json(Ratio, {**given, "kind": 3}, where="thing", error=InputError, open_choices=True)


def test_an_assignment_has_a_key_and_a_value():
    assert split_assignment(" a.b = c=d ", error=InputError) == ("a.b", "c=d")
    with pytest.raises(InputError, match="'epochs' is not key=value"):
        split_assignment("epochs", error=InputError)


@dataclass
class Limited:
    most: int | float | str = 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [("8", 8), ("0.5", 0.5), ("sqrt", "sqrt"), (8, 8), (1.0, 1.0), ("1.0", 1.0)],
)
def test_of_several_types_a_value_has_the_first_that_its_text_fits(value, expected):
    found = read_settings(Limited, {"most": value}, where="", error=InputError).most
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("value", [True, [1], None])
def test_what_is_of_none_of_several_types_is_rejected(value):
    with pytest.raises(InputError, match=r"most=.* must be of type int or float or str"):
        read_settings(Limited, {"most": value}, where="", error=InputError)


@dataclass
class Span:
    end: float | None


def test_a_value_that_may_be_none_is_none_or_of_its_type():
    assert read_json(Span, {"end": None}, where="span", error=InputError).end is None
    assert read_json(Span, {"end": 2}, where="span", error=InputError).end == 2.0
    with pytest.raises(InputError, match=r"span\.end='2' must be of type float or None"):
        read_json(Span, {"end": "2"}, where="span", error=InputError)
