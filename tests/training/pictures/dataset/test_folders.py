"""Pictures in folders."""

import pytest

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
        "a/notes.txt": "not a picture by its name",
        "loose.png": "outside of the folder of a label",
        "a/new\nline.png": "its name has unprintable characters: rename it",
    }


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    found = listing(put(tmp_path, "a/1.png", "a/.DS_Store", ".trash/a/2.png"))
    assert len(found.pictures) == 1
    assert found.problems == []


@pytest.mark.parametrize("paths", [(), ("a/readme.txt",), ("1.png",)])
def test_a_folder_without_pictures_is_refused_with_what_was_expected(tmp_path, paths):
    with pytest.raises(MaterialError, match=r"expected LABEL/NAME with \.bmp"):
        listing(put(tmp_path, *paths))


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    for work in (listing, picture_files):
        with pytest.raises(MaterialError, match="no folder"):
            work(tmp_path / "gone")


def test_labels_that_differ_only_in_case_are_refused(tmp_path):
    with pytest.raises(MaterialError, match="differ only in case: Cat and cat; rename"):
        listing(put(tmp_path, "Cat/1.png", "cat/2.png", "dog/3.png"))


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
