"""Networks in lower precision: written as versions of their own, measured, and never in silence."""

import dataclasses
import sys
from contextlib import nullcontext

import numpy as np
import pytest
from PIL import Image

from common.errors import ArtefactError, NotFound, Unprocessable
from models.cli import main
from models.export import quantize as module
from models.export.quantize import TOLERANCE, quantize
from models.store import Store
from tests.models.colours import write_colours

COLOURS = {"red": (230, 20, 30), "green": (20, 200, 40), "blue": (10, 40, 220)}


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    """An artefacts folder of picture models."""
    return write_colours(tmp_path_factory.mktemp("seeing"))


@pytest.fixture
def album(tmp_path):
    """Eight pictures of each label in folders named after the labels, and one text file."""
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (tmp_path / "album" / name).mkdir(parents=True)
        for number in range(8):
            noise = rng.normal(colour, 40, (30, 40, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noise).save(tmp_path / "album" / name / f"{number}.png")
    (tmp_path / "album" / "notes.txt").write_text("no picture")
    return tmp_path / "album"


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    """Time a few calls only."""
    monkeypatch.setattr(module, "RUN_S", 0.0)


@pytest.mark.parametrize("how", ["fp16", "int8"])
@pytest.mark.parametrize("name", ["colours", "places"])
def test_a_quantised_network_answers_nearly_as_before_and_says_how_nearly(
    seeing, album, tmp_path, how, name
):
    where, measured = quantize(
        Store(seeing), name, None, how=how, calibration=album, out=tmp_path / "out"
    )
    assert where == tmp_path / "out" / name / "2"
    before, after = Store(seeing).load(name), Store(tmp_path / "out").load(name)
    assert measured["agreement"] == 1.0
    assert 0 < measured["score_off"] < TOLERANCE[how]
    # Where metadata is wanted, nobody said which belongs to these pictures.
    top1 = measured.get("top1")
    assert top1 == (None if name == "places" else [1.0, 1.0])
    assert after.manifest.metrics["quantised"]["from"] == f"{name} 1"
    assert after.manifest.metrics.get("top1") == (top1 and top1[1])
    assert after.manifest.metrics["original"] == before.manifest.metrics
    assert after.manifest.input == before.manifest.input
    assert after.manifest.tolerance == TOLERANCE[how]
    batch = np.random.default_rng(0).integers(0, 256, (5, *before.session.shape), dtype=np.uint8)
    batch[:, 24 * 32 * 3 :] = 0
    np.testing.assert_allclose(after.predict(batch), before.predict(batch), atol=TOLERANCE[how])
    assert not np.array_equal(after.predict(batch), before.predict(batch))
    assert (where / "model.onnx").read_bytes() != (seeing / name / "1" / "model.onnx").read_bytes()


def test_the_report_has_the_figures_before_and_after_and_the_report_of_the_original(
    seeing, album, tmp_path
):
    where, measured = quantize(
        Store(seeing), "colours", "1", how="int8", calibration=album, out=tmp_path
    )
    report = (where / "report.md").read_text()
    assert report.startswith("# colours: colours 1 in int8\n")
    assert "24 from album, half each" in report
    assert f"| top-1 | {measured['top1'][0]:.3f} | {measured['top1'][1]:.3f} |" in report
    for row in ("size, MB", "1 at a time, ms", "32 at a time, ms"):
        assert f"| {row} | " in report
    assert report.endswith("# Colours\n")


def test_without_a_folder_the_golden_inputs_serve(seeing, tmp_path):
    _, measured = quantize(
        Store(seeing), "colours", None, how="int8", calibration=None, out=tmp_path
    )
    assert "golden inputs" in measured["material"]
    assert "top1" not in measured


def test_folders_that_are_not_named_after_labels_give_no_top1(seeing, album, tmp_path):
    (album / "red").rename(album / "rouge")
    _, measured = quantize(
        Store(seeing), "colours", None, how="fp16", calibration=album, out=tmp_path
    )
    assert "top1" not in measured


def test_each_gets_a_version_of_its_own(seeing, tmp_path):
    for how, version in (("fp16", "2"), ("int8", "3")):
        where, _ = quantize(Store(seeing), "colours", None, how=how, calibration=None, out=tmp_path)
        assert where.name == version


def test_trees_are_not_quantised(artefacts, tmp_path):
    for how in ("fp16", "int8"):
        with pytest.raises(Unprocessable, match="only networks"):
            quantize(
                Store(artefacts), "trio", None, how=how, calibration=None, out=tmp_path / "out"
            )
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_not_there_is_named(seeing, tmp_path):
    with pytest.raises(NotFound, match="there is colours, places"):
        quantize(Store(seeing), "tuba", None, how="int8", calibration=None, out=tmp_path)


def test_without_onnx_it_says_what_to_install(seeing, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(Unprocessable, match=r"pip install 'timbre\[train\]'"):
        quantize(Store(seeing), "colours", None, how="fp16", calibration=None, out=tmp_path)


def test_the_command_writes_a_candidate_and_tells_where(seeing, album, tmp_path, capsys):
    out = ["--artefacts", str(seeing), "--out", str(tmp_path / "out")]
    assert main(["quantize", "colours", "--int8", "--calibration", str(album), *out]) == 0
    told = capsys.readouterr().out
    assert all(word in told for word in ("out/colours/2", "agreement", "1 -> 1", "ms_32"))
    assert (
        main(["quantize", "colours", "--fp16", "--calibration", str(tmp_path / "none"), *out]) == 1
    )
    assert "must be a folder, a zip or a pack" in capsys.readouterr().err
    for arguments in ([], ["--int8", "--fp16"]):
        with pytest.raises(SystemExit):
            main(["quantize", "colours", *arguments, *out])


@pytest.mark.parametrize(("off", "refused"), [(0.07, False), (0.09, True)])
def test_golden_scores_may_be_as_far_off_as_the_manifest_says(
    seeing, tmp_path, rewrite, off, refused
):
    where, _ = quantize(Store(seeing), "colours", None, how="int8", calibration=None, out=tmp_path)
    with np.load(where / "golden.npz") as arrays:
        inputs, scores = arrays["inputs"], arrays["scores"]
    np.savez(where / "golden.npz", inputs=inputs, scores=scores + np.float32(off))
    rewrite(where)
    with pytest.raises(ArtefactError, match="other scores") if refused else nullcontext():
        Store(tmp_path).load("colours")


@pytest.mark.parametrize("tolerance", [0.0, -1e-4, 0.11, float("nan")])
def test_a_tolerance_without_meaning_is_rejected(seeing, tolerance):
    manifest = Store(seeing).load("colours").manifest
    assert dataclasses.replace(manifest, tolerance=0.1).tolerance == 0.1
    with pytest.raises(ArtefactError, match="tolerance"):
        dataclasses.replace(manifest, tolerance=tolerance)
