"""The current versions by name, and others on request."""

import asyncio
import threading

import pytest

from common.errors import Busy, Late, NotFound
from models.store import Store
from service.inference.registry import ModelRegistry
from service.inference.version_scanner import VersionScanner
from tests.helpers.waiting_file import kept_waiting
from tests.service.conftest import until
from tests.service.helpers.versions import copied


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


async def test_a_version_that_waits_takes_one_thread_however_many_ask_for_it(artefacts, tmp_path):
    store = Store(copied(artefacts, tmp_path))
    registry = ModelRegistry(store, VersionScanner(store), patience_s=0.3)
    registry.load()
    before = set(threading.enumerate())
    with kept_waiting(store.path / "toy" / "1" / "model.onnx") as lease:
        asked = [asyncio.create_task(registry.get("toy", "1")) for _ in range(100)]
        await until(lambda: lease.keeps_somebody)
        new = set(threading.enumerate()) - before
        assert sum(each.name.startswith("version") for each in new) == 1
        for outcome in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(outcome, Late)
        # Neither others that need a thread nor those who ask for the current version wait for it.
        assert await asyncio.wait_for(asyncio.to_thread(lambda: 42), 30) == 42
        assert (await registry.get("toy", "2")).version == "2"
        assert lease.keeps_somebody
    assert (await asyncio.to_thread(registry.find, "toy", "1")).version == "1"


async def test_a_version_that_is_kept_is_not_found_once_the_model_is_unloaded(registry):
    older = await registry.get("toy", "1")
    assert await registry.get("toy", "1") is older
    registry.remove("toy")
    with pytest.raises(NotFound, match="there is toy-net"):
        await registry.get("toy", "1")


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
