"""`timbre train` on recordings of one's own: from a folder to an artefact that serves."""

import csv
import json
import re
import shutil
from pathlib import Path

import joblib
import numpy as np
import pytest
import soundfile as sf

from models.cli import main as models
from models.promote import share_without_label
from models.store import Store
from tests.training.pipelines.helpers.splits import parts_beside_each
from tests.training.sound_models.helpers.filterbank import by_level, filterbank
from training.cli import main
from training.common.recipe import load
from training.data_cli.main import main as data
from training.pipelines import other_sounds, sounds
from training.pipelines.sounds import TableSounds
from training.recordings.table import open_table
from training.search.cli import main as search
from training.sound_models import embedding
from training.sound_models.embedding_heads import Choice

QUICK = (
    "profile=quick",
    "models=forest",
    "forest.components=8",
    "windows.length=1",
    "windows.hop=0.5",
    "cache=cache",
)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def collection(by_source, tmp_path, write_sound):
    """High, low and, in a folder of its own, noise, of six sources."""
    for number in range(6):
        noise = np.random.default_rng(number).normal(0, 0.1, 60_000)
        path = tmp_path / "collection" / f"player{number}" / "street" / "n.wav"
        path.parent.mkdir()
        sf.write(path, noise, 22_050)
    return ("collection.path=collection", "collection.background=street", *QUICK)


def words(changes):
    return [word for change in changes for word in ("--set", change)]


def test_one_command_makes_an_artefact_that_recognises_its_labels(collection, tmp_path, capsys):
    broken = tmp_path / "collection" / "player2" / "high" / "more.wav"
    broken.write_bytes(b"RIFF....WAVE")
    variants = "augment.variants=volume,random_noise"
    assert main(["sounds", *words([*collection, variants, "name=pitches"]), "--out", "out"]) == 0
    printed = capsys.readouterr().out
    assert "more.wav: cannot be read as sound" in printed
    model = Store(Path("out")).load("pitches")
    assert list(model.labels) == ["high", "low"]
    manifest = model.manifest
    assert manifest.origin["label_rule"].startswith(
        "a label is on when it sounds in at least 0.5 of the 1-s window"
    )
    assert 'path = "collection"' in manifest.origin["recipe"]
    assert manifest.input.configuration["window"] == 22_050
    assert manifest.metrics["mean"]["macro_f1"] > 0.75
    assert manifest.metrics["mean"]["quiet_without_label"] >= 0.9
    assert len(manifest.metrics["left_out"]) == 1
    folder = Path("out/reports/pitches-1")
    assert parts_beside_each(Path("out"))["pitches"] > {"train"}
    assert json.loads((folder / "report.json").read_text())["name"] == "pitches"
    assert (folder / "model.joblib").is_file()
    assert "more.wav" in Path("out/reports/pitches-problems.csv").read_text()


def test_a_network_given_by_path_is_tried_beside_the_others_and_becomes_one_artefact(
    collection, tmp_path, capsys
):
    filterbank(tmp_path / "bands.onnx", window=22_050)
    changes = (
        *collection,
        "models=forest",
        "network.backbone=bands.onnx",
        "name=pitches",
        "quiet=0",
    )
    assert main(["sounds", *words(changes), "--out", "out"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"backbone: bands\.onnx, \S.*; cross-entropy on sources left out: ", printed)
    report = (Path("out/pitches/1") / "report.md").read_text()
    assert "**backbone**" in report
    assert "**forest**" in report
    model = Store(Path("out")).load("pitches")
    assert model.manifest.metrics["mean"]["macro_f1"] > 0.75
    assert len(list(Path("cache/tables/embeddings").glob("*.npy"))) == 1


def test_by_default_the_shipped_network_is_tried_beside_the_forest(collection, capsys):
    default = [change for change in collection if change != "models=forest"]
    assert main(["sounds", *words([*default, "quiet=0"]), "--out", "out"]) == 0
    assert "backbone: timbre-sound.onnx, " in capsys.readouterr().out
    report = (Path("out/sounds/1") / "report.md").read_text()
    assert "backbone" in report
    assert "forest" in report


def test_a_model_on_the_shipped_network_takes_spectrograms_and_says_what_it_is_from(
    collection, monkeypatch, capsys
):
    monkeypatch.setattr(sounds, "MOST_EMBEDDED", 20)
    alone = ["models=backbone", "windows.length=1.5", "name=pitches"]
    assert main(["sounds", *words([*collection, *alone]), "--out", "out"]) == 0
    assert "backbone: 20 training windows, drawn at random" in capsys.readouterr().out
    manifest = Store(Path("out")).load("pitches").manifest
    assert manifest.input.kind == "log_mel"
    assert manifest.metrics["mean"]["macro_f1"] > 0.7
    used = [one for one in manifest.provenance if one["use"] == "embedding"]
    assert [one["licence"] for one in used] == ["Apache-2.0, as Timbre"]
    assert used[0]["source"].startswith("timbre-sound.onnx, sha256 ")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            ["models=backbone", "network.backbone="],
            "backbone needs network.backbone, the path of a network",
        ),
        (["network.backbone=none.onnx"], "none.onnx cannot be read as an ONNX network"),
        (["network.backbone=long.onnx"], "takes (n, 22050), the samples of a window"),
        (["network.backbone=level.onnx"], "level.onnx cannot take silence, which is learnt"),
    ],
)
def test_a_backbone_that_cannot_be_used_is_told_before_anything_is_read(
    collection, tmp_path, capsys, changes, told
):
    filterbank(tmp_path / "long.onnx", window=44_100)
    by_level(tmp_path / "level.onnx", window=22_050)
    assert main(["sounds", *words([*collection, *changes]), "--out", "out"]) != 0
    assert told in " ".join(capsys.readouterr().err.split())
    assert not Path("cache").exists()


def test_other_sounds_get_no_label_and_the_report_says_what_that_costs(
    collection, monkeypatch, capsys
):
    monkeypatch.setattr(other_sounds, "EACH", 8)
    assert main(["sounds", *words([*collection, "others.share=0.9"]), "--out", "out"]) == 0
    manifest = Store(Path("out")).load("sounds").manifest
    found = manifest.metrics["open_set"]
    assert found["share"] == 0.9
    assert found["ways"]["90%"]["rejected"] >= 0.7
    folder = Path("out/reports/sounds-1")
    for page in (folder / "report.html", Path("out/sounds/1/report.md")):
        assert "None of these" in page.read_text()
    # The thresholds of the artefact are those of the row.
    assert manifest.metrics["left_out"]
    (left_out,) = manifest.metrics["left_out"].values()
    assert left_out["macro_f1"] == pytest.approx(found["ways"]["90%"]["macro_f1"], abs=0.02)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("others.share=2", "others.share=2"),
        ("others.path=nowhere", "others.path=nowhere needs others.share"),
    ],
)
def test_other_sounds_that_cannot_be_are_told_before_anything_is_read(
    collection, change, told, capsys
):
    assert main(["sounds", *words([*collection, change]), "--out", "out"]) == 1
    assert told in capsys.readouterr().err
    more = [*collection, "others.path=nowhere", "others.share=0.9"]
    assert main(["sounds", *words(more), "--out", "out"]) == 1
    assert "others.path: no folder nowhere" in capsys.readouterr().err
    assert not Path("cache").exists()


@pytest.mark.slow  # a training of its own
def test_with_generated_noise_it_learns_to_be_silent(collection, tmp_path):
    for path in tmp_path.glob("collection/*/street"):
        shutil.rmtree(path)
    changes = [
        *collection[2:],
        "collection.path=collection",
        "collection.nothing=1",
        "collection.into=made",
    ]
    assert main(["sounds", *words([*changes, "forest.trees=40"]), "--out", "out"]) == 0
    mean = Store(Path("out")).load("sounds").manifest.metrics["mean"]
    assert min(mean["macro_f1"], mean["micro_f1"]) > 0.75
    # Of 200 windows that were never seen; the collection's own test part has seven.
    assert share_without_label(Store(Path("out")).load("sounds")) >= 0.8
    assert len(list(Path("made").glob("nothing-*.wav"))) == 9


@pytest.mark.slow  # a training of forty recordings
def test_forty_recordings_of_three_labels_by_four_players_are_trained_and_promoted(
    tmp_path, capsys
):
    rng = np.random.default_rng(0)
    for player in range(4):
        for label, hertz in (("cello", 150), ("flute", 600), ("horn", 300)):
            for number in range(4 if label == "horn" else 3):
                path = tmp_path / "birds" / f"player{player}" / label / f"{number}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                sf.write(path, note(rng, hertz * (1 + 0.03 * player), label), 22_050)
    assert len(list(tmp_path.glob("birds/*/*/*.wav"))) == 40
    words_of_readme = ["collection.path=birds", "collection.nothing=0.2", "name=birds"]
    assert main(["sounds", *words([*words_of_readme, "cache=cache"])]) == 0
    capsys.readouterr()
    folders = ["--from", "artefacts", "--to", "served"]
    assert models(["promote", "birds", "1", *folders]) == 0, capsys.readouterr().err
    model = Store(Path("served")).load("birds")
    mean = model.manifest.metrics["mean"]
    assert mean["macro_f1"] > 0.6
    assert mean["noise_without_label"] == share_without_label(model) >= 0.99
    page = Path("artefacts/reports/birds-1/report.html").read_text()
    assert f"{share_without_label(model):.1%}" in page
    with Path("artefacts/reports/birds-1/split.csv").open() as file:
        parts = {row["source"]: row["part"] for row in csv.DictReader(file)}
    assert {parts[f"player{n}"] for n in range(4)} == {"train", "valid", "test"}


def note(rng, hertz, label):
    """Six seconds of notes with as many harmonics as the instrument has."""
    time = np.arange(22_050) / 22_050
    orders = range(1, {"flute": 3, "horn": 6, "cello": 12}[label])
    notes = []
    for _ in range(6):
        base = hertz * 2 ** (rng.integers(-5, 6) / 12)
        wave = sum(np.sin(2 * np.pi * base * n * time + rng.uniform(0, 6)) / n for n in orders)
        notes.append(np.asarray(wave) * np.exp(-time) + rng.normal(0, 0.01, len(time)))
    return (0.1 * np.concatenate(notes)).astype(np.float32)


@pytest.mark.slow  # two trainings
def test_the_same_recipe_and_seed_give_the_same_scores(collection):
    def golden(out, *changes):
        assert main(["sounds", *words([*collection, *changes]), "--out", out]) == 0
        with np.load(Path(out, "sounds", "1", "golden.npz")) as file:
            return file["scores"]

    first = golden("one", "augment.variants=pitch_change")
    assert np.array_equal(
        first, golden("two", "augment.variants=pitch_change", "jobs=1", "cache=elsewhere")
    )
    assert not np.array_equal(first, golden("three", "augment.variants=pitch_change", "seed=2"))


GRID = """
estimator = "sklearn.ensemble.RandomForestClassifier"
components = 8
[fixed]
min_samples_leaf = 2
[grid]
n_estimators = [10, 20]
max_depth = ["none", 3]
"""


@pytest.mark.slow  # a search and a training
def test_what_a_search_found_is_trained_with_its_out_of_bag_score(collection, capsys):
    Path("grid.toml").write_text(GRID)
    table = ["collection", *words(collection[1:]), "--kind", "features", "--out", "table"]
    assert data(["table", *table]) == 0
    assert search(["table", "--grid", "grid.toml", "--folds", "3", "--out", "found"]) == 0
    best = json.loads(Path("found/best.json").read_text())
    trained = [*words([*collection, "forest.oob_score=true"]), "--from-search", "found"]
    assert main(["sounds", *trained, "--out", "out"]) == 0
    printed = capsys.readouterr().out
    steps = joblib.load("out/reports/sounds-1/model.joblib").named_steps
    made = steps["forest"].get_params()
    assert made["n_estimators"] == best["params"]["model__n_estimators"]
    assert made["max_depth"] == best["params"]["model__max_depth"]
    assert (made["min_samples_leaf"], made["max_leaf_nodes"]) == (2, None)
    assert steps["pca"].n_components == 8
    score = steps["forest"].oob_score_
    assert f"forest: out-of-bag score {score:.4f} (all labels of a window right)" in printed
    report = json.loads(Path("out/reports/sounds-1/report.json").read_text())
    assert report["oob"]["score"] == score
    assert f"{score:.4f} of " in Path("out/sounds/1/report.md").read_text()
    assert "out-of-bag score" in Path("out/reports/sounds-1/report.html").read_text()
    # The recipe in the artefact makes the same forest without the search.
    origin = Store(Path("out")).load("sounds").manifest.origin["recipe"]
    Path("again.toml").write_text(origin)
    assert load("again.toml").forest.parameters()["max_depth"] == made["max_depth"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["forest.components=7"], "of 8 components, the recipe of 7 components: --set forest.comp"),
        (["windows.length=2"], "windows of 1 s at 22050 Hz, the recipe of 2 s at 22050 Hz"),
    ],
)
def test_a_search_of_other_features_is_refused_before_anything_is_read(
    collection, changes, message, capsys
):
    Path("grid.toml").write_text(GRID)
    table = ["collection", *words(collection[1:]), "--kind", "features", "--out", "table"]
    assert data(["table", *table]) == 0
    argv = ["table", "--grid", "grid.toml", "--folds", "2", "--no-confirm", "--out", "found"]
    assert search(argv) == 0
    capsys.readouterr()
    argv = [*words([*collection, *changes]), "--from-search", "found", "--out", "out"]
    assert main(["sounds", *argv]) == 1
    assert message in capsys.readouterr().err
    assert not Path("out").exists()


MODELS = (
    "neighbours,dense,dense-dropout,extra-trees,gradient-boosting,logistic-regression,linear-svm"
)


@pytest.mark.slow  # seven trainings; sound_models/test_estimators.py fits each on few windows
def test_every_model_on_the_features_competes_and_the_best_is_written(collection):
    changes = [
        f"models={MODELS}",
        "estimators.neighbours.components=8",
        "estimators.extra-trees.n_estimators=20",
        "estimators.dense.epochs=5",
    ]
    assert main(["sounds", *words([*collection, *changes]), "--out", "out"]) == 0
    text = Path("out/sounds/1/report.md").read_text()
    assert all(f"**{name}**" in text for name in MODELS.split(","))


@pytest.mark.parametrize(
    "model",
    [
        "neighbours",
        # The same steps with other libraries.
        pytest.param("dense", marks=pytest.mark.slow),
        pytest.param("gradient-boosting", marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow  # a training of its own
def test_a_model_on_the_features_is_promoted_with_its_time_and_size(collection, model, capsys):
    changes = [f"models={model}", "estimators.neighbours.components=8"]
    assert main(["sounds", *words([*collection, *changes]), "--out", "out"]) == 0
    capsys.readouterr()
    promoted = ["promote", "sounds", "1", "--from", "out", "--to", "served", "--force"]
    assert models(promoted) == 0
    assert re.search(r"latency_ms \S+  size_mb \S+", capsys.readouterr().out)
    manifest = Store(Path("served")).load("sounds").manifest
    assert manifest.input.kind == "features"
    assert ("torch" in manifest.libraries) is (model == "dense")
    assert Path("out/reports/sounds-1/model.joblib").is_file() is (model != "dense")
    assert "neighbours.components" in manifest.origin["recipe"]
    Path("again.toml").write_text(manifest.origin["recipe"])
    assert load("again.toml").estimators == load("sounds", changes).estimators


@pytest.mark.slow  # a training of its own
def test_the_network_takes_windows_of_another_length(collection):
    assert (
        main(
            ["sounds", *words([*collection, "models=network", "network.epochs=1"]), "--out", "out"]
        )
        == 0
    )
    assert Store(Path("out")).load("sounds").manifest.input.shape == (128, 44)


@pytest.mark.slow  # two trainings; the other tests hold each
def test_of_two_models_the_one_that_is_better_on_validation_is_written(collection):
    assert (
        main(
            [
                "sounds",
                *words([*collection, "models=forest,network", "network.epochs=1"]),
                "--out",
                "out",
            ]
        )
        == 0
    )
    manifest = Store(Path("out")).load("sounds").manifest
    text = Path("out/sounds/1/report.md").read_text()
    assert (text.index("**forest**") < text.index("**network**")) is (
        manifest.input.kind == "features"
    )
    assert [folder.name for folder in Path("out/sounds").iterdir()] == ["1"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["collection.background=street,low", "collection.labels=high"], None),
        (["windows.hop=10", "forest.components=20"], "12 training windows: at least 21 are needed"),
        (["split.shares=[0.2, 0.4, 0.4]", "collection.path=nowhere"], "no folder or file"),
        (["name=My Sounds"], "name='My Sounds' must be lower-case words"),
        (["models=tree"], "models=['tree'] must be some of forest, network, backbone, extra"),
        (["models="], "models=[] must be some of"),
        (["estimators.svm.C=1"], "estimators.svm: no such model; there is extra-trees"),
        (["estimators.linear-svm.D=1"], "estimators.linear-svm: unknown setting D; known: comp"),
        (["estimators.dense.epochs=0"], "estimators.dense.epochs='0' must be a whole number"),
    ],
)
def test_what_cannot_be_trained_is_told_and_nothing_is_written(
    collection, changes, message, capsys
):
    code = main(["sounds", *words([*collection, *changes]), "--out", "out"])
    assert code == (1 if message else 0)
    if message:
        assert message in capsys.readouterr().err
        assert not list(Path("out").glob("sounds/*"))


def test_a_version_that_exists_is_refused_before_anything_is_read(capsys):
    Path("out/sounds/3").mkdir(parents=True)
    assert main(["sounds", "--set", "version=3", "--out", "out"]) == 1
    told = "out/sounds/3 exists already: set another version, or none for the next one"
    assert told in capsys.readouterr().err


def test_one_label_with_nothing_beside_it_cannot_be_learnt(tmp_path, write_sound, capsys):
    for number in range(8):
        write_sound(tmp_path / "collection" / "high" / f"{number}.wav", hertz=2000 + number)
    assert main(["sounds", *words(["collection.path=collection", *QUICK]), "--out", "out"]) == 1
    assert (
        "label 'high' is on in every training window, so there is nothing to distinguish it from"
        in capsys.readouterr().err
    )


def test_a_label_that_no_training_window_holds_is_named(tmp_path, write_sound, capsys):
    write_sound(tmp_path / "one.wav", seconds=10)
    rows = [f"one.wav,{n / 2},{n / 2 + 1},{'high' if n % 2 else ''},s{n}" for n in range(18)]
    (tmp_path / "list.csv").write_text(
        "path,start,end,labels,source\n" + "\n".join([*rows, "one.wav,9.9,9.98,low,s20"])
    )
    changes = ["collection.kind=csv", "collection.path=list.csv", *QUICK]
    assert main(["sounds", *words(changes), "--out", "out"]) == 1
    assert (
        "label 'low' is on in no training window: add recordings of it" in capsys.readouterr().err
    )


@pytest.mark.parametrize("more", [[], ["models=backbone", "network.backbone=bands.onnx"]])
def test_a_label_in_whose_recordings_nothing_sounds_is_named(collection, tmp_path, more, capsys):
    filterbank("bands.onnx", window=22_050)
    for number in range(6):
        # Below -80 dB, and no two alike.
        faint = np.random.default_rng(number).normal(0, 4e-5, 66_150)
        path = tmp_path / "collection" / f"player{number}" / "mute" / "n.wav"
        path.parent.mkdir()
        sf.write(path, faint, 22_050)
    assert main(["sounds", *words([*collection, *more]), "--out", "out"]) == 1
    assert "label 'mute': nothing sounds in any of its" in capsys.readouterr().err


def test_one_recording_of_each_label_is_learnt_from_class_means_where_nothing_is_judged(
    tmp_path, write_sound, capsys
):
    filterbank("bands.onnx", window=22_050)
    for label, hertz in (("high", 2000), ("low", 200)):
        write_sound(tmp_path / "collection" / label / "only.wav", hertz=hertz, seconds=6)
    changes = ["collection.path=collection", *QUICK, "models=backbone"]
    changes += ["network.backbone=bands.onnx", "split.shares=[1,0,0]"]
    # Without a forest, fewer windows are enough than it has principal components.
    changes += ["forest.components=24"]
    told = "prototypes, untested, for no label has two sources; the rarest label has 1 recording"
    assert main(["sounds", *words([*changes, "models=forest,backbone"]), "--out", "out"]) == 1
    told_few = "22 training windows: at least 25 are needed; add recordings, or learn on the"
    assert told_few in capsys.readouterr().err
    assert main(["sounds", *words(changes), "--out", "out"]) == 0
    assert told in capsys.readouterr().out
    assert told in Path("out/sounds/1/report.md").read_text()


def test_the_network_that_is_named_is_written_where_nothing_chooses(
    collection, capsys, monkeypatch
):
    filterbank("bands.onnx", window=22_050)
    changes = [*collection, "network.backbone=bands.onnx", "split.shares=[1,0,0]"]
    learnt, untried = [], (Choice("prototypes"), {})
    monkeypatch.setattr(embedding, "choose", lambda one, _: learnt.append(one) or untried)
    augmented = words([*changes, "augment.variants=volume"])
    assert main(["sounds", *augmented, "--out", "out"]) == 0
    # Which windows are copies is known where heads are compared.
    assert learnt[0].copies.mean() == 0.5
    told = "this is backbone, the one on embeddings (network.backbone); forest not written"
    assert told in capsys.readouterr().err
    assert Store(Path("out")).load("sounds").manifest.input.kind == "samples"
    text = Path("out/sounds/1/report.md").read_text()
    for words_of_it in (
        told,
        "thresholds of 0.5, for there is no vali",
        "not evaluated, for there",
    ):
        assert words_of_it in text
    assert "windows of other sources" not in text


def test_a_part_without_a_share_leaves_thresholds_at_one_half(collection):
    changes = [*collection, "split.shares=[1, 0, 0]", "links.here=https://example.org/{label}"]
    assert main(["sounds", *words(changes), "--out", "out"]) == 0
    manifest = Store(Path("out")).load("sounds").manifest
    assert [label.links for label in manifest.labels] == [
        {"here": f"https://example.org/{label.name}"} for label in manifest.labels
    ]
    assert [label.threshold for label in manifest.labels] == [0.5, 0.5]
    assert manifest.metrics["left_out"] == {}


@pytest.fixture
def small_musicnet(tmp_path, write_sound):
    """Seven pieces in MusicNet's layout: a high flute, a low cello, then both, 5 s each."""
    root, rows = tmp_path / "musicnet", []
    for number in range(7):
        name = str(1700 + number)
        part = "train" if number < 5 else "test"
        notes = []
        for program, hertz in ((74, 2000), (43, 200)):
            notes.append((44_100 * 5 * len(notes), 44_100 * 5 * (len(notes) + 1), program))
            write_sound(tmp_path / f"{program}.wav", hertz + 20 * number, 5, 44_100)
        halves = [sf.read(tmp_path / f"{program}.wav")[0] for *_, program in notes]
        (root / f"{part}_data").mkdir(parents=True, exist_ok=True)
        (root / f"{part}_labels").mkdir(exist_ok=True)
        sf.write(
            root / f"{part}_data" / f"{name}.wav",
            np.concatenate([*halves, 0.5 * sum(halves)]),
            44_100,
        )
        notes += [(44_100 * 10, 44_100 * 15, program) for *_, program in notes]
        with (root / f"{part}_labels" / f"{name}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(
                [
                    "start_time",
                    "end_time",
                    "instrument",
                    "note",
                    "start_beat",
                    "end_beat",
                    "note_value",
                ]
            )
            table.writerows([*note, 60, 0.0, 1.0, "Whole"] for note in notes)
        rows.append([name, "Bach", f"Piece {number}", "1", "Duo", "Museum", "x", "BWV", "15"])
    with (tmp_path / "musicnet_metadata.csv").open("w", newline="") as file:
        head = "id,composer,composition,movement,ensemble,source,transcriber,catalog_name,seconds"
        csv.writer(file).writerows([head.split(","), *rows])
    return root


@pytest.mark.slow  # a training of its own
def test_the_recipe_for_musicnet_is_one_command(small_musicnet, capsys):
    changes = [f"collection.path={small_musicnet}", "forest.trees=20", "cache=cache", "quiet=0"]
    assert main(["musicnet", *words(changes), "--out", "out"]) == 0
    printed = capsys.readouterr().out
    assert "train: 5 sources: Bach | Piece" in printed
    assert "forest: out-of-bag score 0." in printed
    model = Store(Path("out")).load("musicnet")
    assert list(model.labels) == ["cello", "flute"]
    text = Path("out/musicnet/1/report.md").read_text()
    assert "9 augmented copies of each among them" in text
    assert "350 windows" in text, "five pieces of seven windows, each ten times"
    assert model.manifest.metrics["mean"]["macro_f1"] > 0.8


def test_the_recipe_for_musicnet_is_that_of_the_original_work():
    recipe = load("musicnet")
    assert (recipe.collection.kind, recipe.models, recipe.windows.length) == (
        "musicnet",
        ("forest",),
        2.0,
    )
    assert (recipe.forest.components, recipe.forest.trees, recipe.forest.min_samples_split) == (
        16,
        200,
        20,
    )
    forest = recipe.forest
    assert (forest.max_depth, forest.max_features, forest.criterion) == (75, "sqrt", "gini")
    assert forest.oob_score
    assert len(recipe.augment.variants) == 9
    assert load("musicnet", ["augment.variants="]).augment.variants == ()


def test_a_label_of_one_source_says_where_its_recordings_went(tmp_path, write_sound, capsys):
    for player, label in (("anna", "flute"), ("ben", "cello"), ("clara", "horn")):
        for number in range(4):
            write_sound(tmp_path / "c" / player / label / f"{number}.wav", 200 + 90 * number)
    assert main(["sounds", *words(["collection.path=c", *QUICK])]) == 1
    said = capsys.readouterr().err
    assert "is on in no training window: all of its recordings are of " in said
    assert "add recordings of it from 3 sources or more" in said


def test_windows_of_a_report_decode_a_recording_once_while_they_are_of_it(
    by_source, tmp_path, decoded
):
    cache = f"cache={tmp_path}"
    assert data(["table", by_source.path, "--out", str(tmp_path / "T"), "--set", cache]) == 0
    table = open_table(tmp_path / "T")
    decoded.clear()
    first, second, third = TableSounds(table).read([0, 1, 2])
    assert len(decoded) == 2
    assert len(first) == len(second) == len(third) == table.config.window
    assert not np.array_equal(first, second)
