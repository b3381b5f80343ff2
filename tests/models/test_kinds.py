"""Every kind of input: shape, fingerprint, description, tensors, own configuration only."""

import io
import json

import numpy as np
import pytest
import soundfile
from PIL import Image

from common.errors import ArtefactError, InputError
from features.config import DEFAULT, Metadata, PictureConfig
from models.kinds import KINDS, kind_of

PICTURES = PictureConfig(height=8, width=9)
MARKED = PictureConfig(height=8, width=9, metadata=(Metadata(name="region", values=("a", "b")),))
CONFIGS = {"features": DEFAULT, "log_mel": DEFAULT, "samples": DEFAULT, "picture": PICTURES}


def file_of(medium):
    buffer = io.BytesIO()
    if medium == "sound":
        sound = np.sin(np.arange(3 * DEFAULT.sample_rate, dtype=np.float32))
        soundfile.write(buffer, sound, DEFAULT.sample_rate, format="WAV")
    else:
        Image.new("RGB", (20, 10), "red").save(buffer, "PNG")
    return buffer.getvalue()


def test_every_kind_is_tested_here():
    assert KINDS.keys() == CONFIGS.keys()


@pytest.mark.parametrize("name", CONFIGS)
def test_a_file_becomes_tensors_of_the_shape_and_dtype_that_the_kind_states(name):
    kind, config = kind_of(name), CONFIGS[name]
    tensors = list(kind.tensors(file_of(kind.medium), config, number=0))
    assert [(tensor.shape, str(tensor.dtype)) for tensor in tensors] == [
        (kind.shape(config), kind.dtype)
    ]


@pytest.mark.parametrize("name", CONFIGS)
def test_bytes_of_another_medium_are_rejected(name):
    kind = kind_of(name)
    other = "picture" if kind.medium == "sound" else "sound"
    with pytest.raises(InputError):
        list(kind.tensors(file_of(other), CONFIGS[name], number=0))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_kind_is_warmed_and_described_in_json(name):
    kind_of(name).warm(CONFIGS[name])
    assert json.dumps(kind_of(name).describe(CONFIGS[name]))


def test_what_clients_are_shown():
    assert KINDS["log_mel"].describe(DEFAULT) == {"sample_rate": 22_050, "window": 2.0}
    shown = {"height": 8, "width": 9, "fit": "crop", "resample": "bilinear", "metadata": ()}
    assert KINDS["picture"].describe(PICTURES) == shown


def test_shapes_and_fingerprints_are_those_of_the_configuration():
    assert KINDS["features"].shape(DEFAULT) == (26,)
    assert KINDS["log_mel"].shape(DEFAULT) == (128, 87)
    assert KINDS["samples"].shape(DEFAULT) == (44_100,)
    assert KINDS["log_mel"].fingerprint(DEFAULT) == DEFAULT.fingerprint("log_mel")
    assert KINDS["picture"].shape(MARKED) == (8 * 9 * 3 + 2,)
    assert KINDS["picture"].fingerprint(MARKED) == MARKED.fingerprint()


def test_pictures_without_metadata_get_all_values_in_turn():
    tails = [
        next(iter(KINDS["picture"].tensors(file_of("picture"), MARKED, number=number)))[-2:]
        for number in range(3)
    ]
    assert np.array_equal(tails, [[1, 0], [0, 1], [1, 0]])


@pytest.mark.parametrize(
    ("name", "config"), [("picture", DEFAULT), ("features", PICTURES), ("log_mel", PICTURES)]
)
def test_a_kind_rejects_the_configuration_of_another(name, config):
    kind_of(name).check(CONFIGS[name])
    with pytest.raises(ArtefactError, match="cannot be made with"):
        kind_of(name).check(config)


def test_an_unknown_kind_names_those_there_are():
    with pytest.raises(
        ArtefactError, match="'pixels' must be one of features, log_mel, samples, picture"
    ):
        kind_of("pixels")
