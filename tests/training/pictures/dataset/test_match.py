"""Classes by the words of file names."""

import csv

import pytest

from training.common.errors import MaterialError
from training.pictures.dataset.match import Names, main, report

CLASSES = """
# birds and machines
tench, Tinca tinca
crane
crane, construction crane
hot dog, hotdog, red hot
dog, domestic dog
ping-pong ball
mouse
"""


@pytest.fixture
def names():
    return Names.parse(CLASSES.splitlines())


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("a/brown_dogs_02.png", "dog"),
        ("hot-dog.png", "hot dog"),
        ("HotDogs.png", "hot dog"),
        ("hotdog_bun.png", "hot dog"),
        ("hot_and_dog.png", "hot dog"),  # stop words vanish; the report tells of it
        ("pingpong-balls.png", "ping-pong ball"),
        ("ping_pong_ball.png", "ping-pong ball"),
        ("Tinca Tinca.png", "tench"),
        ("construction-crane.png", "crane (2)"),
        ("3 mice.png", "mouse"),
        ("dogma.png", ""),
        ("crane.png", ""),
        ("dog-and-mouse.png", ""),
        ("dog/unnamed.png", ""),
    ],
)
def test_a_name_tells_a_class_or_does_not(names, path, label):
    assert names.match(path).labels == ((label,) if label else ())


def test_the_longer_name_wins_and_the_shorter_is_remembered(names):
    assert names.match("hot-dog.png").inner == ("dog",)
    both = names.match("dog-eats-hot-dog.png")
    assert both.result == "ambiguous"
    assert both.classes == ("dog", "hot dog")


def test_a_name_that_two_classes_have_decides_nothing(names):
    assert names.shared == {"crane": ("crane (1)", "crane (2)")}
    assert names.match("crane.png").classes == ("crane (1)", "crane (2)")


def test_the_report_names_every_trap(names):
    paths = [
        "food/hot-dog.png",
        "pets/corn-dog.png",
        "pets/dog.png",
        "toys/dog.png",
        "crane.png",
        "dog-mouse.png",
    ]
    text = report(names, [names.match(path) for path in [*paths, "zebra.png"]])
    for line in (
        "- matched: 4",
        "- ambiguous: 2",
        "- `crane`: crane (1), crane (2); 1 pictures",
        "- dog / mouse: dog-mouse.png",
        "- dog in hot dog: 1 pictures, taken as hot dog",
        "- dog: corn dog (1)",
        "- dog: pets (2), toys (1)",
        "- zebra (1)",
        "- tench",
    ):
        assert line in text.splitlines()


@pytest.mark.parametrize(
    ("path", "labels"),
    [
        ("dog.png", ("dog", "hot dog")),
        ("hot air balloon.png", ("hot dog",)),
        ("Tinca.png", ("tench",)),
        ("construction-site.png", ("crane (2)",)),
        ("crane.png", ("crane (1)", "crane (2)")),
        ("dog-and-mice.png", ("dog", "hot dog", "mouse")),
        ("dogma.png", ()),
        ("hotdog.png", ("hot dog",)),
    ],
)
def test_by_words_a_picture_is_of_every_class_that_shares_one(path, labels):
    match = Names.parse(CLASSES.splitlines(), by="word").match(path)
    assert match.labels == match.classes == labels
    assert match.result == ("matched" if labels else "no class")


def test_by_words_the_report_tells_which_words_are_of_several_classes():
    names = Names.parse(CLASSES.splitlines(), by="word")
    lines = report(names, [names.match(path) for path in ("dog.png", "x/corn-dog.png")])
    for line in ("- `dog`: hot dog, dog; 2", "- dog: 2", "- hot dog: 2", "- matched: 2"):
        assert line in lines.splitlines()


@pytest.mark.parametrize(
    ("lines", "said"), [([], "no class names"), (["dog", "42"], "no words to match in: 42")]
)
def test_classes_that_cannot_be_matched_are_refused(lines, said):
    with pytest.raises(MaterialError, match=said):
        Names.parse(lines)


def test_the_command_writes_a_table_and_folders(tmp_path, folder, capsys):
    (tmp_path / "classes.txt").write_text("boat\ncup, mug\n")
    out, sorted_ = tmp_path / "out", tmp_path / "sorted"
    command = [str(folder), str(tmp_path / "classes.txt"), str(out), "--folders", str(sorted_)]
    assert main(command) == 0
    assert "24 pictures: 20 matched, 4 no class" in capsys.readouterr().out
    with (out / "match.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "path": "boat/boat-0.png",
        "result": "matched",
        "label": "boat",
        "classes": "boat",
        "words": "boat",
    }
    assert {path.name: len(list(path.iterdir())) for path in sorted_.iterdir()} == {
        "boat": 12,
        "cup": 8,
    }
    assert (sorted_ / "boat" / "boat__boat-0.png").read_bytes() == (
        folder / "boat" / "boat-0.png"
    ).read_bytes()
    assert main(command) == 1
    assert "exists already" in capsys.readouterr().err


def test_what_is_not_there_is_told(tmp_path, folder, capsys):
    assert main([str(folder), str(tmp_path / "gone.txt"), str(tmp_path / "out")]) == 1
    assert "gone.txt: No such file" in capsys.readouterr().err


def test_a_list_of_classes_may_begin_with_a_byte_order_mark_and_must_be_utf_8(
    tmp_path, folder, capsys
):
    classes = tmp_path / "classes.txt"
    classes.write_bytes("\ufeffcup\nboat".encode())
    assert main([str(folder), str(classes), str(tmp_path / "out")]) == 0
    assert "2 of 2 classes have pictures" in capsys.readouterr().out
    classes.write_bytes("caf\u00e9".encode("latin-1"))
    assert main([str(folder), str(classes), str(tmp_path / "other")]) == 1
    assert "classes.txt is not UTF-8 text" in capsys.readouterr().err


def test_by_words_a_picture_is_in_the_folder_of_each_class(tmp_path, folder, capsys):
    (tmp_path / "classes.txt").write_text("toy boat\nboat house\ncup\n")
    out, sorted_ = tmp_path / "out", tmp_path / "sorted"
    words = [str(folder), str(tmp_path / "classes.txt"), str(out), "--folders", str(sorted_)]
    assert main([*words, "--by", "word"]) == 0
    assert "3 of 3 classes have pictures" in capsys.readouterr().out
    assert {path.name: len(list(path.iterdir())) for path in sorted_.iterdir()} == {
        "toy boat": 12,
        "boat house": 12,
        "cup": 8,
    }
    with (out / "match.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["label"] == "boat house, toy boat"
