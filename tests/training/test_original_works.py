"""The original works on stand-in data: recipes run, and give the numbers their works printed.

How good the numbers are says nothing here: a test draws its data.
"""

import csv
import json
import re

import numpy as np
import pytest
import soundfile as sf

from benchmarks.cli import main as bench
from tests.training.pictures.conftest import tiny_backbone  # noqa: F401 - a fixture
from tests.training.pictures.helpers.shapes import SHAPES, collection, in_styles, shape
from tests.training.pipelines.helpers.toy_network import network_by_chance
from training.cli import main as train
from training.data_cli.main import main as data
from training.judge.cli import main as judge
from training.search.cli import main as search
from training.studies.cli import main as study

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny_backbone")]

RATE, SECONDS = 22_050, 48
INSTRUMENTS = {1: 110, 41: 440, 43: 220, 74: 880}
"""Programs of MIDI, counted from 1, and the frequency of each."""
MODELS = (
    "RandomForestClassifier", "LogisticRegression", "DecisionTreeClassifier", "DummyClassifier",
    "KNeighborsClassifier", "GaussianNB", "neural network, 122,000 parameters",
    "experimental neural network",
)  # fmt: skip
THINGS = ("apple", "boat", "crane", "drum", "egg", "fish")


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
    """Ten pieces of 48 s in the layout of MusicNet."""
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


def test_instruments_eight_models_have_three_accuracies_and_seconds(features, tmp_path, capsys):
    words = ["--epochs", "1", "--rows", "400", "--out", str(tmp_path)]
    assert study(["models", str(features), "--only", ";".join(MODELS), *words]) == 0
    printed = capsys.readouterr().out
    head, *accuracies = rows_below(printed, "## Element-wise accuracy")
    assert head[2:5] == ["train", "valid", "test"]
    assert [row[0] for row in accuracies] == [*MODELS, "predicts no label"]
    assert all(0 <= float(cell) <= 1 for row in accuracies for cell in row[2:5])
    head, *costs = rows_below(printed, "## Cost")
    at = head.index("whole test part, s")
    assert all(float(row[at]) >= 0 for row in costs)
    assert len(costs) == 8


def test_instruments_components_23_to_14_have_what_they_lose(features, tmp_path, capsys):
    assert study(["pca", str(features), "--out", str(tmp_path)]) == 0
    _, *rows = rows_below(capsys.readouterr().out, "## Information lost")
    lost = {int(row[0]): float(row[1]) for row in rows}
    assert {*range(14, 24)} <= lost.keys()
    assert 0 <= lost[23] <= lost[16] <= lost[14]


def test_instruments_windows_of_1_to_12_s_have_a_forest_each(musicnet, tmp_path, capsys):
    words = ["--out", str(tmp_path), *changes(f"cache={tmp_path}", "augment.variants=")]
    assert study(["windows", str(musicnet), *words]) == 0
    _, *rows = rows_below(capsys.readouterr().out, "## Scores by length")
    assert [float(row[0]) for row in rows] == [*map(float, range(1, 13))]


def test_instruments_the_grid_of_2952_is_searched_and_its_best_trained(
    musicnet, features, tmp_path, capsys
):
    found, out = tmp_path / "found", tmp_path / "out"
    words = ["--folds", "10", "--rows", "200", "--jobs", "2", "--out", str(found)]
    assert search([str(features), "--scoring", "elementwise_accuracy", *words]) == 0
    assert "2,952 combinations x 10 folds" in " ".join(capsys.readouterr().out.split())
    with (found / "results.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == 1 + 2952
    best = json.loads((found / "best.json").read_text())
    assert {"score", "std", "params", "confirmed"} <= best.keys()
    settings = changes(
        f"collection.path={musicnet}",
        f"cache={tmp_path}",
        "augment.variants=volume",
        "forest.oob_score=true",
        "quiet=0",
    )
    words = ["--from-search", str(found), "--out", str(out), *settings]
    assert train(["musicnet", *words]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"out-of-bag score [01]\.\d+ .*element-wise [01]\.\d+", printed)
    metrics = json.loads((out / "musicnet/1/manifest.json").read_text())["metrics"]["mean"]
    assert {"accuracy", "accuracy_all_negative", "macro_f1"} <= metrics.keys()
    assert (out / "reports/musicnet-1/model.joblib").is_file()


def test_instruments_a_hundred_clients_and_the_line_of_the_work_are_printed(capsys):
    assert bench(["load", "--clients", "100", "--requests", "100"]) in {0, 1}
    printed = capsys.readouterr().out
    ok, bad = map(int, re.search(r"(\d+) OK, (\d+) BAD", printed).groups())
    assert ok + bad == 100
    assert ok > 0
    assert "predecessor: 1000 OK, 0 BAD in 51.348 s" in printed


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


def test_guitar_or_bass_ten_networks_have_loss_epoch_accuracy_and_times(tmp_path):
    pictures = collection(tmp_path / "pictures", {"bass": 14, "guitar": 46})
    assert train(["guitar-or-bass", *quick(pictures, tmp_path, "epochs=2")]) == 0
    report = report_of(tmp_path, "guitar-or-bass")
    networks = report["networks"]
    assert {name.split()[0] for name in networks} == {f"T{number}" for number in range(1, 11)}
    wanted = ("minimum_loss", "best_epoch", "test_accuracy", "seconds_to_best", "seconds")
    assert all(line[key] is not None for line in networks.values() for key in wanted)
    page = page_of(tmp_path, "guitar-or-bass")
    for head in ("minimum loss", "best epoch", "test accuracy", "s to best", "s in all"):
        assert f">{head}</th>" in page
    assert {name: len(epochs) for name, epochs in report["candidates"].items()} == dict.fromkeys(
        networks, 2
    )
    assert len(list((tmp_path / "out/reports/guitar-or-bass-1").glob("*.keras"))) == 10
    parts = {part: sum(counts) for part, counts in report["counts"].items()}
    assert list(parts) == ["train", "valid", "test"]
    assert sum(parts.values()) == 60


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


def test_birds_each_stage_has_its_loss_its_accuracy_and_its_matrix(tmp_path):
    pictures = collection(tmp_path / "pictures", {"crane": 12, "robin": 12})
    assert train(["birds", *quick(pictures, tmp_path)]) == 0
    report = report_of(tmp_path, "birds")
    for stage in ("head", "fine"):
        row = report["networks"][stage]
        assert all(row[key] is not None for key in ("minimum_loss", "test_loss", "test_accuracy"))
        pairs = report["matrices"][stage]
        assert sum(count for _, _, count in pairs) == 4
    page = page_of(tmp_path, "birds")
    assert all(head in page for head in ("Confusion after each stage", "test loss"))
    assert list(report["counts"]) == ["train", "valid", "test"]


def test_cone_snails_have_top_1_to_5_at_the_best_and_the_last_epoch(species, tmp_path):
    epochs = ("head.epochs=3", "fine.epochs=3", "fine.patience=3", "looks=[1, 2, 3]")
    assert train(["cone-snails", *quick(species, tmp_path, *epochs)]) == 0
    report, page = report_of(tmp_path, "cone-snails"), page_of(tmp_path, "cone-snails")
    tops = range(1, 6)
    assert all(f">top-{top}</th>" in page for top in tops)
    assert list(report["tests"]["all"]) == ["with region", "without region"]
    for figures in (report["mean"], *report["tests"]["all"].values()):
        assert {f"top{top}" for top in tops} <= figures.keys()
    for stage, epochs in report["history"].items():
        best = report["networks"][stage]["best_epoch"]
        for one in (epochs[best - 1], epochs[-1]):
            assert {f"look_top{top}" for top in tops} <= one.keys()
    assert np.array(report["confusion"]).shape == (6, 6)
    assert {part: len(counts) for part, counts in report["counts"].items()} == {
        "train": 6,
        "valid": 6,
        "test": 6,
    }
    assert {"head", "fine"} == report["history"].keys()
    assert all("valid_loss" in look for looks in report["history"].values() for look in looks)


def test_cone_snails_dense_layers_and_the_picture_alone_are_compared_on_one_split(
    species, tmp_path
):
    names = ("600", "1024", "2000", "1024+600", "1024 alone")
    tiny = ("backbone=mobilenet-v3-small", "weights=none")
    settings = (
        "profile=networks",
        f"pictures.path={species}",
        f"cache={tmp_path}",
        *(f"pictures.{side}=32" for side in ("height", "width")),
        *(f"network.{one}" for one in tiny),
        *(f"{stage}.epochs=1" for stage in ("head", "fine")),
        "looks=[1]",
    )
    assert train(["cone-snails", "--out", str(tmp_path / "out"), *changes(*settings)]) == 0
    report = report_of(tmp_path, "cone-snails")
    networks, stages = report["networks"], ("head", "fine")
    assert set(networks) == {f"{name} {stage}" for name in names for stage in stages}
    wanted = ("test_accuracy", "test_loss", "macro_f1", "best_epoch", "seconds")
    assert all(row[key] is not None for row in networks.values() for key in wanted)
    for (last,) in report["candidates"].values():
        assert {f"look_top{top}" for top in range(1, 6)} <= last.keys()


@pytest.fixture(scope="module")
def clip_art(tmp_path_factory):
    """A network retrained on six classes for two epochs, and machines on it."""
    folder = tmp_path_factory.mktemp("clip-art")
    pictures = collection(folder / "pictures", dict.fromkeys(THINGS, 12))
    words = quick(pictures, folder, "looks=[1, 2]")
    assert train(["clip-art-retrained-svm", *words]) == 0
    return folder


def test_clip_art_network_and_machines_have_top_1_and_top_5_side_by_side(clip_art):
    compared = report_of(clip_art, "clip-art-retrained-svm")["tables"]["Compared"]
    assert {"top-1", "top-5"} < set(compared["head"])
    base, retrained, machines = (name for name, *_ in compared["rows"])
    assert base.endswith("as it came, SVM")
    assert (retrained, machines) == ("retrained, softmax", "this artefact")
    assert all(0 <= figure <= 1 for _, *figures in compared["rows"] for figure in figures)


def test_clip_art_each_class_has_its_top_1_top_5_and_cross_entropy_as_bars(clip_art):
    for name in ("clip-art-retrained", "clip-art-retrained-svm"):
        report, page = report_of(clip_art, name), page_of(clip_art, name)
        assert {one["label"] for one in report["labels"]} == set(THINGS)
        assert all({"top1", "topk", "f1", "loss"} <= one.keys() for one in report["labels"])
        assert report["top"] == 5
        assert all(f">{head}</th>" in page for head in ("top-1", "top-5", "F1", "loss"))
        assert 'class="bar"' in page


def test_clip_art_weights_moved_epochs_looked_at_and_ranks_are_told(clip_art):
    report, page = (
        report_of(clip_art, "clip-art-retrained"),
        page_of(clip_art, "clip-art-retrained"),
    )
    moved = report["tables"]["How far weights moved"]
    assert "squared difference" in moved["head"]
    assert {row[1] for row in moved["rows"]} >= {"low", "middle", "high", "classifier"}
    for one in report["history"]["fine"]:
        assert {"loss", "valid_loss", "look_top1", "look_top5"} <= one.keys()
    assert "Epochs looked at" in page
    assert all(one["rank"] > 1 for one in report["mistakes"])


@pytest.mark.parametrize("name", ["ImageNet", "noisy", "noisy-23", "curated"])
def test_clip_art_a_network_is_judged_on_each_collection(clip_art, tmp_path, capsys, name):
    """Top-1, top-5 and loss of all and of each class, by which the work chose its 23."""
    kept = THINGS[:4] if name == "noisy-23" else THINGS
    pictures = collection(tmp_path / name, dict.fromkeys(kept, 4), seed=len(name))
    model = str(clip_art / "out/clip-art-retrained/1")
    words = ["--more-than", "3", "--out", str(tmp_path / "out")]
    assert judge([model, str(pictures), *words]) == 0
    printed = capsys.readouterr().out
    assert all(head in printed for head in ("top-1", "top-5", "loss", "Best of those"))
    report = json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))
    assert {"top1", "top5", "loss", "majority"} <= report["tests"]["pictures"].keys()
    assert {one["label"] for one in report["choice"]} == set(kept)
    assert all({"top1", "topk", "loss"} <= one.keys() for one in report["labels"])


def test_clip_art_softmax_and_machines_are_judged_beside_each_other(clip_art, tmp_path, capsys):
    pictures = collection(tmp_path / "curated", dict.fromkeys(THINGS, 4), seed=1)
    network, machines = (str(clip_art / f"out/clip-art-retrained{end}/1") for end in ("", "-svm"))
    assert judge([network, str(pictures), "--beside", machines, "--out", str(tmp_path)]) == 0
    assert "24 files of 6 classes that all of them have" in capsys.readouterr().out
    told = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert [len(told["models"]), len(told["tests"])] == [2, 2]
    assert all({"top1", "top5", "loss"} <= one.keys() for one in told["tests"])


def test_clip_art_the_svm_of_a_network_has_its_search_and_top_1_and_2(tmp_path):
    """The descriptors are of an ONNX network by chance; VGG-19 would be one of 550 MB."""
    network = network_by_chance(tmp_path / "toy.onnx")
    pictures = in_styles(tmp_path / "pictures")
    words = quick(pictures, tmp_path, f"network.path={network}", "top=[1, 2, 3]")
    assert train(["clip-art-svm", *words]) == 0
    page = page_of(tmp_path, "clip-art-svm")
    for head in ("top-1", "top-2", "F1", "kernel", "gamma"):
        assert head in page
    assert (tmp_path / "out/reports/clip-art-svm-1/map.html").is_file()
