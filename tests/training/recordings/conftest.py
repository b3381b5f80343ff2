"""Small collections, written as files in every form that is read."""

import csv
import zlib

import numpy as np
import pytest
import soundfile as sf

from training.recordings import audio
from training.recordings.settings import CollectionSpec

MUSICNET = 44_100


def sound(hertz, seconds, rate=22_050, seed=0):
    time = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(seed).normal(0, 0.01, len(time))
    return (0.3 * np.sin(2 * np.pi * hertz * time) + noise).astype(np.float32)


def write(path, hertz=440.0, seconds=3.0, rate=22_050):
    path.parent.mkdir(parents=True, exist_ok=True)
    # No two files alike, as no two recordings are; but alike in every run, wherever it writes.
    names = [
        name for name in path.parts[-3:] if not name.startswith(("pytest-", "popen-", "test_"))
    ]
    sf.write(path, sound(hertz, seconds, rate, seed=zlib.crc32("/".join(names).encode())), rate)
    return path


@pytest.fixture(scope="session")
def write_sound():
    return write


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that are decoded from now on, in order."""
    names, read = [], audio.read

    def counted(path, inner="", *, rate):
        names.append(path.name)
        return read(path, inner, rate=rate)

    monkeypatch.setattr(audio, "read", counted)
    return names


@pytest.fixture
def by_source(tmp_path):
    """SOURCE/LABEL/file: six sources, each with a high and a low sound of 3 s."""
    for number in range(6):
        for label, hertz in (("high", 2000), ("low", 200)):
            write(
                tmp_path / "collection" / f"player{number}" / label / f"{number}.wav",
                hertz + 20 * number,
            )
    return CollectionSpec(path=str(tmp_path / "collection"))


@pytest.fixture(scope="session")
def musicnet(tmp_path_factory):
    """MusicNet as published: three recordings for training, one for testing, and the metadata."""
    root = tmp_path_factory.mktemp("musicnet")
    rows = []
    for part, name, piece, notes in (
        ("train", "1727", "Piano Quintet", [(0, 44100, 1, 60), (22050, 66150, 41, 76)]),
        ("train", "1728", "Piano Quintet", [(44100, 88200, 43, 48), (60000, 88200, 43, 52)]),
        ("train", "2494", "Partita", [(1000, 100000, 74, 80)]),
        ("test", "1759", "Sonata", [(0, 88200, 1, 60)]),
    ):
        write(root / "musicnet" / f"{part}_data" / f"{name}.wav", 440 + len(rows), 3.0, MUSICNET)
        labels = root / "musicnet" / f"{part}_labels" / f"{name}.csv"
        labels.parent.mkdir(exist_ok=True)
        with labels.open("w", newline="") as file:
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
            table.writerows(
                [start, end, program, note, 0.0, 1.0, "Quarter"]
                for start, end, program, note in notes
            )
        rows.append(
            [
                name,
                "Schubert",
                piece,
                "1. Allegro",
                "Quintet",
                "European Archive",
                "x",
                "OP114",
                "3",
            ]
        )
    with (root / "musicnet_metadata.csv").open("w", newline="") as file:
        table = csv.writer(file)
        head = "id,composer,composition,movement,ensemble,source,transcriber,catalog_name,seconds"
        table.writerows([head.split(","), *rows])
    return root
