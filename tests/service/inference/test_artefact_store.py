"""The store of a server runs on the providers of the settings, and logs what is not used."""

import onnxruntime
import pytest

from common.errors import Unprocessable
from models.artefact import write
from service.inference.artefact_store import open_store
from service.inference.registry import ModelRegistry
from service.inference.version_scanner import VersionScanner
from service.settings import Settings
from tests.models import colours
from tests.models.helpers.provider_double import sitecustomize as double


@pytest.fixture
def pictures(monkeypatch, tmp_path):
    """A network, on a machine whose CUDA has no kernels for its GPU."""
    monkeypatch.setenv("PROVIDERS", "CUDA=kernel")
    monkeypatch.setenv("PYTHONPATH", str(double.__file__).rpartition("/")[0])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(onnxruntime, "InferenceSession", double.Session)
    monkeypatch.setattr(onnxruntime, "get_available_providers", double.listing)
    write(tmp_path / "artefacts", name="colours", **colours.fields())
    return tmp_path / "artefacts"


def test_the_log_and_the_model_s_description_say_why_a_provider_is_not_used(pictures, capsys):
    store = open_store(Settings(artefacts=pictures))
    registry = ModelRegistry(store, VersionScanner(store, models=()), patience_s=1)
    registry.load()
    shown = registry.describe("colours")
    assert shown["provider"] == "CPU"
    assert "no kernel image is available" in shown["provider_refused"]["CUDA"]
    [line] = capsys.readouterr().err.splitlines()
    assert "provider not used model=colours provider=CUDA why=" in line


def test_with_providers_cpu_no_other_is_tried(pictures, capsys):
    model = open_store(Settings(artefacts=pictures, providers=("cpu",))).load("colours")
    assert (model.session.provider, model.session.refused) == ("CPU", {})
    assert not capsys.readouterr().err


@pytest.mark.parametrize("low", [True, False])
def test_low_memory_reaches_the_runtime(artefacts, low):
    model = open_store(Settings(artefacts=artefacts, low_memory=low)).load("toy-net")
    assert model.session._session.get_session_options().enable_cpu_mem_arena is not low


def test_a_setting_that_names_no_provider_is_rejected():
    with pytest.raises(Unprocessable, match="providers='gpu' must be of tensorrt, cuda, cpu"):
        Settings(providers=("gpu",))
