"""Lists of the files of each part: every usual form, and no file in two parts or in none."""

import pytest

from training.common.errors import MaterialError
from training.common.part_lists import lists_in, parts_of, read_parts

PATHS = ["cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/3.jpg"]


def put(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.txt").write_bytes(text.encode("utf-16" if "utf16" in name else "utf-8"))
    return folder


def test_lists_beside_each_other_are_found(tmp_path):
    assert lists_in(put(tmp_path, train="", labels="", readme="")) == []
    put(tmp_path, val="")
    assert [path.name for path in lists_in(tmp_path)] == ["train.txt", "val.txt"]
    assert lists_in(tmp_path / "train.txt") == []


def test_text_lists_name_files_in_every_usual_way(tmp_path):
    put(tmp_path, train="./cat/1.jpg\r\ncat\\2.jpg 0\r\n\r\n", test="/data/pets/dog/1.jpg\ndog/3\n")
    listed = read_parts(tmp_path)
    assert parts_of(PATHS, listed, where="lists") == ["train", "train", "test", "test"]


@pytest.mark.parametrize(
    "text",
    [
        "path,part\ncat/1.jpg,train\ndog/1.jpg,test\n",
        "Path;Split\r\ncat\\1.jpg;Training\r\ndog\\1.jpg;TEST\r\n",
        "path,label,part,group\ncat/1.jpg,cat,train,0\ndog/1.jpg,dog,test,1\n",
    ],
)
def test_a_table_names_the_part_of_each_file(tmp_path, text):
    (tmp_path / "split.csv").write_text(text)
    listed = read_parts(tmp_path / "split.csv")
    assert parts_of(PATHS, listed, where="list") == ["train", "", "test", ""]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,part\na.jpg,train\na.jpg,test\n", "line 3: a.jpg is in train and in test"),
        ("path,part\na.jpg,fold3\n", "line 2: part 'fold3' must be one of train, valid, test"),
        ("path,part\na.jpg\n", "line 2: has 1 columns"),
        ("path,colour\n", "no column part"),
    ],
)
def test_a_table_that_cannot_be_is_refused_by_line(tmp_path, text, said):
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(MaterialError, match=said):
        read_parts(tmp_path / "split.csv")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cow/9.jpg", "no file 'cow/9.jpg'"),
        ("1.jpg", "'1.jpg' means 2 files"),
        ("cat/10.jpg", "no file"),
    ],
)
def test_names_of_no_file_or_of_several_are_refused(name, said):
    with pytest.raises(MaterialError, match=said):
        parts_of(PATHS, {name: "train"}, where="train.txt")


def test_two_names_of_one_file_cannot_be_in_two_parts():
    with pytest.raises(MaterialError, match=r"cat/1.jpg is in train and in test"):
        parts_of(PATHS, {"cat/1.jpg": "train", "x/cat/1.jpg": "test"}, where="list")


def test_lists_that_are_not_there_are_named(tmp_path):
    with pytest.raises(MaterialError, match=r"holds no train\.txt"):
        read_parts(tmp_path)
    with pytest.raises(MaterialError, match=r"split\.given: no file or folder"):
        read_parts(tmp_path / "gone.csv")
