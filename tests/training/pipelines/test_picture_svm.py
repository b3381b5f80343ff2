"""The recipe with a frozen network, on pictures and a network that the tests make."""

import json

import numpy as np
import pytest
from PIL import Image

from models.export.quantize import quantize
from models.store import Store
from tests.training.pictures.helpers.shapes import collection, in_styles
from tests.training.pipelines.helpers.splits import parts_beside_each
from tests.training.pipelines.helpers.toy_network import network_by_chance
from training.cli import main


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Convolutions by chance on 16 x 16 pixels, pooled to 4 x 4 places."""
    return network_by_chance(tmp_path_factory.mktemp("network") / "toy.onnx")


def train(pictures, network, folder, *changes, recipe="clip-art-svm"):
    settings = [
        "profile=quick",
        f"pictures.path={pictures}",
        *([f"network.path={network}"] if network else []),
        f"cache={folder / 'cache'}",
    ]
    words = [word for one in (*settings, *changes) for word in ("--set", one)]
    return main([recipe, "--out", str(folder / "out"), *words])


@pytest.fixture(scope="module")
def styles(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("styles")
    assert train(in_styles(folder / "pictures"), network, folder) == 0
    return folder


def test_network_and_machine_are_one_artefact_judged_on_styles_never_seen(styles):
    model = Store(styles / "out").load("clip-art-svm")
    assert parts_beside_each(styles / "out")["clip-art-svm"] > {"train"}
    assert (model.kind, model.labels, model.session.shape) == (
        "picture",
        ["box", "disc", "wedge"],
        (16, 16, 3),
    )
    tests = model.manifest.metrics["tests"]
    assert set(tests) == {"filled", "outlined", "thick"}
    assert list(tests["thick"]) == ["new things", "things met in another source"]
    images = [
        np.array(Image.open(path).resize((16, 16)))
        for path in sorted(styles.glob("pictures/thick/*/*.png"))
    ]
    scores = model.predict(np.stack(images))
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert np.mean(scores.argmax(axis=1) == np.repeat([0, 1, 2], 12)) > 0.8


def test_the_report_shows_the_search(styles):
    folder = styles / "out/reports/clip-art-svm-1"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Search" in page
    assert "sigmoid" in page
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert len(report["tables"]["Search"]["rows"]) == 3
    assert '<a href="map.html">' in page
    assert "Map of clip-art-svm" in (folder / "map.html").read_text(encoding="utf-8")
    assert report["mean"]["majority"] == pytest.approx(1 / 3, abs=0.1)


def test_the_recipe_of_an_artefact_makes_it_again(styles, tmp_path):
    first = Store(styles / "out").load("clip-art-svm")
    (tmp_path / "again.toml").write_text(first.manifest.origin["recipe"], encoding="utf-8")
    words = ["--out", str(tmp_path / "out"), "--set", f"cache={styles / 'cache'}"]
    assert main([str(tmp_path / "again.toml"), *words]) == 0
    assert (
        Store(tmp_path / "out").load("clip-art-svm").manifest.files["model.onnx"]
        == first.manifest.files["model.onnx"]
    )


@pytest.mark.slow  # five trainings; test_picture_retrained_svm.py has the folder of a network
def test_a_network_that_timbre_trained_gives_descriptors_and_so_does_what_is_made_of_it(
    styles, tmp_path
):
    """A network of its own recipe, that in lower precision, and a machine on another network."""
    pictures = styles / "pictures"
    assert train(pictures, None, tmp_path, recipe="clip-art") == 0
    small = tmp_path / "out/clip-art/1"
    _, _ = quantize(
        Store(tmp_path / "out"),
        "clip-art",
        None,
        how="int8",
        calibration=None,
        out=tmp_path / "out",
    )
    given = {
        "of-folder": small,
        "of-file": small / "model.onnx",
        "of-int8": tmp_path / "out/clip-art/2",
        "of-machine": styles / "out/clip-art-svm/1",
    }
    about, graphs = {}, {}
    for name, network in given.items():
        assert train(pictures, network, tmp_path, f"name={name}", "map=false") == 0
        graphs[name] = Store(tmp_path / "out").load(name).manifest.files["model.onnx"]
        about[name] = (tmp_path / "out" / name / "1/report.md").read_text(encoding="utf-8")
    assert graphs["of-folder"] == graphs["of-file"]
    assert len(set(graphs.values())) == 3
    # The small network's last feature maps have 16 channels, the convolutions by chance 12.
    numbers = {name: 192 if name == "of-machine" else 16 for name in given}
    assert all(f"descriptors of {n} numbers" in about[name] for name, n in numbers.items())
    assert "from clip-art/2, frozen" in about["of-int8"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (("network.backbone=alexnet",), "must be one of resnet50"),
        (("network.backbone=resnext50-32x4d", "network.path=gone.h5"), "no weights gone.h5"),
        (("network.path=none.onnx",), "no network none.onnx"),
        (("network.path=",), "no network: name the one"),
        (("network.layer=top",), "no layer 'top'; layers: maps, relu, pooled"),
        (("pictures.height=20",), "another size than the network's"),
        (("svm.kernels=cubic",), "svm.kernels=['cubic']"),
        (("name=Clip Art",), "lower-case words"),
        (("top=[0]",), "numbers of guesses"),
        (("split.shares=[0.9,0.1,0]",), "split.shares=[0.9, 0.1, 0.0] must be above 0"),
    ],
)
def test_what_cannot_be_is_told_and_leaves_nothing(
    changes, told, styles, network, tmp_path, capsys
):
    assert train(styles / "pictures", network, tmp_path, *changes) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("counts", "told"), [({"box": 5}, "one class"), ({"box": 5, "disc": 1}, "a single picture")]
)
def test_too_little_to_learn_from_is_told(counts, told, network, tmp_path, capsys):
    pictures = collection(tmp_path / "pictures", counts)
    assert (
        train(
            pictures,
            network,
            tmp_path,
            "pictures.layout=label",
            "pictures.thing=",
            "split.by_source=false",
        )
        == 1
    )
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
