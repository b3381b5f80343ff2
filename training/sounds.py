"""The recipe `sounds`: labelled recordings of your own -> table -> models -> artefact."""

from __future__ import annotations

from training.data.settings import SoundsRecipe

RECIPE = SoundsRecipe
