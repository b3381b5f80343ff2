"""Serves the page: one document for all its views, and its files below a path with their hash."""

from __future__ import annotations

from aiohttp import web

from common.errors import NotFound
from service.page.files import PageFile, page_files

VIEWS = ("listen", "look", "play", "teach", "models", "status")
"""Paths below /app/ at which the document opens the view of that name."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; worker-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(self), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
FOR_EVER = "public, max-age=31536000, immutable"


async def page(request: web.Request) -> web.Response:
    """Serve the document. Raises NotFound for a view that does not exist."""
    view = request.match_info.get("view", VIEWS[0])
    if view not in VIEWS:
        raise NotFound(f"the page has no view {view!r:.40}; there is {', '.join(VIEWS)}")
    files = page_files()
    return document_response(request, files.document, version=files.version)


def document_response(request: web.Request, document: PageFile, *, version: str) -> web.Response:
    """Return a document that is asked for anew each time, or 304. version: of its contents."""
    headers = HEADERS | {"Cache-Control": "no-cache", "ETag": f'"{version}"'}
    if any(tag.value == version for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return _response(request, document, headers)


async def page_file(request: web.Request) -> web.Response:
    """Serve a file of the page. Raises NotFound, also for files of another version."""
    files = page_files()
    name = request.match_info["file"]
    if request.match_info["version"] != files.version or name not in files.files:
        raise NotFound(f"the page that is served now, {files.version}, has no such file")
    return _response(request, files.files[name], HEADERS | {"Cache-Control": FOR_EVER})


def _response(request: web.Request, file: PageFile, headers: dict[str, str]) -> web.Response:
    body = file.body
    if file.packed is not None:
        headers = headers | {"Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("Accept-Encoding", "").lower():
            body, headers = file.packed, headers | {"Content-Encoding": "gzip"}
    charset = None if file.packed is None else "utf-8"
    return web.Response(body=body, headers=headers, content_type=file.type, charset=charset)
