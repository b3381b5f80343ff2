"""Strict reading of mappings into dataclasses: JSON objects, and settings as TOML or text.

Pure. A field without a default must be there, an unknown one is rejected, and a value has the type
of its annotation: str, int, float, bool, Path, Literal, tuple, list, dict, TypedDict, dataclass, or
one of several such as `int | str`, the first that a text fits.
An int stands for a float; a bool stands for no number. Each error names the place and the value.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import tomllib
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TypeVar

T = TypeVar("T")
ErrorClass: typing.TypeAlias = Callable[[str], Exception]

SHOWN = 60
"""Characters of a wrong value that an error message shows."""
BOOLEANS = {"true": True, "false": False}


def parse_json(text: str | bytes, *, error: ErrorClass, where: str = "") -> Any:
    """Return the value of a JSON text. Raises `error` if it is not JSON.

    NaN is not, nor is a number that would become infinite.
    """
    try:
        return json.loads(text, parse_constant=_reject_constant, parse_float=_finite)
    except (ValueError, RecursionError) as reason:
        raise error(f"{where + ' is ' if where else ''}not JSON: {reason}") from reason


def read_json(
    expected_type: type[T],
    value: Any,
    *,
    where: str,
    error: ErrorClass,
    outside: ErrorClass | None = None,
    open_choices: bool = False,
) -> T:
    """Return a JSON object as the dataclass `expected_type`.

    open_choices: values of a Literal may be others of its type, as a later version may have.

    Raises `error`, and `outside` for a value of the right type that is none of its Literal's.
    """
    reader = _Reader(error=error, outside=outside or error, text=False, open_choices=open_choices)
    result: T = reader.fields_of(expected_type, value, where)
    return result


def read_settings(expected_type: type[T], value: Any, *, where: str, error: ErrorClass) -> T:
    """Return a TOML table as the dataclass `expected_type`; a str may stand for any type.

    Such a text is as typed: `3`, `true`, `a, b`, or TOML for lists of lists. Raises `error`.
    """
    result: T = _Reader(error=error, outside=error, text=True).fields_of(
        expected_type, value, where
    )
    return result


def read_some_settings(
    expected_type: type, values: Mapping[str, Any], *, error: ErrorClass
) -> dict[str, Any]:
    """Return the given fields of the dataclass `expected_type`, read as by `read_settings`."""
    reader = _Reader(error=error, outside=error, text=True)
    return reader.values_of(expected_type, dict(values), "", complete=False)


def split_assignment(text: str, *, error: ErrorClass) -> tuple[str, str]:
    """Return key and value of `key=value`, without the blanks around them. Raises `error`."""
    key, equals, value = text.partition("=")
    if not equals:
        raise error(f"{text!r} is not key=value")
    return key.strip(), value.strip()


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """One way to read: which errors are raised, and whether a text may stand for other types."""

    error: ErrorClass
    outside: ErrorClass
    text: bool
    open_choices: bool = False

    def fields_of(self, expected_type: Any, value: Any, where: str) -> Any:
        return expected_type(**self.values_of(expected_type, value, where, complete=True))

    def values_of(
        self, expected_type: Any, value: Any, where: str, *, complete: bool
    ) -> dict[str, Any]:
        value = self._mapping(value, where)
        types, needed = _fields(expected_type)
        noun, place = "setting" if self.text else "field", f"{where}: " if where else ""
        if unknown := value.keys() - types.keys():
            known = ", ".join(types) or "none"
            raise self.error(f"{place}unknown {noun} {_names(unknown)}; known: {known}")
        if complete and (missing := needed - value.keys()):
            raise self.error(f"{place}missing {noun} {_names(missing)}")
        inner = f"{where}." if where else ""
        return {
            name: self.value(types[name], item, f"{inner}{name}") for name, item in value.items()
        }

    def value(self, expected_type: Any, value: Any, where: str) -> Any:
        """Return `value` as the type `expected_type`."""
        if type(value) is expected_type or expected_type is Any:
            return value
        origin, inner = _parts(expected_type)
        if dataclasses.is_dataclass(expected_type) or typing.is_typeddict(expected_type):
            return self.fields_of(expected_type, value, where)
        if origin is Literal:
            return self._choice(inner, value, where)
        if origin is types.UnionType:
            return self._one_of(inner, value, where)
        return self._plain(expected_type, value, where)

    def _plain(self, expected_type: Any, value: Any, where: str) -> Any:
        """Return a value of a list, a dictionary or a scalar type."""
        origin, inner = _parts(expected_type)
        if self.text and isinstance(value, str) and expected_type is not str:
            value = _from_text(origin or expected_type, value)
        if origin in {list, tuple}:
            return origin(self._items(origin, inner, value, where))
        if origin is dict:
            items, wanted = self._mapping(value, where).items(), inner[1]
            return {
                key: item if type(item) is wanted else self.value(wanted, item, f"{where}.{key}")
                for key, item in items
            }
        return self._scalar(expected_type, value, where)

    def _one_of(self, kinds: tuple[type, ...], value: Any, where: str) -> Any:
        """Return a value of one of several scalar types."""
        if self.text and isinstance(value, str):
            meant = [_from_text(kind, value) for kind in kinds]
            value = next(
                (v for v, kind in zip(meant, kinds, strict=True) if type(v) is kind), value
            )
        if float in kinds and int not in kinds and type(value) is int:
            return self._scalar(float, value, where)
        if type(value) not in kinds:
            names = ["None" if kind is types.NoneType else kind.__name__ for kind in kinds]
            self._fail(where, value, f"of type {' or '.join(names)}")
        return value

    def _scalar(self, expected_type: type, value: Any, where: str) -> Any:
        if expected_type is float and type(value) is int:
            try:
                return float(value)
            except OverflowError:
                self._fail(where, value, "of type float")
        # JSON's true is an int to Python.
        if not isinstance(value, expected_type) or (
            isinstance(value, bool) and expected_type is not bool
        ):
            self._fail(where, value, f"of type {expected_type.__name__}")
        return value

    def _mapping(self, value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._fail(where, value, "a section" if self.text else "an object")
        return value

    def _items(self, origin: Any, inner: Any, value: Any, where: str) -> list[Any]:
        if not isinstance(value, list):
            self._fail(where, value, "a list")
        variable = origin is list or inner[-1] is Ellipsis
        types = [inner[0]] * len(value) if variable else inner
        if len(types) != len(value):
            self._fail(where, value, f"a list of {len(types)}")
        pairs = zip(types, value, strict=True)
        return [
            self.value(expected_type, item, f"{where}[{at}]")
            for at, (expected_type, item) in enumerate(pairs)
        ]

    def _choice(self, choices: tuple[Any, ...], value: Any, where: str) -> Any:
        if type(value) not in {type(choice) for choice in choices}:
            self._fail(where, value, " or ".join(map(repr, choices)))
        if value not in choices and not self.open_choices:
            allowed = " or ".join(map(repr, choices))
            raise self.outside(f"{where}={_shown(value)} must be {allowed}")
        return value

    def _fail(self, where: str, value: Any, requirement: str) -> NoReturn:
        raise self.error(f"{where}={_shown(value)} must be {requirement}")


@functools.cache
def _parts(expected_type: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return `list` and `(int,)` of `list[int]`; None and nothing of `int`."""
    return typing.get_origin(expected_type), typing.get_args(expected_type)


@functools.cache
def _fields(expected_type: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the types of a class's fields by name, and the names of those without a default."""
    types = typing.get_type_hints(expected_type)
    if not dataclasses.is_dataclass(expected_type):
        return types, frozenset(types)
    fields = dataclasses.fields(expected_type)
    free = {
        field.name
        for field in fields
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    return {field.name: types[field.name] for field in fields}, frozenset(free)


def _from_text(expected_type: Any, text: str) -> Any:
    """Return what a text means as a value of the type, or the text itself where it means none."""
    try:
        if expected_type in {list, tuple} and not text.startswith("["):
            return [part.strip() for part in text.split(",") if part.strip()]
        if expected_type in {list, tuple, dict}:
            return tomllib.loads(f"value = {text}")["value"]
        return BOOLEANS.get(text, text) if expected_type is bool else expected_type(text)
    except ValueError:  # tomllib.TOMLDecodeError is one
        return text


def _names(names: set[str] | frozenset[str]) -> str:
    return f"{', '.join(sorted(names)):.{SHOWN}}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text:.{SHOWN}} is too large a number")
    return value


def _reject_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")
