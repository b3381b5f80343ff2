"""Parts that share no source and no near-duplicate."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.config import PictureConfig
from training.common.errors import MaterialError
from training.pictures.dataset.folders import listing
from training.pictures.dataset.pack import pack
from training.pictures.dataset.split import assign, main, ratios_of


def rows_of(out):
    with (out / "split.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("text", ["90/10", "70/15/15", "56/18/25"])
def test_single_pictures_are_shared_out_exactly_in_every_class(text):
    ratios = ratios_of(text)
    labels = ["few"] * 40 + ["many"] * 1_000
    part = assign(labels, np.arange(len(labels)), ratios, seed=1)
    for rows in (slice(40), slice(40, None)):
        counts = np.bincount(part[rows], minlength=len(ratios))
        assert np.all(np.abs(counts - np.array(ratios) * counts.sum()) <= 1)


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 20)), min_size=1, max_size=80),
    st.integers(0, 9),
)
def test_no_group_is_ever_cut(pictures, seed):
    labels, group = [label for label, _ in pictures], np.array([number for _, number in pictures])
    part = assign(labels, group, (0.6, 0.2, 0.2), seed=seed)
    assert all(len(set(part[group == number])) == 1 for number in group)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 6])
def test_many_tiny_classes_starve_no_part_and_each_is_trained_on(size):
    labels = [f"{i:05}" for i in range(2_000) for _ in range(size)]
    ratios = np.array([0.7, 0.15, 0.15])
    part = assign(labels, np.arange(len(labels)), ratios, seed=1)
    counts = np.zeros((2_000, 3), int)
    np.add.at(counts, (np.array(labels).astype(int), part), 1)
    assert (counts[:, 0] > 0).all()
    assert np.abs(counts - size * ratios).max() < 1.8
    shares = [1, 0, 0] if size == 1 else ratios
    assert counts.sum(axis=0) / len(labels) == pytest.approx(shares, abs=0.01)


def test_a_seed_decides_and_another_seed_decides_otherwise():
    labels, group = ["a"] * 100, np.arange(100)
    first, again, other = (assign(labels, group, (0.5, 0.5), seed=seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("text", ["", "1", "1/0", "90/-10", "a/b", "1/1/1/1", "nan/1", "inf/1"])
def test_ratios_that_make_no_sense_are_refused(text):
    with pytest.raises(MaterialError, match="ratios"):
        ratios_of(text)


def test_near_duplicates_and_sources_stay_together(folder, tmp_path, capsys):
    for path in sorted((folder / "boat").iterdir()):
        from PIL import Image

        Image.open(path).resize((50, 50)).save(path.with_suffix(".jpg"), quality=80)
    out = tmp_path / "out"
    assert (
        main([str(folder), str(out), "--ratios", "50/50", "--source", r"(?:cup|tree)-([0-3])\."])
        == 0
    )
    parts = {row["path"]: row["part"] for row in rows_of(out)}
    for i in range(12):
        assert parts[f"boat/boat-{i}.png"] == parts[f"boat/boat-{i}.jpg"]
    for i in range(4):
        assert parts[f"cup/cup-{i}.png"] == parts[f"tree/tree-{i}.png"]
    assert "sets of 2 to" in capsys.readouterr().out


def test_a_pack_is_split_by_rows_without_opening_a_picture(folder, tmp_path, capsys):
    pack(
        listing(folder),
        tmp_path / "pack",
        PictureConfig(height=64, width=64),
        progress=lambda done, total: None,
    )
    out = tmp_path / "out"
    for path in folder.rglob("*.png"):
        path.unlink()
    assert main([str(tmp_path / "pack"), str(out), "--seed", "5"]) == 0
    rows = {name: np.load(out / f"{name}.npy") for name in ("train", "valid", "test")}
    assert sorted(np.concatenate([*rows.values()]).tolist()) == list(range(24))
    listed = rows_of(out)
    assert {listed[i]["part"] for i in rows["valid"]} == {"valid"}
    about = json.loads((out / "split.json").read_text())
    assert about["pictures"] == {name: len(part) for name, part in rows.items()}
    assert (out / "histogram.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "boat" in printed


def test_what_a_split_cannot_do_is_told(tmp_path, draw, capsys):
    for label, count in {"lone": 1, "many": 9}.items():
        (tmp_path / "in" / label).mkdir(parents=True)
        for i in range(count):
            draw(i * 7 + len(label)).save(tmp_path / "in" / label / f"x{label[0]}{i}.png")
    assert main([str(tmp_path / "in"), str(tmp_path / "out"), "--source", r"x(m)\d"]) == 0
    said = capsys.readouterr().out
    assert "no picture in test of: lone" in said
    assert "sets are too large, or classes too small, to split" in said


def test_unreadable_pictures_are_left_out_and_named(folder, tmp_path, capsys):
    (folder / "cup" / "bad.png").write_bytes(b"no picture")
    assert main([str(folder), str(tmp_path / "out")]) == 0
    assert "left out, cannot be read: cup/bad.png" in capsys.readouterr().out
    assert len(rows_of(tmp_path / "out")) == 24
