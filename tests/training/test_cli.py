import pytest

from training import cli
from training.common.recipe import FOLDER, load

WRITES = {"instruments": ("instruments", "instruments-forest", "instruments-net")}


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
