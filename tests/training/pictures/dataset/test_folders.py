"""Pictures in folders."""

import pytest

from tests.features.pictures import save, scene
from training.common.errors import MaterialError
from training.pictures.dataset.folders import (
    Layout,
    empty_classes,
    listing,
    picture_files,
    single_picture_classes,
    some,
)


def put(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def test_pictures_are_listed_by_path_with_their_class(tmp_path):
    found = listing(put(tmp_path, "b/2.JPG", "b/1.png", "a/deep/er.webp"))
    assert [(p.path, p.label) for p in found.pictures] == [
        ("a/deep/er.webp", "a"),
        ("b/1.png", "b"),
        ("b/2.JPG", "b"),
    ]
    assert found.classes == ["a", "b"]
    assert found.problems == []


def test_levels_name_source_label_and_metadata(tmp_path):
    layout = Layout.parse("source/region/_/label")
    found = listing(put(tmp_path, "anna/north/x/shell/1.png"), layout)
    assert found.pictures == [("anna/north/x/shell/1.png", "shell", "anna", ("north",))]
    assert layout.metadata == ("region",)


def test_a_pattern_names_the_source(tmp_path):
    found = listing(
        put(tmp_path, "a/IMG_12_left.png", "a/other.png"), Layout.parse("label", r"IMG_(\d+)")
    )
    assert [p.source for p in found.pictures] == ["12", ""]


@pytest.mark.parametrize("text", ["", "_", "source", "label/label", "label/a b", "label/"])
def test_a_layout_that_makes_no_sense_is_refused(text):
    with pytest.raises(MaterialError, match="layout"):
        Layout.parse(text)


@pytest.mark.parametrize(
    ("source", "said"), [("(", "not a regular expression"), ("IMG", "no group")]
)
def test_a_pattern_without_a_group_is_refused(source, said):
    with pytest.raises(MaterialError, match=said):
        Layout.parse("label", source)


def test_what_is_no_picture_is_named_with_the_reason(tmp_path):
    found = listing(put(tmp_path, "a/1.png", "a/notes.txt", "loose.png", "a/new\nline.png"))
    assert dict(found.problems) == {
        "a/notes.txt": "not a picture by its name or first bytes",
        "loose.png": "outside of the folder of a label",
        "a/new\nline.png": "its name has unprintable characters: rename it",
    }


def test_pictures_of_any_name_are_known_by_their_first_bytes(tmp_path):
    put(tmp_path, "a/1.png", "a/notes.txt", "a/layers.psd")
    (tmp_path / "a" / "IMG_2").write_bytes(save(scene(), "JPEG"))
    (tmp_path / "a" / "3.dat").write_bytes(save(scene(), "AVIF"))
    (tmp_path / "a" / "layers.psd").write_bytes(b"8BPS\0\1")
    found = listing(tmp_path)
    assert [picture.path for picture in found.pictures] == ["a/1.png", "a/3.dat", "a/IMG_2"]
    assert picture_files(tmp_path) == ["a/1.png", "a/3.dat", "a/IMG_2"]
    assert dict(found.problems) == {
        "a/notes.txt": "not a picture by its name or first bytes",
        "a/layers.psd": "not a picture by its name or first bytes; PSD is not",
    }


def test_linked_folders_are_classes_like_others(tmp_path):
    put(tmp_path, "elsewhere/1.png", "root/a/2.png")
    (tmp_path / "root" / "b").symlink_to(tmp_path / "elsewhere")
    assert listing(tmp_path / "root").classes == ["a", "b"]


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    found = listing(put(tmp_path, "a/1.png", "a/.DS_Store", ".trash/a/2.png"))
    assert len(found.pictures) == 1
    assert found.problems == []


@pytest.mark.parametrize("paths", [(), ("a/readme.txt",), ("1.png",)])
def test_a_folder_without_pictures_is_refused_with_what_was_expected(tmp_path, paths):
    with pytest.raises(MaterialError, match=r"expected LABEL/NAME with \.apng"):
        listing(put(tmp_path, *paths))


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    for work in (listing, picture_files):
        with pytest.raises(MaterialError, match="no folder"):
            work(tmp_path / "gone")


def test_labels_that_differ_only_in_case_are_refused(tmp_path):
    with pytest.raises(MaterialError, match="differ only in case: Cat and cat; rename"):
        listing(put(tmp_path, "Cat/1.png", "cat/2.png", "dog/3.png"))


@pytest.mark.slow  # makes ten thousand folders
def test_ten_thousand_classes_are_listed_and_summed_up_in_a_message(tmp_path):
    for i in range(10_000):
        (tmp_path / f"{i:05}").mkdir()
        (tmp_path / f"{i:05}" / "1.png").touch()
    found = listing(tmp_path)
    assert len(found.classes) == 10_000
    assert (
        some(single_picture_classes(found.pictures))
        == "00000, 00001, 00002, 00003, 00004 and 9,995 more"
    )


def test_empty_classes_and_classes_of_one_picture_are_found(tmp_path):
    put(tmp_path, "s/a/1.png", "s/a/2.png", "s/b/3.png", "s/d/notes.txt")
    (tmp_path / "s" / "c").mkdir()
    layout = Layout.parse("source/label")
    found = listing(tmp_path, layout)
    assert empty_classes(found, layout) == ["s/c", "s/d"]
    assert single_picture_classes(found.pictures) == ["b"]


@pytest.mark.parametrize(
    ("paths", "layout"),
    [
        (["train/cat/1.png", "val/cat/2.png", "test/dog/3.png"], "part/label"),
        (["Training/cat/1.png", "Testing/dog/2.png"], "part/label"),
        (["cat/train/1.png", "cat/test/2.png", "dog/train/3.png"], "label/part"),
        (["seg_train/seg_train/cat/1.png", "seg_test/seg_test/dog/2.png"], "part/_/label"),
        (["train/cat/1.png", "train/dog/1.png"], "part/label"),
        (["train/cat/1.png", "train/dog/1.png", "test/3.png"], "part/label"),
        (["train/1.png", "bus/1.png"], "label"),
    ],
)
def test_folders_of_parts_are_no_labels(tmp_path, paths, layout):
    found = listing(put(tmp_path, *paths))
    assert "/".join(found.layout.levels) == layout
    assert set(found.classes) <= {"cat", "dog", "train", "bus"}
    assert ("train" in found.classes) is (layout == "label")
    parts = {found.layout.part_of(picture.path) for picture in found.pictures}
    assert parts <= ({""} if layout == "label" else {"train", "valid", "test"})


def test_parts_above_sources_and_in_a_layout_of_ones_own(tmp_path):
    names = ("train/anna/cat/1.png", "test/ben/dog/1.png")
    for text in ("source/label", "part/source/label"):
        found = listing(put(tmp_path, *names), Layout.parse(text))
        assert [(p.label, p.source) for p in found.pictures] == [("dog", "ben"), ("cat", "anna")]
        assert [found.layout.part_of(p.path) for p in found.pictures] == ["test", "train"]


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["train/cat/1.png", "test/cat/1.png", "extra/cat/1.png"], "beside them is 'extra'"),
        (["train/1.png", "test/2.png"], "expected PART/LABEL/NAME"),
    ],
)
def test_parts_that_are_not_clear_are_asked_about(tmp_path, paths, said):
    with pytest.raises(MaterialError, match=said):
        listing(put(tmp_path, *paths))


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("Fl\u00f6te", "Flo\u0308te", "look the same"),
        ("dog", "dog ", "differ only by blanks"),
        ("a b", "a  b", "differ only by blanks"),
    ],
)
def test_labels_that_look_alike_are_refused(tmp_path, one, other, said):
    with pytest.raises(MaterialError, match=said):
        listing(put(tmp_path, f"{one}/1.png", f"{other}/2.png"))


def test_a_label_gets_composed_letters_and_a_spoilt_one_is_left_out(tmp_path):
    found = listing(put(tmp_path, "Flo\u0308te /1.png", "cat/1.png", "Ha\u00c3\u00bcs/1.png"))
    assert found.classes == ["Fl\u00f6te", "cat"]
    assert found.pictures[0].path == "Flo\u0308te /1.png"
    assert [problem.path for problem in found.problems] == ["Ha\u00c3\u00bcs/1.png"]
    assert "decoded wrongly" in found.problems[0].reason
