"""Artefacts and providers: every model is run, on every provider that is listed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from common.errors import ArtefactError, NotFound
from common.terminal import say
from models.kinds import kind_of
from models.manifest import Manifest
from models.pin import load_order
from models.providers import CPU, one_line
from models.session import listed
from models.store import Store
from models.verification import Measured, measure
from service.doctor.finding import Finding, attention, bad, good
from service.settings import Settings

WHY = (
    "the processor is used instead, and the start takes no harm; for speed install the build of "
    "ONNX Runtime for this GPU, its CUDA and cuDNN, or name the provider out: "
    "--set providers=cpu"
)


UNLOADED = "load it: POST /v2/repository/models/NAME/load, or remove its current.json"


@dataclass(frozen=True)
class Artefact:
    """A version that would be served."""

    name: str
    folder: Path
    manifest: Manifest


def find(settings: Settings) -> tuple[list[Artefact], list[Finding]]:
    """Return what would be served, and findings for what cannot be read."""
    store = Store(settings.artefacts)
    names = settings.models or tuple(store.names())
    artefacts, findings = [], []
    for name in names:
        try:
            versions, pin = store.versions(name), store.pin(name)
            if pin is not None and pin.unloaded:
                what = f"model {name}"
                findings.append(attention(what, "unloaded: not served", UNLOADED))
                continue
            version = load_order(versions, pin)[0]
            folder = store.path / name / version
            manifest = Manifest.from_json((folder / "manifest.json").read_bytes())
            kind_of(manifest.input.kind)
            artefacts.append(Artefact(name, folder, manifest))
        except (ArtefactError, NotFound, OSError) as error:
            findings.append(bad(f"model {name}", one_line(error), "put a whole version in place"))
    if not names:
        found = f"{settings.artefacts} has no artefact"
        findings.append(bad("models", found, "name a folder of NAME/VERSION/: --artefacts"))
    return artefacts, findings


def check_models(artefacts: list[Artefact], settings: Settings) -> Iterator[Finding]:
    """Load each artefact on the processor: hashes, fingerprint, golden scores, time of a row."""
    for each in artefacts:
        what = f"model {each.name} {each.folder.name}"
        try:
            measured = measure(each.folder, limit_s=settings.load_timeout, providers=(CPU,))
        except ArtefactError as error:
            yield bad(what, one_line(error), "remove this version, or make it anew")
        else:
            yield good(what, _shown(measured))


def check_providers(artefacts: list[Artefact], settings: Settings) -> Iterator[Finding]:
    """Run each network on each accelerator that is listed, in a process of its own."""
    found = listed()
    accelerators = [name for name in found if name != CPU]
    if not accelerators:
        yield good("provider CPU", "the only one in this build of ONNX Runtime")
    networks = [each for each in artefacts if kind_of(each.manifest.input.kind).accelerate]
    for name in accelerators:
        what = f"provider {name}"
        limit_s = settings.engine_timeout if name == "Tensorrt" else settings.load_timeout
        runs = {}
        try:
            for each in networks:
                names = found[found.index(name) :]
                runs[each.name] = measure(
                    each.folder, limit_s=limit_s, providers=names, report=_report(what, each)
                )
        except ArtefactError as error:
            yield attention(what, one_line(error), WHY)
        else:
            shown = "; ".join(f"{model}: {_shown(run)}" for model, run in runs.items())
            yield good(what, shown or "listed, and no network to try it with")


def _report(what: str, artefact: Artefact) -> Callable[[], None]:
    return lambda: say(f"{what} still loads {artefact.name}: TensorRT builds engines", error=True)


def _shown(measured: Measured) -> str:
    return f"one row in {measured.ms:.2f} ms, off by {measured.off:.1e} from the golden scores"
