"""One file and one model in this process: its windows, their tensors, and the scores to compare."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common.errors import ArtefactError
from features.config import Tensor
from models.kinds import KINDS
from models.manifest import Manifest
from models.store import Model, Store
from service.cli.offline import OfflineClassifier, opened
from service.inference import clips, pictures
from service.prove.comparison import Found, Scored


@dataclass(frozen=True)
class Case:
    """What every way is compared with."""

    path: Path
    data: bytes
    """Of the file."""
    model: Model
    metadata: Mapping[str, str]
    """Of a picture."""
    hop: int
    """Samples at the model's rate between windows; of a picture 1."""
    rate: int
    """Hertz at which the model hears; of a picture 1."""
    starts: tuple[int, ...]
    """Of the windows, in samples."""
    padded: int | None
    """Start of a last window that is padded with silence."""
    tensors: Tensor
    """Shape (windows, ...): what the model takes."""
    classified: Found
    """As the response to a file has it: scores of six decimals."""
    computed: Found
    """The scores of the tensors as the model gives them, float32."""

    @property
    def is_sound(self) -> bool:
        """Whether the file is a sound."""
        return self.model.input.medium == "sound"

    @property
    def seconds(self) -> dict[int, float]:
        """Return where each window begins, in seconds, by its start."""
        return {start: start / self.rate for start in self.starts}


def names_that_take(path: Path, artefacts: Path) -> list[str]:
    """Return the first model of every kind of input that takes a file."""
    store = Store(artefacts)
    first: dict[str, str] = {}
    for name, versions in store.listing().items():
        first.setdefault(_kind_of(artefacts / name, versions), name)
    return [name for kind, name in first.items() if kind in KINDS and KINDS[kind].takes(path)]


def _kind_of(folder: Path, versions: list[str]) -> str:
    """Return the kind of input of the newest version that can be read; empty if none can."""
    for version in reversed(versions):
        with suppress(ArtefactError, OSError):
            return Manifest.from_json((folder / version / "manifest.json").read_bytes()).input.kind
    return ""


@asynccontextmanager
async def case_of(
    path: Path, name: str, *, artefacts: Path, hop: float | None, metadata: Mapping[str, str]
) -> AsyncIterator[Case]:
    """Classify a file in this process with a model of this name.

    hop: seconds between windows, of a sound. Raises ArtefactError, InputError and its subclasses.
    """
    async with opened(name, artefacts=artefacts) as local:
        data = await asyncio.to_thread(path.read_bytes)
        sound = local.model.input.medium == "sound"
        yield await (_sound if sound else _picture)(local, path, data, hop, metadata)


async def _sound(
    local: OfflineClassifier,
    path: Path,
    data: bytes,
    hop: float | None,
    metadata: Mapping[str, str],
) -> Case:
    model, config = local.model, local.model.sound[0]
    settings = local.gateway.settings
    samples = clips.hop_samples(hop, config=config, min_hop=settings.min_hop, events=True)
    classify = local.classifier(hop=samples / config.sample_rate, top_k=None, metadata=metadata)
    found = await classify(data)
    query = clips.ClipQuery(model=model, hop=samples, top_k=None)
    clip = await asyncio.to_thread(clips.decode_clip, data, query, settings, lambda: None)
    starts = tuple(start for start, _ in clip.spans)
    start, end = clip.spans[-1]
    return Case(
        path=path,
        data=data,
        model=model,
        metadata=metadata,
        hop=samples,
        rate=config.sample_rate,
        starts=starts,
        padded=start if end - start < config.window else None,
        tensors=clip.tensors,
        classified=found_in(found, rate=config.sample_rate),
        computed=await asyncio.to_thread(_scores, model, clip.tensors, starts),
    )


async def _picture(
    local: OfflineClassifier,
    path: Path,
    data: bytes,
    hop: float | None,
    metadata: Mapping[str, str],
) -> Case:
    model = local.model
    classify = local.classifier(hop=hop, top_k=len(model.labels), metadata=metadata)
    found = await classify(data)
    query = pictures.PictureQuery(model=model, metadata=metadata)
    decode = partial(pictures.decode_picture, data, query, local.gateway.settings.max_pixels)
    tensor, _ = await asyncio.to_thread(decode, lambda: None)
    return Case(
        path=path,
        data=data,
        model=model,
        metadata=metadata,
        hop=1,
        rate=1,
        starts=(0,),
        padded=None,
        tensors=tensor[None],
        classified=found_in(found, rate=1),
        computed=await asyncio.to_thread(_scores, model, tensor[None], (0,)),
    )


def found_in(response: Mapping[str, object], *, rate: int) -> Found:
    """Return what the response to a file holds. rate: hertz at which the model hears."""
    document: Mapping[str, object] = response
    version = str(document["version"])
    predictions = document.get("predictions")
    if isinstance(predictions, list):
        scores = {each["label"]: each["score"] for each in predictions}
        return Found(version, {0: Scored(scores)})
    windows = document["windows"]
    assert isinstance(windows, list)  # a response has either
    return Found(
        version,
        {
            round(each["start"] * rate): Scored(each["scores"], frozenset(each["labels"]))
            for each in windows
        },
    )


def _scores(model: Model, tensors: Tensor, starts: tuple[int, ...]) -> Found:
    return found_in_tensor(model, model.version, model.predict(tensors).tolist(), starts)


def found_in_tensor(
    model: Model, version: str, rows: list[list[float]], starts: tuple[int, ...]
) -> Found:
    """Return what rows of scores hold, in the model's order of labels."""
    scored = [Scored(dict(zip(model.labels, row, strict=True))) for row in rows]
    return Found(version, dict(zip(starts, scored, strict=True)))
