"""JSON without NaN."""

import json

import pytest

from common.strict_json import to_json


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x], lambda x: {"a": {"b": x}}])
def test_what_is_no_number_in_json_is_an_error(value, wrap):
    with pytest.raises(ValueError, match="Out of range float values"):
        to_json(wrap(value))


def test_all_else_is_written_as_json_does():
    value = {"a": [1, 1.5, None, True, "ü"]}
    assert to_json(value) == json.dumps(value)
    assert to_json(value, indent=2, ensure_ascii=False) == json.dumps(
        value, indent=2, ensure_ascii=False
    )
