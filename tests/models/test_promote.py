"""The promotion check: worse, slow, large or noise-sensitive models are rejected with a reason."""

import json
import resource
import subprocess
import sys
from functools import partial
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest

from features.config import DEFAULT
from models.artefact import write
from models.cli import main
from models.manifest import Label
from models.promote import Limits, _above, figures, latency_ms, quiet_window
from models.store import DEFAULT_PATH, Store

GOOD = {"mean": {"macro_f1": 0.7, "top1": 0.8}}


@pytest.fixture
def candidate(fields, tmp_path):
    """Write a candidate that hears nothing in noise: its thresholds are out of reach."""

    def make(folder="candidates", **changes):
        deaf = [Label(name=name, threshold=1.0) for name in ("piano", "violin", "flute")]
        return write(tmp_path / folder, **fields | {"labels": deaf, "metrics": GOOD} | changes)

    return make


@pytest.fixture
def promote(tmp_path, monkeypatch):
    """The command, on fewer windows of noise."""
    monkeypatch.setattr("models.promote.QUIET_WINDOWS", 20)

    def run(*options, version="1"):
        folders = ["--from", str(tmp_path / "candidates"), "--to", str(tmp_path / "served")]
        return main(["promote", "trio", version, *folders, *options])

    return run


@pytest.fixture
def served(tmp_path):
    return Store(tmp_path / "served")


def test_a_good_candidate_is_served_as_it_is(candidate, promote, served, capsys):
    folder = candidate()
    assert promote() == 0
    assert served.load("trio").version == "1"
    for file in folder.iterdir():
        assert (served.path / "trio" / "1" / file.name).read_bytes() == file.read_bytes()
    assert "latency_ms" in capsys.readouterr().out


def test_as_json_it_tells_name_version_and_measurements(candidate, promote, capsys):
    candidate()
    assert promote("--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], found["version"]) == ("trio", "1")
    assert set(found["measured"]) == {"latency_ms", "size_mb", "quiet"}


def test_it_takes_the_version_after_the_one_that_is_served(candidate, promote, served):
    candidate()
    for version in ("1", "2"):
        assert promote() == 0
        assert served.load("trio", version).version == version
    candidate(version="9")
    assert promote(version="9") == 0
    assert served.versions("trio") == ["1", "2", "9"]


@pytest.mark.parametrize(("macro_f1", "exit_code"), [(0.6951, 0), (0.694, 1)])
def test_worse_than_what_it_replaces_is_rejected_and_the_seed_s_spread_is_not(
    candidate, promote, served, capsys, macro_f1, exit_code
):
    candidate("served")
    candidate(metrics={"mean": {"macro_f1": macro_f1, "top1": 0.9}})
    assert promote() == exit_code
    assert ("macro_f1 0.694 is below the 0.700 of version 1" in capsys.readouterr().err) == bool(
        exit_code
    )
    assert len(served.versions("trio")) == 2 - exit_code


@pytest.mark.parametrize("pooled", ["served", "candidates"])
def test_figures_of_all_windows_are_not_compared_with_means_over_sources(
    candidate, promote, capsys, pooled
):
    together = {"mean": {"macro_f1": 0.9, "top1": 0.9, "windows": 70}}
    for folder in ("served", "candidates"):
        candidate(folder, metrics=together if folder == pooled else GOOD)
    assert promote() == 1
    assert "figures and those of version 1 cannot be compared" in capsys.readouterr().err
    assert promote("--force") == 0
    # Of the same kind they are.
    candidate("candidates", metrics=together, version="2")
    assert (promote(version="2") == 0) == (pooled == "candidates")


def test_a_candidate_without_the_figures_or_labels_of_the_old_one_is_rejected(
    candidate, promote, capsys
):
    candidate("served")
    others = [Label(name=name, threshold=1.0) for name in ("piano", "violin", "harp")]
    candidate(metrics={}, labels=others)
    assert promote() == 1
    said = capsys.readouterr().err
    assert "lacks the labels flute" in said
    assert "metrics lack macro_f1" in said
    assert "metrics lack top1" in said


def test_what_labels_noise_is_rejected_at_the_very_share(candidate, promote, capsys):
    candidate(labels=[Label(name=name, threshold=0.0) for name in ("piano", "violin", "flute")])
    assert promote() == 1
    assert "labels noise or silence: 0.0% of 20" in capsys.readouterr().err
    assert promote("--quiet", "0") == 0


@pytest.mark.parametrize(
    ("recipe", "advice"),
    [
        ("", "train with noise and silence (collection.nothing=0.2), or"),
        (
            "[collection]\nnothing = 0.0",
            "train with noise and silence (collection.nothing=0.2), or",
        ),
        ("not TOML", "train with noise and silence (collection.nothing=0.2), or"),
        (
            "[collection]\nnothing = 0.2",
            "train with more noise (collection.nothing=0.4) or more recordings without a label",
        ),
        ("[collection]\nnothing = 0.6", "train with more noise (collection.nothing=1) or"),
        ("[collection]\nnothing = 1.0", "train with more recordings without a label"),
        ('[collection]\nbackground = ["street"]', "train with more recordings without a label, or"),
    ],
)
def test_the_advice_is_not_what_was_done_already(candidate, promote, capsys, recipe, advice):
    labels = [Label(name=name, threshold=0.0) for name in ("piano", "violin", "flute")]
    candidate(labels=labels, origin={"recipe": recipe})
    assert promote() == 1
    said = capsys.readouterr().err
    assert f"must; {advice}" in said
    assert "accept this share with --quiet 0" in said


@pytest.mark.parametrize("limit", ["latency-ms", "size-mb"])
def test_over_budget_is_rejected_with_figure_and_budget(candidate, promote, served, capsys, limit):
    candidate()
    assert promote(f"--{limit}", "1e-6") == 1
    told = capsys.readouterr().err
    assert f"{limit.replace('-', '_')} " in told
    assert f"is over the budget of 1e-06; accept it with --{limit} " in told
    assert served.names() == []
    assert promote(f"--{limit}", "1e6") == 0


@pytest.mark.parametrize(
    ("value", "offered"), [(12.61, "13"), (0.00632, "0.0064"), (20, "20"), (0, "0")]
)
def test_over_budget_it_is_offered_a_limit_that_it_meets(value, offered):
    assert _above(value) == offered
    assert float(offered) >= value


@pytest.mark.parametrize(("provider", "expected"), [("CPU", 2.0), ("CUDA", 5.0)])
def test_on_the_cpu_time_that_other_programs_had_the_core_does_not_count(
    candidate, tmp_path, monkeypatch, provider, expected
):
    """By clocks of the test: each window takes 5 ms, in 2 of which its thread had a core."""
    candidate()
    model = Store(tmp_path / "candidates").load("trio")
    monkeypatch.setattr(model.session, "provider", provider)
    clocks = {"thread_time": count(0, 0.002), "perf_counter": count(0, 0.005)}
    stopped = {name: partial(next, clock) for name, clock in clocks.items()}
    monkeypatch.setattr("models.promote.time", SimpleNamespace(**stopped))
    assert latency_ms(model) == pytest.approx(expected)


def test_force_says_why_it_would_be_rejected_and_serves_it(candidate, promote, served, capsys):
    candidate()
    assert promote("--size-mb", "1e-6", "--force") == 0
    assert "would be rejected: size_mb" in capsys.readouterr().err
    assert served.names() == ["trio"]


def test_force_does_not_serve_what_would_not_load(candidate, promote, served, capsys):
    (candidate() / "model.onnx").write_bytes(b"no graph")
    assert promote("--force") == 1
    assert "model.onnx" in capsys.readouterr().err
    assert served.names() == []


def test_no_such_candidate_answers_3(candidate, promote, capsys):
    candidate()
    assert promote(version="7") == 3
    assert "there is 1" in capsys.readouterr().err


def test_a_full_disk_leaves_nothing_behind_and_says_so(candidate, promote, served, tmp_path):
    """A limit on the size of files simulates a full disk: the same write fails."""
    candidate()
    code = "import sys; from models.cli import main; sys.exit(main(sys.argv[1:]))"
    answer = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            "promote",
            "trio",
            "1",
            "--from",
            tmp_path / "candidates",
            "--to",
            served.path,
        ],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert answer.returncode == 1
    assert "cannot be written: File too large" in answer.stderr
    assert list((served.path / "trio").iterdir()) == []


def test_what_is_shipped_would_pass_the_gate(tmp_path):
    """Without a bound on time: the machine of the tests may be busy."""
    store = Store(DEFAULT_PATH)
    for name in ("instruments", "instruments-forest"):
        options = ["--from", str(DEFAULT_PATH), "--to", str(tmp_path), "--latency-ms", "1e9"]
        assert main(["promote", name, store.versions(name)[-1], *options]) == 0


def test_quiet_windows_are_of_the_model_s_length_bounded_and_of_several_kinds():
    rng = np.random.default_rng(0)
    windows = [quiet_window(number, DEFAULT, rng) for number in range(10)]
    assert {window.shape for window in windows} == {(DEFAULT.window,)}
    assert all(np.abs(window).max() <= 1 for window in windows)
    assert not windows[0].any()
    assert windows[1].std() < 1e-6 < np.abs(windows[1]).max()
    assert len({float(window.std()) for window in windows}) == 9, (
        "silence and the constant have none, every other its own"
    )


def test_figures_are_those_of_sources_left_out_where_there_are_any():
    assert figures({"macro_f1": 0.9, "mean": {"macro_f1": 0.6}}) == {"macro_f1": 0.6}
    assert figures({"macro_f1": 0.9, "top1": None}) == {"macro_f1": 0.9}


def test_every_limit_is_an_option(capsys):
    with pytest.raises(SystemExit):
        main(["promote", "--help"])
    shown = capsys.readouterr().out
    for name in Limits.__dataclass_fields__:
        assert f"--{name.replace('_', '-')}" in shown
    assert json.dumps(Limits().latency_ms) in shown
