"""Providers that are listed and do not run, by a double of ONNX Runtime; no GPU is needed."""

import os
import shutil
from pathlib import Path

import onnxruntime
import pytest

from common.errors import ArtefactError
from models import verification
from models.artefact import write
from models.provider_trials import ProviderTrials
from models.providers import Providers, read_names
from models.store import Store
from tests.models import colours
from tests.models.helpers.provider_double import sitecustomize as double

FOLDER = str(Path(double.__file__).parent)
WRONG = "the golden inputs give other scores than when the artefact was made: off by 0.01 on CUDA"
KERNEL = "no kernel image is available for execution on the device"
DRIVER = "CUDA driver version is insufficient for CUDA runtime version"
LIBRARY = "left it out: its libraries do not load"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """An artefacts folder with a network."""
    folder = tmp_path_factory.mktemp("pictures")
    write(folder, name="colours", **colours.fields())
    return folder


@pytest.fixture
def provide(monkeypatch, tmp_path):
    """Have this process and those that it starts list providers that behave so."""

    def install(behaviour):
        monkeypatch.setenv("PROVIDERS", behaviour)
        paths = [FOLDER, os.environ.get("PYTHONPATH", "")]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(onnxruntime, "InferenceSession", double.Session)
        monkeypatch.setattr(onnxruntime, "get_available_providers", double.listing)

    return install


@pytest.fixture
def events():
    return []


@pytest.fixture
def store(pictures, events):
    """Open the store, with or without a limit of time."""

    def open_store(limit=None, **options):
        def report(event, **details):
            events.append({"event": event, **details})

        return Store(pictures, load_timeout=limit, providers=Providers(report=report, **options))

    return open_store


@pytest.mark.parametrize(
    ("mode", "why"),
    [("driver", DRIVER), ("kernel", KERNEL), ("library", LIBRARY), ("wrong", WRONG)],
)
def test_a_provider_that_fails_or_deviates_gives_way_to_the_next(provide, store, events, mode, why):
    provide(f"CUDA={mode}")
    session = store().load("colours").session
    assert session.provider == "CPU"
    assert why in session.refused["CUDA"]
    [event] = events
    assert event | {"why": ""} == {
        "event": "provider not used", "model": "colours", "provider": "CUDA", "why": ""
    }  # fmt: skip
    assert why in event["why"]
    assert "\n" not in event["why"]


def test_the_provider_after_one_that_does_not_run_is_used(provide, store):
    provide("Tensorrt=kernel CUDA=works")
    session = store().load("colours").session
    assert session.provider == "CUDA"
    assert list(session.refused) == ["Tensorrt"]


def test_a_provider_that_runs_is_used_and_nothing_is_refused(provide, store, events):
    provide("CUDA=works")
    session = store().load("colours").session
    assert (session.provider, session.refused, events) == ("CUDA", {}, [])


@pytest.mark.parametrize(
    ("mode", "why"), [("crash", "signal SIGSEGV"), ("hang", "not loaded and verified within")]
)
def test_a_provider_that_hangs_or_crashes_does_so_in_another_process(provide, store, mode, why):
    provide(f"CUDA={mode}")
    limit = 4 if mode == "hang" else 60
    model, rejected = store(limit).first("colours")
    assert (model.session.provider, rejected) == ("CPU", {})
    assert why in model.session.refused["CUDA"]


def test_a_provider_that_hangs_is_waited_for_once(provide, store, pictures, tmp_path):
    folder = Path(shutil.copytree(pictures, tmp_path / "two"))
    write(folder, name="tints", **colours.fields())
    provide("CUDA=hang")
    tried = Store(folder, load_timeout=4)
    reasons = {tried.first(name)[0].session.refused["CUDA"] for name in ("colours", "tints")}
    assert reasons == {"not loaded and verified within 4 s; it may never end"}
    assert list(tried._trials._hung) == ["CUDA"]


def test_a_missing_library_is_named(provide, store):
    provide("CUDA=library")
    model, _ = store(60).first("colours")
    assert "libcudart.so.12: cannot open shared object file" in model.session.refused["CUDA"]


def test_a_provider_that_ran_is_tried_by_itself_once_on_a_machine(provide, store, monkeypatch):
    provide("CUDA=works")
    tried = []
    verify = verification.verify
    monkeypatch.setattr(
        "models.provider_trials.verify", lambda *a, **k: tried.append(k) or verify(*a, **k)
    )
    for _ in range(2):
        assert store(60).first("colours")[0].session.provider == "CUDA"
    assert len(tried) == 1


def test_an_engine_is_built_within_a_limit_of_its_own_and_reported(
    provide, store, events, monkeypatch
):
    provide("Tensorrt=hang")
    monkeypatch.setattr(verification, "PROGRESS_S", 0.1)
    model, _ = store(60, engine_timeout=1).first("colours")
    assert model.session.provider == "CPU"
    assert "within 1 s" in model.session.refused["Tensorrt"]
    building = [event for event in events if event["event"] == "TensorRT builds an engine"]
    assert building
    assert building[0]["model"] == "colours"


def test_only_the_providers_named_are_tried(provide, store, events):
    provide("CUDA=works")
    session = store(names=read_names(("cpu",))).load("colours").session
    assert (session.provider, events) == ("CPU", [])


@pytest.mark.parametrize("limit", [None, 60])
def test_without_another_provider_a_model_is_rejected_with_the_reason(provide, store, limit):
    provide("CUDA=kernel")
    with pytest.raises(ArtefactError, match=KERNEL):
        store(limit, names=("CUDA",)).first("colours")


def test_a_provider_that_is_not_in_the_build_is_an_error_where_it_is_the_only_one(store):
    with pytest.raises(ArtefactError, match="this build of ONNX Runtime has CPU, not Tensorrt"):
        store(names=("Tensorrt",)).load("colours")


def test_a_forest_stays_on_the_processor_and_starts_no_trial(provide, artefacts, monkeypatch):
    provide("CUDA=crash")
    monkeypatch.setattr("models.provider_trials.verify", None)
    model, _ = Store(artefacts, load_timeout=60).first("trio")
    assert (model.session.provider, model.session.refused) == ("CPU", {})


def test_the_trials_of_a_version_have_the_time_of_each_accelerator_that_is_listed(provide):
    providers = Providers(names=("Tensorrt", "CUDA", "CPU"), engine_timeout=100.0)
    assert ProviderTrials(providers, limit_s=7.0).longest_s == 0
    provide("Tensorrt=driver CUDA=driver")
    assert ProviderTrials(providers, limit_s=7.0).longest_s == 107
    provide("CUDA=driver")
    assert ProviderTrials(providers, limit_s=7.0).longest_s == 7
