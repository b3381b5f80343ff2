"""Schemas of what the routes answer, and an example of each, as PROTOCOL.md has them."""

from __future__ import annotations

from typing import Any, get_args

from features.containers.notes import DoubtKind
from models.events import HIGHEST
from models.manifest import EVENT_SETTINGS, NAME, VERSION, Label, Task
from service.api_description.json_schema import Schema, object_schema, schema_of
from service.api_description.operation import component
from service.protocol import SOURCE
from service.trainings.clip_store import NEWEST
from service.trainings.record import ID, LINES, State

SCORE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
SECONDS: Schema = {"type": "number", "minimum": 0}
COUNT: Schema = {"type": "integer", "minimum": 0}
TEXT: Schema = {"type": "string"}
TEXTS: Schema = {"type": "array", "items": TEXT}
ANYTHING: Schema = {"type": "object"}
TIME: Schema = {"type": ["string", "null"], "format": "date-time"}


def pattern(regex: Any) -> str:
    """Return the pattern of a regular expression that must match a whole text."""
    return f"^(?:{regex.pattern})$"


MODEL_NAME: Schema = {"type": "string", "pattern": pattern(NAME)}
MODEL_VERSION: Schema = {"type": "string", "pattern": pattern(VERSION)}
PLAIN_NAME: Schema = {"type": "string", "pattern": pattern(SOURCE)}
FILE_ID: Schema = {"type": "string", "pattern": pattern(ID).replace(r"\d", "[0-9]")}
"""In the words of ECMA 262, which JSON Schema means."""


def fields(texts: dict[str, tuple[Schema, str]], *, optional: tuple[str, ...] = ()) -> Schema:
    """Return the schema of an object: by field, its schema and what it is."""
    return {
        "type": "object",
        "properties": {
            name: {**schema, "description": text} if text else schema
            for name, (schema, text) in texts.items()
        },
        "required": [name for name in texts if name not in optional],
    }


def listed(schema: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": schema}


EVENT_SETTING: Schema = {
    "type": "object",
    "properties": {
        name: {"type": "number", "minimum": 0, "maximum": highest}
        for name, highest in HIGHEST.items()
    },
    "additionalProperties": False,
}
EVENT_SETTINGS_SCHEMA: Schema = {
    "type": "object",
    "description": "By label, or by `*` for all.",
    "additionalProperties": EVENT_SETTING,
}
TIMING = {
    name: (SECONDS, f"Milliseconds: {text}")
    for name, text in {
        "decode": "the file to samples or pixels.",
        "features": "the tensors of the whole clip.",
        "queue": "the wait for a decoder, and the longest for the model.",
        "model": "the longest model call.",
        "total": "from the request's headers to the response.",
    }.items()
}
WINDOW = fields(
    {
        "start": (SECONDS, "Seconds."),
        "end": (SECONDS, "Seconds; where the sound ends in a last, padded window."),
        "scores": ({"type": "object", "additionalProperties": SCORE}, "By label, best first."),
        "labels": (TEXTS, "Those at or over their threshold, best first."),
    }
)
CLIP_EVENT = fields(
    {
        "label": (TEXT, ""),
        "start": (SECONDS, "Seconds."),
        "end": (SECONDS, "Seconds."),
        "peak": (SCORE, "Highest score of its windows."),
        "mean": (SCORE, "Mean score of its windows."),
    }
)
DOUBT = fields(
    {
        "kind": (schema_of(DoubtKind), ""),
        "detail": (TEXT, "A sentence."),
    }
)
SOUND = fields(
    {
        "model": (TEXT, ""),
        "version": (TEXT, ""),
        "windows": (listed(WINDOW), "In the order of time."),
        "labels": (TEXTS, "Those of any window, the highest mean score first."),
        "events": (listed(CLIP_EVENT), "With `events=true`, in the order of `start`."),
        "warnings": (listed(DOUBT), "Only where there is a doubt."),
        "timing_ms": (fields(TIMING), ""),
    },
    optional=("events", "warnings"),
)
SOUND_EXAMPLE: dict[str, Any] = {
    "model": "instruments",
    "version": "1",
    "windows": [
        {"start": 0.0, "end": 2.0, "scores": {"violin": 0.93, "cello": 0.41}, "labels": ["violin"]}
    ],
    "labels": ["violin"],
    "timing_ms": {"decode": 0.9, "features": 0.5, "queue": 0.1, "model": 0.2, "total": 2.1},
}
PREDICTION = fields({"label": (TEXT, ""), "score": (SCORE, "")})
PICTURE = fields(
    {
        "model": (TEXT, ""),
        "version": (TEXT, ""),
        "predictions": (listed(PREDICTION), "Best first."),
        "timing_ms": (
            fields({name: found for name, found in TIMING.items() if name != "features"}),
            "",
        ),
    }
)
LABEL = object_schema(Label)
LABEL["properties"].pop("events")
MODEL_INPUT: Schema = {
    "type": "object",
    "description": "What the model takes; further fields say how it is made of a file.",
    "properties": {
        "kind": TEXT,
        "dtype": TEXT,
        "shape": listed(COUNT),
        "fingerprint": {**TEXT, "description": "Hash of the settings that shape the tensor."},
    },
    "required": ["kind", "dtype", "shape", "fingerprint"],
    "additionalProperties": True,
}
OWN_EVENTS: Schema = {
    "type": "object",
    "properties": {name: {"type": "number"} for name in EVENT_SETTINGS},
}
MODEL = fields(
    {
        "name": (MODEL_NAME, ""),
        "version": (MODEL_VERSION, "The one that is served."),
        "versions": (TEXTS, "Those on disk, the oldest first."),
        "refused": (
            {"type": "object", "additionalProperties": TEXT},
            "By version, why it is not served.",
        ),
        "task": (schema_of(Task), "Any number of labels at once, or exactly one of them."),
        "labels": (listed(LABEL), "In the order of the scores."),
        "events": (
            {"type": "object", "additionalProperties": OWN_EVENTS},
            "Of sound: by label, the settings of its events.",
        ),
        "input": (MODEL_INPUT, ""),
        "provider": (TEXT, "What runs it."),
        "provider_refused": (
            {"type": "object", "additionalProperties": TEXT},
            "By provider, why it is not used.",
        ),
        "metrics": (ANYTHING, "Results of its evaluation."),
        "provenance": (listed(ANYTHING), "The data of its training."),
        "created": ({"type": "string", "format": "date-time"}, ""),
    },
    optional=("events",),
)
LOADED_FIELDS: dict[str, tuple[Schema, str]] = {
    "name": (TEXT, "Of the model."),
    "version": (TEXT, "That is served now."),
    "previous": ({"type": ["string", "null"]}, "That was served before."),
    "kept": ({"type": "boolean"}, "Whether the pin could be written beside the versions."),
    "seconds": (SECONDS, "What it took."),
}
LOADED = fields(LOADED_FIELDS)
PROMOTED = fields(
    {
        **LOADED_FIELDS,
        "training": ({"type": ["string", "null"]}, "Whose artefact it is."),
        "measured": ({"type": ["object", "null"]}, "What the checks measured."),
    }
)
RESULT = fields(
    {
        "name": (TEXT, ""),
        "version": (TEXT, ""),
        "artefacts": (listed(fields({"name": (TEXT, ""), "version": (TEXT, "")})), "All of them."),
        "labels": (TEXTS, ""),
        "report": ({"type": ["string", "null"]}, "Path of the report."),
        "scores": (ANYTHING, "Metrics of the model."),
        "baseline": (ANYTHING, "Those of a model without any knowledge."),
    }
)
TRAINING_FIELDS: dict[str, tuple[Schema, str]] = {
    "id": (FILE_ID, ""),
    "state": ({"type": "string", "enum": list(get_args(State))}, ""),
    "recipe": ({"type": ["string", "null"]}, "As sent."),
    "settings": ({"type": ["object", "null"]}, "As sent."),
    "name": ({"type": ["string", "null"]}, "Of the artefact, as sent."),
    "queued": (TIME, ""),
    "begun": (TIME, ""),
    "ended": (TIME, ""),
    "stage": ({"type": ["string", "null"]}, "What it does now."),
    "progress": (
        {"type": ["number", "null"], "minimum": 0, "maximum": 1},
        "How much of that is done; null: not known.",
    ),
    "error": ({"type": ["string", "null"]}, "Why it failed."),
    "result": ({"anyOf": [component("TrainingResult"), {"type": "null"}]}, "Of one that is done."),
    "log": (TEXTS, f"The last {LINES} lines; not in the list."),
    "curves": (listed(ANYTHING), "Points by `stage` and `epoch`; not in the list."),
}
TRAINING = fields(TRAINING_FIELDS, optional=("log", "curves"))
CLIP = fields({"id": (FILE_ID, ""), "source": (TEXT, "")})
COLLECTION_LABEL = fields(
    {
        "name": (TEXT, ""),
        "clips": (COUNT, ""),
        "newest": (listed(CLIP), f"The {NEWEST} newest; only where one collection is asked for."),
    },
    optional=("newest",),
)
COLLECTION = fields(
    {
        "name": (PLAIN_NAME, ""),
        "labels": (listed(COLLECTION_LABEL), ""),
        "sources": (listed(fields({"name": (TEXT, ""), "clips": (COUNT, "")})), ""),
        "clips": (COUNT, ""),
        "bytes": (COUNT, "Of the files, with their notes."),
    }
)
STORED = fields(
    {
        "id": (FILE_ID, ""),
        "label": (TEXT, "In its one form."),
        "source": (TEXT, ""),
        "collection": (component("Collection"), ""),
    }
)
SCHEMAS: dict[str, Schema] = {
    "SoundResult": SOUND,
    "PictureResult": PICTURE,
    "Model": MODEL,
    "Models": fields({"models": (listed(component("Model")), "")}),
    "Loaded": LOADED,
    "Promoted": PROMOTED,
    "EventSettings": EVENT_SETTINGS_SCHEMA,
    "Training": TRAINING,
    "TrainingResult": RESULT,
    "Trainings": fields({"trainings": (listed(component("Training")), "The newest first.")}),
    "Collection": COLLECTION,
    "Collections": fields({"collections": (listed(component("Collection")), "")}),
    "StoredClip": STORED,
}
"""By the name that the document has them under."""
