"""What the networks of `instruments` learn from: each without the sources it must not meet."""

from contextlib import contextmanager

import numpy as np
import onnx
import pytest

from tests.training.sound_models.test_teacher_network import graph
from training.common.errors import MaterialError
from training.common.recipe import load
from training.notes.window_set import WindowSet
from training.pipelines import taught

SOURCE = np.repeat(["a", "b", "c"], 20)


@contextmanager
def stage(_what):
    yield None


@pytest.fixture
def windows(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.zeros((60, 11), bool)
    labels[np.arange(60), rng.integers(0, 2, 60)] = True
    samples = rng.normal(0, 0.1, (60, 44_100)).astype(np.float16)
    return WindowSet(samples, labels, SOURCE, np.full(60, "note"), tmp_path, "f")


def recipe(folder, *changes):
    return load("instruments", [f"data={folder}", *changes])


def planned(windows, *changes, left_out=("a", ""), excluded=(), model="network"):
    return taught.plan(recipe(windows.folder, *changes), model, windows, left_out, excluded, stage)


def test_without_a_teacher_networks_learn_the_labels(windows):
    for how in planned(windows):
        assert how.soft is None
        assert not how.start


def test_other_models_are_taught_nothing(windows):
    assert planned(windows, "teacher=absent.onnx", model="forest") == [None, None]


def test_a_source_left_out_keeps_its_labels_and_the_last_network_learns_of_all(windows):
    onnx.save(graph(), windows.folder / "means.onnx")
    without, last = planned(windows, "teacher=means.onnx")
    own = SOURCE == "a"
    np.testing.assert_array_equal(without.soft[own], windows.labels[own])
    for targets, taught_rows in ((without.soft, ~own), (last.soft, own | ~own)):
        different = (targets != windows.labels).any(axis=1)
        assert different[taught_rows].all()


def test_sources_that_only_evaluate_teach_nobody(windows):
    onnx.save(graph(), windows.folder / "means.onnx")
    for how in planned(windows, "teacher=means.onnx", excluded=("c",)):
        own = SOURCE == "c"
        np.testing.assert_array_equal(how.soft[own], windows.labels[own])


def test_targets_are_kept_until_a_setting_or_the_teacher_changes(windows):
    onnx.save(graph(), windows.folder / "means.onnx")

    def files(*changes):
        planned(windows, "teacher=means.onnx", *changes, left_out=("a",))
        return {path.name for path in windows.folder.glob("targets-*")}

    assert files() == files()
    assert len(files()) == 1
    assert len(files("teacher_share=0.5")) == 2
    onnx.save(graph(op="Abs"), windows.folder / "means.onnx")
    assert len(files()) == 3


def test_the_network_of_all_sources_alone_goes_on_from_another(windows):
    (windows.folder / "model.onnx").write_bytes(b"graph")
    without, last = planned(windows, "start.graph=model.onnx", "start.epochs=2", "start.rate=1e-4")
    assert (without.start, last.start) == (b"", b"graph")
    assert (last.settings.epochs, last.settings.rate) == (2, 1e-4)
    assert without.settings == recipe(windows.folder).network


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("teacher=absent.onnx", "absent.onnx cannot be read as an ONNX network"),
        ("start.graph=absent.onnx", "start.graph: .*absent.onnx cannot be read: No such file"),
    ],
)
def test_a_file_that_is_not_there_is_named(windows, change, message):
    with pytest.raises(MaterialError, match=message):
        planned(windows, change)
