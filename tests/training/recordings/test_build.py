"""Tables of a collection: equal to direct extraction, computed once, resumed after a kill."""

import os
import signal
import subprocess
import sys
import time
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


def test_any_number_of_processes_makes_the_same_table(by_source, tmp_path):
    some = settings(
        "pitch_change", "speed", "background_mask", kinds=("features", "log_mel"), length=1.0
    )
    (*_, one, _, _), (*_, two, _, _) = (
        make(by_source, tmp_path / str(jobs), some, jobs=jobs) for jobs in (1, 2)
    )
    assert one.log_mel.shape == (len(one), 128, 44)
    assert np.array_equal(one.features, two.features)
    assert np.array_equal(one.log_mel, two.log_mel)
    assert np.array_equal(one.labels, two.labels)


def test_only_what_changed_is_computed_again(by_source, tmp_path, write_sound):
    assert make(by_source, tmp_path)[-1] == 24
    assert make(by_source, tmp_path)[-1] == 0
    write_sound(Path(by_source.path) / "player0" / "high" / "0.wav", hertz=300)
    assert make(by_source, tmp_path)[-1] == 2
    more = make(by_source, tmp_path, settings("volume"))
    assert more[-1] == int((more[2].copies == 1).sum())
    assert make(by_source, tmp_path, settings("volume", hop=0.5))[-1] > 24


def test_a_file_that_breaks_while_it_is_read_is_a_problem_and_the_others_are_there(
    by_source, tmp_path
):
    broken = Path(by_source.path) / "player3" / "low" / "3.wav"
    broken.write_bytes(broken.read_bytes()[:60_000])
    _, _, table, problems, _ = make(by_source, tmp_path)
    assert len(table) == 22
    assert [(problem.path, "truncated" in problem.why) for problem in problems] == [(broken, True)]
    assert make(by_source, tmp_path)[3] == problems


def test_clips_too_short_for_a_window_are_listed(by_source, tmp_path, write_sound):
    write_sound(Path(by_source.path) / "player1" / "low" / "click.wav", seconds=0.05)
    *_, problems, _ = make(by_source, tmp_path)
    assert [problem.why for problem in problems] == ["0.05 s from 0 s on: shorter than 0.1 s"]


def test_nothing_to_cut_is_refused(tmp_path, write_sound):
    for number in range(3):
        write_sound(tmp_path / "c" / f"s{number}" / "low" / "click.wav", seconds=0.05)
    with pytest.raises(CollectionError, match=r"no window could be cut; .*shorter than 0.1 s"):
        make(CollectionSpec(path=str(tmp_path / "c")), tmp_path)


CODE = """
import sys; from pathlib import Path
from tests.training.recordings.test_build import make, settings
from training.recordings.settings import CollectionSpec
make(CollectionSpec(path=sys.argv[1]), Path(sys.argv[2]), settings("pitch_change"), jobs=2)
"""


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except FileNotFoundError:
        return False


def test_after_a_kill_what_was_computed_is_used_and_the_table_is_the_same(
    by_source, tmp_path, write_sound
):
    for number in range(6):
        write_sound(
            Path(by_source.path) / f"player{number}" / "high" / "long.wav",
            hertz=900 + number,
            seconds=15,
        )
    command = [sys.executable, "-c", CODE, by_source.path, tmp_path]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    cache, begun = tmp_path / "cache", time.monotonic()
    while len(list(cache.rglob("[!.]*.npy"))) < 3:
        assert process.poll() is None, "done before it could be killed"
        assert time.monotonic() - begun < 250
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for victim in [process.pid, *map(int, children)]:
        os.kill(victim, signal.SIGKILL)
    process.wait()
    while any(alive(child) for child in children):
        assert time.monotonic() - begun < 250
        time.sleep(0.01)
    assert not (tmp_path / "table").exists()
    some = settings("pitch_change")
    *_, table, _, computed = make(by_source, tmp_path, some)
    *_, fresh, _, every = make(by_source, tmp_path / "fresh", some)
    assert 0 < computed < every
    assert np.array_equal(table.features, fresh.features)
    assert [path.name for path in tmp_path.iterdir() if "draft" in path.name] == []
    assert not list(cache.rglob(".*"))
