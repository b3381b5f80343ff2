"""The original works on stand-in data: recipes run, and give the numbers their works printed.

How good the numbers are says nothing here: a test draws its data.
"""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from tests.training.pictures.conftest import tiny_backbone  # noqa: F401 - a fixture
from tests.training.pictures.helpers.shapes import SHAPES, collection, in_styles, shape
from training.cli import main as train
from training.data_cli.main import main as data
from training.studies.cli import main as study

pytestmark = pytest.mark.slow

RATE, SECONDS = 22_050, 96
INSTRUMENTS = {1: 110, 41: 440, 43: 220, 74: 880}
"""Programs of MIDI, counted from 1, and the frequency of each."""


def changes(*settings):
    return [word for one in settings for word in ("--set", one)]


def rows_below(markdown, heading):
    """The cells of the first table below a heading, the head first."""
    lines = markdown.split(heading, 1)[1].splitlines()
    first = next(at for at, line in enumerate(lines) if line.startswith("|"))
    table = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return [row for row in table if not set("".join(row)) <= set("-: ")]


def piece(rng):
    """Samples of a piece, and its notes: instruments come and go every two seconds."""
    time = np.arange(2 * RATE) / RATE
    sound, notes = [], []
    for step in range(SECONDS // 2):
        playing = [program for program in INSTRUMENTS if rng.random() < 0.4]
        bases = [INSTRUMENTS[program] * (1 + 0.05 * rng.random()) for program in playing]
        waves = [0.1 * np.sin(2 * np.pi * base * time) for base in bases]
        sound.append(sum(waves, rng.normal(0, 0.005, len(time))))
        notes += [(2 * 44_100 * step, 2 * 44_100 * (step + 1), program) for program in playing]
    return np.concatenate(sound), notes


@pytest.fixture(scope="module")
def musicnet(tmp_path_factory):
    """Ten pieces of 96 s in the layout of MusicNet."""
    root, rng = tmp_path_factory.mktemp("a") / "musicnet", np.random.default_rng(0)
    head = "id,composer,composition,movement,ensemble,source,transcriber,catalog_name,seconds"
    listed = [head.split(",")]
    for number in range(10):
        part = "test" if number > 7 else "train"
        (root / f"{part}_data").mkdir(parents=True, exist_ok=True)
        (root / f"{part}_labels").mkdir(exist_ok=True)
        sound, notes = piece(rng)
        sf.write(root / f"{part}_data" / f"{1700 + number}.wav", sound, RATE)
        with (root / f"{part}_labels" / f"{1700 + number}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            names = "start_time,end_time,instrument,note,start_beat,end_beat,note_value"
            table.writerow(names.split(","))
            table.writerows([*note, 60, 0.0, 1.0, "Whole"] for note in notes)
        listed.append([1700 + number, "Bach", f"Piece {number}", 1, "Duo", "M", "x", "B", SECONDS])
    with (root.parent / "musicnet_metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows(listed)
    return root


@pytest.fixture(scope="module")
def features(musicnet):
    folder = musicnet.parent / "table"
    cache = changes(f"cache={musicnet.parent / 'cache'}")
    assert data(["table", str(musicnet), "--kind", "features", "--out", str(folder), *cache]) == 0
    return folder


def test_instruments_components_23_to_14_have_what_they_lose(features, tmp_path, capsys):
    assert study(["pca", str(features), "--out", str(tmp_path)]) == 0
    _, *rows = rows_below(capsys.readouterr().out, "## Information lost")
    lost = {int(row[0]): float(row[1]) for row in rows}
    assert {*range(14, 24)} <= lost.keys()
    assert 0 <= lost[23] <= lost[16] <= lost[14]


def quick(pictures, folder, *settings):
    return [
        "--out",
        str(folder / "out"),
        *changes("profile=quick", f"pictures.path={pictures}", f"cache={folder}", *settings),
    ]


def report_of(folder, name):
    return json.loads((folder / f"out/reports/{name}-1/report.json").read_text(encoding="utf-8"))


def page_of(folder, name):
    return (folder / f"out/reports/{name}-1/report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def species(tmp_path_factory):
    """REGION/SPECIES/N.png, three species of each of two regions."""
    root, rng = tmp_path_factory.mktemp("species") / "pictures", np.random.default_rng(0)
    for region in ("east", "west"):
        for kind in SHAPES[:3]:
            (root / region / f"{kind} of the {region}").mkdir(parents=True)
            for i in range(10):
                shape(kind, rng).save(root / region / f"{kind} of the {region}" / f"{i}.png")
    return root


@pytest.mark.usefixtures("tiny_backbone")
def test_birds_each_stage_has_its_loss_its_accuracy_and_its_matrix(tmp_path):
    pictures = collection(tmp_path / "pictures", {"crane": 12, "robin": 12})
    assert train(["birds", *quick(pictures, tmp_path)]) == 0
    report = report_of(tmp_path, "birds")
    for stage in ("head", "fine"):
        assert {"minimum_loss", "test_accuracy"} <= report["networks"][stage].keys()
        matrix = np.array(report["matrices"][stage])
        assert matrix.shape == (2, 2)
    assert "Confusion after each stage" in page_of(tmp_path, "birds")


@pytest.mark.usefixtures("tiny_backbone")
def test_cone_snails_have_top_1_to_5_curves_and_the_matrix_of_all_species(species, tmp_path):
    assert train(["cone-snails", *quick(species, tmp_path)]) == 0
    report, page = report_of(tmp_path, "cone-snails"), page_of(tmp_path, "cone-snails")
    for top in range(1, 6):
        assert f"top-{top}" in page
    assert report["confusion"] is not None
    assert {"head", "fine"} == report["history"].keys()
    assert all("valid_loss" in look for looks in report["history"].values() for look in looks)


@pytest.mark.usefixtures("tiny_backbone")
@pytest.mark.parametrize(
    "settings",
    [["network.dense=[6]"], ["network.dense=[8]"], ["network.dense=[8, 6]"], ["metadata=[]"]],
)
def test_cone_snails_each_variant_of_the_dense_layers_is_trained(species, tmp_path, settings):
    assert train(["cone-snails", *quick(species, tmp_path, *settings)]) == 0
    assert report_of(tmp_path, "cone-snails")["networks"]


@pytest.mark.usefixtures("tiny_backbone")
def test_clip_art_the_svm_of_a_network_has_top_1_top_5_and_bars_by_class(tmp_path):
    """The descriptors are of an ONNX network by chance; VGG-19 would be one of 550 MB."""
    network = network_by_chance(tmp_path / "toy.onnx")
    pictures = in_styles(tmp_path / "pictures")
    words = quick(pictures, tmp_path, f"network.path={network}", "top=[1, 2, 3]")
    assert train(["clip-art-svm", *words]) == 0
    page = page_of(tmp_path, "clip-art-svm")
    for head in ("top-1", "top-2", "F1", "kernel", "gamma"):
        assert head in page


def network_by_chance(path):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = np.random.default_rng(0).normal(size=(12, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["image", "weight"], ["maps"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["maps"], ["relu"]),
        helper.make_node("AveragePool", ["relu"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]),
    ]
    takes = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 16, 16])
    gives = helper.make_tensor_value_info("pooled", TensorProto.FLOAT, [1, 12, 4, 4])
    held = [numpy_helper.from_array(weight, "weight")]
    graph = helper.make_graph(nodes, "toy", [takes], [gives], held)
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return Path(path)
