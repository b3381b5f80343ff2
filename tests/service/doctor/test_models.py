"""Artefacts and providers are run: their times and deviations, or the reason, in one line."""

import os
import shutil
from pathlib import Path

import onnxruntime
import pytest

from models.artefact import write
from models.pin import Pin
from models.store import Store
from service.doctor.models import check_models, check_providers, find
from service.settings import Settings
from tests.models import colours
from tests.models.helpers.provider_double import sitecustomize as double


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    write(folder, name="colours", **colours.fields())
    return folder


@pytest.fixture
def provide(monkeypatch, tmp_path):
    def install(behaviour):
        monkeypatch.setenv("PROVIDERS", behaviour)
        paths = [str(Path(double.__file__).parent), os.environ.get("PYTHONPATH", "")]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(onnxruntime, "get_available_providers", double.listing)

    return install


def test_a_model_is_run_and_its_time_and_deviation_are_shown(pictures):
    settings = Settings(artefacts=pictures)
    artefacts, findings = find(settings)
    assert findings == []
    [finding] = check_models(artefacts, settings)
    assert (finding.check, finding.state) == ("model colours 1", "good")
    assert "from the golden scores" in finding.found
    [provider] = check_providers(artefacts, settings)
    assert (provider.check, provider.state) == ("provider CPU", "good")


def test_a_model_whose_files_were_changed_is_bad(pictures, tmp_path):
    folder = Path(shutil.copytree(pictures, tmp_path / "copy"))
    (folder / "colours" / "1" / "model.onnx").write_bytes(b"other")
    settings = Settings(artefacts=folder)
    [finding] = check_models(find(settings)[0], settings)
    assert finding.state == "bad"
    assert "its sha256 differs" in finding.found


def test_a_folder_without_models_and_a_model_that_is_not_there_are_bad(tmp_path):
    [finding] = find(Settings(artefacts=tmp_path))[1]
    assert (finding.check, finding.state) == ("models", "bad")
    [finding] = find(Settings(artefacts=tmp_path, models=("birds",)))[1]
    assert (finding.check, finding.state) == ("model birds", "bad")


def test_a_manifest_that_cannot_be_read_is_bad(tmp_path):
    (tmp_path / "birds" / "1").mkdir(parents=True)
    (tmp_path / "birds" / "1" / "manifest.json").write_text("{")
    artefacts, [finding] = find(Settings(artefacts=tmp_path))
    assert (artefacts, finding.state) == ([], "bad")


def test_each_provider_is_run_or_says_why_it_does_not(pictures, provide):
    provide("Tensorrt=works CUDA=kernel")
    settings = Settings(artefacts=pictures)
    tensorrt, cuda = check_providers(find(settings)[0], settings)
    assert (tensorrt.check, tensorrt.state) == ("provider Tensorrt", "good")
    assert "colours: one row in" in tensorrt.found
    assert (cuda.check, cuda.state) == ("provider CUDA", "attention")
    assert "no kernel image is available" in cuda.found
    assert "--set providers=cpu" in cuda.todo


def test_a_model_that_is_unloaded_is_told_and_not_run(pictures, tmp_path):
    folder = Path(shutil.copytree(pictures, tmp_path / "copy"))
    Store(folder).set_pin("colours", Pin(version="1", newest="1", unloaded=True))
    artefacts, [finding] = find(Settings(artefacts=folder))
    assert artefacts == []
    assert (finding.check, finding.state) == ("model colours", "attention")
    assert "unloaded" in finding.found
