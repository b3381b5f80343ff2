"""Splits of one's own: folders, lists, a column, MusicNet's; and what they leave open."""

import pytest

from training.common.recipe import load as load_recipe
from training.recordings.collection import CollectionError
from training.recordings.given_split import split_of
from training.recordings.load import load


def parts(path, *changes, kind="folders"):
    recipe = load_recipe("sounds", [f"collection.path={path}", f"collection.kind={kind}", *changes])
    collection = load(recipe.collection)
    split = split_of(collection, recipe)
    return collection.labels, split.part


def sounds(folder, write_sound, *names):
    for name in names:
        write_sound(folder / name, seconds=1.0)
    return folder


TRAIN_VAL_TEST = [
    f"{part}/{label}/{number}.wav"
    for part in ("train", "val", "test")
    for label in ("horn", "oboe")
    for number in (1, 2)
]


def test_folders_train_val_and_test_are_parts_and_no_labels(tmp_path, write_sound, capsys):
    labels, part = parts(sounds(tmp_path, write_sound, *TRAIN_VAL_TEST))
    assert labels == ("horn", "oboe")
    assert {source.split("/")[0]: name for source, name in part.items()} == {
        "train": "train",
        "val": "valid",
        "test": "test",
    }
    assert len(part) == 12
    assert "split: as " in capsys.readouterr().err


def test_parts_below_the_label_and_above_sources_are_found(tmp_path, write_sound):
    below = [name.replace("train/horn", "horn/train") for name in TRAIN_VAL_TEST]
    below = ["/".join([p[1], p[0], p[2]]) for p in (name.split("/") for name in TRAIN_VAL_TEST)]
    labels, part = parts(sounds(tmp_path / "a", write_sound, *below))
    assert labels == ("horn", "oboe")
    assert part["horn/val/1.wav"] == "valid"
    names = ["Training/anna/horn/1.wav", "Training/ben/oboe/1.wav", "Test/clara/horn/1.wav"]
    names += ["Validation/dora/oboe/1.wav"]
    labels, part = parts(sounds(tmp_path / "b", write_sound, *names))
    assert labels == ("horn", "oboe")
    assert part == {"anna": "train", "ben": "train", "clara": "test", "dora": "valid"}


def test_a_part_that_is_missing_is_cut_from_train(tmp_path, write_sound, capsys):
    names = [f"train/{label}/{n}.wav" for label in ("horn", "oboe") for n in range(6)]
    folder = sounds(tmp_path, write_sound, *names, "test/horn/1.wav", "test/oboe/1.wav")
    _, part = parts(folder)
    assert {name for source, name in part.items() if source.startswith("test")} == {"test"}
    assert {name for source, name in part.items() if source.startswith("train")} == {
        "train",
        "valid",
    }
    assert "valid cut from train" in capsys.readouterr().err


def test_a_given_split_can_be_set_aside(tmp_path, write_sound):
    _, part = parts(sounds(tmp_path, write_sound, *TRAIN_VAL_TEST), "split.given=none")
    assert part != {
        source: {"train": "train", "val": "valid", "test": "test"}[source.split("/")[0]]
        for source in part
    }


def test_generated_noise_goes_to_every_part(tmp_path, write_sound):
    sounds(tmp_path / "c", write_sound, *TRAIN_VAL_TEST)
    made = f"collection.into={tmp_path / 'made'}"
    _, part = parts(tmp_path / "c", "collection.nothing=1", made)
    noise = {name for source, name in part.items() if source.startswith("nothing")}
    assert noise == {"train", "valid", "test"}


def test_a_source_in_two_parts_is_refused(tmp_path, write_sound):
    names = ["train/anna/horn/1.wav", "test/anna/horn/2.wav", "train/ben/oboe/1.wav"]
    with pytest.raises(CollectionError, match="source 'anna' is in test and train: a model would"):
        parts(sounds(tmp_path, write_sound, *names))


def test_folders_beside_parts_that_are_none_are_asked_about(tmp_path, write_sound):
    names = [*TRAIN_VAL_TEST, "extra/horn/1.wav"]
    with pytest.raises(CollectionError, match="beside them is 'extra'"):
        parts(sounds(tmp_path, write_sound, *names))


def test_lists_beside_the_labels_are_the_split(tmp_path, write_sound):
    sounds(tmp_path, write_sound, *(f"{label}/{n}.wav" for label in ("a", "b") for n in range(3)))
    for name, number in (("train", 0), ("val", 1), ("test", 2)):
        (tmp_path / f"{name}.txt").write_text(f"a/{number}.wav\r\nb\\{number}.wav\r\n")
    _, part = parts(tmp_path)
    assert part == {
        f"{label}/{n}.wav": name
        for label in ("a", "b")
        for n, name in enumerate(("train", "valid", "test"))
    }
    assert parts(tmp_path, "split.given=own")[1] == part
    (tmp_path / "test.txt").write_text("a/2.wav\n")
    with pytest.raises(CollectionError, match=r"1 clips are in no part, the first: .*2\.wav"):
        parts(tmp_path)
    (tmp_path / "test.txt").write_text("a/2.wav\nb/2.wav\nc/9.wav\n")
    with pytest.raises(CollectionError, match=r"no file 'c/9\.wav' here"):
        parts(tmp_path)


def test_a_list_of_its_own_place_and_a_column_name_parts(tmp_path, write_sound):
    sounds(tmp_path / "c", write_sound, "a/1.wav", "a/2.wav", "b/1.wav", "b/2.wav")
    rows = "a/1.wav,train\nb/1.wav,train\na/2.wav,test\nb/2.wav,val\n"
    (tmp_path / "mine.csv").write_text("path,part\n" + rows)
    _, part = parts(tmp_path / "c", f"split.given={tmp_path / 'mine.csv'}")
    assert part["b/2.wav"] == "valid"
    rows = "a/1.wav;x;Train\nb/1.wav;y;Train\na/2.wav;x;Test\nb/2.wav;y;Val\n"
    (tmp_path / "c" / "list.csv").write_text("Path;Labels;Split\n" + rows)
    labels, column = parts(tmp_path / "c" / "list.csv", kind="csv")
    assert labels == ("x", "y")
    assert column == part


@pytest.mark.parametrize("lists", ["train.txt", "mine.csv"])
def test_lists_are_read_in_the_encoding_of_the_collection(tmp_path, write_sound, lists):
    sounds(tmp_path, write_sound, "flöte/1.wav", "flöte/2.wav", "horn/1.wav", "horn/2.wav")
    trained, tested = "flöte/1.wav\nhorn/1.wav\n", "flöte/2.wav\nhorn/2.wav\n"
    given = "split.given=own"
    if lists == "train.txt":
        (tmp_path / "train.txt").write_text(trained, encoding="cp1252")
        (tmp_path / "test.txt").write_text(tested, encoding="cp1252")
    else:
        rows = trained.replace("\n", ",train\n") + tested.replace("\n", ",test\n")
        (tmp_path / lists).write_text("path,part\n" + rows, encoding="cp1252")
        given = f"split.given={tmp_path / lists}"
    changes = (given, "split.shares=[0.5, 0.0, 0.5]")
    _, part = parts(tmp_path, *changes, "collection.encoding=cp1252")
    assert (part["flöte/1.wav"], part["flöte/2.wav"]) == ("train", "test")
    with pytest.raises(CollectionError, match=r"collection\.encoding=cp1252"):
        parts(tmp_path, *changes)


def test_musicnets_own_parts_are_used_when_they_are_asked_for(musicnet):
    path = musicnet / "musicnet"
    _, own = parts(path, "split.given=own", "split.shares=[0.5, 0.0, 0.5]", kind="musicnet")
    assert sorted(own.values()) == ["test", "train", "train"]
    assert own["Schubert | Sonata | Quintet | European Archive"] == "test"


def test_own_parts_that_are_not_there_are_told(by_source):
    with pytest.raises(CollectionError, match=r"split\.given=own: the collection has no parts"):
        parts(by_source.path, "split.given=own")
