"""Two results agree, differ, or cannot be compared: 0, 1, 2."""

import pytest

from benchmarks import cli
from benchmarks.reporting import results


def report(ratio, *, benchmark="x", settings=None, name="peer"):
    base = {"what": "a", "name": "timbre", "ratio": 1.0, "ratio_p25": 1.0, "ratio_p75": 1.0}
    row = {"what": "a", "name": name, "ratio": ratio, "ratio_p25": ratio, "ratio_p75": ratio * 1.1}
    return results.document(
        benchmark, command="", settings=settings or {"rounds": 3}, rows=[base, row]
    )


@pytest.fixture
def compare(tmp_path):
    def run(a, b, *options):
        for name, each in (("a", a), ("b", b)):
            results.write(tmp_path / f"{name}.json", each)
        return cli.main(["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json"), *options])

    return run


@pytest.mark.parametrize(
    ("ratio", "code"), [(4.0, 0), (5.0, 0), (5.01, 1), (3.2, 0), (3.19, 1), (400.0, 1), (0.04, 1)]
)
def test_a_ratio_past_the_tolerance_either_way_differs(ratio, code, compare, capsys):
    assert compare(report(4.0), report(ratio)) == code
    told = capsys.readouterr()
    assert ("differs: x, peer, a" in told.err) == bool(code)
    assert f"{code} of 1 ratios differ" in told.out


@pytest.mark.parametrize(("tolerance", "code"), [("0.5", 0), ("0.49", 1), ("0", 1)])
def test_the_tolerance_can_be_set(tolerance, code, compare):
    assert compare(report(4.0), report(6.0), "--tolerance", tolerance) == code


def test_a_ratio_that_is_in_one_only_differs_and_is_named(compare, capsys):
    assert compare(report(4.0), report(4.0, name="other")) == 1
    err = capsys.readouterr().err
    assert "peer, a: only in one" in err
    assert "other, a: only in one" in err


@pytest.mark.parametrize(
    ("b", "why"),
    [
        (report(4.0, settings={"rounds": 4}), "other settings: rounds 3 and 4"),
        (report(4.0, settings={"rounds": 3, "tiny": True}), "other settings: tiny None and True"),
        (report(4.0, benchmark="y"), "results of x and of y"),
    ],
)
def test_results_of_something_else_are_refused(b, why, compare, capsys):
    with pytest.raises(SystemExit) as caught:
        compare(report(4.0), b)
    assert caught.value.code == 2
    assert why in capsys.readouterr().err


def test_results_without_any_ratio_are_refused(compare, capsys):
    empty = results.document("x", command="", settings={"rounds": 3}, rows=[{"mib": 1.0}])
    with pytest.raises(SystemExit) as caught:
        compare(empty, empty)
    assert caught.value.code == 2
    assert "no ratio" in capsys.readouterr().err


@pytest.mark.parametrize("given", [[], ["a"], ["a", "b", "c"], ["none", "none"]])
def test_wrong_use_is_2(given, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["compare", *given])
    assert caught.value.code == 2
    assert "error" in capsys.readouterr().err


def test_folders_are_compared_by_the_benchmarks_that_both_have(tmp_path, capsys):
    for side, ratio in (("a", 4.0), ("b", 9.0)):
        (tmp_path / side).mkdir()
        for name, value in (("x", 4.0), ("y", ratio)):
            results.write(tmp_path / side / f"{name}.json", report(value, benchmark=name))
    results.write(tmp_path / "a" / "z.json", report(1.5, benchmark="z"))
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert cli.main(["compare", *folders]) == 1
    assert capsys.readouterr().err.splitlines() == ["differs: y, peer, a: +125%"]
    with pytest.raises(SystemExit):
        cli.main(["compare", folders[0], str(tmp_path / "a" / "x.json")])
