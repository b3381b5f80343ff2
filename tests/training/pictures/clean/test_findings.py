"""Everything that may be wrong with a folder."""

from contextlib import contextmanager

from PIL import Image

from training.pictures.clean.findings import KINDS, scan
from training.pictures.dataset.folders import listing


@contextmanager
def stage(name):
    yield lambda done, total: None


def found_in(folder):
    found = listing(folder)
    result = scan(found, stage=stage)
    sets = {kind: [] for kind in KINDS}
    for finding in result.findings:
        sets[finding.kind].append({found.pictures[i].path for i in finding.pictures})
    return sets, result


def test_each_kind_of_wrong_is_found(folder):
    boat, cup = folder / "boat" / "boat-0.png", folder / "cup" / "cup-0.png"
    (folder / "tree" / "copy.png").write_bytes(boat.read_bytes())
    Image.open(cup).resize((48, 48)).save(folder / "cup" / "small.jpg", quality=85)
    Image.new("RGB", (40, 40), "#fdfdfd").save(folder / "boat" / "plain.png")
    (folder / "tree" / "cut.png").write_bytes(cup.read_bytes()[:100])
    sets, result = found_in(folder)
    assert sets["equal"] == [{"boat/boat-0.png", "tree/copy.png"}]
    assert sets["near"] == [{"cup/cup-0.png", "cup/small.jpg"}]
    assert sets["blank"] == [{"boat/plain.png"}]
    assert sets["unreadable"] == [{"tree/cut.png"}]
    assert result.counts()["equal"] == 1


def test_a_picture_in_the_wrong_class_is_doubted_with_a_better_one(tmp_path):
    for colour, label in (("red", "warm"), ("blue", "cold")):
        (tmp_path / label).mkdir()
        for i in range(30):
            picture = Image.new("RGB", (40, 40), colour)
            picture.paste((i * 8, i * 5 % 256, i * 3 % 256), (i % 20, 5, 20 + i % 20, 25))
            picture.save(tmp_path / label / f"{i}.png")
    (tmp_path / "warm" / "7.png").rename(tmp_path / "cold" / "wrong.png")
    _, result = found_in(tmp_path)
    doubted = [finding for finding in result.findings if finding.kind == "label"]
    assert result.found.pictures[doubted[0].pictures[0]].path == "cold/wrong.png"
    assert doubted[0].suggested == "warm"
    assert doubted[0].why.startswith("looks like warm, not cold (")


def test_a_folder_of_nothing_readable_is_examined_too(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(b"no")
    sets, _ = found_in(tmp_path)
    assert sets == {"equal": [], "near": [], "blank": [], "unreadable": [{"a/1.png"}], "label": []}
