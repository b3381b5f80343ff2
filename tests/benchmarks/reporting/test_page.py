"""Page, documents and pictures are what the results say."""

import re

import pytest

from benchmarks import cli
from benchmarks.reporting import page, results


def test_every_document_says_what_the_results_say():
    made = page.files(results.read_folder())
    differing = [
        path.name for path, text in made.items() if path.read_text(encoding="utf-8") != text
    ]
    assert differing == [], "run `timbre bench page`"
    assert cli.main(["page", "--check"]) == 0


def test_a_document_that_differs_from_the_results_is_named(monkeypatch, tmp_path, capsys):
    for name in page.DOCUMENTS:
        text = (page.ROOT / name).read_text(encoding="utf-8")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    typed = (tmp_path / "README.md").read_text(encoding="utf-8").replace(" times |", "0 times |", 1)
    (tmp_path / "README.md").write_text(typed, encoding="utf-8")
    monkeypatch.setattr(page, "ROOT", tmp_path)
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.html")
    assert cli.main(["page", "--check"]) == 1
    assert "README.md is not what" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()
    assert cli.main(["page"]) == 0
    assert cli.main(["page", "--check"]) == 0
    original = (page.DOCUMENTS and results.FOLDER.parents[1] / "README.md").read_text("utf-8")
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == original


FIGURE = re.compile(
    r"\d[\d,]*\.\d+|\d[\d,.]*\s(?:%|(?:ms|MiB|MB|kB|GB|times|s|minutes|hours|days)\b)"
)
NOT_MEASURED = {
    "README.md": ("Python 3.11+", "[Apache-2.0]", "windows of 2 s"),
    "BENCHMARKS.md": (
        *("by more than 25 %", "librosa's to 1 %, or to 0.5 dB", "says of 20 s of sound"),
        *("The aims are 40 kB just opened and 500 kB with sound", "The aims are 120 MiB with"),
        *("forest alone, 7 s after it has classified 20 s of sound", "At most 250 MiB may be"),
        *("The aim is 1.5 times its", "of clips of 2 s,", "aim beside model servers is 4 times"),
        *("with p99 under 100 ms and no drop", "is over 2 s at p99, or less than 80 % of C"),
        "at most 5 wake-ups a second and 0.1 % of a core",
    ),
    "MODELS.md": (
        *("the best F-0.8", "a top-1 of 0.85 on solo", "macro-F1 of 0.75 on mixtures"),
        *("on solos of 10 s assembled", "and 0.8 of its thresholds", "played to 2.5 s"),
        *("the lowest of 1, 0.9, 0.8, 0.7 and 0.6", "macro-F1 on one label by less than 0.005"),
        *("a collar of 1 s", "a difference of 0.01 means nothing", "differences of 0.05 mean"),
    ),
}
"""Aims, bounds and settings; all else that looks like a figure stands between marks."""


def typed(name, text):
    """The figures of a document that neither a result tells nor NOT_MEASURED names."""
    for generated in (r"<!-- results: .*?<!-- end of results -->", r"```.*?```", r"`[^`]*`"):
        text = re.sub(generated, "", text, flags=re.DOTALL)
    text = re.sub(r"\s+", " ", text)
    for known in NOT_MEASURED[name]:
        assert known in text, f"{name} has no {known!r} any more"
        text = text.replace(known, "")
    return FIGURE.findall(text)


@pytest.mark.parametrize("name", NOT_MEASURED)
def test_no_figure_is_typed(name):
    assert typed(name, (page.ROOT / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "sentence",
    [
        "It takes 4 ms.",
        "It is 12 times\nas fast.",
        "Top-1 is 0.76.",
        "It has 1,234 MiB.",
        "89 % do.",
    ],
)
def test_a_typed_figure_is_found_in_any_sentence(sentence):
    text = (page.ROOT / "MODELS.md").read_text(encoding="utf-8")
    assert len(typed("MODELS.md", f"{text}\n{sentence}\n")) == 1


@pytest.fixture(scope="module")
def reports():
    return results.read_folder()


def test_the_page_has_a_section_for_each_result_and_asks_for_nothing_else(reports):
    text = page.render(reports)
    for name, report in reports.items():
        assert f'<h2 id="{name}">' in text
        assert report["machine"]["commit"] in text
    assert 'src="' not in text
    assert 'href="http' not in text


def test_copies_of_older_figures_stand_last(reports):
    text = page.render(reports)
    order = sorted(reports, key=lambda name: text.index(f'<h2 id="{name}">'))
    copied = [results.COPIED in reports[name] for name in order]
    assert copied == sorted(copied)


def test_the_picture_leaves_out_what_is_compared_with_itself(reports):
    for report in reports.values():
        bars = page.bars_of(report)
        compared = [row for row in report["rows"] if row.get("ratio") and row["ratio"] > 0]
        assert len(bars) <= len(compared)
        assert all(bar.low <= bar.ratio <= bar.high for bar in bars)
