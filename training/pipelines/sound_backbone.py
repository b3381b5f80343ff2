"""The recipe `timbre-sound`: a small network that gives embeddings of any sound.

A larger one teaches it, on sound without labels. `network.backbone` of own recordings takes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.atomic import atomic_file
from common.strict_json import to_json
from models.manifest import NAME
from training.common.errors import MaterialError
from training.common.model_settings import Network
from training.common.paths import cache_root, data_root
from training.common.provenance import origin
from training.common.recipe import check, check_limits
from training.reporting.markdown import table
from training.sound_models import student_table
from training.sound_models.given_network import stated
from training.sound_models.teacher_network import open_teacher

if TYPE_CHECKING:
    from training.common.progress import Stage
    from training.sound_models.student import Student


@dataclass(frozen=True, kw_only=True)
class Unlabelled:
    """Sound without labels; paths are relative to `data`, absolute, or begin with ~."""

    folders: tuple[str, ...] = ()
    """Folders of recordings."""
    fonts: tuple[str, ...] = ()
    """General MIDI sound fonts, of which all programs are played."""
    weights: tuple[float, ...]
    """How often each folder is drawn from, then each font, then generated sound."""
    windows: int
    """Windows to learn from, the last twentieth only to measure on."""
    mixed: float
    """Share of windows of two sounds."""
    program: float
    """Seconds that each program of a font is played for."""

    def __post_init__(self) -> None:
        """Reject impossible settings."""
        kinds = len(self.folders) + len(self.fonts) + 1
        fits = len(self.weights) == kinds and min(self.weights) >= 0 < sum(self.weights) < math.inf
        check(
            fits,
            f"material.weights={list(self.weights)} must be {kinds} numbers of at least 0, and not "
            "all 0: one for each folder, for each font, and for generated sound",
        )
        check_limits(self, "material.", windows=(40, math.inf), mixed=(0, 1), program=(2, 50))


@dataclass(frozen=True, kw_only=True)
class SoundBackboneRecipe:
    """Everything that decides the network, but the code."""

    steps: str
    """The pipeline that runs the recipe, a name of training.common.recipe.PIPELINES."""
    name: str
    """The file's, without its ending."""
    data: str = ""
    """Folder that material paths start from; else the environment's TIMBRE_DATA, else
    ../shared/data."""
    cache: str = ""
    """Folder for windows that may be used again; else ~/.cache/timbre."""
    seed: int = 1
    """Seed of everything random."""
    jobs: int = 2
    """Number of processes or threads."""
    profile: str = ""
    """One of [profiles]: a set of changes by name."""
    teacher: str
    """Path, as in [material], of a network for embeddings of sound (ONNX, from `mel` to
    `embedding`)."""
    material: Unlabelled
    network: Network
    version: str = ""
    """Empty: the file has none."""
    provenance: tuple[dict[str, str], ...] = ()
    """source, licence, use of everything in [material], and of the teacher."""
    profiles: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Named changes: dotted key to value."""

    @property
    def artefact_names(self) -> tuple[str, ...]:
        """No artefact is written, but a network."""
        return ()

    def __post_init__(self) -> None:
        """Check the settings before the training. Raises RecipeError."""
        named = NAME.fullmatch(self.name) is not None
        check(named, f"name={self.name!r} must be lower-case words joined by hyphens")
        check(not self.version, f"version={self.version!r}: the network has no versions")
        check(not self.network.backbone, "network.backbone is for recordings of your own")


RECIPE = SoundBackboneRecipe
"""The class of these recipes, for `training.common.recipe.load`."""


def check_recipe(recipe: SoundBackboneRecipe) -> None:
    """Raise MaterialError for a teacher that is none, before anything is drawn."""
    if not recipe.teacher:
        raise MaterialError("teacher: the path of a network for embeddings of sound is needed")
    path = data_root(recipe.data).resolve() / Path(recipe.teacher).expanduser()
    if not path.is_file():
        raise MaterialError(f"teacher: no file {path}")
    open_teacher(path)


def run(recipe: SoundBackboneRecipe, out: Path, stage: Stage) -> list[Path]:
    """Run the recipe and return the file of the network, which has a page beside it."""
    check_recipe(recipe)
    spec = _spec(recipe)
    rows = student_table.build(
        spec, cache_root(recipe.cache) / recipe.name, jobs=recipe.jobs, stage=stage
    )
    # torch takes seconds to load.
    import torch

    from training.sound_models import student

    torch.set_num_threads(recipe.jobs)
    with stage("training") as progress:
        fitted = student.fit(
            rows.log_mel, rows.embedding, recipe.network, seed=recipe.seed, progress=progress
        )
    path = out / f"{recipe.name}.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    about = origin(recipe) | {"teacher": stated(spec.teacher)}
    content = _described(fitted.onnx(), about, recipe)
    with atomic_file(path) as draft:
        draft.write_bytes(content)
    with atomic_file(path.with_suffix(".md")) as draft:
        draft.write_text(_page(recipe, fitted, about, len(content)), encoding="utf-8")
    return [path]


def _spec(recipe: SoundBackboneRecipe) -> student_table.Spec:
    root, material = data_root(recipe.data).resolve(), recipe.material
    teacher, *rest = (
        root / Path(given).expanduser()
        for given in (recipe.teacher, *material.folders, *material.fonts)
    )
    count = len(material.folders)
    return student_table.Spec(
        teacher=teacher,
        folders=tuple(rest[:count]),
        fonts=tuple(rest[count:]),
        weights=material.weights,
        windows=material.windows,
        mixed=material.mixed,
        program=material.program,
        seed=recipe.seed,
    )


def _described(graph: bytes, about: dict[str, Any], recipe: SoundBackboneRecipe) -> bytes:
    """Return the graph with what it was made of in its metadata."""
    import onnx

    model = onnx.load_from_string(graph)
    entries = about | {"provenance": to_json(recipe.provenance)}
    onnx.helper.set_model_props(model, {key: str(value) for key, value in entries.items()})
    content: bytes = model.SerializeToString()
    return content


def _page(recipe: SoundBackboneRecipe, fitted: Student, about: dict[str, Any], size: int) -> str:
    explained = fitted.history[-1]["explained"]
    return f"""# {recipe.name}

A network from the log-mel spectrogram of a window (`log_mel`, float32 (n, 128, frames), as
`features.extract.log_mel` gives it; 87 frames are 2 s, which it was trained on) to `embedding`,
float32 (n, {fitted.numbers}), for `network.backbone`. {size / 1e6:.2f} MB. It explains
{explained:.0%} of the variance of its teacher's embeddings of windows that it was not trained on.

It was trained on {recipe.material.windows:,} windows without labels,
{recipe.material.mixed:.0%} of them of two sounds:

{_tables(recipe, fitted)}

Teacher: {about["teacher"]}. Commit {about["commit"] or "unknown"}, seed {recipe.seed}. The recipe
is in the metadata of the file.
"""


def _tables(recipe: SoundBackboneRecipe, fitted: Student) -> str:
    """Return what was drawn, how each pass went, and what it is from."""
    material = recipe.material
    names = [Path(name).name for name in (*material.folders, *material.fonts)]
    total = sum(material.weights)
    drawn = [
        [name, f"{weight / total:.0%}"]
        for name, weight in zip([*names, "generated sound"], material.weights, strict=True)
    ]
    passes = [
        [str(number), f"{one['loss']:.3f}", f"{one['explained']:.3f}"]
        for number, one in enumerate(fitted.history, 1)
    ]
    sources = [[one["source"], one["licence"], one["use"]] for one in recipe.provenance]
    return f"""{table(["sound", "share"], drawn)}

*error*: mean squared error of the standardised embeddings of augmented windows in training;
*explained*: share of their variance on windows held out.

{table(["pass", "error", "explained"], passes)}

{table(["source", "licence", "use"], sources)}"""
