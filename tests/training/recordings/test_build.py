"""Tables of a collection: equal to direct extraction, with what could not be used beside them."""

from pathlib import Path

import numpy as np
import pytest

from features.extract import extract
from training.recordings import audio
from training.recordings.build import build
from training.recordings.collection import CollectionError
from training.recordings.extract import Settings
from training.recordings.load import load
from training.recordings.settings import AugmentSpec, CollectionSpec, WindowSpec
from training.recordings.split import by_source as split_by_source
from training.recordings.table import write_npy
from training.recordings.windows import cut

ROOT = Path(__file__).parents[3]


def settings(*variants, kinds=("features",), **windows):
    return Settings(WindowSpec(**windows), AugmentSpec(variants=variants), 1, kinds)


def make(spec, folder, some=None, jobs=1):
    collection = load(spec)
    split = split_by_source(collection, (0.5, 0.25, 0.25), seed=1)
    computed = []
    table, problems = build(
        collection, split, some or settings(), folder / "table", cache=folder / "cache", jobs=jobs,
        progress=lambda done, total: computed.append((done, total)),
    )  # fmt: skip
    return collection, split, table, problems, computed[-1][1] if computed else 0


def test_every_window_is_what_extraction_by_hand_gives(by_source, tmp_path):
    collection, split, table, problems, _ = make(by_source, tmp_path)
    assert not problems
    assert len(table) == 12 * 2
    assert table.about["rule"].startswith("a label is on when")
    for row in (0, 7, 23):
        clip = collection.clips[table.clips[row]]
        sound = cut(
            audio.read(clip.path, rate=22_050),
            clip,
            float(table.starts[row]),
            samples=44_100,
            rate=22_050,
        )
        assert np.array_equal(table.features[row], extract(sound))
        assert [
            name for name, on in zip(table.names, table.labels[row], strict=True) if on
        ] == list(clip.labels)
        assert table.sources[table.groups[row]] == clip.source
        assert ("train", "valid", "test")[table.parts[row]] == split.part[clip.source]


def test_only_training_windows_are_varied_and_copies_are_counted(by_source, tmp_path):
    _, split, table, _, _ = make(by_source, tmp_path, settings("volume", "random_noise"))
    train = 4 * len(split.sources("train"))
    assert np.bincount(table.copies).tolist() == [24, train, train]
    assert set(table.parts[table.copies > 0].tolist()) == {0}
    assert table.about["variants"] == ["volume", "random_noise"]
    original, copy = table.rows("train", copies=False), np.flatnonzero(table.copies == 1)
    assert table.labels[original].tolist() == table.labels[copy].tolist()
    assert not np.allclose(table.features[original], table.features[copy])


def test_clips_too_short_for_a_window_are_listed(by_source, tmp_path, write_sound):
    write_sound(Path(by_source.path) / "player1" / "low" / "click.wav", seconds=0.05)
    *_, problems, _ = make(by_source, tmp_path)
    assert [problem.why for problem in problems] == ["0.05 s from 0 s on: shorter than 0.1 s"]


def test_nothing_to_cut_is_refused(tmp_path, write_sound):
    for number in range(3):
        write_sound(tmp_path / "c" / f"s{number}" / "low" / "click.wav", seconds=0.05)
    with pytest.raises(CollectionError, match=r"no window could be cut; .*shorter than 0.1 s"):
        make(CollectionSpec(path=str(tmp_path / "c")), tmp_path)


@pytest.mark.parametrize("kinds", [("features", "log_mel"), ("features", "log_mel", "samples")])
def test_a_table_of_several_kinds_has_what_a_table_of_each_has(by_source, tmp_path, kinds):
    together = make(by_source, tmp_path / "all", settings(kinds=kinds, length=0.5))[2]
    for kind in kinds:
        alone = make(by_source, tmp_path / kind, settings(kinds=(kind,), length=0.5))[2]
        np.testing.assert_array_equal(together.tensors(kind), alone.tensors(kind))


def test_rows_of_another_shape_are_never_written(tmp_path):
    with pytest.raises(AssertionError, match=r"rows of \(3,\), not \(2,\)"):
        write_npy(tmp_path / "a.npy", (4, 2), np.float32, [np.zeros((4, 3), np.float32)])
