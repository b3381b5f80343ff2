"""Moving and deleting with a way back."""

import json

import pytest

from training.common.errors import MaterialError
from training.pictures.clean.moves import FOLDER, MoveJournal
from training.pictures.dataset.folders import listing


def files(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))


def test_what_is_deleted_lies_in_the_trash_and_comes_back(folder):
    before, content = files(folder), (folder / "cup" / "cup-1.png").read_bytes()
    journal = MoveJournal(folder)
    (step,) = journal.apply("delete", ["cup/cup-1.png"])
    assert step.to == f"{FOLDER}/cup/cup-1.png"
    assert (folder / step.to).read_bytes() == content
    assert "cup/cup-1.png" not in {picture.path for picture in listing(folder).pictures}
    assert [one.path for one in journal.undo()] == ["cup/cup-1.png"]
    assert files(folder) == before
    assert journal.undo() == []


def test_steps_are_undone_in_batches_the_last_one_first(folder):
    before = files(folder)
    journal = MoveJournal(folder)
    journal.apply("delete", ["cup/cup-1.png", "cup/cup-2.png", "cup/cup-1.png"])
    journal.apply("move", ["cup/cup-3.png"], folder="boat")
    journal.apply("move", ["boat/cup-3.png"], folder="tree")
    assert len(journal.undo()) == 1
    assert (folder / "boat" / "cup-3.png").is_file()
    journal.undo()
    assert len(journal.undo()) == 2
    assert files(folder) == before


def test_nothing_is_ever_written_over(folder):
    journal = MoveJournal(folder)
    (folder / "boat" / "cup-1.png").write_bytes(b"mine")
    (folder / "tree" / "cup-1.png").write_bytes(b"other")
    steps = journal.apply("move", ["cup/cup-1.png", "tree/cup-1.png"], folder="boat")
    assert [step.to for step in steps] == ["boat/cup-1-2.png", "boat/cup-1-3.png"]
    assert (folder / "boat" / "cup-1.png").read_bytes() == b"mine"
    journal.apply("delete", ["boat/boat-1.png"])
    (folder / "boat" / "boat-1.png").write_bytes(b"new")
    with pytest.raises(MaterialError, match=r"boat/boat-1\.png exists: move it away"):
        journal.undo()
    assert journal.apply("delete", ["boat/boat-1.png"])[0].to == f"{FOLDER}/boat/boat-1-2.png"


def test_the_next_process_knows_what_was_done_and_can_undo_it(folder):
    before = files(folder)
    first = MoveJournal(folder)
    first.apply("keep", ["cup/cup-1.png"])
    first.apply("delete", ["cup/cup-2.png"])
    first.apply("delete", ["cup/cup-3.png"])
    first.undo()
    second = MoveJournal(folder)
    assert second.kept == {"cup/cup-1.png"}
    assert [step.path for step in second.undo()] == ["cup/cup-2.png"]
    assert len(second.undo()) == 1
    assert second.kept == set()
    assert second.undo() == []
    assert files(folder) == before


@pytest.mark.parametrize("renamed", [0, 1])
def test_a_kill_between_words_and_deeds_is_made_good(folder, renamed):
    journal = MoveJournal(folder)
    steps = journal.apply("delete", ["cup/cup-1.png", "cup/cup-2.png"])
    for step in steps[renamed:]:
        (folder / step.to).rename(folder / step.path)
    MoveJournal(folder)
    assert all((folder / step.to).is_file() and not (folder / step.path).exists() for step in steps)
    again = MoveJournal(folder)
    again.undo()
    for step in steps[renamed:]:
        (folder / step.path).rename(folder / step.to)
    MoveJournal(folder)
    assert all((folder / step.path).is_file() and not (folder / step.to).exists() for step in steps)


def test_a_line_that_a_kill_left_unfinished_was_never_begun(folder):
    journal = MoveJournal(folder)
    journal.apply("delete", ["cup/cup-1.png"])
    with journal.path.open("a") as file:
        file.write(json.dumps({"number": 1})[:-3])
    again = MoveJournal(folder)
    again.apply("delete", ["cup/cup-2.png"])
    assert len(MoveJournal(folder).steps) == 2


@pytest.mark.parametrize(
    "path",
    [
        "../x.png",
        "cup/../../x.png",
        "/etc/x.png",
        ".trash/x.png",
        "cup/.x.png",
        "",
        "cup/notes.txt",
        "out/x.png",
        ".",
    ],
)
def test_no_path_leads_out_of_the_folder(folder, tmp_path, path):
    (tmp_path / "x.png").write_bytes(b"outside")
    (folder / "cup" / "notes.txt").touch()
    (folder / "out").symlink_to(tmp_path)
    journal = MoveJournal(folder)
    for action in ("delete", "keep", "move"):
        with pytest.raises(MaterialError):
            journal.apply(action, ["cup/cup-1.png", path], folder="boat")
    assert (tmp_path / "x.png").read_bytes() == b"outside"
    assert (folder / "cup" / "cup-1.png").is_file()
    assert not journal.path.exists()


@pytest.mark.parametrize("target", ["..", "../x", "/tmp", ".hidden", "", "out"])
def test_no_target_leads_out_of_the_folder(folder, tmp_path, target):
    (folder / "out").symlink_to(tmp_path)
    with pytest.raises(MaterialError):
        MoveJournal(folder).apply("move", ["cup/cup-1.png"], folder=target)


def test_what_is_no_action_or_no_longer_there_is_refused(folder):
    journal = MoveJournal(folder)
    with pytest.raises(MaterialError, match="must be keep, move or delete"):
        journal.apply("burn", ["cup/cup-1.png"])
    (folder / "cup" / "cup-1.png").unlink()
    with pytest.raises(MaterialError, match="does not exist any more"):
        journal.apply("delete", ["cup/cup-2.png", "cup/cup-1.png"])
    assert (folder / "cup" / "cup-2.png").is_file()
