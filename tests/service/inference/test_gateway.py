"""Inference by name, and shutdown in order."""

import asyncio
import gc
import time
import weakref
from dataclasses import replace

import numpy as np
import pytest

from common.errors import ArtefactError, Busy, Leaving, TimbreError
from service.inference import gateway as module
from service.inference.gateway import Gateway, prediction_of
from service.settings import Settings
from tests.service.conftest import until

MS = 1e-3


@pytest.fixture
async def gateway(artefacts):
    gateway = Gateway(Settings(artefacts=artefacts, grace=0.1))
    gateway.open()
    await gateway.opening
    yield gateway
    await gateway.shut_down()


def test_scores_are_named_ranked_and_compared_with_each_labels_threshold():
    class Model:
        name, version = "m", "7"
        labels = ("a", "b", "c")
        thresholds = np.array([0.5, 0.2, 0.9], np.float32)

    found = prediction_of(Model, np.array([0.5, 0.3, 0.8], np.float32), queue_ms=1.0, model_ms=2.0)
    assert list(found.scores.items()) == [("c", 0.8), ("a", 0.5), ("b", 0.3)]
    assert (found.labels, found.version) == (("a", "b"), "7")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_are_an_error_of_the_model(value):
    class Model:
        name, version = "m", "7"
        labels, thresholds = ("a", "b"), np.array([0.5, 0.5], np.float32)

    with pytest.raises(TimbreError, match="m returned scores that are NaN or infinite"):
        prediction_of(Model, np.array([0.5, value], np.float32), queue_ms=1.0, model_ms=2.0)


async def test_a_tensor_gets_its_scores(gateway):
    model = gateway.registry.find("toy")
    found = await gateway.infer(
        model,
        np.zeros(26, np.float32),
        deadline=time.monotonic() + 60,
        live=True,
        stream=gateway.new_id(),
    )
    expected = model.predict(np.zeros((1, 26), np.float32))[0]
    assert found.scores == pytest.approx(
        dict(zip(model.labels, expected.tolist(), strict=True)), abs=1e-6
    )


async def test_no_work_is_accepted_before_the_models_are_loaded(artefacts):
    gateway = Gateway(Settings(artefacts=artefacts))
    with pytest.raises(Busy), gateway.working():
        pass


async def test_an_empty_folder_and_an_unknown_model_are_rejected_by_name(artefacts, tmp_path):
    for settings, named in (
        (Settings(artefacts=tmp_path), "any model"),
        (Settings(artefacts=artefacts, models=("x",)), "x"),
    ):
        gateway = Gateway(settings)
        gateway.open()
        with pytest.raises(ArtefactError, match=named):
            await gateway.opening


async def test_shutdown_waits_for_work_and_rejects_new(gateway):
    gateway.settings = replace(gateway.settings, grace=60.0)
    with gateway.working():
        closing = asyncio.create_task(gateway.shut_down())
        await asyncio.sleep(10 * MS)
        assert not closing.done()
        assert not gateway.idle
        with pytest.raises(Leaving), gateway.working():
            pass
    await closing
    assert gateway.idle


async def test_shutdown_waits_no_longer_than_the_grace_period(gateway, capsys):
    with gateway.working():
        await gateway.shut_down()
        assert "grace period expired unfinished=1" in capsys.readouterr().err
        await gateway.shut_down()


async def test_ids_are_never_used_twice(artefacts):
    one, other = Gateway(Settings(artefacts=artefacts)), Gateway(Settings(artefacts=artefacts))
    names = [gateway.new_id() for gateway in (one, other) for _ in range(100)]
    assert len(set(names)) == 200


async def test_garbage_in_cycles_is_freed_before_free_memory_is_returned(gateway, monkeypatch):
    class Node:
        """Refers to itself."""

    alive = []
    monkeypatch.setattr(module, "IDLE_S", 0.0)
    monkeypatch.setattr(module, "trim", lambda: alive.append(kept() is not None))
    gc.disable()
    try:
        node = Node()
        node.itself, kept = node, weakref.ref(node)
        del node
        with gateway.working():
            pass
        await until(lambda: alive)
        assert alive == [False]
    finally:
        gc.enable()


async def test_free_memory_is_returned_once_after_the_last_request_and_stream(gateway, monkeypatch):
    trimmed = []
    monkeypatch.setattr(module, "IDLE_S", 0.0)
    monkeypatch.setattr(module, "trim", lambda: trimmed.append(1))

    class Stream:
        def shut_down(self):
            """Nothing to do."""

    with gateway.streaming(Stream(), "client", model="toy"):
        with gateway.working():
            pass
        await asyncio.sleep(10 * MS)
        assert trimmed == []
    for _ in range(3):
        with gateway.working():
            pass
    await until(lambda: trimmed)
    await asyncio.sleep(10 * MS)
    assert trimmed == [1]
    with gateway.working():
        pass
    with gateway.working():
        await asyncio.sleep(10 * MS)
        assert trimmed == [1]
