"""The route that takes what monitors of other machines have heard."""

from __future__ import annotations

from typing import Any

from common.errors import InsufficientStorage, NotFound
from service.api_description.json_schema import Schema, object_schema
from service.api_description.model_routes import BODY_ERRORS
from service.api_description.operation import Media, Operation, json_answer
from service.api_description.schemas import COUNT, fields, pattern
from service.archive.documents import DOCUMENTS, MAX_DETAIL, MAX_REASONS, MAX_SECONDS, MAX_TEXT
from service.archive.receiver import MAX_BYTES, MAX_NUMBER, MAX_RECORDS, SENDER, Batch
from service.archive.records import VERSION
from service.protocol import SOURCE

TEXT: Schema = {"minLength": 1, "maxLength": MAX_TEXT}
SHARE: Schema = {"minimum": 0, "maximum": 1}
PART: Schema = {"minimum": 0, "maximum": 60}
MOMENT: Schema = {"format": "date-time"}
BOUNDS: dict[str, Schema] = {
    "v": {"const": VERSION},
    "source": {"pattern": pattern(SOURCE)},
    **dict.fromkeys(("id", "label", "model", "version"), TEXT),
    **dict.fromkeys(("peak", "mean"), SHARE),
    "not_heard": {"minimum": 0, "maximum": MAX_SECONDS},
    **dict.fromkeys(("start", "end", "minute", "at"), MOMENT),
    **dict.fromkeys(("heard", "silent", "clipped", "not_connected"), PART),
    "dropped": {"maxProperties": MAX_REASONS},
    "recording": {"maxLength": MAX_TEXT},
    "detail": {"maxLength": MAX_DETAIL},
}
"""By field, as `service.archive.documents` checks them."""
RECORD: Schema = {
    "anyOf": [object_schema(kind, BOUNDS, closed=True) for kind in DOCUMENTS.values()]
}
BATCH: Schema = object_schema(
    Batch,
    {
        "sender": {"pattern": pattern(SENDER)},
        "batch": {"minimum": 1, "maximum": MAX_NUMBER},
        "records": {"minItems": 1, "maxItems": MAX_RECORDS, "items": RECORD},
    },
    closed=True,
)
EVENT_EXAMPLE: dict[str, Any] = {
    "type": "event",
    "v": VERSION,
    "id": "attic.hall-1780208970250-1",
    "source": "attic.hall",
    "label": "violin",
    "state": "onset",
    "start": "2026-05-31T06:29:30.250Z",
    "end": None,
    "peak": 0.8,
    "mean": 0.8,
    "not_heard": 0.0,
    "model": "instruments",
    "version": "2",
}
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        id="addRecords",
        method="post",
        path="/v1/records",
        tag="Events",
        summary="Store what the monitor of another machine has heard",
        details="Off, and answered with 404, without `timbre serve --set archive=FILE`. The body"
        f" has {MAX_BYTES} bytes at most. A batch that is sent again under its number is stored"
        " once; after an error, only what is missing of it. 415: records of a later version.",
        body={
            "application/json": Media(
                schema=BATCH,
                examples={
                    "request": {
                        "sender": "6f1e0c5a9b7d4e21",
                        "batch": 1,
                        "records": [EVENT_EXAMPLE],
                    }
                },
            )
        },
        answers=(
            json_answer(
                fields({"stored": (COUNT, "Records of it that were not stored before.")}),
                {"stored": 1},
                meaning="The archive has them.",
            ),
        ),
        errors=(*BODY_ERRORS, NotFound, InsufficientStorage),
        curl="-d @batch.json",
    ),
)
