"""The shipped picture model: size, speed, credits, and its labels for unseen pictures."""

import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from features.picture import decode
from models.store import DEFAULT_PATH, Store

FLAG = Path(__file__).parents[3] / "examples" / "flag.png"


@pytest.fixture(scope="module")
def model():
    return Store(DEFAULT_PATH).load("clip-art")


def test_it_is_small_and_fast(model):
    folder = Path(DEFAULT_PATH, model.name, model.version)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 10_000_000
    batch, times = np.zeros((1, *model.session.shape), np.uint8), []
    for _ in range(20):
        start = time.perf_counter()
        model.predict(batch)
        times.append(time.perf_counter() - start)
    assert min(times) <= 0.005


def test_it_says_how_it_did_on_each_style_it_never_saw(model):
    tests = model.manifest.metrics["tests"]
    assert set(tests) == {"blob", "noto", "twemoji"}
    for questions in tests.values():
        for figures in questions.values():
            assert figures["top1"] > 2 * figures["majority"]
            assert figures["top1"] < figures["top3"]
            assert figures["calibration_error"] < 0.15
    assert model.manifest.metrics["mean"]["top1"] == pytest.approx(
        np.mean([questions["new things"]["top1"] for questions in tests.values()])
    )


def test_it_credits_what_it_was_trained_on(model):
    licences = {source["licence"] for source in model.manifest.provenance}
    assert "CC BY 4.0" in licences
    assert not [licence for licence in licences if "GPL" in licence]


@pytest.mark.parametrize("turned", [False, True])
def test_a_flag_that_no_country_has_is_a_flag(turned, model):
    picture = decode(FLAG.read_bytes(), model.config)
    scores = model.predict(picture[None, :, ::-1] if turned else picture[None])[0]
    assert model.labels[int(scores.argmax())] == "flags"
    assert scores.sum() == pytest.approx(1)


def test_a_round_yellow_face_is_a_smiley(model):
    face = Image.new("RGB", (96, 96), "white")
    pen = ImageDraw.Draw(face)
    pen.ellipse((6, 6, 90, 90), fill=(255, 205, 50))
    for x in (34, 62):
        pen.ellipse((x - 6, 32, x + 6, 50), fill=(90, 60, 20))
    pen.arc((28, 36, 68, 74), 20, 160, fill=(90, 60, 20), width=6)
    buffer = BytesIO()
    face.save(buffer, "PNG")
    scores = model.predict(decode(buffer.getvalue(), model.config)[None])[0]
    assert model.labels[int(scores.argmax())] == "smileys"
