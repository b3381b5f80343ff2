"""Versions that somebody asked for stay for a while, few of them, and not for ever."""

import weakref

import pytest

from common.errors import NotFound
from models import recent as module
from models.artefact import write
from models.recent import KEPT, RecentModels
from models.store import Store


@pytest.fixture
def recent(artefacts, fields):
    for _ in range(KEPT + 1):
        write(artefacts, **fields)
    return RecentModels(Store(artefacts))


def test_a_version_is_kept_for_the_next_who_asks(recent):
    found = weakref.ref(recent.find("trio", "1"))
    assert recent.find("trio", "1") is found()


def test_no_more_than_the_bound_are_kept_and_those_asked_for_last(recent):
    found = {
        version: weakref.ref(recent.find("trio", version))
        for version in map(str, range(1, KEPT + 1))
    }
    assert all(ref() for ref in found.values())
    recent.find("trio", "1")
    recent.find("trio", str(KEPT + 1))
    assert [version for version, ref in found.items() if not ref()] == ["2"]


def test_what_nobody_asked_for_is_let_go(recent, monkeypatch):
    found = weakref.ref(recent.find("trio", "1"))
    recent.expire()
    assert found()
    monkeypatch.setattr(module, "KEEP_S", 0.0)
    recent.expire()
    assert not found()


def test_what_is_not_there_is_not_found(recent):
    with pytest.raises(NotFound):
        recent.find("trio", "99")
