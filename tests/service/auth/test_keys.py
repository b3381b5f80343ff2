"""A key is shown once, kept hashed, and checked without its secret."""

import json
from dataclasses import replace

import pytest

from common.errors import Unprocessable
from service.auth.keys import PATTERN, Key, now
from tests.service.helpers.keys import new_key


def test_a_key_is_long_random_and_not_in_what_is_stored():
    key, text = new_key()
    form = PATTERN.fullmatch(text)
    assert form[1] == key.id
    assert len(form[2]) == 43  # 32 bytes
    assert form[2] not in json.dumps(vars(key))
    assert new_key()[1] != text


def test_a_key_matches_its_own_text_only_and_not_once_revoked():
    key, text = new_key()
    assert key.matches(text)
    assert not key.matches(text[:-1] + ("a" if text[-1] != "a" else "b"))
    assert not key.matches("")
    assert not key.matches("timbre_ü")
    assert not replace(key, revoked=now()).matches(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"scopes": ()},
        {"scopes": ("root",)},
        {"rate": 0.0},
        {"rate": float("nan")},
        {"streams": 0},
        {"name": " "},
    ],
    ids=str,
)
def test_invalid_keys_are_rejected(changes):
    with pytest.raises(Unprocessable):
        new_key(**changes)


def test_a_key_read_back_is_the_key_that_was_written():
    key, _ = new_key(scopes=("stream", "admin"), rate=3)
    assert Key(**vars(key)) == key
