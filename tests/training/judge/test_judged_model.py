from pathlib import Path

import numpy as np
import pytest

from common.errors import NotFound
from training.common.errors import MaterialError
from training.judge.judged_model import open_model, probabilities
from training.judge.network_file import FileOptions


def opened(named, *, artefacts=Path("none"), version=None, **options):
    return open_model(
        str(named), version=version, artefacts=artefacts, options=FileOptions(**options)
    )


def test_an_artefact_is_found_by_name_and_by_folder(seeing):
    named, folder = opened("colours", artefacts=seeing), opened(seeing / "colours" / "1")
    assert (named.name, named.version) == (folder.name, folder.version) == ("colours", "1")
    assert (named.labels, named.several, named.medium) == (
        ["red", "green", "blue"],
        False,
        "picture",
    )
    with pytest.raises(NotFound, match="no version '9'"):
        opened("colours", artefacts=seeing, version="9")
    with pytest.raises(NotFound, match="shapes"):
        opened("shapes", artefacts=seeing)


@pytest.mark.parametrize(
    ("lines", "told"),
    [(None, "with --classes"), ("red\nblue\n", "gives 3 scores, and .* names 2 classes")],
)
def test_a_file_without_the_right_classes_is_refused(lines, told, linear, tmp_path):
    path = tmp_path / "few.txt"
    path.write_text(lines or "", encoding="utf-8")
    with pytest.raises(MaterialError, match=told):
        opened(linear, classes=path if lines else None)


def test_a_file_that_is_not_there_is_refused(tmp_path, classes):
    with pytest.raises(MaterialError, match="no network"):
        opened(tmp_path / "none.onnx", classes=classes)


def test_logits_become_scores_and_scores_stay():
    logits = np.float32([[2, 0, -1], [0, 0, 0]])
    made = probabilities(logits)
    np.testing.assert_allclose(made.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(made[0], np.exp(logits[0]) / np.exp(logits[0]).sum(), atol=1e-6)
    assert probabilities(made) is made
    assert probabilities(made * 1.2)[0].sum() == pytest.approx(1)
