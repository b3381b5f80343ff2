"""The routes of models: classify, stream, what is served, published events; health, metrics."""

from __future__ import annotations

from typing import Any

from common.errors import (
    ArtefactError,
    Busy,
    Failed,
    InputError,
    Late,
    Leaving,
    NotAllowed,
    NotFetched,
    NotFound,
    Refused,
    TooLarge,
    Unprocessable,
    UnsupportedMedia,
)
from service.api.authentication import METRICS
from service.api.events import MAX_ID
from service.api.request import MAX_DOCUMENT, MAX_FIELD, MIN_TOP_K
from service.api.url_fetch import MAX_URL
from service.api_description.json_schema import Schema
from service.api_description.operation import (
    Answer,
    Media,
    Operation,
    Parameter,
    component,
    json_answer,
)
from service.api_description.schemas import MODEL_VERSION, SOUND_EXAMPLE
from service.exports import MEDIA_TYPES
from service.inference.clips import EVENT_HOP
from service.inference.pictures import TOP_K
from service.metrics.exposition import OPEN_METRICS, TEXT
from service.settings import Settings

FLAG: Schema = {"type": "boolean", "default": False}
BODY_ERRORS = (InputError, UnsupportedMedia, TooLarge, Unprocessable, Busy, Leaving)
FILE: Schema = {"type": "string", "format": "binary", "minLength": 1}


def file_body(*, other_fields: Schema | bool = False) -> dict[str, Media]:
    """Return the body of a sound or picture: raw, of any media type, or as a field of a form.

    other_fields: schema of those that the form may have besides.
    """
    form = {
        "type": "object",
        "properties": {"file": FILE},
        "required": ["file"],
        "additionalProperties": other_fields,
    }
    return {
        "application/octet-stream": Media(schema=FILE),
        "multipart/form-data": Media(schema=form),
    }


METADATA: Schema = {"type": "string", "maxLength": MAX_FIELD}
"""What a model of pictures takes beside them."""
METRICS_EXAMPLE = (
    "# HELP timbre_streams Open streams.\n# TYPE timbre_streams gauge\n"
    'timbre_streams{model="instruments"} 2\n'
)
CREATED = "2026-11-21T07:31:44+00:00"
MODEL_EXAMPLE: dict[str, Any] = {
    "name": "instruments",
    "version": "2",
    "versions": ["1", "2"],
    "refused": {},
    "task": "multi-label",
    "labels": [{"name": "violin", "threshold": 0.62}],
    "events": {"violin": {"off": 0.5, "gap": 1.0, "min_length": 0.0}},
    "input": {
        "kind": "log_mel",
        "dtype": "float32",
        "shape": [128, 87],
        "sample_rate": 22050,
        "window": 2.0,
        "fingerprint": "3fbb7264c16773af373baedc684e964a0c5de174b3b8898ad0a477a21e4bb917",
    },
    "provider": "CPU",
    "provider_refused": {},
    "metrics": {"f1": 0.93},
    "provenance": [{"source": "Philharmonia", "licence": "free use", "use": "training"}],
    "created": CREATED,
}
LOADED_EXAMPLE: dict[str, Any] = {
    "name": "instruments",
    "version": "1",
    "previous": "2",
    "kept": True,
    "seconds": 0.21,
}
PICTURE_EXAMPLE: dict[str, Any] = {
    "model": "shells",
    "version": "1",
    "predictions": [
        {"label": "conus textile", "score": 0.91},
        {"label": "conus geographus", "score": 0.06},
    ],
    "timing_ms": {"decode": 6.2, "queue": 0.1, "model": 3.4, "total": 10.4},
}
EXPORT_EXAMPLES = {
    "csv": "path,start,end,rank,label,score,error,warnings\n,0.000000,2.000000,1,violin,0.93,,\n",
    "jsonl": '{"path": "", "label": "violin", "start": 12.26, "end": 31.16, "peak": 0.97,'
    ' "mean": 0.81, "model": "instruments", "version": "1"}\n',
    "audacity": "12.260000\t31.160000\tviolin\n",
    "raven": "1\tSpectrogram 1\t1\t12.260000\t31.160000\t0.0\t11025.0\t\t12.260000\tviolin\t0.97"
    "\t0.81\n",
}
VERSION = Parameter(
    name="version",
    schema=MODEL_VERSION,
    meaning="Version of the model; by default the one that is served.",
    example="1",
)


QUERY: tuple[Parameter, ...] = (
    Parameter(
        name="top_k",
        schema={"type": "integer", "minimum": MIN_TOP_K},
        meaning="Number of scores of each window, or of predictions, best first; by default"
        f" all, and {TOP_K} of a picture.",
        example=3,
    ),
    VERSION,
    Parameter(
        name="url",
        schema={"type": "string", "format": "uri", "maxLength": MAX_URL},
        meaning="Fetch the file from there instead of a body; off without the setting `url_hosts`.",
        example="https://sounds.example.org/a.wav",
    ),
    Parameter(
        name="partial",
        schema=FLAG,
        meaning="Sound: read a file with missing sound as far as it goes, with a warning.",
        example=True,
    ),
    Parameter(
        name="events",
        schema=FLAG,
        meaning="Sound: also return `events`; `hop` is then that of a stream.",
        example=True,
    ),
    Parameter(
        name="event_settings",
        schema={
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": component("EventSettings"),
        },
        meaning="Sound, with `events`: settings of the events, as in `start` of a stream.",
        example='{"*": {"gap": 0.5}}',
    ),
    Parameter(
        name="format",
        schema={"type": "string", "enum": list(MEDIA_TYPES), "default": "json"},
        meaning="Sound: the response as a table. All but `json` and `csv` are of events.",
        example="csv",
    ),
)
"""Of classify, but for `hop`."""


def classify_parameters(settings: Settings) -> tuple[Parameter, ...]:
    """Return the query of classify, with the bounds of a server."""
    hop = Parameter(
        name="hop",
        schema={"type": "number", "minimum": settings.min_hop},
        meaning="Sound: seconds between windows, at most the window. By default the window,"
        f" with `events` {EVENT_HOP:g} s.",
        example=1.0,
    )
    return *QUERY, hop


def _classified() -> Answer:
    tables = {
        MEDIA_TYPES[form]: Media(schema={"type": "string"}, examples={form: example})
        for form, example in EXPORT_EXAMPLES.items()
    }
    found = {"anyOf": [component("SoundResult"), component("PictureResult")]}
    examples = {"sound": SOUND_EXAMPLE, "picture": PICTURE_EXAMPLE}
    return Answer(
        meaning="Labels and scores; of sound as a table, where `format` asks for one.",
        content={"application/json": Media(schema=found, examples=examples)} | tables,
    )


def operations(settings: Settings) -> tuple[Operation, ...]:
    """Return the operations, with the bounds of a server."""
    return (_classify(settings), STREAM, EVENTS, *MODELS, *HEALTH, SCRAPE)


def _classify(settings: Settings) -> Operation:
    return Operation(
        id="classify",
        method="post",
        path="/v1/models/{name}/classify",
        tag="Models",
        summary="Classify a sound or picture file",
        details="The body is the file itself, of any `Content-Type`, or the field `file` of a"
        f" form; {settings.max_body:,} bytes at most. Any other parameter is rejected by name,"
        " but for the metadata that a model of pictures lists in `input.metadata`, which may"
        " also be fields of the form.",
        parameters=classify_parameters(settings),
        body=file_body(other_fields=METADATA),
        needs_body=False,
        answers=(_classified(),),
        errors=(*BODY_ERRORS, NotFound, NotAllowed, Late, NotFetched, Failed, ArtefactError),
        curl="--data-binary @recording.wav ?top_k=3",
    )


STREAM = Operation(
    id="stream",
    method="get",
    path="/v1/models/{name}/stream",
    tag="Models",
    summary="Stream live sound over a WebSocket",
    details="The messages are described in [asyncapi.json](/asyncapi.json). What can be"
    " known before the upgrade is rejected here.",
    parameters=(VERSION,),
    answers=(Answer(status=101, meaning="A WebSocket, without compression."),),
    errors=(
        *(InputError, UnsupportedMedia, Unprocessable, NotFound, NotAllowed),
        *(Busy, Leaving, Late, ArtefactError),
    ),
)
EVENT_EXAMPLE = (
    'id: 1793106245123-79fa22e8-41\nevent: event\ndata: {"id": "79fa22e8-1-3", "model":'
    ' "instruments", "label": "violin", "state": "onset", "start": 12.260136, "end": null,'
    ' "start_sample": 540672, "end_sample": null, "peak": 0.7, "mean": 0.7, "source": "garden",'
    ' "version": "2", "not_heard": 0.0}\n\n'
)
EVENTS = Operation(
    id="followEvents",
    method="get",
    path="/v1/events",
    tag="Events",
    summary="Follow the events that streams publish",
    details="Server-sent events, until the client leaves or the server shuts down. `data`"
    " has the fields of `event` of a stream, and `model`. `event: missed` says that events"
    " were left out; a comment comes every 15 s.",
    parameters=(
        Parameter(name="source", schema={"type": "string"}, meaning="Only this source."),
        Parameter(name="label", schema={"type": "string"}, meaning="Only this label."),
        Parameter(
            name="Last-Event-ID",
            place="header",
            schema={"type": "string", "maxLength": MAX_ID},
            meaning="The last `id` that came: resumes after it.",
        ),
    ),
    answers=(
        Answer(
            meaning="Events.",
            content={
                "text/event-stream": Media(
                    schema={"type": "string"}, examples={"event": EVENT_EXAMPLE}
                )
            },
        ),
    ),
    errors=(Unprocessable, Busy, Leaving),
    curl="-N",
)
MODELS: tuple[Operation, ...] = (
    Operation(
        id="listModels",
        method="get",
        path="/v1/models",
        tag="Models",
        summary="List the models that are served",
        answers=(
            json_answer(
                component("Models"),
                {"models": [MODEL_EXAMPLE]},
                meaning="Every model; none while they are loaded.",
            ),
        ),
    ),
    Operation(
        id="describeModel",
        method="get",
        path="/v1/models/{name}",
        tag="Models",
        summary="Describe a model: labels, input, versions, metrics, provenance",
        answers=(json_answer(component("Model"), MODEL_EXAMPLE, meaning="The model."),),
        errors=(NotFound, Busy),
    ),
    Operation(
        id="readModelReport",
        method="get",
        path="/v1/models/{name}/report",
        tag="Models",
        summary="Read the report of the training of a model",
        parameters=(VERSION,),
        answers=(
            Answer(
                meaning="The report.",
                content={
                    "text/markdown": Media(
                        schema={"type": "string"}, examples={"report": "# instruments 2\n"}
                    )
                },
            ),
        ),
        errors=(NotFound, Unprocessable, Busy, ArtefactError),
    ),
    Operation(
        id="loadVersion",
        method="post",
        path="/v1/models/{name}/load",
        tag="Models",
        summary="Switch a model to another version",
        details="Without a body, or without `version`, the latest on disk is loaded. The body"
        f" has {MAX_DOCUMENT} bytes at most.",
        body={
            "application/json": Media(
                schema={
                    "type": "object",
                    "properties": {"version": {"type": ["string", "null"]}},
                    "additionalProperties": False,
                },
                examples={"request": {"version": "1"}},
            )
        },
        needs_body=False,
        answers=(json_answer(component("Loaded"), LOADED_EXAMPLE, meaning="Served now."),),
        errors=(*BODY_ERRORS, NotFound, Late, Refused),
        curl="""-d '{"version": "1"}'""",
    ),
)
HEALTH: tuple[Operation, ...] = tuple(
    Operation(
        id=id_,
        method="get",
        path=path,
        tag="Health",
        summary=summary,
        answers=(
            json_answer(
                {
                    "type": "object",
                    "properties": {"status": {"const": status}},
                    "required": ["status"],
                },
                {"status": status},
                meaning=meaning,
            ),
        ),
        errors=errors,
    )
    for id_, path, summary, status, meaning, errors in (
        ("isAlive", "/livez", "Whether the process lives", "alive", "It does.", (Busy,)),
        (
            *("isReady", "/readyz", "Whether the models are loaded and warm", "ready"),
            *("They are.", (Busy, Leaving)),
        ),
    )
)
SCRAPE = Operation(
    id="readMetrics",
    method="get",
    path=METRICS,
    tag="Health",
    summary="What all processes of the machine have counted, for Prometheus",
    details="`Accept` chooses the format; by default it is the text of Prometheus.",
    answers=(
        Answer(
            meaning="The metrics.",
            content={
                kind: Media(schema={"type": "string"}, examples={"metrics": METRICS_EXAMPLE})
                for kind in (TEXT, OPEN_METRICS)
            },
        ),
    ),
    errors=(Busy,),
)
