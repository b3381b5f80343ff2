"""`timbre classify`: files and folders, without a server."""

import asyncio
import json

import numpy as np
import pytest

from service.client import Client
from service.commands.classify import main
from tests.service.conftest import noise, tone, wav


@pytest.fixture
def sounds(tmp_path):
    """A folder with sounds at two depths, and a file that is none."""
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
    assert (code, errors) == (0, "")
    assert [answer["path"] for answer in answers] == [
        str(sounds / name) for name in ("a-tone.wav", "both.wav", "deeper/noise.WAV")
    ]
    assert [sorted(answer["labels"]) for answer in answers] == [["tone"], ["noise", "tone"], ["noise"]]
    assert set(answers[0]["timing_ms"]) == {"decode", "features", "queue", "model", "total"}


async def test_the_answer_is_the_servers(serve, classify, sounds):
    server = await serve()
    there = await Client(server.url).classify(sounds / "both.wav", "toy", hop=0.5)
    _, out, _ = await asyncio.to_thread(classify, sounds / "both.wav", "--json", "--hop", "0.5")
    here = json.loads(out)
    for answer in (here, there):
        del answer["timing_ms"]
    assert here == {"path": str(sounds / "both.wav"), **there}


def test_people_get_the_clip_and_each_window(classify, sounds):
    code, out, _ = classify(sounds / "both.wav", sounds / "a-tone.wav")
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines[0][0].endswith("both.wav")
    assert lines[1][:4] == ["0.00", "2.00", "s", "tone"]
    assert lines[2][:4] == ["2.00", "4.00", "s", "noise"]
    assert lines[3][1:] == ["tone"]
    assert len(lines) == 4


def test_a_file_that_cannot_be_read_is_told_of_and_the_others_go_on(classify, sounds):
    code, out, errors = classify(sounds / "notes.txt", sounds / "none.wav", sounds / "a-tone.wav", "--json")
    assert code == 1
    assert len(out.splitlines()) == 1
    assert "notes.txt: not a sound file" in errors
    assert "none.wav: No such file" in errors


def test_hundreds_of_files_are_answered_in_order(classify, tmp_path):
    for index in range(120):
        (tmp_path / f"{index:03}.wav").write_bytes(wav(noise(0.3) if index % 2 else tone(2.1)))
    code, out, _ = classify(tmp_path, "--json")
    assert code == 0
    assert [json.loads(line)["path"][-7:-4] for line in out.splitlines()] == [f"{index:03}" for index in range(120)]


@pytest.mark.parametrize(("arguments", "reason"), [(["--hop", "9"], "hop=9"), (["--hop", "0"], "hop=0")])
def test_a_hop_out_of_range_ends_with_4(classify, sounds, arguments, reason):
    code, _, errors = classify(sounds, *arguments)
    assert code == 4
    assert reason in errors


def test_a_model_that_is_not_there_ends_with_4(classify, sounds):
    code, _, errors = classify(sounds, model="tuba")
    assert code == 4
    assert "tuba" in errors


def test_no_path_is_not_understood():
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
