"""The two documents as programs read them."""

import json

import pytest
from jsonschema import Draft202012Validator

from service.api_description.asyncapi import asyncapi
from service.api_description.openapi import openapi
from service.settings import Settings
from tests.helpers.server_process import ROOT

PROTOCOL = (ROOT / "PROTOCOL.md").read_text(encoding="utf-8")


@pytest.fixture(scope="package")
def document():
    return json.loads(json.dumps(openapi(Settings())))


@pytest.fixture(scope="package")
def stream_document():
    return json.loads(json.dumps(asyncapi(Settings())))


def validator(schema, document):
    """Return the validator of a schema that refers to the components of a document."""
    return Draft202012Validator(
        schema | {"components": document["components"]},
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )


def closed(schema):
    """The same schema, which admits no field that it does not name."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(value) for name, value in schema.items()}
    if "properties" in found and "additionalProperties" not in found and "type" in found:
        found["additionalProperties"] = False
    return found
