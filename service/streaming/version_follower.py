"""Which version answers a live stream: the current one, as long as that hears the same things in the same input."""

from __future__ import annotations

from models.store import Model
from service.inference.registry import ModelRegistry


class VersionFollower:
    """Goes over to a new version at the border of a window. Holds one model, so that the one before can be let go."""

    def __init__(self, catalogue: ModelRegistry, model: Model, *, pinned: bool) -> None:
        """pinned: the version was asked for by its number."""
        self._catalogue = catalogue
        self._pinned = pinned
        self._passed_over = ""
        self.model = model
        """Who is asked."""

    def follow(self) -> str:
        """Go over to the current version; return a sentence for the client if that cannot be, once for each version."""
        if self._pinned:
            return ""
        current = self._catalogue.find(self.model.name)
        if current.version in (self.model.version, self._passed_over):
            return ""
        differs = current.unlike(self.model)
        if not differs:
            self.model = current
            return ""
        self._passed_over = current.version
        return (
            f"version {current.version} is served now, but its {differs} is not that of version {self.model.version}, "
            "which goes on answering this stream; open another one for the new version"
        )


async def version_follower(
    catalogue: ModelRegistry, name: str, version: str | None
) -> VersionFollower:
    """Return who follows a model, or stays with one version of it. Raises NotFound, ArtefactError."""
    return VersionFollower(
        catalogue, await catalogue.get(name, version), pinned=version is not None
    )
