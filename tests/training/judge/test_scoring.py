from pathlib import Path

import numpy as np
import pytest
import soundfile

from features.picture import decode, tensor
from models.store import DEFAULT_PATH, Store
from training.common.errors import MaterialError
from training.judge.judged_model import open_model
from training.judge.network_file import FileOptions
from training.judge.scoring import score


def scored(name, artefacts, root, layout="label"):
    model = open_model(name, version=None, artefacts=artefacts, options=FileOptions())
    return score(model, root, layout=layout, progress=lambda _done, _total: None)


def test_every_picture_of_a_class_is_scored_as_the_server_scores_it(seeing, album):
    found, model = scored("colours", seeing, album), Store(seeing).load("colours")
    assert found.matched.by_folder == {"red": 0, "Green": 1, "blue": 2}
    assert np.bincount(found.labels).tolist() == [8, 6, 6]
    assert found.rows.tolist() == list(range(20))
    tensors = [
        tensor(decode((album / path).read_bytes(), model.picture), model.picture)
        for path in found.files
    ]
    np.testing.assert_allclose(found.scores, model.predict(np.stack(tensors)), atol=1e-6)


def test_what_is_not_judged_is_told(seeing, album):
    found = scored("colours", seeing, album)
    assert found.matched.unknown == ["light red"]
    assert [path for path, _ in found.problems] == ["blue/broken.png"]


def test_metadata_come_from_the_folders(seeing, album, tmp_path):
    for place in ("land", "sea"):
        (tmp_path / "places" / place).mkdir(parents=True)
        for name in ("red", "blue"):
            (tmp_path / "places" / place / name).symlink_to(album / name)
            (tmp_path / "places" / place / name).unlink()
            (tmp_path / "places" / place / name).mkdir()
            (tmp_path / "places" / place / name / "0.png").write_bytes(
                (album / name / "0.png").read_bytes()
            )
    found = scored("places", seeing, tmp_path / "places", "region/label")
    by_path = dict(zip(found.files, found.scores.argmax(axis=1).tolist(), strict=True))
    assert by_path == {
        "land/blue/0.png": 2,
        "land/red/0.png": 0,
        "sea/blue/0.png": 2,
        "sea/red/0.png": 2,
    }
    with pytest.raises(MaterialError, match="places takes region with each picture"):
        scored("places", seeing, tmp_path / "places", "_/label")


def test_sounds_are_scored_by_window_and_know_their_file(tmp_path):
    rng = np.random.default_rng(0)
    for name, seconds in {"piano/long.wav": 5, "violin/short.wav": 1, "drum/no.wav": 2}.items():
        (tmp_path / name).parent.mkdir()
        soundfile.write(tmp_path / name, 0.1 * rng.standard_normal(seconds * 22_050), 22_050)
    (tmp_path / "piano" / "notes.txt").write_text("no sound")
    found = scored("instruments-forest", DEFAULT_PATH, tmp_path)
    assert found.files == ["piano/long.wav", "violin/short.wav"]
    assert found.rows.tolist() == [0, 0, 1]
    assert found.matched.unknown == ["drum"]
    assert found.scores.shape == (3, len(Store(DEFAULT_PATH).load("instruments-forest").labels))


def test_a_folder_without_a_class_of_the_model_is_refused(seeing, tmp_path):
    from tests.training.judge.conftest import save

    save(tmp_path / "purple" / "0.png", (200, 0, 200), 0)
    with pytest.raises(MaterialError, match=r"no folder of .*folders are purple; classes are red"):
        scored("colours", seeing, tmp_path)
    (tmp_path / "purple").rename(tmp_path / "red")
    (tmp_path / "red" / "0.png").write_bytes(b"nothing")
    with pytest.raises(MaterialError, match=r"no file of .* can be read; the first: red/0.png"):
        scored("colours", seeing, tmp_path)
    with pytest.raises(MaterialError, match="no folder"):
        scored("instruments-forest", DEFAULT_PATH, Path("none"))
