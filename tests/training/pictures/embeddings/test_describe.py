import json

import h5py
import numpy as np
import pytest

from models.session import Session
from training.data_cli.main import main
from training.pictures.embeddings.descriptors import PART
from training.pictures.embeddings.layer_onnx import layer_graph
from training.pictures.learn.network import keras_on_torch


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    keras = keras_on_torch()
    layers = [
        keras.layers.Conv2D(4, 3, name="maps"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(2),
    ]
    path = tmp_path_factory.mktemp("network") / "net.keras"
    keras.Sequential([keras.Input((16, 16, 3)), *layers]).save(path)
    return path


@pytest.fixture
def pack(folder, tmp_path):
    assert main(["pack", str(folder), str(tmp_path / "pack"), "--size", "16"]) == 0
    return tmp_path / "pack"


def test_a_layer_of_a_keras_network_becomes_hdf5(pack, network, tmp_path, capsys):
    out = tmp_path / "new" / "maps.h5"
    words = [
        "describe",
        str(pack),
        str(network),
        str(out),
        "--layer",
        "maps",
        "--mean",
        "127.5",
        "--scale",
        "127.5",
    ]
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out)
    images = np.load(pack / "images.npy")
    graph = layer_graph(network, "maps", mean=(127.5,), scale=(127.5,), size=(16, 16))
    with h5py.File(out) as file:
        assert file["descriptors"].shape == (len(images), 14 * 14 * 4)
        np.testing.assert_allclose(
            file["descriptors"][:], Session(graph).predict(images), atol=1e-5
        )
        assert file["classes"].asstr()[:].tolist() == json.loads(
            (pack / "classes.json").read_text(encoding="utf-8")
        )
        assert file["labels"][:].tolist() == np.load(pack / "labels.npy").tolist()
    assert [path.name for path in out.parent.iterdir()] == ["maps.h5"]
    assert main(words) == 1
    assert "maps.h5 exists already" in capsys.readouterr().err


def test_what_was_described_before_a_kill_is_not_described_again(pack, network, tmp_path):
    out, words = tmp_path / "a.h5", ["describe", str(pack), str(network), str(tmp_path / "a.h5")]
    assert main(words) == 0
    with h5py.File(out) as file:
        key_parts = file["descriptors"][:]
    out.unlink()
    from training.pictures.dataset.packed import open_pack
    from training.pictures.embeddings.descriptors import _key

    graph = layer_graph(network, mean=(0,), scale=(255,), size=(16, 16))
    parts = tmp_path / ".a.h5.parts" / f"{_key(open_pack(pack), graph)}.parts"
    parts.mkdir(parents=True)
    np.save(parts / "000000000.npy", key_parts + 1)
    assert len(key_parts) <= PART
    assert main(words) == 0
    with h5py.File(out) as file:
        np.testing.assert_array_equal(file["descriptors"][:], key_parts + 1)
    assert not parts.parent.exists()


def test_without_a_file_to_write_the_layers_are_told(pack, network, capsys):
    assert main(["describe", str(pack), str(network)]) == 0
    assert "maps" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--mean", "a"), "--mean 'a': give numbers"),
        (("--mean", "1,2"), "--mean '1,2': give one number or three"),
        (("--scale", "0"), "a scale must not be 0"),
        (("--layer", "middle"), "no layer 'middle'; layers:"),
    ],
)
def test_what_cannot_be_is_told_and_leaves_nothing(words, message, pack, network, tmp_path, capsys):
    assert main(["describe", str(pack), str(network), str(tmp_path / "a.h5"), *words]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("*a.h5*"))


def test_a_pack_of_another_size_is_refused(folder, network, tmp_path, capsys):
    assert main(["pack", str(folder), str(tmp_path / "pack"), "--size", "24"]) == 0
    assert main(["describe", str(tmp_path / "pack"), str(network), str(tmp_path / "a.h5")]) == 1
    assert "another size than the network's" in capsys.readouterr().err
    assert not (tmp_path / "a.h5").exists()
