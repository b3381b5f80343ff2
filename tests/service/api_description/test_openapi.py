"""`/openapi.json` has every route as it is registered, and PROTOCOL.md says the same."""

import inspect
import json
import re

import pytest
from openapi_spec_validator import validate

from common import errors
from common.errors import TimbreError
from service.api.authentication import needs_no_key
from service.api_description.errors import PREFIX
from service.api_description.openapi import openapi, operations, scope_of
from service.app import build
from service.auth.keys import SCOPES
from service.protocol import code_of
from service.settings import Settings
from tests.service.api_description.conftest import PROTOCOL, validator

METHODS = ("get", "post", "delete")
EXAMPLES = re.findall(r"```json\n(.*?)```", PROTOCOL, re.DOTALL)


def described(document):
    return {
        (method, path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def contents(operation):
    """Every body and response that is no reference, by media type."""
    for part in (operation.get("requestBody", {}), *operation["responses"].values()):
        yield from part.get("content", {}).items()


def test_an_independent_validator_accepts_it(document):
    validate(document)


def test_every_route_is_described_and_nothing_else(document):
    routes = {
        (route.method.lower(), route.resource.canonical)
        for route in build(Settings()).router.routes()
        if route.method != "HEAD"
    }
    assert set(described(document)) == routes


def test_every_get_answers_head_but_for_those_that_it_names():
    routes = {
        (route.method, route.resource.canonical) for route in build(Settings()).router.routes()
    }
    without = {path for method, path in routes if method == "GET" and ("HEAD", path) not in routes}
    assert without == {"/v1/models/{name}/stream", "/v1/events"}


def test_ids_are_unique_and_tags_are_described(document):
    found = [operation["operationId"] for operation in described(document).values()]
    assert len(set(found)) == len(found)
    tags = {tag for operation in described(document).values() for tag in operation["tags"]}
    assert tags == {tag["name"] for tag in document["tags"]}


@pytest.mark.parametrize("keys", ["", "keys.json"])
def test_scopes_are_those_that_authentication_asks_for(keys):
    for (_, path), operation in described(openapi(Settings(keys=keys))).items():
        scope = scope_of(path)
        assert scope is None or scope in SCOPES
        needs = [] if scope is None else [scope]
        if needs_no_key(path):
            assert operation["security"] == []
        elif keys:
            assert operation["security"] == [{"key": needs}]
        else:
            assert operation["security"] == [{}, {"key": needs}]
        assert (f"Scope: `{scope}`" in operation.get("description", "")) is bool(scope)


def test_every_error_of_timbre_is_an_answer_of_some_route(document):
    told = {
        each
        for response in document["components"]["responses"].values()
        for each in response["content"]["application/problem+json"]["examples"]
    }
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind)]
    found = {code_of(kind("")) for kind in kinds if issubclass(kind, TimbreError)}
    assert len(found) >= 18
    assert found <= told


def test_the_codes_of_problems_are_those_of_the_protocol(document):
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", PROTOCOL, re.MULTILINE)
    told = {
        (code, str(found["value"]["status"]))
        for response in document["components"]["responses"].values()
        for code, found in response["content"]["application/problem+json"]["examples"].items()
    }
    # What no described method answers: it is the answer to those that are not.
    assert set(rows) - told == {("method-not-allowed", "405")}
    assert told - set(rows) == set()


def test_every_example_fits_its_schema(document):
    count = 0
    groups = [*described(document).values(), {"responses": document["components"]["responses"]}]
    for operation in groups:
        for _, media in contents(operation):
            for found in media.get("examples", {}).values():
                validator(media["schema"], document).validate(found["value"])
                count += 1
    assert count > 40
    for (_, path), operation in described(document).items():
        parameters = [*document["paths"][path]["parameters"], *operation.get("parameters", [])]
        for each in parameters:
            if "example" in each:
                validator(each["schema"], document).validate(each["example"])


def test_every_json_response_and_request_has_an_example(document):
    for key, operation in described(document).items():
        for media_type, media in contents(operation):
            if media_type == "application/json" and key[1] not in {
                "/openapi.json",
                "/asyncapi.json",
            }:
                assert media["examples"], key


def test_the_examples_of_the_protocol_are_those_of_the_documents(document, stream_document):
    examples = [
        found["value"]
        for operation in [
            *described(document).values(),
            {"responses": document["components"]["responses"]},
        ]
        for _, media in contents(operation)
        for found in media.get("examples", {}).values()
    ]
    examples += [
        found["payload"]
        for message in stream_document["components"]["messages"].values()
        for found in message.get("examples", ())
    ]
    assert len(EXAMPLES) >= 6
    for text in EXAMPLES:
        assert json.loads(text) in examples, text


def test_the_routes_of_the_protocol_are_described(document):
    table = PROTOCOL.partition("## HTTP")[2].partition("A request may carry")[0]
    table += PROTOCOL.partition("### Labelled clips")[2].partition("`source` says")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    named = {path for cell in cells for path in re.findall(r"(/[\w/{}.\[\]-]*)", cell)}
    known = {path for _, path in described(document)}
    assert len(named) >= 12
    for path in named:
        whole = path.replace("[/{id}[/report]]", "/{id}").rstrip(".").rstrip("/") or "/"
        assert any(each == whole or each.startswith(whole + "/") for each in known), path


def test_the_query_of_classify_is_that_of_the_protocol(document):
    section = PROTOCOL.partition("### Classify\n")[2].partition("### Classify pictures")[0]
    table = section.partition("| query |")[2].partition("Any other parameter")[0]
    named = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    operation = document["paths"]["/v1/models/{name}/classify"]["post"]
    assert set(named) == {each["name"] for each in operation["parameters"]}


def test_the_fields_of_a_training_are_those_of_the_protocol(document):
    section = PROTOCOL.partition("### Trainings\n")[2].partition("`GET /v1/trainings` lists")[0]
    rows = re.findall(r"^\| (`.*?) \|", section.partition("| field |")[2], re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    properties = set(document["components"]["schemas"]["Training"]["properties"])
    assert properties - {"id", "error"} == named


def test_the_fields_of_a_model_are_those_of_the_protocol(document):
    row = PROTOCOL.partition("| `GET /v1/models/{name}` |")[2].partition("\n")[0]
    named = set(re.findall(r"`(\w+)`", row))
    properties = document["components"]["schemas"]["Model"]["properties"]
    assert set(properties) <= named
    assert named <= set(properties) | set(properties["labels"]["items"]["properties"])


def test_the_scopes_of_the_protocol_are_those_of_the_routes():
    section = PROTOCOL.partition("### Keys\n")[2].partition("### Classify\n")[0]
    text = " ".join(section.split())
    found = dict(re.findall(r"`(?:POST|GET) (?:\.\.\.)?(/[\w/]+)` the scope `(\w+)`", text))
    found |= dict(re.findall(r"`(?:POST|GET) (?:\.\.\.)?(/[\w/]+)` needs the scope `(\w+)`", text))
    assert set(found.values()) == set(SCOPES)
    for path, scope in found.items():
        scopes = {
            scope_of(each.path) for each in operations(Settings()) if each.path.endswith(path)
        }
        assert scopes == {scope}, path


def test_problems_have_the_prefix_that_programs_look_for(document):
    pattern = document["components"]["schemas"]["Problem"]["properties"]["type"]["pattern"]
    assert pattern == f"^{PREFIX}"
