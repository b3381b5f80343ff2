"""The command that finds what is wrong and shows it."""

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from dataclasses import replace

from training.pictures.clean import command
from training.pictures.clean.command import main

CODE = "import sys; from training.pictures.clean.command import main; sys.exit(main(sys.argv[1:]))"


def test_findings_are_written_as_a_list(folder, tmp_path, capsys):
    (folder / "tree" / "copy.png").write_bytes((folder / "boat" / "boat-0.png").read_bytes())
    out = tmp_path / "found.csv"
    assert main([str(folder), "--list", str(out)]) == 0
    assert "25 pictures: 1 sets of equal files" in capsys.readouterr().out
    with out.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "equal"]
    assert [(row["path"], row["label"], row["why"]) for row in rows] == [
        ("boat/boat-0.png", "boat", "the same file"),
        ("tree/copy.png", "tree", "the same file"),
    ]
    assert len({row["finding"] for row in rows}) == 1
    assert main([str(folder), "--list", str(out)]) == 1
    assert "exists already" in capsys.readouterr().err


def test_of_one_label_no_accuracy_is_told(folder, tmp_path, capsys):
    assert main([str(folder), "--list", str(tmp_path / "all.csv")]) == 0
    assert re.search(r"models that are right on [1-9]\d*% of", capsys.readouterr().out)
    for other in [each for each in folder.iterdir() if each.name != "boat"]:
        shutil.rmtree(other)
    assert main([str(folder), "--list", str(tmp_path / "boats.csv")]) == 0
    printed = capsys.readouterr().out
    assert "suspect labels: none could be looked for" in printed
    assert "0%" not in printed


def test_models_that_are_never_right_are_told(folder, tmp_path, capsys, monkeypatch):
    real = command.scan
    monkeypatch.setattr(command, "scan", lambda *a, **b: replace(real(*a, **b), accuracy=0.0))
    assert main([str(folder), "--list", str(tmp_path / "all.csv")]) == 0
    assert "right on 0% of held-out pictures" in capsys.readouterr().out


def test_a_folder_without_pictures_is_told(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert "no pictures in" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_page_is_served_on_loopback_until_the_person_ends_it(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        url = next(
            found[0]
            for line in process.stdout
            if (found := re.search(r"http://127\.0\.0\.1:\d+/\S+/", line))
        )
        with urllib.request.urlopen(url, timeout=120) as answer:
            assert b"<title>Clean pictures</title>" in answer.read()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
        assert process.returncode == 130
        assert f"deleted pictures are in {folder / '.trash'}" in said
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
