"""The description is served to everybody, and real responses are what it says."""

import json
import shutil

import pytest
from PIL import Image

from service.api.page import POLICY
from service.api_description.openapi import openapi
from tests.features.pictures import save
from tests.models.colours import write_colours
from tests.service.api_description.conftest import closed, validator
from tests.service.conftest import noise, tone, wav
from tests.service.helpers.queued import queued

TOY = "/v1/models/toy"
ROBIN = "/v1/collections/garden/robin"


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/openapi.json", "application/json"),
        ("/asyncapi.json", "application/json"),
        ("/docs", "text/html"),
    ],
)
async def test_it_needs_no_key_and_is_sent_anew_only_where_it_changed(
    serve, tmp_path, path, media_type
):
    (tmp_path / "keys.json").write_text('{"keys": []}')
    server = await serve(keys=str(tmp_path / "keys.json"))
    async with server.http.get(server.url + path) as response:
        assert (response.status, response.content_type) == (200, media_type)
        assert response.headers["Content-Security-Policy"] == POLICY
        tag, body = response.headers["ETag"], await response.read()
    async with server.http.get(server.url + path, headers={"If-None-Match": tag}) as response:
        assert (response.status, await response.read()) == (304, b"")
    async with server.http.get(server.url + path, headers={"If-None-Match": '"x"'}) as response:
        assert (response.status, await response.read()) == (200, body)


async def test_bounds_are_those_of_the_server(serve):
    server = await serve(min_hop=0.25, max_body=12_345)
    _, found, _ = await server.get("/openapi.json")
    operation = found["paths"]["/v1/models/{name}/classify"]["post"]
    (hop,) = [each for each in operation["parameters"] if each["name"] == "hop"]
    assert hop["schema"]["minimum"] == 0.25
    assert "12,345 bytes" in operation["description"]


class Described:
    """A server whose answers are held against its description, in which nothing is left open."""

    def __init__(self, server):
        self.server = server
        self.document = closed(json.loads(json.dumps(openapi(server.gateway.settings))))

    async def ask(self, method, route, path, status, **options):
        operation = self.document["paths"][route][method]
        url = self.server.url + path
        async with self.server.http.request(method, url, **options) as response:
            body = await response.read()
            assert response.status == status, body
            described = operation["responses"][str(status)]
            if "$ref" in described:
                name = described["$ref"].rpartition("/")[2]
                described = self.document["components"]["responses"][name]
            media = described["content"][response.content_type]
            for name, header in described["headers"].items():
                assert "$ref" in header or not header["required"] or name in response.headers
            value = json.loads(body) if "json" in response.content_type else body.decode()
            validator(media["schema"], self.document).validate(value)
            return value


async def test_what_is_answered_has_the_fields_that_are_described_and_no_others(
    serve, tmp_path, artefacts
):
    models = write_colours(shutil.copytree(artefacts, tmp_path / "artefacts"))
    server = await serve(
        artefacts=models, trainings=str(tmp_path / "teach"), archive=str(tmp_path / "a")
    )
    queued(tmp_path / "teach", "print(1)")
    described = Described(server)
    ask, route = described.ask, "/v1/models/{name}/classify"
    sound = wav(tone(4.0, level=1.5))
    found = await ask("post", route, f"{TOY}/classify?events=true&hop=0.5", 200, data=sound)
    assert found["events"]
    assert found["warnings"]
    for form in ("csv", "audacity", "raven"):
        await ask("post", route, f"{TOY}/classify?format={form}", 200, data=sound)
    picture = save(Image.new("RGB", (40, 30), "lime"), "PNG")
    await ask("post", route, "/v1/models/colours/classify", 200, data=picture)
    await ask("post", route, f"{TOY}/classify", 400, data=b"")
    await ask("post", route, f"{TOY}/classify", 415, data=b"no sound at all, only words")
    await ask("post", route, f"{TOY}/classify?hop=9", 422, data=sound)
    await ask("get", "/v1/models", "/v1/models", 200)
    await ask("get", "/v1/models/{name}", TOY, 200)
    await ask("get", "/v1/models/{name}", "/v1/models/none", 404)
    await ask("get", "/v1/models/{name}/stream", f"{TOY}/stream", 400)
    await ask("post", "/v1/models/{name}/load", f"{TOY}/load", 200, json={"version": "1"})
    await ask("post", "/v1/models/{name}/load", f"{TOY}/load", 404, json={"version": "9"})
    promoted = await ask(
        "post", "/v1/models/{name}/promote", f"{TOY}/promote", 200, json={"version": "2"}
    )
    assert promoted["previous"] == "1"
    await ask("get", "/livez", "/livez", 200)
    await ask("get", "/readyz", "/readyz", 200)
    of_label, of_clip = "/v1/collections/{collection}/{label}", "/{id}"
    added = await ask("post", of_label, f"{ROBIN}?source=a", 201, data=wav(noise(1)))
    await ask("post", of_label, ROBIN, 422, data=b"x")
    await ask("get", "/v1/collections", "/v1/collections", 200)
    await ask("get", "/v1/collections/{collection}", "/v1/collections/garden", 200)
    await ask("delete", of_label + of_clip, f"{ROBIN}/{added['id']}", 200)
    await ask("delete", of_label + of_clip, f"{ROBIN}/{added['id']}", 404)
    listed = await ask("get", "/v1/trainings", "/v1/trainings", 200)
    id_ = listed["trainings"][0]["id"]
    await ask("get", "/v1/trainings/{id}", f"/v1/trainings/{id_}", 200)
    await ask("get", "/v1/trainings/{id}/report", f"/v1/trainings/{id_}/report", 404)
    await ask("delete", "/v1/trainings/{id}", f"/v1/trainings/{id_}", 200)
    await ask("post", "/v1/trainings", "/v1/trainings", 422, json={"recipe": "Not One"})
