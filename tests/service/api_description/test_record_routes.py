"""The schema of a batch takes what the server takes, and rejects what it rejects."""

import json

import pytest
from jsonschema import Draft202012Validator

from common.errors import InputError
from service.api_description.record_routes import BATCH, OPERATIONS
from service.archive.documents import MAX_DETAIL, MAX_TEXT
from service.archive.receiver import MAX_NUMBER, MAX_RECORDS, read_batch
from tests.service.archive.test_documents import EVENT, MINUTE_GIVEN, PROBLEM_GIVEN

BASE = {"sender": "0123456789ab", "batch": 1, "records": [EVENT, MINUTE_GIVEN, PROBLEM_GIVEN]}


def accepted(batch):
    try:
        read_batch(json.dumps(batch).encode())
    except InputError:
        return False
    return True


@pytest.mark.parametrize(
    "batch",
    [
        BASE,
        BASE | {"batch": MAX_NUMBER, "sender": "a" * 64},
        BASE | {"records": [EVENT] * MAX_RECORDS},
        BASE | {"records": [EVENT | {"id": "a" * MAX_TEXT, "peak": 1, "mean": 0}]},
        BASE | {"records": [PROBLEM_GIVEN | {"detail": "a" * MAX_DETAIL, "problem": ""}]},
        OPERATIONS[0].body["application/json"].examples["request"],
    ],
)
def test_what_is_taken_fits(batch):
    assert accepted(batch)
    assert Draft202012Validator(BATCH).is_valid(batch)


@pytest.mark.parametrize(
    "batch",
    [
        BASE | {"batch": 0},
        BASE | {"batch": MAX_NUMBER + 1},
        BASE | {"sender": "a" * 65},
        BASE | {"sender": "a_______"},
        BASE | {"more": 1},
        BASE | {"records": []},
        BASE | {"records": [EVENT] * (MAX_RECORDS + 1)},
        BASE | {"records": [EVENT | {"v": 2}]},
        BASE | {"records": [EVENT | {"id": ""}]},
        BASE | {"records": [EVENT | {"peak": 1.1}]},
        BASE | {"records": [EVENT | {"source": "a b"}]},
        BASE | {"records": [EVENT | {"state": "on"}]},
        BASE | {"records": [MINUTE_GIVEN | {"heard": 61}]},
        BASE | {"records": [PROBLEM_GIVEN | {"detail": "a" * (MAX_DETAIL + 1)}]},
        BASE | {"records": [PROBLEM_GIVEN | {"more": 1}]},
        {"sender": "0123456789ab", "batch": 1},
    ],
)
def test_what_is_rejected_does_not_fit(batch):
    assert not accepted(batch)
    assert not Draft202012Validator(BATCH).is_valid(batch)
