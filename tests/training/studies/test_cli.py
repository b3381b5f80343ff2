"""`timbre study`: tables, a plot and JSON out of one command, and one line where it cannot."""

import json
import re
from xml.etree import ElementTree as ET

import pytest

from training.studies.cli import STUDIES, main


@pytest.fixture(scope="module")
def out(table_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies")
    assert main(["pca", str(table_folder), "--out", str(folder), "--rows", "100"]) == 0
    return folder


def test_it_writes_a_table_a_page_a_plot_and_figures(out):
    assert sorted(path.name for path in out.iterdir()) == [
        "pca.html",
        "pca.json",
        "pca.md",
        "pca.svg",
    ]
    assert len(json.loads((out / "pca.json").read_text())["lost"]["training windows"]) == 26
    ET.fromstring((out / "pca.svg").read_text())
    assert "| 16 |" in (out / "pca.md").read_text()


def test_the_page_stands_alone(out):
    page = (out / "pca.html").read_text()
    assert "<svg" in page
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    assert "original work" in page


def test_the_tables_are_printed_too(table_folder, tmp_path, capsys):
    assert main(["pca", str(table_folder), "--out", str(tmp_path), "--rows", "100"]) == 0
    shown = capsys.readouterr()
    assert "| components | training windows |" in shown.out
    assert "pca.html" in shown.err


def test_no_table_is_one_line_and_exit_code_1(tmp_path, capsys):
    assert main(["pca", str(tmp_path / "nothing")]) == 1
    assert "is not a table" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["astrology", "x"], ["pca"]])
def test_wrong_usage_answers_2(arguments):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2


def test_help_tells_what_each_study_asks(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert all(what in shown for what in STUDIES.values())


def test_a_file_in_the_place_of_the_folder_is_one_line(table_folder, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["pca", str(table_folder), "--out", str(tmp_path / "file"), "--rows", "50"]) == 1
    assert "file" in capsys.readouterr().err
