"""MusicNet in its three forms. The small sets have the very layout of the published one."""

import io
import pickle
import shutil
import sys
import types
import zipfile

import h5py
import numpy as np
import pytest
import soundfile as sf

from training.recordings import audio
from training.recordings.collection import CollectionError, Interval
from training.recordings.load import load
from training.recordings.settings import CollectionSpec

FIELDS = [
    ("beat", "f8"),
    ("end_time", "i4"),
    ("instrument", "i4"),
    ("measure", "i4"),
    ("note_id", "i4"),
]
FIELDS += [("note_value", "S16"), ("start_time", "i4")]


def read(path, **settings):
    return load(CollectionSpec(kind="musicnet", path=str(path), **settings))


def test_the_published_folder_gives_intervals_labels_and_sources(musicnet):
    found = read(musicnet / "musicnet")
    assert found.labels == ("cello", "flute", "piano", "violin")
    assert not found.problems
    clips = {clip.path.stem: clip for clip in found.clips}
    assert clips["1727"].intervals == (Interval(0.0, 1.0, "piano"), Interval(0.5, 1.5, "violin"))
    assert clips["1728"].intervals == (Interval(1.0, 2.0, "cello"),)
    assert clips["1727"].seconds == pytest.approx(3.0)


def test_movements_of_one_piece_are_one_source(musicnet):
    found = read(musicnet / "musicnet")
    by_id = {clip.path.stem: clip.source for clip in found.clips}
    assert by_id["1727"] == by_id["1728"] == "Schubert | Piano Quintet | Quintet | European Archive"
    assert len(found.sources) == 3
    assert len(read(musicnet / "musicnet", group=("source",)).sources) == 1


def test_metadata_are_found_beside_the_folder_and_one_higher(musicnet, tmp_path):
    shutil.copytree(musicnet / "musicnet", tmp_path / "musicnet" / "musicnet")
    shutil.copy(musicnet / "musicnet_metadata.csv", tmp_path)
    found = read(tmp_path / "musicnet" / "musicnet")
    assert not found.problems
    assert len(found.sources) == 3


def test_without_metadata_each_recording_is_a_source_and_that_is_said(musicnet, tmp_path):
    shutil.copytree(musicnet / "musicnet", tmp_path / "musicnet")
    found = read(tmp_path / "musicnet")
    assert found.sources == ("1727", "1728", "1759", "2494")
    (problem,) = found.problems
    assert "each recording counts as a source" in problem.why


def test_what_is_wrong_with_a_recording_is_listed(musicnet, tmp_path):
    root = tmp_path / "musicnet"
    shutil.copytree(musicnet / "musicnet", root)
    shutil.copy(musicnet / "musicnet_metadata.csv", tmp_path)
    (root / "test_labels" / "1759.csv").unlink()
    (root / "train_data" / "1728.wav").unlink()
    labels = root / "train_labels" / "1727.csv"
    labels.write_text(labels.read_text().replace(",41,", ",7,").replace(",1,60", ",200,60"))
    problems = {problem.path.name: problem.why for problem in read(root).problems}
    assert problems == {
        "1759.wav": "no labels test_labels/1759.csv",
        "1728.csv": "no train_data/1728.wav",
        "1727.wav": "instrument 200 is not one of MusicNet's (General MIDI counted from 1)",
    }


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("end_time", "end"), "1759.csv has no column end_time"),
        (("88200", "many"), "1759.csv, line 2: invalid literal"),
        (("0,88200", "200000,300000"), "is outside of the recording"),
        (("0,88200", "500,500"), "is outside of the recording"),
        (("0,88200,1,60,0.0,1.0,Quarter", ""), "not a single note"),
    ],
)
def test_labels_that_cannot_be_are_told(musicnet, tmp_path, change, why):
    root = tmp_path / "musicnet"
    shutil.copytree(musicnet / "musicnet", root)
    labels = root / "test_labels" / "1759.csv"
    labels.write_text(labels.read_text().replace(*change))
    assert any(why in problem.why for problem in read(root).problems)


def test_other_folders_and_files_are_refused(tmp_path):
    with pytest.raises(CollectionError, match="no train_data or test_data"):
        read(tmp_path)
    (tmp_path / "x.zip").touch()
    with pytest.raises(CollectionError, match=r"an \.h5 or an \.npz file"):
        read(tmp_path / "x.zip")


@pytest.fixture
def samples(musicnet):
    return sf.read(musicnet / "musicnet" / "train_data" / "1727.wav", dtype="float32")[0]


def test_the_hdf5_form_gives_the_same(musicnet, samples, tmp_path):
    notes = np.array(
        [(0, 44100, 1, 1, 60, b"Quarter", 0), (0, 66150, 41, 1, 76, b"Quarter", 22050)], FIELDS
    )
    with h5py.File(tmp_path / "musicnet.h5", "w") as file:
        file["id_1727/data"], file["id_1727/labels"] = samples, notes
        file["id_9/data"] = samples
        file["id_2628/data"], file["id_2628/labels"] = samples, notes
    shutil.copy(musicnet / "musicnet_metadata.csv", tmp_path)
    found = read(tmp_path / "musicnet.h5")
    clip, tested = found.clips
    assert (clip.part, tested.part) == ("train", "test")
    (expected,) = [c for c in read(musicnet / "musicnet").clips if c.path.stem == "1727"]
    assert (clip.intervals, clip.source, clip.inner) == (
        expected.intervals,
        expected.source,
        "id_1727",
    )
    assert [problem.path.name for problem in found.problems] == ["id_9"]
    heard = audio.read(clip.path, clip.inner, rate=22_050)
    assert np.abs(heard - audio.read(expected.path, rate=22_050)).max() < 1e-3


def test_what_is_no_hdf5_is_refused(tmp_path):
    (tmp_path / "musicnet.h5").write_bytes(b"no")
    with pytest.raises(CollectionError, match="cannot be read as HDF5"):
        read(tmp_path / "musicnet.h5")


@pytest.fixture
def intervaltree(monkeypatch):
    """Modules that pickle under the names, and by the reductions, of the package intervaltree."""
    package, trees, spans = (
        types.ModuleType(n)
        for n in ("intervaltree", "intervaltree.intervaltree", "intervaltree.interval")
    )

    class Interval:
        def __init__(self, begin, end, data=None):
            self.whole = (begin, end, data)

        def __reduce__(self):
            return Interval, self.whole

    class IntervalTree:
        def __init__(self, intervals):
            self.intervals = intervals

        def __reduce__(self):
            return IntervalTree, (self.intervals,)

    for module, one in ((spans, Interval), (trees, IntervalTree)):
        one.__module__, one.__qualname__ = module.__name__, one.__name__
        setattr(module, one.__name__, one)
    for module in (package, trees, spans):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return lambda notes: IntervalTree(
        [Interval(start, end, (program, 60, 1, 0.0, "Quarter")) for start, end, program in notes]
    )


def write_npz(path, members):
    """Write object arrays as numpy of Python 2 did: pickles of protocol 2."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            array = np.empty(2, object)
            array[:] = content
            buffer = io.BytesIO()
            np.lib.format.write_array_header_1_0(
                buffer, np.lib.format.header_data_from_array_1_0(array)
            )
            pickle.dump(array, buffer, protocol=2)
            archive.writestr(f"{name}.npy", buffer.getvalue())


def test_the_npz_form_gives_the_same(musicnet, samples, tmp_path, intervaltree):
    tree = intervaltree([(np.int64(0), 44100, 1), (22050, 66150, 41)])
    write_npz(tmp_path / "musicnet.npz", {"1727": (samples, tree), "1759": (samples, tree)})
    shutil.copy(musicnet / "musicnet_metadata.csv", tmp_path)
    clip, tested = read(tmp_path / "musicnet.npz").clips
    assert (clip.part, tested.part) == ("train", "test")
    (expected,) = [c for c in read(musicnet / "musicnet").clips if c.path.stem == "1727"]
    assert (clip.intervals, clip.source, clip.inner) == (
        expected.intervals,
        expected.source,
        "1727",
    )
    heard = audio.read(clip.path, clip.inner, rate=22_050)
    assert np.abs(heard - audio.read(expected.path, rate=22_050)).max() < 1e-3


class Trap:
    def __reduce__(self):
        return eval, ("open('trapped', 'w')",)


def test_a_pickle_that_wants_to_run_something_is_refused_and_runs_nothing(
    tmp_path, samples, monkeypatch, intervaltree
):
    monkeypatch.chdir(tmp_path)
    good = (samples, intervaltree([(0, 44100, 1)]))
    write_npz(tmp_path / "musicnet.npz", {"1727": good, "1728": (samples, Trap())})
    found = read(tmp_path / "musicnet.npz")
    assert [clip.inner for clip in found.clips] == ["1727"]
    assert any("names" in problem.why and "eval" in problem.why for problem in found.problems)
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("content", [(np.array(["a"]), None), ("x", "y"), (None, None)])
def test_other_pickles_are_problems(tmp_path, content, samples, intervaltree):
    good = (samples, intervaltree([(0, 44100, 1)]))
    write_npz(tmp_path / "musicnet.npz", {"1": good, "2": content})
    assert [problem.path.name for problem in read(tmp_path / "musicnet.npz").problems][1:] == ["2"]


def test_what_is_no_npz_is_refused(tmp_path):
    (tmp_path / "musicnet.npz").write_bytes(b"no")
    with pytest.raises(CollectionError, match="cannot be read as npz"):
        read(tmp_path / "musicnet.npz")
