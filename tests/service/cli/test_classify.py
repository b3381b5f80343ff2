"""`timbre classify`: files and folders, without a server."""

import asyncio
import base64
import csv
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from common.terminal import escape
from service.cli.classify import main
from service.client import Client
from tests.models.colours import write_colours
from tests.service.conftest import noise, tone, wav


@pytest.fixture
def sounds(tmp_path):
    """A folder with sounds at two depths, and a text file."""
    folder = tmp_path / "sounds"
    (folder / "deeper").mkdir(parents=True)
    (folder / "a-tone.wav").write_bytes(wav(tone(2)))
    (folder / "both.wav").write_bytes(wav(np.concatenate([tone(2), noise(2)])))
    (folder / "deeper" / "noise.WAV").write_bytes(wav(noise(4)))
    (folder / "notes.txt").write_text("not a sound")
    return folder


@pytest.fixture
def classify(artefacts, capsys):
    """Run the command on the toy model; return exit code, stdout and stderr."""

    def run(*arguments, model="toy"):
        code = main([*map(str, arguments), "--model", model, "--artefacts", str(artefacts)])
        return code, *capsys.readouterr()

    return run


def test_a_folder_gives_its_sound_files_in_order_one_json_line_each(classify, sounds):
    code, out, errors = classify(sounds, "--json")
    answers = [json.loads(line) for line in out.splitlines()]
    told = "timbre classify: passed over, no sound by name or first bytes: 1 .txt\n"
    assert (code, errors) == (0, told)
    assert [answer["path"] for answer in answers] == [
        str(sounds / name) for name in ("a-tone.wav", "both.wav", "deeper/noise.WAV")
    ]
    assert [sorted(answer["labels"]) for answer in answers] == [
        ["tone"],
        ["noise", "tone"],
        ["noise"],
    ]
    assert set(answers[0]["timing_ms"]) == {"decode", "features", "queue", "model", "total"}


async def test_the_result_equals_the_servers(serve, classify, sounds):
    server = await serve()
    there = await Client(server.url).classify(sounds / "both.wav", "toy", hop=0.5)
    _, out, _ = await asyncio.to_thread(classify, sounds / "both.wav", "--json", "--hop", "0.5")
    here = json.loads(out)
    for answer in (here, there):
        del answer["timing_ms"]
    assert here == {"path": str(sounds / "both.wav"), **there}


def test_the_text_output_has_the_clip_and_each_window(classify, sounds):
    code, out, _ = classify(sounds / "both.wav", sounds / "a-tone.wav")
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines[0][0].endswith("both.wav")
    assert lines[1][:4] == ["0.00", "2.00", "s", "tone"]
    assert lines[2][:4] == ["2.00", "4.00", "s", "noise"]
    assert lines[3][1:] == ["tone"]
    assert len(lines) == 4


def test_an_unreadable_file_is_reported_and_the_others_are_classified(classify, sounds):
    code, out, errors = classify(
        sounds / "notes.txt", sounds / "none.wav", sounds / "a-tone.wav", "--json"
    )
    assert code == 1
    said = [json.loads(line) for line in out.splitlines()]
    assert [("error" in one, "labels" in one) for one in said] == [
        (True, False),
        (True, False),
        (False, True),
    ]
    assert said[1]["error"] == "No such file or directory"
    assert "notes.txt: not a sound file" in errors
    assert "none.wav: No such file" in errors


def test_hundreds_of_files_are_answered_in_order(classify, tmp_path):
    for index in range(120):
        (tmp_path / f"{index:03}.wav").write_bytes(wav(noise(0.3) if index % 2 else tone(2.1)))
    code, out, _ = classify(tmp_path, "--json")
    assert code == 0
    assert [json.loads(line)["path"][-7:-4] for line in out.splitlines()] == [
        f"{index:03}" for index in range(120)
    ]


@pytest.mark.parametrize(
    ("arguments", "reason"), [(["--hop", "9"], "hop=9"), (["--hop", "0"], "hop=0")]
)
def test_a_hop_out_of_range_ends_with_4(classify, sounds, arguments, reason):
    code, _, errors = classify(sounds, *arguments)
    assert code == 4
    assert reason in errors


def test_an_unknown_model_exits_with_4(classify, sounds):
    code, _, errors = classify(sounds, model="tuba")
    assert code == 4
    assert "tuba" in errors


def test_no_path_exits_with_2():
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2


@pytest.fixture(scope="module")
def picture_artefacts(tmp_path_factory):
    """An artefacts folder of picture models."""
    return write_colours(tmp_path_factory.mktemp("seeing"))


@pytest.fixture
def album(tmp_path):
    """A folder of pictures, one of them broken."""
    folder = tmp_path / "album"
    (folder / "deeper").mkdir(parents=True)
    for name, colour in {"a.png": "red", "b.jpg": "blue", "deeper/<c>.webp": "lime"}.items():
        Image.new("RGB", (50, 40), colour).save(folder / name)
    Image.new("RGB", (50, 40), "gray").save(folder / "grey.bmp")
    (folder / "broken.gif").write_bytes(b"GIF89a")
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_events_are_told_in_every_format(classify, sounds):
    both = sounds / "both.wav"
    settings = ("--event-settings", '{"*": {"gap": 0}}')
    code, out, _ = classify(both, "--format", "json", "--events", *settings)
    answer = json.loads(out)
    events = [(each["label"], each["start"], each["end"]) for each in answer["events"]]
    assert (code, {label for label, *_ in events}) == (0, {"tone", "noise"})
    assert len(answer["windows"]) > 2
    _, out, _ = classify(both, "--format", "jsonl", *settings)
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(each["label"], each["start"], each["end"]) for each in lines] == events
    _, out, _ = classify(both, "--csv", "--events", *settings)
    rows = csv.DictReader(io.StringIO(out))
    assert [(row["label"], float(row["start"]), float(row["end"])) for row in rows] == events
    _, out, _ = classify(both, "--format", "audacity", *settings)
    assert [line.split("\t")[2] for line in out.splitlines()] == [label for label, *_ in events]
    _, out, _ = classify(both, "--format", "raven", *settings)
    assert out.count("\n") == 1 + len(events)
    _, out, _ = classify(both, "--events", *settings)
    assert [line.split()[3] for line in out.splitlines()[1:]] == [label for label, *_ in events]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--event-settings", "{}"), "--event-settings without --events"),
        (("--events", "--event-settings", '{"tuba": {}}'), "unknown label 'tuba'"),
        (("--format", "audacity"), "is of one file"),
    ],
)
def test_what_cannot_be_asked_for_events_is_named(classify, sounds, options, message):
    code, _, errors = classify(sounds, *options)
    assert (code, message in errors) == (4, True), errors


def test_pictures_have_no_events(classify_pictures, album):
    code, _, errors = classify_pictures(album, "--events")
    assert (code, "takes pictures, which have no events" in errors) == (4, True)


@pytest.fixture
def classify_pictures(picture_artefacts, capsys):
    """Run the command on a picture model; return exit code, stdout and stderr."""

    def run(*arguments, model="colours"):
        code = main([*map(str, arguments), "--model", model, "--artefacts", str(picture_artefacts)])
        return code, *capsys.readouterr()

    return run


def test_pictures_are_listed_with_their_best_labels(classify_pictures, album):
    code, out, errors = classify_pictures(album, "--top-k", "2")
    lines = [line.split() for line in out.splitlines()]
    assert code == 1
    assert [(line[0].rsplit("/")[-1], line[1], len(line)) for line in lines] == [
        ("a.png", "red", 5),
        ("b.jpg", "blue", 5),
        ("<c>.webp", "green", 5),
        ("grey.bmp", "red", 5),
    ]
    assert "broken.gif: truncated" in errors
    assert "notes.txt" not in errors


def test_pictures_as_json_and_as_csv_are_equal(classify_pictures, album):
    _, out, _ = classify_pictures(album, "--json")
    answers = [json.loads(line) for line in out.splitlines()]
    [unread] = [answer for answer in answers if "error" in answer]
    answers.remove(unread)
    assert [len(answer["predictions"]) for answer in answers] == [3] * 4
    code, out, _ = classify_pictures(album, "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 1
    assert [(row["path"], row["label"], float(row["score"])) for row in rows if row["label"]] == [
        (answer["path"], each["label"], each["score"])
        for answer in answers
        for each in answer["predictions"]
    ]
    [broken] = [row for row in rows if row["error"]]
    assert broken["path"].endswith("broken.gif")
    assert unread == {"path": broken["path"], "error": broken["error"]}


def test_sounds_as_csv_have_a_row_for_each_window_and_label(classify, sounds):
    _, out, _ = classify(sounds / "both.wav", "--csv", "--top-k", "1")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["start"], row["end"], row["rank"], row["label"]) for row in rows] == [
        ("0.0", "2.0", "1", "tone"),
        ("2.0", "4.0", "1", "noise"),
    ]


@pytest.fixture
def doubtful(tmp_path):
    """A silent file, a good one, and one of which the second half is missing."""
    folder = tmp_path / "doubtful"
    folder.mkdir()
    (folder / "a-silent.wav").write_bytes(wav(np.zeros(44_100, np.float32)))
    (folder / "b-good.wav").write_bytes(wav(tone(2) + noise(2, level=0.01)))
    whole = wav(noise(4))
    (folder / "c-half.wav").write_bytes(whole[: len(whole) // 2])
    return folder


def test_the_text_output_has_the_warnings_of_each_file_beneath_it(classify, doubtful):
    code, out, errors = classify(doubtful, "--partial")
    lines = out.splitlines()
    assert (code, errors) == (0, "")
    assert "a-silent.wav" in lines[0]
    assert lines[1] == "  warning (silence): no sample above -80 dB"
    assert "b-good.wav" in lines[2]
    assert "c-half.wav" in lines[3]
    assert lines[4].startswith("  warning (truncated): truncated: the header promises")
    assert len(lines) == 5


def test_csv_has_the_kinds_of_warnings_in_its_last_column(classify, doubtful):
    _, out, _ = classify(doubtful, "--partial", "--csv", "--top-k", "1")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert list(rows[0])[-1] == "warnings"
    assert [row["warnings"] for row in rows] == ["silence", "", "truncated"]
    _, out, _ = classify(doubtful, "--csv")
    assert {row["warnings"] for row in csv.DictReader(io.StringIO(out)) if row["error"]} == {""}


def test_a_file_with_missing_sound_is_an_error_unless_partial_is_said(classify, doubtful):
    code, out, errors = classify(doubtful / "c-half.wav", "--json")
    assert (code, list(json.loads(out))) == (1, ["path", "error"])
    assert "truncated" in errors
    code, out, errors = classify(doubtful / "c-half.wav", "--json", "--partial")
    assert (code, errors) == (0, "")
    [doubt] = json.loads(out)["warnings"]
    assert doubt["kind"] == "truncated"


def test_pictures_are_never_partial(classify_pictures, album):
    code, _, errors = classify_pictures(album, "--partial")
    assert code == 4
    assert "takes pictures" in errors


def test_metadata_of_a_picture_reaches_the_model(classify_pictures, album):
    for region, label in (("land", "red"), ("sea", "blue")):
        _, out, _ = classify_pictures(
            album / "a.png", "--with", f"region={region}", "--json", model="places"
        )
        assert json.loads(out)["predictions"][0]["label"] == label
    assert classify_pictures(album, model="places")[0] == 4
    assert classify_pictures(album, "--with", "region=air", model="places")[0] == 4


def test_the_sheet_shows_the_surest_first_and_lists_what_could_not_be_read(
    classify_pictures, album, tmp_path
):
    target = tmp_path / "sheet.html"
    code, _, _ = classify_pictures(album, "--sheet", target, "--json")
    page = target.read_text()
    assert code == 1
    cards = re.findall(r"<figure.*?</figure>", page, flags=re.DOTALL)
    sure = [int(re.search(r"<i>(\d+) %", card)[1]) for card in cards]
    assert len(cards) == 4
    assert sure == sorted(sure, reverse=True)
    assert "grey.bmp" in cards[-1]
    assert "&lt;c&gt;.webp" in page
    assert "<c>" not in page
    assert "broken.gif</b> truncated" in page
    for card in cards:
        thumbnail = base64.b64decode(re.search(r'base64,([^"]*)"', card)[1])
        assert Image.open(io.BytesIO(thumbnail)).size == (50, 40)
        shares = [int(share) for share in re.findall(r"(\d+)\s%", card)]
        assert shares == sorted(shares, reverse=True)
        assert len(shares) == 3
    assert not re.search(r"(src|href)=(?![\"']?data:)", page)
    assert [path.name for path in tmp_path.iterdir() if "sheet" in path.name] == ["sheet.html"]


@pytest.mark.parametrize("most", [3, 4])
def test_a_sheet_of_very_many_shows_the_surest_and_the_least_sure(
    classify_pictures, album, tmp_path, monkeypatch, most
):
    monkeypatch.setattr("service.cli.contact_sheet.MOST", most)
    classify_pictures(album, "--sheet", tmp_path / "sheet.html")
    page = (tmp_path / "sheet.html").read_text()
    names = re.findall(r'<small class="path">(.*?)</small>', page)
    assert len(names) == most // 2 * 2
    assert names[-1] == "grey.bmp"
    assert re.findall(r'<small class="folder">(.*?)</small>', page)[-1] == "in album"
    assert ("the 1 surest and the 1 least sure are shown" in page) == (most == 3)


def test_an_empty_or_unwritable_contact_sheet_is_rejected(
    classify_pictures, classify, album, sounds, tmp_path
):
    code, _, errors = classify_pictures(album, "--sheet", tmp_path / "none" / "sheet.html")
    assert code == 4
    assert "sheet.html cannot be written: No such file" in errors
    code, _, errors = classify(sounds, "--sheet", tmp_path / "sheet.html")
    assert code == 4
    assert "takes sound" in errors
    assert not (tmp_path / "sheet.html").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--top-k", "0"], "'0' must be a number of 1 or more"),
        (["--top-k", "two"], "'two' must be a number"),
        (["--with", "region"], "'region' must be NAME=VALUE"),
        (["--json", "--csv"], "not allowed with"),
    ],
)
def test_invalid_options_exit_with_2(classify_pictures, album, capsys, arguments, words):
    with pytest.raises(SystemExit) as ended:
        classify_pictures(album, *arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


FORGED = "x\x1b[31m\x9b2J\x1b]0;t\x07\u202e\udcff\nfalse.wav"


@pytest.mark.parametrize("options", [(), ("--csv",)])
def test_control_characters_in_file_names_are_escaped(classify, tmp_path, options):
    (tmp_path / FORGED).write_bytes(wav(tone(2)))
    (tmp_path / f"broken{FORGED}").write_bytes(b"no sound")
    code, out, errors = classify(tmp_path, *options)
    assert code == 1
    for told in (out, errors):
        assert escape(FORGED) in told
        assert not any(control in told for control in "\x1b\x9b\x07\u202e\udcff")
        assert not any(line.startswith("false") for line in told.splitlines())


def test_json_has_the_file_name_as_it_is(classify, tmp_path):
    (tmp_path / FORGED).write_bytes(wav(tone(2)))
    code, out, _ = classify(tmp_path, "--json")
    assert (code, json.loads(out)["path"]) == (0, str(tmp_path / FORGED))
    assert "\x1b" not in out
