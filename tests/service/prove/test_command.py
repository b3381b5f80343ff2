"""`timbre prove`: a file by every way, against real servers; what differs is told."""

import asyncio
import json
import shutil

import numpy as np
import pytest
import soundfile

from service.grpc_api.server import GrpcServer
from service.prove.case import names_that_take
from service.prove.command import main
from tests.features.pictures import save, scene
from tests.models.colours import write_colours
from tests.service.conftest import RATE, noise, tone, wav
from tests.service.helpers.samples_model import write_loudness
from tests.service.helpers.versions import copied, put


@pytest.fixture
def sound(tmp_path):
    path = tmp_path / "noise.wav"
    path.write_bytes(wav(tone(3.3, level=0.05) + noise(3.3)))
    return path


async def proved(capsys, path, *arguments):
    """The exit code and the document, from another thread, for the command has its own loop."""
    code = await asyncio.to_thread(main, [str(path), "--json", *map(str, arguments)])
    return code, json.loads(capsys.readouterr().out)


def ways(document, model=0):
    return {each["way"]: each for each in document["models"][model]["ways"]}


async def test_a_sound_is_the_same_by_every_way_for_a_model_of_every_kind(
    serve, sound, artefacts, capsys
):
    server = await serve()
    code, document = await proved(
        capsys, sound, "--url", server.url, "--artefacts", artefacts, "--bound", 0
    )
    assert (code, document["equal"]) == (0, True)
    assert [each["kind"] for each in document["models"]] == ["features", "log_mel"]
    for model in (0, 1):
        found = ways(document, model)
        windows = {name: each["windows"] for name, each in found.items()}
        assert windows == {"REST": 4, "stream": 3, "/v2": 4}
        assert "silence" in found["stream"]["note"]


async def test_a_model_on_samples_is_the_same_by_every_way(
    serve, sound, artefacts, tmp_path, capsys
):
    folder = write_loudness(copied(artefacts, tmp_path))
    server = await serve(artefacts=folder)
    options = ("--url", server.url, "--artefacts", folder, "--bound", 0, "--model", "loudness")
    code, document = await proved(capsys, sound, *options)
    assert (code, document["equal"]) == (0, True)
    windows = {name: each["windows"] for name, each in ways(document).items()}
    assert windows == {"REST": 4, "stream": 3, "/v2": 4}


@pytest.mark.slow  # starts two servers and a worker
@pytest.mark.parametrize("model", ["toy", "loudness"])
async def test_it_starts_its_own_server_and_one_with_redis(
    model, sound, artefacts, redis_url, tmp_path, capsys
):
    folder = write_loudness(copied(artefacts, tmp_path))
    code, document = await proved(
        capsys, sound, "--artefacts", folder, "--redis", redis_url, "--model", model
    )
    assert code == 0
    direct = ["REST", "stream", "/v2", "/v2 by gRPC"]
    assert list(ways(document)) == [*direct, *(f"{way}, through Redis" for way in direct)]
    assert all(each["equal"] for each in ways(document).values())


async def test_a_picture_is_the_same_by_every_way_with_its_metadata(
    serve, artefacts, tmp_path, capsys
):
    folder = write_colours(copied(artefacts, tmp_path))
    server = await serve(artefacts=folder)
    path = tmp_path / "scene.png"
    path.write_bytes(save(scene(), "PNG"))
    options = ("--url", server.url, "--artefacts", folder)
    code, document = await proved(capsys, path, *options)
    assert (code, list(ways(document))) == (0, ["REST", "/v2"])
    assert document["models"][0]["model"] == "colours"
    placed = ("--model", "places", "--with", "region=sea")
    code, document = await proved(capsys, path, *options, *placed)
    assert (code, list(ways(document))) == (0, ["REST", "/v2"])


async def test_a_server_of_another_version_differs(serve, sound, artefacts, tmp_path, capsys):
    server = await serve()
    folder = copied(artefacts, tmp_path)
    put(folder, 3)
    options = ("--url", server.url, "--artefacts", folder, "--model", "toy")
    code, document = await proved(capsys, sound, *options)
    assert (code, document["equal"]) == (1, False)
    for each in ways(document).values():
        assert not each["equal"]
        assert each["differs"][0] == "version 2, not 3"


async def test_a_server_with_other_scores_differs_and_the_table_says_where(
    serve, sound, artefacts, tmp_path, capsys
):
    folder = copied(artefacts, tmp_path)
    shutil.rmtree(folder / "toy" / "2")
    put(folder, 2, of=folder / "toy" / "1")
    server = await serve()
    arguments = [str(sound), "--url", server.url, "--artefacts", str(folder), "--model", "toy"]
    assert await asyncio.to_thread(main, arguments) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "different: up to 0." in out
    assert " s, tone" in out or " s, noise" in out


@pytest.mark.parametrize(
    ("rate", "channels", "seconds"),
    [(44_100, 2, 3), (RATE, 1, 1), (48_000, 1, 0.5), (4_000, 1, 3)],
)
async def test_files_of_any_rate_channels_and_length_are_proved(
    serve, artefacts, tmp_path, capsys, rate, channels, seconds
):
    path = tmp_path / "noise.wav"
    samples = np.random.default_rng(0).normal(0, 0.1, (round(seconds * rate), channels))
    soundfile.write(path, samples, rate)
    server = await serve()
    options = ("--url", server.url, "--artefacts", artefacts, "--model", "toy-net")
    code, document = await proved(capsys, path, *options)
    assert code == 0, document
    assert ways(document)["stream"]["windows"] >= 1


async def test_grpc_of_a_server_that_runs_is_proved_where_its_address_is_given(
    serve, sound, artefacts, capsys
):
    server = await serve(grpc_port=0)
    grpc_server = GrpcServer(server.app)
    await grpc_server.start()
    options = ["--url", server.url, "--artefacts", artefacts, "--model", "toy"]
    code, document = await proved(
        capsys, sound, *options, "--grpc", f"127.0.0.1:{grpc_server.port}"
    )
    assert (code, ways(document)["/v2 by gRPC"]["equal"]) == (0, True)
    await grpc_server.stop()
    code, document = await proved(
        capsys, sound, *options, "--grpc", f"127.0.0.1:{grpc_server.port}"
    )
    assert (code, "UNAVAILABLE" in ways(document)["/v2 by gRPC"]["differs"][0]) == (1, True)


async def test_a_server_that_is_not_there_differs_by_every_way(sound, artefacts, capsys):
    code, document = await proved(
        capsys, sound, "--url", "http://127.0.0.1:9", "--artefacts", artefacts, "--model", "toy"
    )
    assert code == 1
    assert all("cannot reach" in each["differs"][0] for each in ways(document).values())


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (None, [], "cannot read"),
        (b"text", [], "neither a sound nor a picture"),
        (wav(noise(1)), ["--model", "nix"], "no artefact of nix"),
        (wav(noise(1))[:-9_000], ["--model", "toy"], "truncated"),
        (wav(noise(1)), ["--hop", "9"], "hop"),
        (wav(noise(1)), ["--bound", "nan"], "--bound"),
        (wav(noise(1)), ["--bound", "1"], "--bound"),
    ],
)
def test_what_cannot_be_proved_is_an_error_that_names_it(
    artefacts, tmp_path, capsys, content, options, words
):
    path = tmp_path / "file.wav" if content != b"text" else tmp_path / "file.txt"
    if content is not None:
        path.write_bytes(content)
    address = ["--url", "http://127.0.0.1:9"]
    assert main([str(path), *address, "--artefacts", str(artefacts), *options]) == 4
    assert words in capsys.readouterr().err


def test_versions_that_cannot_be_read_are_passed_over(sound, artefacts, tmp_path):
    folder = copied(artefacts, tmp_path)
    whole = names_that_take(sound, folder)
    (folder / "toy" / "9").mkdir()
    for number, manifest in enumerate(("{", "")):
        (folder / f"a{number}" / "1").mkdir(parents=True)
        (folder / f"a{number}" / "1" / "manifest.json").write_text(manifest)
    (folder / "b" / "1").mkdir(parents=True)
    assert names_that_take(sound, folder) == whole == ["toy", "toy-net"]


def test_a_server_that_cannot_start_is_told_with_its_last_words(sound, tmp_path, capsys):
    assert main([str(sound), "--artefacts", str(tmp_path), "--model", "toy"]) == 4
    assert "the server did not get ready" in capsys.readouterr().err
