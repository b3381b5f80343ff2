"""Server of the page to keep, move and delete pictures; it listens on loopback only.

Every path begins with a secret token, requests that change something also carry it in a header, and
requests with another Host are rejected: no page of another origin can read or change anything.
"""

from __future__ import annotations

import asyncio
import hmac
import io
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web
from PIL import Image

from common.errors import InputError, TimbreError
from common.mapping import parse_json
from common.strict_json import to_json
from features.config import PictureConfig
from features.picture import decode
from training.common.errors import MaterialError
from training.pictures.clean.findings import ScanResult
from training.pictures.clean.moves import FOLDER, MoveJournal, Step
from training.pictures.dataset.folders import Layout
from training.pictures.dataset.image_hash import read_file

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ASSETS = Path(__file__).parent / "page"
FILES = {
    "": ("clean.html", "text/html"),
    "clean.js": ("clean.js", "text/javascript"),
    "clean.css": ("clean.css", "text/css"),
}
SIDES = (160, 640)
"""Pixels of pictures on the page: thumbnail and close-up."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
MAX_BYTES = 4 * 1024 * 1024


@dataclass
class ReviewSession:
    """The findings, and the decisions about them."""

    result: ScanResult
    layout: Layout
    journal: MoveJournal
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    paths: list[str] = field(init=False)
    """Where each picture is now, below the root."""

    def __post_init__(self) -> None:
        """Set the current paths."""
        self.paths = [picture.path for picture in self.result.found.pictures]

    def state(self) -> dict[str, Any]:
        """Return the state of the page as JSON."""
        kept = self.journal.kept
        return {
            "root": str(self.result.found.root),
            "labels": self.result.found.classes,
            "paths": self.paths,
            "label": [self._label(path) for path in self.paths],
            "findings": [finding._asdict() for finding in self.result.findings],
            "kept": [i for i, path in enumerate(self.paths) if path in kept],
            "accuracy": self.result.accuracy,
            "undo": bool(self.journal.steps),
        }

    def act(self, action: Any, numbers: list[int], label: str = "") -> dict[str, Any]:
        """Keep, move or delete pictures, and return what changed. Raises MaterialError."""
        steps: list[Step] = []
        by_folder: dict[str, list[str]] = {}
        for number in numbers:
            folder = self._folder(self.paths[number], label) if action == "move" else ""
            by_folder.setdefault(folder, []).append(self.paths[number])
        for folder, paths in by_folder.items():
            steps += self.journal.apply(action, paths, folder=folder)
        return self._changed([(step.path, step.to, step.action == "keep") for step in steps])

    def undo(self) -> dict[str, Any]:
        """Undo the last action, and return what changed. Raises MaterialError."""
        return self._changed([(step.to, step.path, False) for step in self.journal.undo()])

    def _changed(self, moves: list[tuple[str, str, bool]]) -> dict[str, Any]:
        numbers = {path: i for i, path in enumerate(self.paths)}
        pictures = []
        for here, there, kept in moves:
            if (number := numbers.get(here)) is not None:
                self.paths[number] = there
                pictures.append(
                    {"number": number, "path": there, "label": self._label(there), "kept": kept}
                )
        return {"pictures": pictures, "undo": bool(self.journal.steps)}

    def _label(self, path: str) -> str:
        """Return the label of a path; "" in the trash."""
        picture = None if path.startswith(f"{FOLDER}/") else self.layout.read(path)
        return picture.label if picture else ""

    def _folder(self, path: str, label: str) -> str:
        if (
            not label
            or not label.isprintable()
            or label.startswith(".")
            or "/" in label
            or "\\" in label
        ):
            raise MaterialError(
                f"{label!r} cannot be the name of a class: no slashes, no leading dot"
            )
        folders = path.split("/")[:-1]
        folders[self.layout.levels.index("label")] = label
        return "/".join(folders)


SESSION = web.AppKey("session", ReviewSession)


def build(session: ReviewSession) -> web.Application:
    """Return the application that serves the page below /TOKEN/."""
    app = web.Application(middlewares=[_check_request], client_max_size=MAX_BYTES)
    app[SESSION] = session
    app.add_routes(
        [
            web.get("/{token}/{name:(clean.js|clean.css)?}", _file),
            web.get("/{token}/state", _state),
            web.get("/{token}/picture/{number:[0-9]{1,9}}/{side:[0-9]{1,4}}", _picture),
            web.post("/{token}/act", _act),
            web.post("/{token}/undo", _undo),
        ]
    )
    return app


def _json(value: Any, *, status: int = 200) -> web.Response:
    return web.json_response(value, dumps=to_json, status=status)


@web.middleware
async def _check_request(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        _reject_foreign(request)
        response = await handler(request)
    except web.HTTPException as error:
        response = _json({"error": error.reason}, status=error.status)
    except InputError as error:
        response = _json({"error": str(error)}, status=error.status)
    except TimbreError as error:
        response = _json({"error": str(error)}, status=409)
    except OSError as error:
        response = _json({"error": f"{error.filename or ''}: {error.strerror}"}, status=409)
    response.headers.update(HEADERS)
    return response


def _reject_foreign(request: web.Request) -> None:
    token = request.app[SESSION].token.encode()
    if request.host.rsplit(":", 1)[0] not in {"127.0.0.1", "localhost"}:
        raise web.HTTPForbidden(reason="unknown Host")
    if not hmac.compare_digest(_bytes(request.path.split("/")[1]), token):
        raise web.HTTPNotFound(reason="open the URL that timbre data clean printed")
    if request.method != "GET":
        same = request.headers.get("Origin", f"http://{request.host}") == f"http://{request.host}"
        sent = _bytes(request.headers.get("X-Timbre-Token", ""))
        if not same or not hmac.compare_digest(sent, token):
            raise web.HTTPForbidden(reason="not a request of this page")


def _bytes(text: str) -> bytes:
    """Return the bytes of a part of a request, which need not be UTF-8."""
    return text.encode(errors="surrogateescape")


async def _file(request: web.Request) -> web.Response:
    name, kind = FILES[request.match_info["name"]]
    return web.Response(text=(ASSETS / name).read_text(encoding="utf-8"), content_type=kind)


async def _state(request: web.Request) -> web.Response:
    return _json(request.app[SESSION].state())


async def _picture(request: web.Request) -> web.Response:
    session, number, side = (
        request.app[SESSION],
        int(request.match_info["number"]),
        int(request.match_info["side"]),
    )
    if number >= len(session.paths) or side not in SIDES:
        raise web.HTTPNotFound(reason="no such picture")
    try:
        path = session.result.found.root / session.paths[number]
        return web.Response(
            body=await asyncio.to_thread(_shown, path, side), content_type="image/png"
        )
    except InputError as error:
        raise web.HTTPNotFound(reason="cannot be shown") from error


def _shown(path: Path, side: int) -> bytes:
    pixels = decode(read_file(path), PictureConfig(height=side, width=side, fit="pad"))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


async def _act(request: web.Request) -> web.Response:
    body = await _json_body(request)
    session, numbers, label = request.app[SESSION], body.get("numbers"), body.get("label", "")
    action = body.get("action")
    if not isinstance(numbers, list) or not numbers or not isinstance(label, str):
        raise web.HTTPBadRequest(reason="numbers of pictures and a label are needed")
    if not isinstance(action, str):
        raise web.HTTPBadRequest(reason="the action must be text")
    if not all(type(number) is int and 0 <= number < len(session.paths) for number in numbers):
        raise web.HTTPBadRequest(reason="no such picture")
    return _json(session.act(action, numbers, label))


async def _undo(request: web.Request) -> web.Response:
    return _json(request.app[SESSION].undo())


async def _json_body(request: web.Request) -> dict[str, Any]:
    # Bytes, for a charset in the header may be one that nobody knows.
    body = parse_json(await request.read(), error=InputError)
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(reason="a JSON object is needed")
    return body
