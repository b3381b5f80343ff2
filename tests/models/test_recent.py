"""Versions that somebody asked for stay for a while, few of them, and not for ever."""

import weakref

import pytest

from common.errors import NotFound
from models import recent as module
from models.artefact import write
from models.recent import KEPT, RecentModels
from models.store import Store


@pytest.fixture
def shelf(artefacts, fields):
    for _ in range(KEPT + 1):
        write(artefacts, **fields)
    return RecentModels(Store(artefacts))


def test_a_version_is_kept_for_the_next_who_asks(shelf):
    found = weakref.ref(shelf.find("trio", "1"))
    assert shelf.find("trio", "1") is found()


def test_no_more_than_the_bound_are_kept_and_those_asked_for_last(shelf):
    found = {
        version: weakref.ref(shelf.find("trio", version))
        for version in map(str, range(1, KEPT + 1))
    }
    assert all(ref() for ref in found.values())
    shelf.find("trio", "1")
    shelf.find("trio", str(KEPT + 1))
    assert [version for version, ref in found.items() if not ref()] == ["2"]


def test_what_nobody_asked_for_is_let_go(shelf, monkeypatch):
    found = weakref.ref(shelf.find("trio", "1"))
    shelf.tidy()
    assert found()
    monkeypatch.setattr(module, "KEEP_S", 0.0)
    shelf.tidy()
    assert not found()


def test_what_is_not_there_is_not_found(shelf):
    with pytest.raises(NotFound):
        shelf.find("trio", "99")
