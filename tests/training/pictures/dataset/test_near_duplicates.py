"""Sets of pictures that show the same."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.pictures.dataset import image_hash, near_duplicates


def table_of(tmp_path, pictures):
    for name, data in pictures.items():
        (tmp_path / name).write_bytes(data)
    return image_hash.hash_files(tmp_path, list(pictures), progress=lambda done, total: None)


def named(rows, pictures):
    names = list(pictures)
    return {tuple(names[i] for i in pair) for pair in rows.tolist()}


def pairs_of(hashes, distance):
    parts = [
        part
        for part in near_duplicates.near_pairs(np.array(hashes, np.uint64), distance=distance)
        if len(part)
    ]
    found = [tuple(pair) for part in parts for pair in part.tolist()]
    assert len(set(found)) == len(found)
    return set(found)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=30), st.integers(0, 20), st.randoms())
def test_exactly_the_pairs_within_the_distance_are_found(hashes, distance, random):
    for near in hashes[:10]:
        flipped = sum(1 << bit for bit in random.sample(range(64), random.randrange(24)))
        hashes.append(near ^ flipped)
    expected = {
        (i, j)
        for j in range(len(hashes))
        for i in range(j)
        if (hashes[i] ^ hashes[j]).bit_count() <= distance
    }
    assert pairs_of(hashes, distance) == expected


@given(st.lists(st.integers(0, 255), min_size=1, max_size=30), st.integers(1, 29))
def test_across_a_row_exactly_the_pairs_of_both_sides_are_found(hashes, across):
    # Few bits are set, as in pictures on white: most bands are shared.
    found = np.concatenate(
        [
            np.zeros((0, 2), np.int64),
            *near_duplicates.near_pairs(np.array(hashes, np.uint64), distance=3, across=across),
        ]
    )
    assert sorted(map(tuple, found.tolist())) == [
        (i, j)
        for i in range(min(across, len(hashes)))
        for j in range(across, len(hashes))
        if (hashes[i] ^ hashes[j]).bit_count() <= 3
    ]


def test_sets_larger_than_a_tile_are_compared_whole(monkeypatch):
    monkeypatch.setattr(near_duplicates, "TILE", 16)
    count = 2 * 16 + 3
    found = np.concatenate(
        list(near_duplicates.near_pairs(np.full(count, 7, np.uint64), distance=0))
    )
    assert len(np.unique(found, axis=0)) == count * (count - 1) // 2


@pytest.mark.parametrize(("distance", "near"), [(9, False), (10, True)])
def test_the_distance_counts_on_both_sides(distance, near):
    assert bool(pairs_of([0, 2**10 - 1], distance)) is near


def test_copies_changed_a_little_are_found_and_others_are_not(tmp_path, draw, encode):
    whole = draw(3, size=200)
    pictures = {
        "whole.png": encode(whole),
        "small.jpg": encode(whole.resize((120, 120)), "JPEG", quality=60),
        "darker.png": encode(whole.point(lambda level: level * 0.8)),
        "other.png": encode(draw(4)),
        "mirrored.png": encode(whole.transpose(0)),
    }
    found = named(near_duplicates.near_duplicates(table_of(tmp_path, pictures)), pictures)
    assert found == {
        ("whole.png", "small.jpg"),
        ("whole.png", "darker.png"),
        ("small.jpg", "darker.png"),
    }


def test_mirrored_copies_are_found_where_asked_for_and_in_any_size(tmp_path, draw, encode):
    whole = {f"{i}.png": draw(i, size=200) for i in range(5)}
    turned = {
        f"mirrored-{name}": each.transpose(0).resize((130, 130)) for name, each in whole.items()
    }
    pictures = {name: encode(each) for name, each in {**turned, **whole}.items()}
    table = table_of(tmp_path, pictures)
    assert named(near_duplicates.near_duplicates(table), pictures) == set()
    assert named(near_duplicates.near_duplicates(table, mirrored=True), pictures) == {
        (f"mirrored-{name}", name) for name in whole
    }
    group = near_duplicates.groups(table, [""] * 10)
    assert group[:5].tolist() == group[5:].tolist()
    assert len(set(group.tolist())) == 5


def test_a_picture_that_is_its_own_mirror_image_is_no_duplicate_of_itself(tmp_path, encode):
    from PIL import Image

    picture = Image.linear_gradient("L").rotate(180)
    picture.paste(255, (100, 20, 156, 90))
    assert (
        len(
            near_duplicates.near_duplicates(
                table_of(tmp_path, {"a.png": encode(picture)}), mirrored=True
            )
        )
        == 0
    )


@pytest.mark.parametrize(("cut", "found"), [(3, True), (30, False)])
def test_crops_are_found_while_they_take_little(tmp_path, draw, encode, cut, found):
    whole = draw(3, size=200)
    pictures = {
        "whole.png": encode(whole),
        "crop.png": encode(whole.crop((cut, cut, 200 - cut, 200 - cut))),
    }
    assert bool(len(near_duplicates.near_duplicates(table_of(tmp_path, pictures)))) is found


def test_flags_of_one_shape_in_other_colours_are_not_near_duplicates(tmp_path, encode):
    from PIL import Image

    def flag(*colours):
        picture = Image.new("RGB", (90, 60))
        for i, colour in enumerate(colours):
            picture.paste(colour, (30 * i, 0, 30 * i + 30, 60))
        return encode(picture)

    pictures = {
        "a.png": flag("#002395", "white", "#ed2939"),
        "b.png": flag("#008c45", "#fafafa", "#ffcc00"),
    }
    assert len(near_duplicates.near_duplicates(table_of(tmp_path, pictures))) == 0


def test_equal_files_and_blank_pictures_are_no_near_duplicates(tmp_path, draw, encode):
    from PIL import Image

    blank = {
        f"{colour}.png": encode(Image.new("RGB", (20, 20), colour))
        for colour in ("white", "grey", "#888880")
    }
    pictures = {"a.png": encode(draw(1)), "b.png": encode(draw(1)), **blank}
    table = table_of(tmp_path, pictures)
    assert len(near_duplicates.near_duplicates(table)) == 0
    assert [rows.tolist() for rows in near_duplicates.equal_files(table)] == [[0, 1]]


def test_groups_join_sources_equal_files_and_near_duplicates(tmp_path, draw, encode):
    pictures = {
        "1.png": encode(draw(1)),
        "1-copy.png": encode(draw(1)),
        "1-jpeg.jpg": encode(draw(1), "JPEG", quality=80),
        "2.png": encode(draw(2)),
        "3.png": encode(draw(3)),
        "4.png": encode(draw(4)),
    }
    group = near_duplicates.groups(table_of(tmp_path, pictures), ["", "anna", "", "anna", "", ""])
    assert len(set(group[:4].tolist())) == 1
    assert len(set(group.tolist())) == 3


def product(kind, rng, size=150):
    """A guitar, shoe or cup of any colour and slightly any size and tilt, upright on white."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (size, size), "white")
    pen, scale = ImageDraw.Draw(picture), size / 150 * rng.uniform(0.85, 1)
    colour, dark = (tuple(rng.integers(0, most, 3).tolist()) for most in (220, 120))
    at = [
        (kind, shape, [size / 2 + scale * (edge - 75) for edge in box])
        for kind, shape, box in (
            ("guitar", "ellipse", (53, 85, 97, 135)), ("guitar", "ellipse", (59, 72, 91, 105)),
            ("guitar", "rectangle", (72, 12, 78, 100)), ("guitar", "rectangle", (69, 4, 81, 14)),
            ("shoe", "rectangle", (20, 90, 130, 112)), ("shoe", "ellipse", (20, 50, 75, 110)),
            ("shoe", "rectangle", (20, 112, 130, 120)),
            ("cup", "rectangle", (40, 40, 100, 115)), ("cup", "ellipse", (85, 55, 125, 95)),
        )
    ]  # fmt: skip
    for number, (_, shape, box) in enumerate(one for one in at if one[0] == kind):
        getattr(pen, shape)(box, fill=(colour, colour, dark, dark)[number])
    return picture.rotate(rng.uniform(-4, 4), fillcolor="white", resample=Image.BILINEAR)


def copies_of(picture, encode):
    size = picture.width
    cut = picture.crop((3, 3, size - 3, size - 3))  # 2 % of each side
    return [
        encode(picture.resize((size // 2, size // 2))),
        encode(picture.resize((2 * size, 2 * size))),
        encode(picture, "JPEG", quality=60),
        encode(picture.transpose(0)),
        encode(cut, "JPEG", quality=85),
        encode(cut.transpose(0), "JPEG", quality=85),
    ]


@pytest.mark.parametrize("kind", ["guitar", "shoe", "cup"])
def test_products_on_white_that_look_alike_are_many_sets_and_copies_stay_together(
    kind, tmp_path, encode
):
    rng = np.random.default_rng(0)
    drawn = [product(kind, rng) for _ in range(250)]
    copies = [copies_of(picture, encode) for picture in drawn[:10]]
    pictures = {f"{i}.png": encode(picture) for i, picture in enumerate(drawn)}
    pictures |= {
        f"{i}-{j}.png": data for i, many in enumerate(copies) for j, data in enumerate(many)
    }
    table = table_of(tmp_path, pictures)
    pairs = near_duplicates.near_duplicates(table, mirrored=True)
    by_single_links = near_duplicates.connected(len(table.rows), pairs)
    assert np.bincount(by_single_links).max() > 250
    group = near_duplicates.groups(table, [""] * len(table.rows))
    assert np.bincount(group).max() <= len(table.rows) / 4
    assert len(set(group.tolist())) >= 10
    assert (group[250:].reshape(10, 6) == group[:10, None]).all()


def alike(tmp_path, encode):
    rng = np.random.default_rng(0)
    pictures = {f"{i}.png": encode(product("guitar", rng)) for i in range(120)}
    return table_of(tmp_path, pictures)


@pytest.mark.parametrize("most", [7, 64, 1001])
def test_sets_are_the_same_however_few_pairs_are_kept_at_a_time(
    most, tmp_path, encode, monkeypatch
):
    table = alike(tmp_path, encode)
    assert len(near_duplicates.near_duplicates(table, mirrored=True)) > 1001
    whole = near_duplicates.sets(table)
    assert len(set(whole.tolist())) < 120
    monkeypatch.setattr(near_duplicates, "MOST", most)
    assert (near_duplicates.sets(table) == whole).all()


def test_memory_does_not_grow_with_the_pairs(monkeypatch):
    count, rng = 2000, np.random.default_rng(0)
    base = rng.integers(50, 200, (1, 8, 8, 3))
    thumbs = (base + rng.integers(-8, 9, (count, 8, 8, 3))).astype(np.uint8)
    table = image_hash.ImageHashes(
        np.arange(count), np.array([f"{row:064}" for row in range(count)]),
        np.zeros(count, np.uint64), thumbs, np.full(count, 50, np.float32), [],
    )  # fmt: skip
    monkeypatch.setattr(near_duplicates, "MOST", 1 << 16)
    monkeypatch.setattr(near_duplicates, "TILE", 256)
    tracemalloc.start()
    near_duplicates.sets(table)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    pairs = count * (count - 1) // 2
    assert most < 16 * pairs  # two rows of 8 bytes each


@pytest.mark.parametrize(("tile", "sparse"), [(1024, 0), (1024, 1 << 30), (16, 9), (1, 64)])
def test_pairs_are_the_same_however_they_are_compared(tile, sparse, tmp_path, encode, monkeypatch):
    table = alike(tmp_path, encode)
    whole = near_duplicates.near_duplicates(table, mirrored=True)
    monkeypatch.setattr(near_duplicates, "TILE", tile)
    monkeypatch.setattr(near_duplicates, "SPARSE", sparse)
    assert (near_duplicates.near_duplicates(table, mirrored=True) == whole).all()


def test_thirty_copies_of_one_picture_are_one_set(tmp_path, draw, encode):
    whole = draw(3, size=200)
    sizes = [whole.resize((side, side)) for side in range(100, 250, 30)]
    pictures = {
        f"{i}-{quality}.jpg": encode(each, "JPEG", quality=quality)
        for i, each in enumerate([*sizes, *(each.transpose(0) for each in sizes)])
        for quality in (40, 70, 95)
    }
    group = near_duplicates.groups(table_of(tmp_path, pictures), [""] * 30)
    assert len(set(group.tolist())) == 1


def test_a_near_pair_is_found_among_a_hundred_thousand_hashes():
    hashes = np.random.default_rng(0).integers(0, 2**63, 100_000, np.uint64)
    hashes[7] = hashes[99_000] ^ np.uint64(0b111)
    found = np.concatenate(list(near_duplicates.near_pairs(hashes, distance=6)))
    assert [7, 99_000] in found.tolist()
