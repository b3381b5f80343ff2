"""What is known of a picture."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from common.errors import InputError
from training.pictures.dataset import image_hash


def quiet(done, total):
    pass


def differing(a, b):
    return (a.dhash ^ b.dhash).bit_count()


def test_the_hash_says_where_it_grows_brighter_to_the_right(encode):
    ramp = np.repeat(np.arange(0, 252, 4, dtype=np.uint8)[None, :], 63, axis=0)
    rising = image_hash.hash_image(encode(Image.fromarray(ramp).convert("RGB")))
    falling = image_hash.hash_image(encode(Image.fromarray(ramp[:, ::-1]).convert("RGB")))
    assert rising.dhash == 2**64 - 1
    assert falling.dhash == 0


def test_a_picture_smaller_and_as_jpeg_has_nearly_the_same_facts(draw, encode):
    for seed in range(10):
        whole = draw(seed, size=256)
        png, jpeg = (
            image_hash.hash_image(encode(whole)),
            image_hash.hash_image(encode(whole.resize((90, 90)), "JPEG", quality=70)),
        )
        assert differing(png, jpeg) <= 4
        assert np.abs(png.thumb.astype(int) - jpeg.thumb).mean() < 4
        assert png.sha256 != jpeg.sha256
        assert png.sha256 == hashlib.sha256(encode(whole)).hexdigest()


def test_two_drawings_differ_in_many_bits(draw, encode):
    known = [image_hash.hash_image(encode(draw(seed, shapes=20))) for seed in range(12)]
    assert min(differing(a, b) for i, a in enumerate(known) for b in known[:i]) >= 10


def test_a_plain_picture_is_blank_and_a_faint_one_is_not(tmp_path):
    plain = Image.new("RGB", (50, 50), "white")
    plain.save(tmp_path / "plain.png")
    for name, level in (("fainter", 7), ("faint", 9)):
        pixels = np.full((64, 64, 3), 100, np.uint8)
        pixels[:, 32:] += level
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    table = image_hash.hash_files(
        tmp_path, ["plain.png", "fainter.png", "faint.png"], progress=quiet
    )
    assert table.blank.tolist() == [True, True, False]


def test_what_cannot_be_read_is_named_and_has_no_row(tmp_path, draw, encode):
    whole = encode(draw(1), "JPEG")
    for name, data in {
        "good.jpg": whole,
        "cut.jpg": whole[:-300],
        "text.jpg": b"no picture",
        "empty.jpg": b"",
    }.items():
        (tmp_path / name).write_bytes(data)
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(image_hash.MAX_BYTES + 1)
    seen = []
    paths = ["cut.jpg", "text.jpg", "good.jpg", "empty.jpg", "huge.jpg", "gone.jpg"]
    table = image_hash.hash_files(
        tmp_path, paths, progress=lambda done, total: seen.append((done, total))
    )
    assert table.rows.tolist() == [2]
    assert [problem.path for problem in table.problems] == [
        "cut.jpg",
        "text.jpg",
        "empty.jpg",
        "huge.jpg",
        "gone.jpg",
    ]
    assert seen[-1] == (6, 6)
    reasons = dict(table.problems)
    assert reasons["empty.jpg"] == "an empty file"
    assert "at most 67,108,864" in reasons["huge.jpg"]
    assert reasons["gone.jpg"] == "cannot be opened: No such file or directory"


def test_a_folder_without_one_readable_picture_gives_an_empty_table(tmp_path):
    (tmp_path / "text.jpg").write_bytes(b"no picture")
    table = image_hash.hash_files(tmp_path, ["text.jpg"], progress=quiet)
    assert table.thumbs.shape == (0, 8, 8, 3)
    assert len(table.dhash) == len(table.spread) == 0


def test_work_is_spread_out_in_order_and_not_far_ahead():
    begun = []

    def work(item):
        begun.append(item)
        return item * 2

    results = image_hash.map_in_threads(work, range(1000), jobs=2, chunk=10)
    assert [next(results) for _ in range(10)] == list(range(0, 20, 2))
    assert len(begun) <= 60
    assert list(results) == list(range(20, 2000, 2))


def test_an_error_that_is_no_fault_of_a_file_is_not_swallowed():
    def broken(item):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(image_hash.map_in_threads(broken, [1], jobs=1))
    with pytest.raises(InputError):
        image_hash.hash_image(b"")
