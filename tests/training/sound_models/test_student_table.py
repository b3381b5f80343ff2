"""The table of unlabelled windows: what is in it, and that it is drawn once."""

import dataclasses
from contextlib import contextmanager

import numpy as np
import onnx
import pytest
import soundfile as sf

from features.config import DEFAULT
from features.extract import log_mel
from tests.training.sound_models.test_teacher_network import graph
from training.common.errors import MaterialError
from training.common.labels import RATE
from training.notes.unlabelled import Generated, of_folder, window
from training.sound_models import teacher_network
from training.sound_models.student_table import Spec, build


@pytest.fixture
def spec(tmp_path, make_tone):
    onnx.save(graph(), tmp_path / "means.onnx")
    (tmp_path / "sounds").mkdir()
    sf.write(tmp_path / "sounds" / "tone.wav", make_tone(60, 3.0), RATE)
    return Spec(
        teacher=tmp_path / "means.onnx",
        folders=(tmp_path / "sounds",),
        fonts=(),
        weights=(1.0, 1.0),
        windows=70,
        mixed=0.3,
        program=2.0,
        seed=5,
    )


@pytest.fixture
def stages():
    """What was told, and a stage that notes it."""
    told = []

    @contextmanager
    def stage(name):
        told.append(name)
        yield lambda done, total: told.append((done, total))

    stage.told = told
    return stage


def test_a_row_is_the_spectrogram_of_a_window_and_what_the_teacher_gives(spec, tmp_path, stages):
    table = build(spec, tmp_path / "kept", jobs=1, stage=stages)
    assert table.log_mel.shape == (70, *DEFAULT.shape("log_mel"))
    assert table.embedding.shape == (70, 128)
    kinds = [of_folder(spec.folders[0], tmp_path / "other"), Generated()]
    drawn = window(kinds, spec.weights, spec.mixed, np.random.default_rng([5, 69]))
    np.testing.assert_allclose(table.log_mel[69], log_mel(drawn), atol=0.06)
    network = teacher_network.open_teacher(spec.teacher)
    expected = teacher_network.embed(network, drawn[None])
    np.testing.assert_allclose(table.embedding[69], expected[0], rtol=1e-5, atol=1e-5)


def test_it_is_drawn_once_and_alike_by_several_processes(spec, tmp_path, stages):
    table = build(spec, tmp_path / "kept", jobs=1, stage=stages)
    assert stages.told[-1] == (70, 70)
    count = len(stages.told)
    build(spec, tmp_path / "kept", jobs=1, stage=stages)
    assert stages.told[count:] == ["recordings and sound fonts"]
    other = build(spec, tmp_path / "again", jobs=2, stage=stages)
    np.testing.assert_array_equal(other.log_mel, table.log_mel)
    np.testing.assert_array_equal(other.embedding, table.embedding)


@pytest.mark.parametrize("change", ["windows", "seed", "teacher", "recording"])
def test_what_changes_a_window_is_drawn_anew(spec, tmp_path, stages, make_tone, change):
    spec = dataclasses.replace(spec, windows=4)
    build(spec, tmp_path / "kept", jobs=1, stage=stages)
    before = set((tmp_path / "kept").glob("unlabelled-*"))
    if change == "teacher":
        onnx.save(graph(op="Neg"), spec.teacher)
    elif change == "recording":
        sf.write(spec.folders[0] / "tone.wav", make_tone(72, 3.0), RATE)
    else:
        spec = dataclasses.replace(spec, **{change: 6})
    build(spec, tmp_path / "kept", jobs=1, stage=stages)
    assert len({*(tmp_path / "kept").glob("unlabelled-*")} - before) == 1


@pytest.mark.parametrize("what", ["folders", "fonts"])
def test_what_is_not_there_is_named(spec, tmp_path, stages, what):
    spec = dataclasses.replace(spec, **{what: (tmp_path / "absent.sf2",)})
    with pytest.raises(MaterialError, match=r"absent\.sf2: not there"):
        build(spec, tmp_path / "kept", jobs=1, stage=stages)
