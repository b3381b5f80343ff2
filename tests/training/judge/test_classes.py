import pytest

from training.common.errors import MaterialError
from training.judge.classes import is_one_word, match_folders, read_classes

IMAGENET = [
    "n01440764 tench, Tinca tinca",
    "n02012849 crane",
    "n03126707 crane",
    "n07697537 hotdog, hot dog, red hot",
    "great white shark, white shark",
]


@pytest.mark.parametrize(
    ("folder", "number"),
    [
        ("n01440764 tench, Tinca tinca", 0),
        ("tench", 0),
        ("Tinca_Tinca", 0),
        ("n03126707", 2),
        ("hot-dog", 3),
        ("White  Shark", 4),
    ],
)
def test_a_folder_is_the_class_that_has_its_whole_name(folder, number):
    assert match_folders([folder], IMAGENET).by_folder == {folder: number}


@pytest.mark.parametrize("folder", ["dog", "shark", "Tinca", "great white", "n0144", "tenches"])
def test_a_shared_word_is_no_match(folder):
    assert match_folders([folder], IMAGENET).unknown == [folder]


def test_a_name_of_two_classes_is_not_guessed():
    found = match_folders(["crane"], IMAGENET)
    assert (found.by_folder, found.ambiguous) == ({}, {"crane": IMAGENET[1:3]})


def test_the_same_letters_decide_between_names_that_differ_only_in_case():
    classes = ["jay", "Jay", "blue jay"]
    found = match_folders(["jay", "Jay", "JAY"], classes)
    assert found.by_folder == {"jay": 0, "Jay": 1}
    assert found.ambiguous == {"JAY": ["jay", "Jay"]}


def test_classes_are_read_from_lines_and_from_json(tmp_path):
    (tmp_path / "a.txt").write_text("tench, Tinca tinca\ncrane\n\n", encoding="utf-8")
    (tmp_path / "a.json").write_text('["tench, Tinca tinca", "crane"]', encoding="utf-8")
    both = [read_classes(tmp_path / name) for name in ("a.txt", "a.json")]
    assert both == [["tench, Tinca tinca", "crane"]] * 2


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", b"one\n\nthree\n", "class 2 has no name"),
        ("a.txt", b"", "class 1 has no name"),
        ("a.txt", b"\xff\xfe", "not UTF-8"),
        ("a.json", b"[1]", "must be a list of names"),
        ("a.json", b"{", "not JSON"),
    ],
)
def test_a_file_of_classes_that_cannot_be_used_is_told(name, content, told, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MaterialError, match=told):
        read_classes(tmp_path / name)
    with pytest.raises(MaterialError, match="no file of classes"):
        read_classes(tmp_path / "none.txt")


def test_names_of_one_word_are_told_from_others():
    assert [is_one_word(name) for name in IMAGENET] == [True, True, True, True, False]
