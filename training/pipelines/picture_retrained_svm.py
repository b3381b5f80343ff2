"""Recipes that retrain a network, then train support vector machines on its descriptors."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from models.store import read
from training.common.recipe import check
from training.pictures.dataset.settings import CommonRecipe
from training.pictures.embeddings import svm
from training.pictures.transfer.transfer_settings import TransferRecipe
from training.pipelines import picture_svm, picture_transfer

if TYPE_CHECKING:
    from pathlib import Path

    from models.store import Model
    from training.common.progress import Stage


@dataclass(frozen=True, kw_only=True)
class RetrainedRecipe(TransferRecipe):
    """The settings of a retrained network, an artefact of its own, and of machines on it."""

    layer: str = ""
    """Its output is the descriptor; empty: what the last dense layer takes."""
    svm: svm.Grid = field(default_factory=svm.Grid)
    map: bool = False
    """Whether map.html beside the report shows which pictures look alike to the network (t-SNE)."""

    @property
    def artefact_names(self) -> tuple[str, ...]:
        """The names of the network and of the machines on it."""
        return self.name, f"{self.name}-svm"

    def __post_init__(self) -> None:
        """Check the settings before the training. Raises RecipeError."""
        super().__post_init__()
        self.check_tested()
        check(not self.networks, "networks: machines are trained on one network; set [network]")
        check(not self.metadata, "metadata is for networks; the machines see the picture alone")

    def described(self, path: str, backbone: str = "") -> picture_svm.DescribedRecipe:
        """Return the recipe of the machines on a network. path, backbone: as in its settings."""
        common = {one.name: getattr(self, one.name) for one in fields(CommonRecipe)}
        own = {
            "steps": "picture-svm",
            "name": self.artefact_names[1],
            "profiles": {},
            "profile": "",
        }
        network = picture_svm.Frozen(path=path, backbone=backbone, layer=self.layer)
        return picture_svm.DescribedRecipe(
            **common | own, network=network, svm=self.svm, map=self.map
        )


RECIPE = RetrainedRecipe
"""What `training.common.recipe.load` reads these recipes as."""


def run(recipe: RetrainedRecipe, out: Path, stage: Stage) -> list[Path]:
    """Run the recipe and return the folders of both artefacts and of their reports.

    The report of the machines has a table of the network as it came with machines, the retrained
    network with its own softmax, and the retrained network with machines.
    """
    base = picture_svm.Frozen(path=recipe.network.weights, backbone=recipe.network.backbone)
    # Before the long training: too few pictures, and more than the machines can take.
    picture_svm.divided(recipe.described(base.path, base.backbone), stage)
    made = picture_transfer.run(recipe, out, stage)
    network = next(folder for folder in made if (folder / "model.onnx").is_file())
    compared: dict[str, picture_svm.Frozen | Model] = {
        f"{recipe.network.backbone} as it came, SVM": base,
        "retrained, softmax": read(network),
    }
    return made + picture_svm.run(recipe.described(str(network)), out, stage, compared=compared)
