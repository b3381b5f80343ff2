"""Labelled clips are stored whole or not at all, below their names, within bounds."""

import json
import resource
import signal
import subprocess
import sys
import threading
import unicodedata

import pytest

from common.errors import InsufficientStorage, NotAllowed, NotFound, TimbreError, Unprocessable
from service.trainings.clip_store import MAX_LABEL, NEWEST, ClipStore, place_of
from service.trainings.folder import COLLECTIONS, open_folder

GARDEN = place_of("birds", "robin", "garden")
NOTE = {"model": "toy", "version": "2", "client": "x"}


@pytest.fixture
def folder(tmp_path):
    return open_folder(str(tmp_path / "teach"))


@pytest.fixture
def root(folder):
    return folder / COLLECTIONS


def store_of(folder, *, max_clips=100, max_bytes=100_000):
    return ClipStore(folder, max_clips=max_clips, max_bytes=max_bytes)


def add(store, place=GARDEN, data=b"sound", suffix=".wav"):
    return store.add(place, data, suffix=suffix, note=NOTE)


def files(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


def test_a_clip_lies_below_source_and_label_with_a_note_beside_it(folder, root):
    store = store_of(folder)
    id_ = add(store)
    path = root / "birds" / "garden" / "robin" / f"{id_}.wav"
    assert path.read_bytes() == b"sound"
    note = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert note.pop("time").endswith("Z")
    assert note == {"id": id_, "label": "robin", "source": "garden", **NOTE}
    assert store.find("birds", "robin", id_) == path


def test_counts_are_by_label_and_source(folder):
    store = store_of(folder)
    ids = [add(store) for _ in range(3)]
    add(store, place_of("birds", "wren", "wood"), b"longer")
    add(store, place_of("cars", "horn", "road"))
    birds, cars = store.listing()
    assert birds["labels"] == [{"name": "robin", "clips": 3}, {"name": "wren", "clips": 1}]
    assert birds["sources"] == [{"name": "garden", "clips": 3}, {"name": "wood", "clips": 1}]
    assert (birds["clips"], cars["clips"]) == (4, 1)
    assert birds["bytes"] > 3 * len(b"sound") + len(b"longer")
    robin = store.describe("birds")["labels"][0]
    assert [one["id"] for one in robin["newest"]] == sorted(ids, reverse=True)
    assert store.describe("birds", newest=False) == birds


def test_only_the_newest_clips_of_a_label_are_listed(folder):
    store = store_of(folder, max_clips=NEWEST + 1)
    ids = sorted((add(store) for _ in range(NEWEST + 1)), reverse=True)
    (label,) = store.describe("birds")["labels"]
    assert label["clips"] == NEWEST + 1
    assert [one["id"] for one in label["newest"]] == ids[:NEWEST]


def test_removing_undoes_and_leaves_no_empty_folder(folder, root):
    store = store_of(folder)
    first, second = add(store), add(store)
    store.remove("birds", "robin", first)
    assert [path for path in files(root) if first in path] == []
    store.find("birds", "robin", second)
    store.remove("birds", "robin", second)
    assert files(root) == []
    for call in (store.remove, store.find):
        with pytest.raises(NotFound, match="no clip"):
            call("birds", "robin", first)
    with pytest.raises(NotFound, match="no collection"):
        store.describe("birds")


@pytest.mark.parametrize("name", ["", ".", "..", "../collections", "birds/..", "*", "BIRDS"])
def test_what_is_no_collection_is_not_found(folder, name):
    store = store_of(folder)
    id_ = add(store)
    (folder / "source" / "label").mkdir(parents=True)
    (folder / "source" / "label" / f"{id_}.wav").write_text("x")
    with pytest.raises(NotFound, match="no collection"):
        store.describe(name)
    with pytest.raises(NotFound, match="no clip"):
        store.find(name, "label", id_)


@pytest.mark.parametrize("id_", ["", "..", "*", "../../x", "20261130-120000-123-0a1b2c3d", "*.wav"])
def test_what_is_no_clip_is_not_found(folder, id_):
    store = store_of(folder)
    add(store)
    for collection in ("birds", "..", "", "../..", "*"):
        with pytest.raises(NotFound, match="no clip"):
            store.find(collection, "robin", id_)


def test_the_number_of_clips_is_bounded(folder, root):
    store = store_of(folder, max_clips=2)
    add(store)
    add(store, place_of("cars", "horn", "road"))
    there = files(root)
    with pytest.raises(InsufficientStorage, match=r"2 clips are stored, .*max_labelled_clips"):
        add(store)
    assert files(root) == there


def test_the_bytes_are_bounded_notes_included(folder, root):
    store = store_of(folder)
    add(store)
    used = store.listing()[0]["bytes"]
    exact = store_of(folder, max_bytes=2 * used)
    add(exact)
    with pytest.raises(InsufficientStorage, match=r"max_labelled_bytes"):
        add(exact, data=b"")
    assert exact.listing()[0]["clips"] == 2
    assert exact.listing()[0]["bytes"] == 2 * used


def test_a_full_disk_is_an_error_that_leaves_nothing(folder, root):
    store = store_of(folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (50, 1_000):  # the note, and the clip, is too much
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            with pytest.raises(InsufficientStorage, match="the clip cannot be stored: File too la"):
                add(store, data=b"x" * 2_000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert files(root) == []
    add(store, data=b"x" * 2_000)


def test_a_process_that_is_killed_leaves_no_clip_without_its_note(folder, root):
    code = (
        "import sys; from pathlib import Path\n"
        "from service.trainings.clip_store import ClipStore, place_of\n"
        "store = ClipStore(Path(sys.argv[1]), max_clips=9999, max_bytes=10**12)\n"
        "print('x', flush=True)\n"
        "while True: store.add(place_of('birds', 'robin', 'garden'), b's' * 10**6, suffix='.wav',"
        " note={})"
    )
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=-1)
        process.stdout.readline()
        while not list(root.rglob("*.wav")):
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        for path in root.rglob("*.wav"):
            if not path.name.startswith("."):
                assert path.stat().st_size == 10**6
                assert path.with_suffix(".json").is_file()
    add(store_of(folder, max_clips=9999, max_bytes=10**12))


def test_many_at_once_never_pass_the_bound(folder):
    errors = []

    def work():
        for _ in range(5):
            try:
                add(store_of(folder, max_clips=12))
            except InsufficientStorage as error:
                errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (store_of(folder).listing()[0]["clips"], len(errors)) == (12, 8)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (("birds", "Robin", "wood"), "labels .* differ only by case"),
        (("Birds", "robin", "garden"), "collections .* differ only by case"),
        (("birds", "robin", "GARDEN"), "sources .* differ only by case"),
        (("birds", "\uff52obin", "garden"), "labels .* differ only by"),
    ],
)
def test_names_that_look_alike_are_rejected(folder, root, place, said):
    store = store_of(folder)
    add(store)
    there = files(root)
    with pytest.raises(Unprocessable, match=said):
        add(store, place_of(*place))
    assert files(root) == there


def test_labels_have_one_form(folder, root):
    store = store_of(folder)
    for label in ("Fl\u00f6te", "Flo\u0308te", " Flöte ", "Flö\u200bte"):
        place = place_of("music", label, "me")
        assert place.label == unicodedata.normalize("NFC", "Flöte")
        id_ = add(store, place)
        assert store.find("music", label, id_).is_file()
    (label,) = store.listing()[0]["labels"]
    assert label == {"name": "Flöte", "clips": 4}


@pytest.mark.parametrize(
    "label", ["robin", "O'Brien & <b>", "名前", "a b", "steam train", "nothing", "-x"]
)
def test_labels_that_training_takes_are_taken(label):
    assert place_of("birds", label, "garden").label == label


@pytest.mark.parametrize(
    "label",
    [
        "",
        " ",
        ".",
        "..",
        ".hidden",
        "../x",
        "a/b",
        "/etc",
        "a\\b",
        "a\0b",
        "a\nb",
        "a\x7f",
        "a\u202eb",
        "\ud800",
        "FlÃ¶te",
        "Thumbs.db",
        "__MACOSX",
        "train",
        "Test",
        "val2017",
        "x" * (MAX_LABEL + 1),
        "ö" * (MAX_LABEL // 2 + 1),
    ],
)
def test_labels_that_training_would_reject_or_skip_are_rejected(label):
    with pytest.raises(Unprocessable, match="label="):
        place_of("birds", label, "garden")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".x", "a/b", "a b", "ö", "a\n", "x" * 65, "test", "train", "desktop.ini", "*"],
)
def test_collections_and_sources_are_plain_names(name):
    with pytest.raises(Unprocessable, match="source="):
        place_of("birds", "robin", name)
    with pytest.raises(Unprocessable, match="collection="):
        place_of(name, "robin", "garden")
    place_of("x" * 64, "robin", "x" * 64)
    place_of("a-b_c.1", "x" * MAX_LABEL, "a-b_c.1")


@pytest.mark.parametrize("level", [0, 1, 2])
def test_nothing_is_stored_or_listed_through_links(folder, root, tmp_path, level):
    outside = tmp_path / "outside"
    (outside / "garden" / "robin").mkdir(parents=True)
    names = ("birds", "garden", "robin")
    link = root.joinpath(*names[: level + 1])
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside.joinpath(*names[1 : level + 1]))
    store = store_of(folder)
    with pytest.raises(NotAllowed, match="is a link"):
        add(store)
    assert [path for path in outside.rglob("*") if path.is_file()] == []
    (outside / "garden" / "robin" / "secret.wav").write_bytes(b"x")
    assert store.listing() == []


def test_a_folder_that_cannot_be_written_to_is_an_error_in_words(folder, root):
    (root / "birds").write_text("a file in the way")
    with pytest.raises(TimbreError, match="the clip cannot be stored: "):
        add(store_of(folder))
    assert files(root) == ["birds"]
