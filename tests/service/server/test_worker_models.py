"""A worker holds requested versions, loads them in the background, and unloads the rest."""

import asyncio
import weakref

import pytest

from common.errors import ArtefactError, NotFound
from models import recent
from models.store import Store
from service.server.worker_models import WorkerModels
from tests.service.conftest import until
from tests.service.helpers.versions import copied, put


@pytest.fixture
def folder(artefacts, tmp_path):
    return copied(artefacts, tmp_path)


@pytest.fixture
def models(folder):
    models = WorkerModels(Store(folder))
    models.load(())
    return models


def test_it_starts_with_the_newest_usable_version_of_each_and_logs_unusable_ones(folder, capsys):
    put(folder, 3, broken=True)
    models = WorkerModels(Store(folder))
    models.load(())
    assert models.loaded == ["toy:2", "toy-net:1"]
    assert "version rejected model=toy version=3" in capsys.readouterr().err
    narrow = WorkerModels(Store(folder))
    narrow.load(("toy-net",))
    assert narrow.loaded == ["toy-net:1"]


def test_without_any_model_or_without_the_one_named_it_cannot_start(folder, tmp_path):
    with pytest.raises(ArtefactError, match="no artefact"):
        WorkerModels(Store(tmp_path / "none")).load(())
    with pytest.raises(NotFound):
        WorkerModels(Store(folder)).load(("tuba",))


async def test_requested_versions_are_loaded_and_others_unloaded(models, folder):
    old = weakref.ref(models.find("toy", "2"))
    put(folder, 3)
    models.request({"toy:3", "toy:1", "toy-net:1"})
    assert models.loaded == ["toy-net:1"]

    def done():
        models.request({"toy:3", "toy:1", "toy-net:1"})
        return sorted(models.loaded) == ["toy-net:1", "toy:1", "toy:3"]

    await until(done)
    await until(lambda: old() is None)
    assert models.find("toy", "3").version == "3"
    models.request(set())
    assert sorted(models.loaded) == ["toy-net:1", "toy:1", "toy:3"]


async def test_a_version_that_is_not_requested_is_found_too_and_kept_for_a_while(
    models, monkeypatch
):
    found = weakref.ref(models.find("toy", "1"))
    assert models.find("toy", "1") is found()
    monkeypatch.setattr(recent, "KEEP_S", 0.0)
    models.request({"toy:2"})
    assert found() is None


async def test_an_invalid_version_is_loaded_once_per_change_and_delays_no_other(
    models, folder, capsys
):
    put(folder, 3, broken=True)
    for _ in range(10):
        models.request({"toy:2", "toy:3", "toy:4", "tuba:1"})
        await asyncio.sleep(0.02)
    assert models.loaded == ["toy:2"]
    assert capsys.readouterr().err.count("version rejected model=toy version=3") == 1
    put(folder, 4, of=folder / "toy" / "2")

    def done():
        models.request({"toy:2", "toy:3", "toy:4", "tuba:1"})
        return sorted(models.loaded) == ["toy:2", "toy:4"]

    await until(done)
