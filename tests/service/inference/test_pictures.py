"""Pictures by REST: decoded, classified in batches, and rejected with a reason."""

import asyncio
import shutil

import aiohttp
import numpy as np
import pytest
from PIL import Image

from common.errors import UnsupportedMedia
from features.picture import decode
from models.store import Store
from service.api.context import POOL
from service.client import Client
from service.queue.redis_consumer import RedisConsumer
from service.server.worker import Worker
from tests.features.pictures import FILES, exif, png, save, scene
from tests.models.colours import write_colours
from tests.service.conftest import tone, until, wav

CLASSIFY = "/v1/models/colours/classify"


@pytest.fixture(scope="session")
def pictured(artefacts, tmp_path_factory):
    """The toy models, and two for pictures."""
    return write_colours(
        shutil.copytree(artefacts, tmp_path_factory.mktemp("pictured") / "artefacts")
    )


@pytest.fixture
async def server(serve, pictured):
    return await serve(artefacts=pictured, max_pixels=10_000)


def plain(colour, kind="PNG", size=(40, 30)):
    return save(Image.new("RGB", size, colour), kind)


async def test_the_answer_has_the_best_predictions_first(server):
    status, answer, _ = await server.post(CLASSIFY, data=plain("lime"))
    assert status == 200
    assert list(answer) == ["model", "version", "predictions", "timing_ms"]
    assert (answer["model"], answer["version"]) == ("colours", "1")
    assert [list(each) for each in answer["predictions"]] == [["label", "score"]] * 3
    assert answer["predictions"][0]["label"] == "green"
    scores = [each["score"] for each in answer["predictions"]]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=1e-4)
    assert set(answer["timing_ms"]) == {"decode", "queue", "model", "total"}


@pytest.mark.parametrize("name", FILES)
async def test_every_kind_of_picture_is_answered_alike(server, name):
    answers = [await server.post(CLASSIFY, data=FILES[each]()) for each in (name, "PNG")]
    ours, by_png = (
        {each["label"]: each["score"] for each in answer["predictions"]} for _, answer, _ in answers
    )
    assert ours == pytest.approx(by_png, abs=0.05)


@pytest.mark.parametrize(("top_k", "told"), [(1, 1), (2, 2), (3, 3), (1_000, 3)])
async def test_top_k_says_how_many(server, top_k, told):
    _, answer, _ = await server.post(f"{CLASSIFY}?top_k={top_k}", data=plain("red"))
    assert len(answer["predictions"]) == told


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("top_k=0", "top_k=0 must be at least 1"),
        ("top_k=-1", "at least 1"),
        ("top_k=two", "not a number"),
        ("hop=1", "unknown query parameter 'hop'; known: top_k, version"),
        ("region=sea", "unknown query parameter 'region'"),
        ("version=1&version=1", "given twice"),
    ],
)
async def test_an_invalid_query_is_rejected(server, query, words):
    status, problem, _ = await server.post(f"{CLASSIFY}?{query}", data=plain("red"))
    assert (status, problem["type"]) == (422, "urn:timbre:problem:cannot-be-processed")
    assert words in problem["detail"]


async def test_a_form_may_hold_the_picture(server):
    form = aiohttp.FormData()
    form.add_field("file", plain("blue"), filename="blue.png")
    _, answer, _ = await server.post(CLASSIFY, data=form)
    assert answer["predictions"][0]["label"] == "blue"


PLACES = "/v1/models/places/classify"


def form(**fields):
    data = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        data.add_field(name, value, filename="picture" if isinstance(value, bytes) else None)
    return data


@pytest.mark.parametrize("order", [1, -1])
async def test_metadata_comes_in_the_query_or_beside_the_file(server, order):
    for region, label in (("land", "red"), ("sea", "blue")):
        fields = dict(
            list({"region": region, "file": plain("red"), "season": "wet"}.items())[::order]
        )
        answers = [
            await server.post(f"{PLACES}?region={region}", data=plain("red")),
            await server.post(PLACES, data=form(**fields)),
            await server.post(
                f"{PLACES}?region={region}", data=form(file=plain("red"), season="dry")
            ),
        ]
        assert [answer["predictions"][0]["label"] for _, answer, _ in answers] == [label] * 3


@pytest.mark.parametrize(
    ("query", "fields", "words"),
    [
        ("", {}, "metadata 'region' is missing; it must be one of land, sea"),
        ("?region=air", {}, "region='air' must be one of land, sea"),
        ("?region=sea&season=hot", {}, "season='hot' must be one of dry, wet"),
        ("?region=sea", {"region": "sea"}, "'region' is given in the query and in the form"),
        (
            "?region=sea&colour=red",
            {},
            "unknown query parameter 'colour'; known: top_k, version, url, region, season",
        ),
        (
            "",
            {"colour": "red"},
            "the form has the field 'colour'; the file must be in the field 'file', once; region,",
        ),
    ],
)
async def test_metadata_is_checked_against_the_manifest(server, query, fields, words):
    status, problem, _ = await server.post(PLACES + query, data=form(**fields, file=plain("red")))
    assert status == 422
    assert words in problem["detail"]


@pytest.mark.parametrize(("size", "status"), [(1_024, 422), (1_025, 413)])
async def test_a_field_of_a_form_is_bounded(server, size, status):
    assert (await server.post(PLACES, data=form(region="x" * size, file=plain("red"))))[0] == status


async def test_a_form_without_a_file_or_with_a_binary_field_is_rejected(server):
    status, problem, _ = await server.post(PLACES, data=form(region="sea"))
    assert (status, "the form has no field 'file'" in problem["detail"]) == (422, True)
    assert (await server.post(PLACES, data=form(region=b"\xff\xfe", file=plain("red"))))[0] == 400


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"", 400, "empty"),
        (b"<svg/>", 415, "SVG"),
        (b"<!DOCTYPE html>", 415, "HTML"),
        (b"%PDF-1.4", 415, "PDF"),
        (wav(tone(0.1)), 415, "not a picture of a kind that is read here"),
        (b"no picture", 415, "JPEG, PNG, WEBP, GIF, BMP, TIFF"),
        (plain("red")[:60], 400, "truncated"),
        (FILES["JPEG"]()[:400], 400, "truncated"),
        (png(30_000, 30_000), 413, "900000000 pixels: at most 10000"),
        (png(0, 3), 422, "no pixels"),
        (plain("red", size=(1, 6_000)), 422, "times the shorter"),
        (plain("red", size=(100, 101)), 413, "at most 10000"),
    ],
)
async def test_an_invalid_picture_is_rejected_and_the_next_one_is_answered(
    server, data, status, words
):
    found, problem, headers = await server.post(CLASSIFY, data=data)
    assert (found, headers["Content-Type"]) == (status, "application/problem+json; charset=utf-8")
    assert words in problem["detail"]
    assert (await server.post(CLASSIFY, data=plain("red", size=(100, 100))))[0] == 200


async def test_a_sound_model_rejects_pictures(server):
    status, problem, _ = await server.post("/v1/models/toy/classify", data=plain("red"))
    assert (status, "not a sound file" in problem["detail"]) == (415, True)


async def test_a_picture_model_is_not_streamed(server):
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await server.stream("colours")
    assert refused.value.status == 415
    status, problem, _ = await server.get("/v1/models/colours/stream")
    assert (status, problem["detail"]) == (415, "model 'colours' takes pictures, not sound")


async def test_a_photograph_is_turned_upright_before_it_is_classified(server):
    picture = Image.new("RGB", (60, 20), "red")
    picture.paste("blue", (40, 0, 60, 20))
    answers = [
        await server.post(
            CLASSIFY, data=save(picture, "JPEG", exif=b"Exif\0\0" + exif(orientation))
        )
        for orientation in (1, 3, 6)
    ]
    assert [answer["predictions"][0]["label"] for _, answer, _ in answers] == ["red"] * 3


async def test_a_model_describes_the_pictures_it_takes(server):
    _, described, _ = await server.get("/v1/models/places")
    assert described["task"] == "multi-class"
    told = described["input"]
    assert (told["kind"], told["dtype"], told["shape"]) == ("picture", "uint8", [24 * 32 * 3 + 4])
    assert (told["height"], told["width"], told["fit"], told["resample"]) == (
        24,
        32,
        "crop",
        "bilinear",
    )
    assert told["metadata"][0] == {"name": "region", "values": ["land", "sea"], "required": True}


async def test_pictures_of_many_clients_share_model_calls(server):
    sizes = []
    model = server.gateway.registry.find("colours")
    run = model.session.predict

    def predict(batch):
        sizes.append(len(batch))
        return run(batch)

    object.__setattr__(model.session, "predict", predict)
    try:
        colours = ["red", "lime", "blue"] * 30
        answers = await asyncio.gather(
            *(server.post(CLASSIFY, data=plain(colour)) for colour in colours)
        )
    finally:
        object.__delattr__(model.session, "predict")
    names = {"red": "red", "lime": "green", "blue": "blue"}
    assert [answer["predictions"][0]["label"] for _, answer, _ in answers] == [
        names[each] for each in colours
    ]
    assert sum(sizes) == 90
    assert max(sizes) > 1


@pytest.mark.usefixtures("no_version_is_waited_for")
async def test_pictures_go_through_redis_to_a_worker(serve, pictured, redis_url):
    store = Store(pictured)
    worker = Worker(
        RedisConsumer(redis_url, name="w"), store.load, max_batch=32, heartbeat=lambda: None
    )
    running = asyncio.create_task(worker.run())
    server = await serve(artefacts=pictured, redis=redis_url)
    try:
        for region, label in (("land", "red"), ("sea", "blue")):
            _, answer, _ = await server.post(f"{PLACES}?region={region}", data=plain("red"))
            assert answer["predictions"][0]["label"] == label
    finally:
        worker.shut_down()
        await running


async def test_the_client_sends_pictures_by_path_and_as_bytes(server, tmp_path):
    path = tmp_path / "scene.jpg"
    path.write_bytes(FILES["JPEG"]())
    client = Client(server.url)
    by_path = await client.classify(path, "places", region="sea", top_k=1)
    by_bytes = await client.classify(path.read_bytes(), "places", region="sea", top_k=1)
    assert by_path["predictions"] == by_bytes["predictions"]
    assert by_path["predictions"][0]["label"] == "blue"
    with pytest.raises(UnsupportedMedia, match="SVG"):
        await client.classify(b"<svg/>", "colours")


async def test_the_served_result_equals_the_models(server, pictured):
    model = Store(pictured).load("colours")
    data = save(scene(100, 90), "PNG")
    scores = model.predict(decode(data, model.picture)[None])[0]
    _, answer, _ = await server.post(CLASSIFY, data=data)
    served = {each["label"]: each["score"] for each in answer["predictions"]}
    np.testing.assert_allclose([served[label] for label in model.labels], scores, atol=1e-6)


async def test_a_picture_that_takes_too_long_gets_504(serve, pictured):
    server = await serve(artefacts=pictured, clip_deadline=1e-4)
    status, problem, _ = await server.post(CLASSIFY, data=save(scene(2_000, 1_500), "PNG"))
    assert (status, problem["type"]) == (504, "urn:timbre:problem:deadline-passed")


async def test_pictures_past_the_limit_get_503_with_retry_after_and_none_is_lost(serve, pictured):
    server = await serve(artefacts=pictured, max_clips=4, decode_threads=1)
    large = save(scene(1_600, 1_200), "PNG")
    answers = await asyncio.gather(*(server.post(CLASSIFY, data=large) for _ in range(16)))
    statuses = [status for status, _, _ in answers]
    assert set(statuses) == {200, 503}
    assert all("Retry-After" in headers for status, _, headers in answers if status == 503)
    assert (await server.post(CLASSIFY, data=large))[0] == 200


async def test_a_client_that_disconnects_frees_its_place(serve, pictured):
    server = await serve(artefacts=pictured, max_clips=1)
    pool, large = server.app[POOL], save(scene(4_000, 3_000), "PNG", compress_level=1)
    asking = asyncio.create_task(server.post(CLASSIFY, data=large))
    await until(lambda: pool.in_progress == 1)
    asking.cancel()
    await until(lambda: pool.in_progress == 0)
    assert (await server.post(CLASSIFY, data=plain("red")))[0] == 200
