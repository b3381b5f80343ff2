"""Responses are the same JSON, however many scores they have."""

import json

import numpy as np
import pytest

from models.store import Store
from service.open_inference import http_body
from service.open_inference.http_body import InferRequest, write_response
from service.open_inference.outputs import output
from service.open_inference.tensors import output_of

SCORES = np.linspace(0, 1, 6, dtype=np.float32).reshape(3, 2)


@pytest.fixture(scope="module")
def model(artefacts):
    return Store(artefacts).load("toy")


@pytest.mark.parametrize("most", [5, 6])
@pytest.mark.parametrize("name", [None, 'a"b'])
def test_scores_past_the_bound_are_written_as_those_below_it(model, monkeypatch, most, name):
    monkeypatch.setattr(http_body, "SMALL_SCORES", most)
    given = output(output_of(model), SCORES, labels=model.labels)
    body, size = write_response(model, InferRequest(SCORES, id=name), given)
    described = {"name": "scores", "datatype": "FP32", "shape": [3, 2]}
    assert size is None
    assert json.loads(body) == {
        "model_name": "toy",
        "model_version": "2",
        **({"id": name} if name else {}),
        "outputs": [{**described, "data": SCORES.ravel().tolist()}],
    }


def test_a_binary_response_has_its_numbers_behind_the_json(model):
    given = output(output_of(model), SCORES, labels=model.labels)
    body, size = write_response(model, InferRequest(SCORES, binary=True), given)
    assert json.loads(body[:size])["outputs"][0]["parameters"] == {"binary_data_size": 24}
    assert np.array_equal(np.frombuffer(body[size:], "<f4"), SCORES.ravel())
