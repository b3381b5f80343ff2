"""The recipe `timbre-sound`: a network from unlabelled sound, taught by another."""

import numpy as np
import onnx
import pytest
import soundfile as sf

from features.config import DEFAULT
from tests.training.sound_models.test_teacher_network import graph
from training.cli import main
from training.common.labels import RATE
from training.sound_models.embedding import open_backbone


@pytest.fixture
def material(tmp_path, monkeypatch, make_tone):
    onnx.save(graph(), tmp_path / "means.onnx")
    (tmp_path / "sounds").mkdir()
    for pitch in (48, 60, 72):
        sf.write(tmp_path / "sounds" / f"{pitch}.wav", make_tone(pitch, 3.0), RATE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*changes):
    given = ["data=.", "cache=cache", "jobs=1", "profile=quick", "teacher=means.onnx"]
    given += ["material.folders=sounds", "material.fonts=[]", "material.weights=[1,1]", *changes]
    words = [word for change in given for word in ("--set", change)]
    return main(["timbre-sound", *words, "--out", "out"])


def test_a_file_is_written_that_own_recordings_can_take(material, capsys):
    assert run() == 0
    path = material / "out" / "timbre-sound.onnx"
    assert "network: out/timbre-sound.onnx" in capsys.readouterr().out
    backbone = open_backbone(path, window=DEFAULT.window)
    assert backbone.kind == "log_mel"
    noise = np.random.default_rng(0).normal(0, 0.1, (2, DEFAULT.window)).astype(np.float32)
    assert backbone.of_samples(list(noise), DEFAULT).shape == (2, 128)


def test_the_file_and_its_page_say_what_it_was_made_of(material):
    assert run("seed=4") == 0
    path = material / "out" / "timbre-sound.onnx"
    known = {one.key: one.value for one in onnx.load(path).metadata_props}
    assert known.keys() == {"recipe", "seed", "commit", "python", "teacher", "provenance"}
    assert 'steps = "sound-backbone"' in known["recipe"]
    assert "means.onnx, sha256 " in known["teacher"]
    page = path.with_suffix(".md").read_text()
    for part in ("# timbre-sound", "40 windows", "| sounds | 50% |", "MIT", "explained", "seed 4"):
        assert part in page, part


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("teacher=absent.onnx", "teacher: no file"),
        ("material.folders=absent", "absent: not there"),
        ("material.weights=[1]", "must be 2 numbers of at least 0"),
        ("material.weights=[1,-1]", "must be 2 numbers of at least 0"),
        ("material.weights=[0,0]", "not all 0"),
        ("material.windows=39", "material.windows=39 must be at least 40"),
        ("material.mixed=1.1", "material.mixed=1.1 must be from 0 to 1"),
        ("material.program=1.9", "material.program=1.9 must be from 2 to 50"),
        ("network.backbone=a.onnx", "network.backbone is for recordings of your own"),
        ("version=2", "version='2': the network has no versions"),
        ("name=../x", "must be lower-case words"),
    ],
)
@pytest.mark.usefixtures("material")
def test_what_cannot_be_used_is_named_before_anything_is_drawn(change, told, capsys):
    assert run(change) == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_without_a_teacher_nothing_can_be_learnt(check, capsys):
    assert main(["timbre-sound", *check]) == 1
    assert "the path of a network for embeddings of sound is needed" in capsys.readouterr().err


def test_a_file_that_is_no_teacher_is_named_by_the_check(material, capsys):
    (material / "none.onnx").write_bytes(b"no network")
    assert main(["timbre-sound", "--check", "--set", "data=.", "--set", "teacher=none.onnx"]) == 1
    assert "none.onnx cannot be read as an ONNX network" in capsys.readouterr().err
    told = ["--check", "--set", "data=.", "--set", "teacher=means.onnx"]
    assert main(["timbre-sound", *told]) == 0
