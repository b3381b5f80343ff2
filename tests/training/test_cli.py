import importlib.util
import json

import pytest

from training import cli
from training.common.recipe import FOLDER, load
from training.pipelines import sounds

TENSORBOARD = importlib.util.find_spec("tensorboard")
WRITES: dict[str, tuple[str, ...]] = {
    "timbre-sound": (),
    "instruments": ("instruments", "instruments-forest", "instruments-net"),
    "clip-art-retrained-svm": ("clip-art-retrained", "clip-art-retrained-svm"),
}


@pytest.mark.parametrize("recipe", sorted(path.stem for path in FOLDER.glob("*.toml")))
def test_a_version_that_exists_is_rejected_before_anything_is_trained(
    recipe, tmp_path, monkeypatch, capsys
):
    def no_training(steps):
        raise AssertionError(f"{steps} was run")

    monkeypatch.setattr(cli, "pipeline", no_training)
    names = load(recipe).artefact_names
    assert names == WRITES.get(recipe, (recipe,))
    for name in names:
        out = tmp_path / f"only-{name}"
        (out / name / "2").mkdir(parents=True)
        assert cli.main([recipe, "--set", "version=2", "--out", str(out)]) == 1
        assert f"{out / name / '2'} exists already" in capsys.readouterr().err


def test_another_version_is_trained_and_its_folders_are_printed(tmp_path, monkeypatch, capsys):
    made = tmp_path / "birds" / "3"
    report = tmp_path / "reports" / "birds-3"

    class Pipeline:
        @staticmethod
        def run(recipe, out, stage):
            return [made, report]

    monkeypatch.setattr(cli, "pipeline", lambda steps: Pipeline)
    (tmp_path / "birds" / "2").mkdir(parents=True)
    assert cli.main(["birds", "--set", "version=3", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"artefact: {made}\nreport: {report}\n"


def test_examples_of_help_are_settings_that_recipes_have(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "collection.path=FOLDER, name=birds" in " ".join(capsys.readouterr().out.split())
    changed = load("sounds", ["collection.path=FOLDER", "name=birds", "profile=quick"])
    assert (changed.collection.path, changed.name) == ("FOLDER", "birds")


def test_progress_is_written_for_programs_with_the_folders_at_the_end(tmp_path, monkeypatch):
    class Pipeline:
        @staticmethod
        def run(recipe, out, stage):
            with stage("training") as progress:
                progress(1, 2)
            return [out / "birds" / "1", out / "reports" / "birds-1"]

    monkeypatch.setattr(cli, "pipeline", lambda steps: Pipeline)
    file = tmp_path / "progress.jsonl"
    assert cli.main(["birds", "--out", str(tmp_path), "--progress", str(file)]) == 0
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert (rows[0]["stage"], rows[0]["ended"]) == ("training", False)
    assert rows[-2:] == [{"artefact": "birds/1"}, {"report": "reports/birds-1"}]


def test_a_check_trains_nothing_and_says_what_is_wrong(tmp_path, monkeypatch, capsys):
    def no_training(*arguments):
        raise AssertionError(f"run with {arguments}")

    monkeypatch.setattr(sounds, "run", no_training)
    options = ["sounds", "--check", "--out", str(tmp_path)]
    assert cli.main([*options, "--set", "forest.trees=10"]) == 0
    assert cli.main([*options, "--set", "forest.treees=10"]) == 1
    assert "unknown setting treees" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("recipe", "setting", "message"),
    [
        ("sounds", "estimators.linear-svm.D=1", "estimators.linear-svm: unknown setting D; known"),
        ("sounds", "estimators.linear-svm.C=1", None),
        ("musicnet", "estimators.neighbours.n_neighbors=3", None),
        ("musicnet", "estimators.neighbours.neighbors=3", "unknown setting neighbors; known"),
        ("instruments", "estimators.dense.layers=3", "unknown setting layers; known: epochs"),
        ("instruments", "estimators.dense.epochs=3", None),
        ("birds", "tensorboard=true", None if TENSORBOARD else "tensorboard=true: it is not inst"),
        ("birds", "tensorboard=false", None),
    ],
)
def test_a_check_sees_the_settings_that_only_a_library_knows(
    recipe, setting, message, tmp_path, capsys
):
    code = cli.main([recipe, "--check", "--set", setting, "--out", str(tmp_path / "out")])
    assert code == (1 if message else 0)
    assert (message or "") in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
