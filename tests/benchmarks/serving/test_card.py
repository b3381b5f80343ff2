"""The card of `timbre bench capacity --card`: measured on a real server, small, and drawn."""

import io
import json

import pytest
from PIL import Image

from benchmarks import cli
from benchmarks.serving import capacity, card, card_page
from tests.service.conftest import artefacts  # noqa: F401 - fixture

REPORT = {
    "machine": {"processor": "A <B>", "cores": 4, "load": 0.1, "python": "3.12", "commit": "abc"},
    "date": "2026-11-30",
    "limit_ms": 100.0,
    "hop": 1.0,
    "versions": {"timbre": "0.1.0"},
    "model": "instruments",
    "version": "2",
    "provider": "CPU",
    "streams": 1_125,
    "p99_ms": 81.2,
    "clips_per_s": 912.4,
    "picture_model": "clip-art",
    "pictures_per_s": 640.0,
    "mib": 240,
    "seconds": 51,
}


def test_a_small_run_measures_and_writes_the_card(artefacts, tmp_path, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setattr(capacity, "LIMIT_MS", 60_000)
    monkeypatch.setattr(card, "FIRST", 1)
    monkeypatch.setattr(card, "STREAM_S", 2.2)
    monkeypatch.setattr(card, "REQUESTS_S", 0.2)
    serve = f"--artefacts {artefacts} --set window_deadline=60"
    options = ["--most", "1", "--model", "toy", "--serve", serve, "--json"]
    assert cli.main(["capacity", "--card", f"{tmp_path}/card.html", *options]) == 0
    told = capsys.readouterr()
    report = json.loads(told.out)
    assert report["streams"] == 1
    assert report["clips_per_s"] > 0
    assert (report["picture_model"], report["pictures_per_s"]) == (None, None)
    assert report["mib"] > 10
    assert report["versions"]["timbre"]
    assert "clips of 2 s a second" in told.err
    assert "live streams" in (tmp_path / "card.html").read_text()


def test_the_page_shows_every_figure_and_loads_nothing():
    shown = card_page.page(REPORT).decode()
    for text in ("1,125", "912", "640", "240 MiB", "A &lt;B&gt;", "timbre 0.1.0", "commit abc"):
        assert text in shown
    assert "src=" not in shown
    assert "href=" not in shown


def test_the_picture_is_a_png_of_the_size_of_a_card():
    drawn = Image.open(io.BytesIO(card_page.picture(REPORT)))
    assert (drawn.format, drawn.size) == ("PNG", card_page.SIZE)
    other = Image.open(io.BytesIO(card_page.picture(REPORT | {"streams": 7})))
    assert drawn.tobytes() != other.tobytes()


@pytest.mark.parametrize(
    "left_out", [("pictures_per_s", "pictures a second"), ("mib", "of memory")]
)
def test_what_was_not_measured_is_left_out(left_out):
    name, caption = left_out
    report = REPORT | {name: None}
    assert not any(caption in text for _, text in card_page.figures(report))
    assert caption not in card_page.page(report).decode()
    card_page.picture(report)


@pytest.mark.parametrize(
    ("name", "why"), [("card.jpeg", "must end with .png or .html"), ("no/card.png", "no folder")]
)
def test_a_card_that_cannot_be_written_is_rejected_before_it_is_measured(
    name, why, tmp_path, capsys
):
    with pytest.raises(SystemExit) as ended:
        cli.main(["capacity", "--card", f"{tmp_path}/{name}"])
    assert ended.value.code == 2
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("server_cpu", "load_cpu", "expected"), [(0.5, 0.5, 240), (3.0, 1.0, 100), (None, 1.0, 240)]
)
def test_the_first_guess_leaves_a_part_of_the_cores_free(server_cpu, load_cpu, expected):
    row = {"streams": 100, "server_cpu": server_cpu, "load_cpu": load_cpu}
    assert card.guess(row, cores=4) == expected


@pytest.mark.parametrize(("load", "said"), [(1.2, False), (1.3, True)])
def test_a_card_of_a_machine_with_other_work_says_so(load, said):
    report = REPORT | {"machine": REPORT["machine"] | {"load": load}}
    assert ("other work ran" in card_page.notes(report)[0]) is said
