"""Starts trainings as processes of their own, a bounded number at a time; the others are queued.

Whatever is known lies in the folder, under its lock: several gateways may share it, and a server
that starts again goes on where the one before has ended.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.atomic import atomic_folder
from common.budget import Budget
from common.errors import Busy, InsufficientStorage, NotFound, Unprocessable
from models.manifest import NAME
from service.log import FailureLog, log
from service.settings import Settings
from service.trainings.assignments import RECIPE, assignments
from service.trainings.command import TIMBRE, environment, run_timbre
from service.trainings.folder import (
    CACHE,
    COLLECTIONS,
    locked,
    new_id,
    now,
    read_object,
    storing,
    write_json,
)
from service.trainings.process import end_session, identity, is_running
from service.trainings.record import (
    ARTEFACTS,
    CANCEL,
    EXIT,
    ID,
    KILLED,
    LOG,
    PROCESS,
    PROGRESS,
    REQUEST,
    describe,
    status_of,
)

SCAN_S = 1.0
CHECK_S = 60.0
"""Seconds that a check of settings may take."""
MAX_CHECKS = 4
MAX_NAME = 64
REMOVED = ".removed-"
NOTHING = "nothing"
"""Label of clips on which nothing of interest sounds: recipes take it as background."""


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """What a client asks for."""

    recipe: str
    """Name of a recipe that is shipped."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Dotted key to value, as of `timbre train --set`."""
    name: str = ""
    """Of the artefact; empty: that of the recipe."""

    def __post_init__(self) -> None:
        """Raises Unprocessable for names that cannot be."""
        if not RECIPE.fullmatch(self.recipe) or len(self.recipe) > MAX_NAME:
            raise Unprocessable(
                f"recipe={self.recipe!r:.80} must be the name of a recipe that is shipped,"
                " lower-case words joined by hyphens"
            )
        if self.name and (not NAME.fullmatch(self.name) or len(self.name) > MAX_NAME):
            raise Unprocessable(
                f"name={self.name!r:.80} must be lower-case words joined by hyphens,"
                f" {MAX_NAME} characters at most"
            )


class Trainings:
    """The trainings of one folder."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        """folder: as `open_folder` returns it."""
        self.folder = folder
        self._settings = settings
        self._checks = Budget(MAX_CHECKS, "requests of trainings are being checked")
        self._wake = asyncio.Event()
        self._children: set[int] = set()
        """Pids that are to be reaped."""

    async def watch(self, _: object) -> AsyncIterator[None]:
        """Begin what is queued, while the application runs. Trainings go on after it."""
        await asyncio.to_thread(self._remove_remains)
        task = asyncio.create_task(self._watch())
        yield
        task.cancel()
        await asyncio.wait([task])

    async def start(self, request: TrainingRequest, *, client: str) -> dict[str, Any]:
        """Accept a training and return its description.

        Raises Unprocessable, with the words of `timbre train`, for settings that it rejects; Busy
        and InsufficientStorage past the limits.
        """
        with self._checks.hold():
            words = await asyncio.to_thread(self._arguments, request)
            await asyncio.to_thread(self._check_room)
            await self._check(words)
            id_ = await asyncio.to_thread(self._accept, request, words, client)
        self._wake.set()
        log("training queued", training=id_, recipe=request.recipe, client=client)
        return await self.describe(id_)

    async def describe(self, id_: str) -> dict[str, Any]:
        """Return one training with its log and curves. Raises NotFound."""
        folder = self.path(id_)
        # Another server on this folder may have accepted it and be gone.
        self._wake.set()
        return await asyncio.to_thread(describe, folder, root=self.folder, details=True)

    async def listing(self) -> list[dict[str, Any]]:
        """Return all trainings, the newest first, without their logs and curves."""
        return await asyncio.to_thread(self._listing)

    async def cancel(self, id_: str, *, client: str, remove: bool) -> dict[str, Any]:
        """Cancel a training that is queued or runs; return its description. Raises NotFound.

        remove: delete one that has ended, with its artefact. Raises Unprocessable when it runs.
        """
        found = await asyncio.to_thread(self._cancel, self.path(id_), client, remove=remove)
        self._wake.set()
        if remove:
            log("training removed", training=id_, client=client)
        elif found["state"] in ("running", "cancelled"):
            log("training cancelled", training=id_, client=client)
        return found

    def path(self, id_: str) -> Path:
        """Return the folder of a training. Raises NotFound."""
        folder = self.folder / id_
        if not ID.fullmatch(id_) or not (folder / REQUEST).is_file():
            raise NotFound(f"no training {id_!r:.80}")
        return folder

    def _ids(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if ID.fullmatch(path.name))

    def _listing(self) -> list[dict[str, Any]]:
        return [
            describe(self.folder / id_, root=self.folder, details=False)
            for id_ in reversed(self._ids())
        ]

    def _arguments(self, request: TrainingRequest) -> list[str]:
        collections = self.folder / COLLECTIONS
        settings: Mapping[str, Any] = request.settings
        if "collection.path" in settings:
            settings = {"collection.background": [NOTHING], **settings}
        pairs = assignments(settings, collections)
        if "collection.path" in settings:
            pairs.append(f"collection.into={self.folder / CACHE / 'rendered'}")
        pairs += [f"name={request.name}"] if request.name else []
        pairs.append(f"cache={self.folder / CACHE}")
        return [request.recipe, *(word for pair in pairs for word in ("--set", pair))]

    async def _check(self, words: list[str]) -> None:
        ended = await run_timbre(
            "train", *words, "--check", folder=self.folder / COLLECTIONS, limit_s=CHECK_S
        )
        if ended.code:
            said = ended.said.strip().removeprefix("timbre train: ")
            raise Unprocessable(said or f"`timbre train` ended with exit code {ended.code}")

    def _check_room(self) -> None:
        """Raise Busy or InsufficientStorage when one more training has no place."""
        ids, limits = self._ids(), self._settings
        queued = sum(status_of(self.folder / id_).state == "queued" for id_ in ids)
        if queued >= limits.max_queued_trainings:
            raise Busy(
                f"{queued} trainings are queued, at most {limits.max_queued_trainings} are"
                " accepted (max_queued_trainings)",
                retry_after=60,
            )
        if len(ids) >= limits.max_kept_trainings:
            raise InsufficientStorage(
                f"{len(ids)} trainings are kept, at most {limits.max_kept_trainings} are"
                " (max_kept_trainings): remove some, DELETE /v1/trainings/ID?remove=true"
            )

    def _accept(self, request: TrainingRequest, words: list[str], client: str) -> str:
        id_ = new_id()
        folder = self.folder / id_
        written = ("--out", str(folder / ARTEFACTS), "--progress", str(folder / PROGRESS))
        document = {
            "recipe": request.recipe,
            "settings": request.settings,
            "name": request.name or None,
            "time": now(),
            "client": client,
            "command": [*TIMBRE, "train", *words, *written],
            "folder": str(self.folder / COLLECTIONS),
            "environment": environment(self.folder / COLLECTIONS),
            "limit_s": self._settings.training_limit,
        }
        with storing("the training"), locked(self.folder):
            self._check_room()
            with atomic_folder(folder) as draft:
                write_json(draft / REQUEST, document)
        return id_

    def _cancel(self, folder: Path, client: str, *, remove: bool) -> dict[str, Any]:
        with storing("the change"), locked(self.folder):
            status = status_of(folder)
            if status.state in ("queued", "running") and remove:
                raise Unprocessable(f"training {folder.name} has not ended: cancel it first")
            if status.state in ("queued", "running"):
                write_json(folder / CANCEL, {"time": now(), "client": client})
            if status.state == "running" and (process := read_object(folder / PROCESS)):
                self._signal(process)
            found = describe(folder, root=self.folder, details=True)
            if remove:
                # Renamed first: half a training is none.
                gone = folder.rename(folder.with_name(f"{REMOVED}{folder.name}"))
                shutil.rmtree(gone)
        return found

    def _remove_remains(self) -> None:
        """Delete what a server that was killed meanwhile had begun to delete."""
        for path in self.folder.glob(f"{REMOVED}*"):
            shutil.rmtree(path, ignore_errors=True)

    def _signal(self, process: dict[str, Any]) -> None:
        if is_running(process["pid"], process["identity"]):
            os.kill(process["pid"], signal.SIGTERM)

    async def _watch(self) -> None:
        failure = FailureLog("trainings cannot be read", "trainings can be read")
        while True:
            try:
                unfinished = await asyncio.to_thread(self._advance)
            except Exception as error:  # noqa: BLE001 - the next look may find it mended
                unfinished = True
                failure.failed(f"{type(error).__name__}: {error}")
            else:
                failure.worked()
            try:
                async with asyncio.timeout(SCAN_S if unfinished or self._children else None):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()

    def _advance(self) -> bool:
        """Note what has died, begin what has a place; return whether anything is unfinished."""
        self._children = {pid for pid in self._children if not _is_reaped(pid)}
        with locked(self.folder):
            states = dict(self._states())
            running = [id_ for id_, state in states.items() if state == "running"]
            queued = [id_ for id_, state in states.items() if state == "queued"]
            for id_ in queued[: max(0, self._settings.max_trainings - len(running))]:
                self._begin(self.folder / id_)
        return bool(running or queued)

    def _states(self) -> Iterator[tuple[str, str]]:
        for id_ in self._ids():
            folder = self.folder / id_
            status = status_of(folder)
            if status.begun and not status.ended and status.state in ("failed", "cancelled"):
                process = read_object(folder / PROCESS) or {}
                # Killed with no time to write: what it had started must not go on.
                end_session(process["pid"], process["identity"])
                write_json(folder / EXIT, {"code": None, "why": KILLED, "ended": now()})
                log("training killed", training=id_)
            yield id_, status.state

    def _begin(self, folder: Path) -> None:
        log("training begun", training=folder.name)
        command = (sys.executable, "-P", "-m", "service.trainings.wrapper", str(folder))
        with (folder / LOG).open("ab") as output:
            child = subprocess.Popen(  # noqa: S603 - this program itself
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=folder,
                start_new_session=True,
            )
        self._children.add(child.pid)
        # It outlives this process: how it ends is told by its files, and it is only reaped here.
        child.returncode = 0
        assert child.stdin  # it is a pipe
        with child.stdin as go:
            # It begins only once it can be found again, whatever happens to this process.
            write_json(
                folder / PROCESS,
                {"pid": child.pid, "identity": identity(child.pid), "begun": now()},
            )
            go.write(b"go\n")


def _is_reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # somebody else was first
        return True
