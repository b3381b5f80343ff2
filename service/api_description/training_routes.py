"""The routes of trainings and labelled clips."""

from __future__ import annotations

from typing import Any

from common.errors import (
    Busy,
    InsufficientStorage,
    Late,
    NotFound,
    Refused,
    Unprocessable,
)
from service.api.promotion import Promotion
from service.api.request import MAX_DOCUMENT
from service.api.trainings import MAX_NOTED
from service.api_description.json_schema import Schema, object_schema
from service.api_description.model_routes import BODY_ERRORS, FILE, LOADED_EXAMPLE, file_body
from service.api_description.operation import (
    Answer,
    Media,
    Operation,
    Parameter,
    component,
    json_answer,
)
from service.api_description.schemas import FILE_ID, MODEL_NAME, PLAIN_NAME, pattern
from service.trainings.assignments import RECIPE
from service.trainings.trainings import MAX_NAME, TrainingRequest

OFF = "Off, and answered with 404, without `timbre serve --trainings DIR`."
ID = "20261121-071512-042-1f2e3d4c"
CLIP_ID = "20261121-070001-731-0a1b2c3d"
LOCATION = Parameter(
    name="Location", place="header", schema={"type": "string"}, meaning="Its path.", required=True
)
TRAINING_BOUNDS = {
    "recipe": {"pattern": pattern(RECIPE), "maxLength": MAX_NAME},
    "name": {"pattern": f"^$|{MODEL_NAME['pattern']}", "maxLength": MAX_NAME},
}
"""As TrainingRequest checks them."""
TRAINING_EXAMPLE: dict[str, Any] = {
    "id": ID,
    "state": "running",
    "recipe": "sounds",
    "settings": {"collection.path": "garden"},
    "name": "birds",
    "queued": "2026-11-21T07:15:12+00:00",
    "begun": "2026-11-21T07:15:13+00:00",
    "ended": None,
    "stage": "features",
    "progress": 0.4,
    "error": None,
    "result": None,
}
DETAILS: dict[str, Any] = {"log": ["features: 120 of 300"], "curves": []}
COLLECTION_EXAMPLE: dict[str, Any] = {
    "name": "garden",
    "labels": [{"name": "robin", "clips": 1}],
    "sources": [{"name": "monday", "clips": 1}],
    "clips": 1,
    "bytes": 88_250,
}
NEWEST_EXAMPLE = COLLECTION_EXAMPLE | {
    "labels": [{"name": "robin", "clips": 1, "newest": [{"id": CLIP_ID, "source": "monday"}]}]
}


def _document(schema: Schema, example: Any) -> dict[str, Media]:
    return {"application/json": Media(schema=schema, examples={"request": example})}


TRAINING = component("Training")
TRAININGS: tuple[Operation, ...] = (
    Operation(
        id="startTraining",
        method="post",
        path="/v1/trainings",
        tag="Trainings",
        summary="Start a training",
        details=f"{OFF} The body has {MAX_DOCUMENT} bytes at most. What `timbre train` rejects"
        " gets 422 with its words.",
        body=_document(
            object_schema(TrainingRequest, TRAINING_BOUNDS, closed=True),
            {"recipe": "sounds", "name": "birds", "settings": {"collection.path": "garden"}},
        ),
        answers=(
            json_answer(
                TRAINING,
                TRAINING_EXAMPLE | DETAILS,
                status=202,
                meaning="It is queued.",
                headers={"Location": LOCATION},
                links={
                    name: {"operationId": name, "parameters": {"id": "$response.body#/id"}}
                    for name in ("describeTraining", "cancelTraining", "showReport")
                },
            ),
        ),
        errors=(*BODY_ERRORS, NotFound, InsufficientStorage),
        curl="""-d '{"recipe": "sounds", "settings": {"collection.path": "garden"}}'""",
    ),
    Operation(
        id="listTrainings",
        method="get",
        path="/v1/trainings",
        tag="Trainings",
        summary="List the trainings, the newest first",
        details=OFF,
        answers=(
            json_answer(
                component("Trainings"),
                {"trainings": [TRAINING_EXAMPLE]},
                meaning="All of them.",
            ),
        ),
        errors=(NotFound, Unprocessable),
    ),
    Operation(
        id="describeTraining",
        method="get",
        path="/v1/trainings/{id}",
        tag="Trainings",
        summary="Describe a training: state, progress, log, result",
        answers=(json_answer(TRAINING, TRAINING_EXAMPLE | DETAILS, meaning="The training."),),
        errors=(NotFound, Unprocessable),
    ),
    Operation(
        id="cancelTraining",
        method="delete",
        path="/v1/trainings/{id}",
        tag="Trainings",
        summary="Cancel a training, or delete one that has ended",
        parameters=(
            Parameter(
                name="remove",
                schema={"type": "boolean", "default": False},
                meaning="Delete one that has ended, with its artefact.",
                example=True,
            ),
        ),
        answers=(json_answer(TRAINING, TRAINING_EXAMPLE | DETAILS, meaning="The training."),),
        errors=(NotFound, Unprocessable, Busy, InsufficientStorage),
        curl="-X DELETE",
    ),
    Operation(
        id="showReport",
        method="get",
        path="/v1/trainings/{id}/report",
        tag="Trainings",
        summary="Show the report of a training that is done",
        answers=(
            Answer(
                meaning="A page of its own, without scripts.",
                content={"text/html": Media(schema={"type": "string"})},
            ),
        ),
        errors=(NotFound, Unprocessable),
    ),
)
PROMOTE = Operation(
    id="promote",
    method="post",
    path="/v1/models/{name}/promote",
    tag="Trainings",
    summary="Serve what a training has made, or go back to a version",
    details="The artefact is copied if it passes the checks of `timbre models promote`.",
    body=_document(
        object_schema(Promotion, closed=True)
        | {
            "anyOf": [
                {"required": [name], "properties": {name: {"minLength": 1}}}
                for name in ("training", "version")
            ]
        },
        {"training": ID},
    ),
    answers=(
        json_answer(
            component("Promoted"),
            LOADED_EXAMPLE | {"training": ID, "measured": {"latency_ms": 0.3}},
            meaning="Served now.",
        ),
    ),
    errors=(*BODY_ERRORS, NotFound, Refused, Late),
    curl=f"""-d '{{"training": "{ID}"}}'""",
)
COLLECTIONS: tuple[Operation, ...] = (
    Operation(
        id="listCollections",
        method="get",
        path="/v1/collections",
        tag="Collections",
        summary="List the collections of labelled clips",
        details=OFF,
        answers=(
            json_answer(
                component("Collections"),
                {"collections": [COLLECTION_EXAMPLE]},
                meaning="All of them.",
            ),
        ),
        errors=(NotFound, Unprocessable),
    ),
    Operation(
        id="describeCollection",
        method="get",
        path="/v1/collections/{collection}",
        tag="Collections",
        summary="Describe a collection, with its newest clips",
        answers=(json_answer(component("Collection"), NEWEST_EXAMPLE, meaning="The collection."),),
        errors=(NotFound, Unprocessable),
    ),
    Operation(
        id="addClip",
        method="post",
        path="/v1/collections/{collection}/{label}",
        tag="Collections",
        summary="Store a labelled clip or picture",
        details=f"{OFF} The body is a file as for classify.",
        parameters=(
            Parameter(
                name="source",
                schema=PLAIN_NAME,
                required=True,
                meaning="Where it comes from, a person or a day: no source is in two parts of a"
                " split.",
                example="monday",
            ),
            *(
                Parameter(
                    name=name,
                    schema={"type": "string", "maxLength": MAX_NOTED},
                    meaning=f"The {name} that was corrected by it, printable; noted with the clip.",
                )
                for name in ("model", "version")
            ),
        ),
        body=file_body(),
        answers=(
            json_answer(
                component("StoredClip"),
                {
                    "id": CLIP_ID,
                    "label": "robin",
                    "source": "monday",
                    "collection": COLLECTION_EXAMPLE,
                },
                status=201,
                meaning="It is stored.",
                headers={"Location": LOCATION},
                links={
                    name: {
                        "operationId": name,
                        "parameters": {
                            "collection": "$request.path.collection",
                            "label": "$response.body#/label",
                            "id": "$response.body#/id",
                        },
                    }
                    for name in ("readClip", "removeClip")
                },
            ),
        ),
        errors=(*BODY_ERRORS, NotFound, Late, InsufficientStorage),
        curl="--data-binary @robin.wav ?source=monday",
    ),
)
CLIP = "/v1/collections/{collection}/{label}/{id}"
CLIPS: tuple[Operation, ...] = (
    Operation(
        id="readClip",
        method="get",
        path=CLIP,
        tag="Collections",
        summary="Read the file of a clip",
        answers=(Answer(meaning="The file.", content={"*/*": Media(schema=FILE)}),),
        errors=(NotFound, Unprocessable),
    ),
    Operation(
        id="removeClip",
        method="delete",
        path=CLIP,
        tag="Collections",
        summary="Delete a clip",
        answers=(
            json_answer(
                {
                    "type": "object",
                    "properties": {"removed": FILE_ID},
                    "required": ["removed"],
                },
                {"removed": CLIP_ID},
                meaning="It is deleted.",
            ),
        ),
        errors=(NotFound, Unprocessable, Busy, InsufficientStorage),
        curl="-X DELETE",
    ),
)
OPERATIONS = (*TRAININGS, PROMOTE, *COLLECTIONS, *CLIPS)
