"""The current versions by name, and others on request."""

import pytest

from common.errors import Busy, NotFound
from models.store import Store
from service.inference.registry import ModelRegistry
from service.inference.version_scanner import VersionScanner


@pytest.fixture
def registry(artefacts):
    store = Store(artefacts)
    registry = ModelRegistry(store, VersionScanner(store))
    registry.load()
    return registry


def test_before_the_load_nothing_is_served(artefacts):
    store = Store(artefacts)
    registry = ModelRegistry(store, VersionScanner(store))
    assert (registry.names, registry.models, registry.served) == ([], [], {})
    with pytest.raises(Busy, match="being loaded"):
        registry.describe("toy")


def test_the_current_version_is_found_by_name_and_another_by_number(registry):
    assert registry.served == {"toy": "2", "toy-net": "1"}
    assert registry.find("toy") is registry.find("toy", "2")
    older = registry.find("toy", "1")
    assert (older.version, registry.find("toy", "1") is older) == ("1", True)
    for name, version, message in (("tuba", None, "toy, toy-net"), ("toy", "9", "there is 1, 2")):
        with pytest.raises(NotFound, match=message):
            registry.find(name, version)


async def test_a_version_is_loaded_without_blocking_the_event_loop(registry):
    assert (await registry.get("toy")).version == "2"
    assert (await registry.get("toy", "1")).version == "1"


def test_a_switch_names_the_previous_version_and_keeps_the_order_of_names(registry):
    older = registry.find("toy", "1")
    before = registry.models
    assert registry.switch(older) == "2"
    assert registry.served == {"toy": "1", "toy-net": "1"}
    assert [model.version for model in before] == ["2", "1"]


def test_a_description_names_the_current_version_and_those_on_disk(registry):
    registry.switch(registry.find("toy", "1"))
    described = registry.describe("toy")
    assert (described["version"], described["versions"]) == ("1", ["1", "2"])
    assert described["refused"] == {}
    assert described["input"]["kind"] == "features"
