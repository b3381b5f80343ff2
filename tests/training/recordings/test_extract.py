"""What windows are computed from is computed once: in any number of processes, after a kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.training.recordings.test_build import make, settings
from training.recordings.extract import Settings
from training.recordings.recipe_of import recipe_of

ROOT = Path(__file__).parents[3]


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


@pytest.mark.filterwarnings("ignore:'(aifc|audioop|sunau)' is deprecated")
def test_variants_with_other_sounds_are_computed_again_when_these_change(
    by_source, tmp_path, write_sound
):
    street = tmp_path / "street"
    write_sound(street / "a.wav", hertz=3000)
    variants = 'augment.variants=["volume","background_mask"]'
    recipe = recipe_of(by_source.path, [variants, f"augment.background={street}"])

    def made():
        *_, table, _, count = make(by_source, tmp_path, Settings.of(recipe, ("features",)))
        return count, np.array(table.features[table.copies == 2])

    (first, before), (again, _) = made(), made()
    assert (first, again) == (24 + 2 * len(before), 0)
    (street / "notes.txt").write_text("no sound")
    assert made()[0] == 0
    (street / "a.wav").rename(street / "b.wav")
    write_sound(street / "a.wav", hertz=200)
    # Only that variant: the other takes no sounds from there.
    count, after = made()
    assert count == len(before)
    assert not np.allclose(before, after)


def test_a_file_that_breaks_while_it_is_read_is_a_problem_and_the_others_are_there(
    by_source, tmp_path
):
    broken = Path(by_source.path) / "player3" / "low" / "3.wav"
    broken.write_bytes(broken.read_bytes()[:60_000])
    _, _, table, problems, _ = make(by_source, tmp_path)
    assert len(table) == 22
    assert [(problem.path, "truncated" in problem.why) for problem in problems] == [(broken, True)]
    assert make(by_source, tmp_path)[3] == problems


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
